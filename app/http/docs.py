"""`/openapi.json`, and the page `/docs`, which needs no other host."""

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from litestar import MediaType, Response, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.params import FromPath
from litestar.response import File
from litestar.routes import BaseRoute
from litestar.types import ControllerRouterHandler, Guard
from typing_extensions import override

from app.errors import Problem
from app.http.openapi import SECURITY_SCHEME, document
from app.http.openapi_schemas import Schema
from app.http.request import Request
from app.http.routing import get

_PAGE = "/docs"
_ASSETS = f"{_PAGE}/assets"
_DESCRIPTION = (
    "Reserva books time on resources and accepts no booking above their capacity.\n\n"
    "**Nouns.** A resource is something that can be booked, with a capacity, a schedule and times off. A service is "
    "what it is booked for, with a length, buffers and rules. A reservation is a time on one resource. It is "
    "`pending` (a hold with `expiresAt`, or a request that waits for approval) or `confirmed`, and ends as "
    "`completed`, `cancelled`, `expired` or `no-show`. No reservation is ever deleted.\n\n"
    "**What blocks.** Pending and confirmed reservations block their resource from `blockStart` to `blockEnd`: "
    "their time with the service's buffers. Each takes `units` of the capacity: 1, or the number of `guests` where "
    "the `capacityMode` of the resource is `guests`. A booking fits if the units at every instant are at most the "
    "capacity. Intervals are half-open.\n\n"
    "**Rules.** A booking is judged by all rules at once. `force` lifts notice, horizon, schedule and time off, "
    "never the capacity. Confirming, cancelling and completing are judged by no rule.\n\n"
    "**Refusals** are problem documents (RFC 9457); decide by their `type`. 409 `conflict`: the time is taken; "
    "choose one of `nextFree`. 422: correct the request. 503 `overloaded`: nothing was done; wait for `Retry-After` "
    "and repeat. 503 `outcome-unknown`: repeat the request with the same `Idempotency-Key`, which books once.\n\n"
    "**Requests.** Lists are paged by `cursor`, and changes need `If-Match`. Everything that is not described here "
    "is refused, as are a repeated header of those that may occur once (`Authorization`: 401; `Content-Type`, "
    "`If-Match`, `Idempotency-Key`: 422) and a body with a `Content-Encoding` (415). HEAD is answered wherever GET "
    "is, OPTIONS lists the methods of a path, and a GET whose `If-None-Match` names the `ETag` of the answer is "
    "304."
)
"""The introduction of `/docs`: a summary of `docs/concepts.md`."""

_TAGS: Mapping[str, str] = {
    "Availability": "The times that can be booked, and why another cannot.",
    "Utilisation": "How much of the open time is booked.",
    "Reservations": "Times taken on resources: booked, held, confirmed, changed, cancelled.",
    "Groups": "Several reservations that are booked, confirmed, cancelled or moved all at once or not at all.",
    "Series": "Reservations that recur by a rule, booked, moved and cancelled as one.",
    "Resources": "What can be booked, with its schedule and its times off.",
    "Closures": "Times at which many resources cannot be booked.",
    "Services": "What can be done with resources: how long it takes and what rules it has.",
    "Customers": "Who books.",
    "Reconciliation": "Runs that search the reservations for resources booked above their capacity.",
    "Findings": "Resources that are booked above their capacity, and what people have decided about that.",
    "Calendars": "Reservations as iCalendar, with a key or at a secret address.",
    "Events": "Every change, once and in its order, for those who mirror reservations or react to them.",
    "Keys": "API keys: made, rotated and revoked.",
    "Webhooks": "Addresses to which every event is posted, in order, at least once.",
    "Operations": "The health, readiness and metrics of the process, for monitoring.",
}
"""The description of each tag, in the order of the page."""

_SWAGGER = SwaggerRenderPlugin(
    path="/",
    js_url=f"{_ASSETS}/swagger-ui-bundle.js",
    css_url=f"{_ASSETS}/swagger-ui.css",
    standalone_preset_js_url=f"{_ASSETS}/swagger-ui-standalone-preset.js",
    favicon=f"<link rel='icon' type='image/png' href='{_ASSETS}/favicon-32x32.png'>",
)
_FILES: Mapping[str, Path] = {
    file.name: file for file in (Path(str(files("swagger_ui_bundle"))) / "vendor").glob("swagger-ui-*/*")
}
"""Paths by name. A name from a client is only looked up here, so it cannot be a path of its own."""

_INLINE = re.compile(rb"<script(?![^>]* src=)[^>]*>(.*?)</script>", re.DOTALL)
_POLICY = (
    "default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI sets inline styles; its scripts are files of this host and one inline script that starts it."""

_REVALIDATED = {"Cache-Control": "no-cache"}
_CACHED = {"Cache-Control": "public, max-age=3600"}


class _NoRoutes(Router):
    """A router that drops Litestar's own pages about the API: `/docs` below replaces them, with its own headers."""

    @override
    def register(self, value: ControllerRouterHandler) -> list[BaseRoute]:
        """Register nothing."""
        del value
        return []


def config() -> OpenAPIConfig:
    """The configuration of Litestar's generator; `version` is that of the API, as in `/v1`."""
    return OpenAPIConfig(
        title="Reserva",
        version="1",
        description=_DESCRIPTION,
        use_handler_docstrings=True,
        tags=[Tag(name, description) for name, description in _TAGS.items()],
        openapi_router=_NoRoutes(_PAGE, route_handlers=[]),
        components=Components(
            security_schemes={
                SECURITY_SCHEME: SecurityScheme(type="http", scheme="bearer", description="`rsv_<prefix>_<secret>`")
            }
        ),
    )


@get(["/openapi.json", f"{_PAGE}/openapi.json"], media_type=MediaType.JSON)
async def openapi_json(request: Request) -> Response[Schema]:
    """The description of the API, as OpenAPI 3.1."""
    description = await request.work_pool.run(document, request.app)
    return Response(description, headers=_REVALIDATED)


@get(_PAGE, media_type=MediaType.HTML)
async def page(request: Request) -> Response[bytes]:
    """The page that shows the description."""
    return await request.work_pool.run(_page, request)


@get(f"{_ASSETS}/{{name:str}}")
async def asset(name: FromPath[str]) -> File:
    """A file of Swagger UI."""
    if name not in _FILES:
        raise Problem("not-found", "There is no such file here.")
    return File(_FILES[name], filename=name, content_disposition_type="inline", headers=_CACHED)


def router(guard: Guard) -> Router:  # pyright: ignore[reportUnknownParameterType]  # Litestar leaves it open
    """The routes of the description, of the page that shows it, and of the files of Swagger UI."""
    return Router("/", route_handlers=[openapi_json, page, asset], include_in_schema=False, guards=[guard])


def _page(request: Request) -> Response[bytes]:
    html: bytes = _SWAGGER.render(request, document(request.app))
    scripts = [b64encode(sha256(script).digest()).decode() for script in _INLINE.findall(html)]
    policy = _POLICY.format(scripts=" ".join(f"'sha256-{script}'" for script in scripts))
    return Response(html, headers=_REVALIDATED | {"Content-Security-Policy": policy}, media_type=MediaType.HTML)
