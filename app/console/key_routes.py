"""The page of API keys; its buttons call the API."""

from typing import Annotated, Any

from litestar import Response, Router
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from app.access.routes import in_session
from app.access.schemas import KeyAnswer
from app.access.service import Keys
from app.caller import SCOPES
from app.console.pages import page
from app.http.paging import MAX_LIMIT, cursor_id, id_mark, split_page
from app.http.request import Request
from app.http.routing import get

Cursor = Annotated[str | None, QueryParameter(description="Of the next page.")]


@get("/console/keys", guards=[in_session("admin")])
async def keys_page(request: Request, keys: NamedDependency[Keys], cursor: Cursor = None) -> Response[Any]:
    """All keys: what they may do, when they were last used, when they end."""
    found, following = split_page(await keys.page(MAX_LIMIT + 1, cursor_id(cursor)), MAX_LIMIT, id_mark)
    now = keys.now()
    answers = sorted((KeyAnswer.of(key, now) for key in found), key=lambda each: (each.state != "live", each.name))
    return page(request, "keys", keys=answers, following=following, scopes=SCOPES)


router = Router("/", route_handlers=[keys_page])
