"""`/v1/events`."""

from typing import Annotated

from litestar import Controller, Response, Router
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, QueryParameter

from app.access.routes import caller_of, needs
from app.domain.ids import ResourceId
from app.errors import Problem
from app.events.filters import EventFilters
from app.events.schemas import EventPage
from app.events.service import Feed
from app.http.event_stream import EVENT_STREAM, EventStream
from app.http.json_response import JsonResponse
from app.http.openapi import problems
from app.http.paging import LIMIT, LimitParameter
from app.http.request import Request
from app.http.routing import get
from app.storage.outbox import EventType

WAIT_SECONDS_MAX = 30
VALUES_MAX = 200
"""The largest number of values of both filters together."""

AfterParameter = Annotated[
    str | None,
    QueryParameter(
        description="A cursor: `next` of the page before, or the `id` of an event. `now`: from here on. Left out: from "
        "the oldest event that is kept."
    ),
]
TypeParameter = Annotated[
    list[EventType] | None,
    QueryParameter(name="type", max_items=VALUES_MAX, description="Of one of these types; repeatable."),
]
ResourceParameter = Annotated[
    list[ResourceId] | None,
    QueryParameter(
        name="resource",
        max_items=VALUES_MAX,
        description="About one of these resources; of a move, from or to it. Repeatable.",
    ),
]
WaitParameter = Annotated[
    int,
    QueryParameter(
        ge=0,
        le=WAIT_SECONDS_MAX,
        description="If there is no event, wait for one, for so many seconds at most; 0 if left out.",
    ),
]
LastEventIdHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        description="The `id` of the last event that came, which `EventSource` sends when it connects again; it counts "
        "instead of `after`.",
    ),
]

_ACCESS = needs("events:read", "reservations:read")


class EventRoutes(Controller):
    """What has changed, each change once and in its order."""

    path = "/events"
    tags = ("Events",)

    @get(guards=[_ACCESS], responses=problems("gone"), operation_id="listEvents")
    async def list_all(
        self,
        request: Request,
        feed: NamedDependency[Feed],
        after: AfterParameter = None,
        types: TypeParameter = None,
        resources: ResourceParameter = None,
        wait: WaitParameter = 0,
        limit: LimitParameter = LIMIT,
    ) -> Response[EventPage]:
        """List events.

        Every change that was committed, in an order in which those of one reservation follow its versions. Go on from
        `next`, now or later, and you get each exactly once. There always is a `next`; a page can be empty although
        more follows, where few events match the filters. Events are kept for 30 days, or what the operator has set;
        for an older cursor this is `/problems/gone`: take the `next` of `after=now`, read anew what you mirror, and go
        on from that cursor. A key may have 100 requests waiting, streams included, in a process; more are
        `/problems/rate-limited`.
        """
        filters = _filters(types, resources)
        page = await feed.page(after, filters, limit, wait, key=caller_of(request).key_id)
        return JsonResponse(page.to_json())

    @get(
        "/stream",
        guards=[_ACCESS],
        responses=problems("gone"),
        operation_id="streamEvents",
        media_type=EVENT_STREAM.decode(),
    )
    async def stream(
        self,
        request: Request,
        feed: NamedDependency[Feed],
        after: AfterParameter = None,
        types: TypeParameter = None,
        resources: ResourceParameter = None,
        last_event_id: LastEventIdHeader = None,
    ) -> Response[str]:
        """Stream events.

        The events of `GET /v1/events` as server-sent events: `id` is the event's, `event` its type, `data` the same
        JSON. After 15 seconds without an event there is a comment, with the `id` of what was looked at. The stream
        ends when its key does, and when the process ends; connect again with the last `id`.
        """

        async def is_admitted() -> bool:
            return await _ACCESS.still_admits(request)

        filters = _filters(types, resources)
        key = caller_of(request).key_id
        return EventStream(await feed.stream(last_event_id or after, filters, is_admitted, key=key))


def _filters(types: list[EventType] | None, resources: list[ResourceId] | None) -> EventFilters:
    """The filters of a request.

    Raises:
        Problem: `invalid` for more values than a request may have.
    """
    if len(types or ()) + len(resources or ()) > VALUES_MAX:
        raise Problem("invalid", f"All filters together take at most {VALUES_MAX} values.")
    return EventFilters.of(types, resources)


router = Router("/v1", route_handlers=[EventRoutes])
