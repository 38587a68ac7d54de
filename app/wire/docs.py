"""`/openapi.json`, and `/docs`, the page that shows it without the internet."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.static_files import create_static_files_router
from litestar.types import Guard

from app.wire.openapi import SECURITY_SCHEME, document

_PAGE = "/docs"
_ASSETS = f"{_PAGE}/assets"
_ABOUT = (
    "Reservations that cannot double-book. Errors are problem documents (RFC 9457); lists are paged by `cursor`; "
    "changes need `If-Match`; what is not described here is refused."
)


class _Page(SwaggerRenderPlugin):
    """Swagger UI over our description, with its files from here."""

    def __init__(self) -> None:
        super().__init__(
            path="/",
            js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            css_url=f"{_ASSETS}/swagger-ui.css",
            standalone_preset_js_url=f"{_ASSETS}/swagger-ui-standalone-preset.js",
            favicon=f"<link rel='icon' type='image/png' href='{_ASSETS}/favicon-32x32.png'>",
        )

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        del openapi_schema
        return super().render(request, document(request.app))


class _Json(JsonRenderPlugin):
    """The description itself; Litestar wants to serve one below its page."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        del openapi_schema
        return super().render(request, document(request.app))


def config(guard: Guard) -> OpenAPIConfig:
    """What Litestar's generator is told; `version` is that of the API, as in `/v1`."""
    return OpenAPIConfig(
        title="Reserva",
        version="1",
        description=_ABOUT,
        use_handler_docstrings=True,
        openapi_router=Router(_PAGE, route_handlers=[], include_in_schema=False, guards=[guard]),
        render_plugins=[_Page(), _Json()],
        components=Components(
            security_schemes={
                SECURITY_SCHEME: SecurityScheme(type="http", scheme="bearer", description="`rsv_<prefix>_<secret>`")
            }
        ),
    )


@get("/openapi.json", media_type=MediaType.JSON, sync_to_thread=False)
def openapi_json(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Tell of the API, as OpenAPI 3.1."""
    return document(request.app)


def router(guard: Guard) -> Router:
    """The description at the root, and the files of Swagger UI from the package that ships them."""
    vendor = Path(str(files("swagger_ui_bundle"))) / "vendor"
    assets = create_static_files_router(path=_ASSETS, directories=[next(vendor.glob("swagger-ui-*"))])
    return Router("/", route_handlers=[openapi_json, assets], include_in_schema=False, guards=[guard])
