"""The files that pages load."""

from typing import Any

from litestar import Response, Router
from litestar.params import FromPath

from app.access.routes import open_to_all
from app.console.assets import PATH, assets
from app.errors import Problem
from app.http.request import Request
from app.http.routing import get

_FOR_GOOD = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


@get(f"{PATH}/{{version:str}}/{{name:str}}", guards=[open_to_all()])
async def asset(request: Request, version: FromPath[str], name: FromPath[str]) -> Response[Any]:
    """A file; under the address of another version, which pages of another process may name, for this time only."""
    known = assets()
    found = known.by_name.get(name)
    if found is None:
        raise Problem("not-found", "There is no such file here.")
    headers = {
        "Cache-Control": _FOR_GOOD if version == known.version else _ASK_AGAIN,
        "ETag": f'"{known.version}"',
        "Vary": "Accept-Encoding",
    }
    if not _takes_gzip(request):
        return Response(found.content, headers=headers, media_type=found.media_type)
    headers |= {"Content-Encoding": "gzip", "ETag": f'"{known.version}-gzip"'}
    return Response(found.zipped, headers=headers, media_type=found.media_type)


def _takes_gzip(request: Request) -> bool:
    taken = request.header_values.get(b"accept-encoding", b"").decode("latin-1").lower().split(",")
    return any(coding.strip() == "gzip" for coding in taken)


router = Router("/", route_handlers=[asset])
