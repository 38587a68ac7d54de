"""The page of the day, and its buttons for browsers without JavaScript."""

from collections.abc import Mapping
from typing import Annotated, Any

from litestar import Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from app.access.routes import caller_of, in_session
from app.access.signed_in import csrf_token_of
from app.console.pages import long_part, page, see
from app.console.today import read_today
from app.domain.lifecycle import Status
from app.errors import not_found
from app.http.request import Request
from app.http.routing import get, post
from app.reservations.service import Reservations

_ENDS: Mapping[str, Status] = {"cancel": "cancelled", "complete": "completed", "no-show": "no-show"}
_VERBS = ("confirm", *_ENDS)

Done = Annotated[str | None, QueryParameter(description="What a button has done.")]


@get("/console/today", guards=[in_session("reservations:read")])
async def today(request: Request, reservations: NamedDependency[Reservations], done: Done = None) -> Response[Any]:
    """Arrivals, what runs, what is late, and what is to be confirmed."""
    lists = await read_today(reservations.store, request.work_pool, caller_of(request))
    board = await long_part(request, "today-board", lists=lists, csrf=csrf_token_of(request))
    return page(
        request,
        "today",
        part=board,
        is_cut=lists.is_cut,
        now=reservations.store.clock.now(),
        done=done if done in _VERBS else None,
    )


@post("/console/today/{reservation_id:str}/{verb:str}", guards=[in_session("reservations:write")])
async def act(
    request: Request, reservation_id: FromPath[str], verb: FromPath[str], reservations: NamedDependency[Reservations]
) -> Response[Any]:
    """Confirm, cancel or close a reservation, then show the day again."""
    caller = caller_of(request)
    if verb == "confirm":
        await reservations.confirm(reservation_id, caller, None)
    elif verb in _ENDS:
        await reservations.finish(reservation_id, _ENDS[verb], caller, None)
    else:
        raise not_found("verb", verb)
    return see(f"/console/today?done={verb}")


router = Router("/", route_handlers=[today, act])
