"""The lists of reservations: `GET /v1/reservations`, and a customer's reservations."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from app.access.routes import caller_of, needs
from app.domain.ids import ResourceId, ServiceId
from app.domain.lifecycle import Status
from app.http.answers import built
from app.http.openapi import problems
from app.http.paging import LIMIT, CursorParameter, LimitParameter, Page
from app.http.parameters import read_instant
from app.http.request import Request
from app.http.routing import get
from app.reservations.expansion import EXPAND_PATTERN, NOTHING, Expansion, ListedReservationAnswer, Objects, expanded
from app.reservations.queries import Filters, check_filters, list_reservations, list_reservations_of_customer
from app.reservations.rendering import ShownPage, shown
from app.reservations.schemas import ReservationAnswer
from app.reservations.service import Reservations
from app.storage.bson_types import BsonDocument
from app.storage.reservation_filters import Direction
from app.storage.stored_reservations import history_length, lenient_reservation

StatusParameter = Annotated[
    list[Status] | None, QueryParameter(name="status", description="With one of these statuses; repeatable.")
]
CustomerParameter = Annotated[
    list[str] | None, QueryParameter(name="customer", description="Of one of these customers; repeatable.")
]
ResourceParameter = Annotated[
    list[ResourceId] | None, QueryParameter(name="resource", description="Of one of these resources; repeatable.")
]
ServiceParameter = Annotated[
    list[ServiceId] | None,
    QueryParameter(
        name="service",
        description="For one of these services; repeatable. Alone it needs a span of at most 92 days: `startFrom` and "
        "`startTo`, or `from` and `to`.",
    ),
]
IdParameter = Annotated[list[str] | None, QueryParameter(name="id", description="With one of these ids; repeatable.")]
GroupParameter = Annotated[
    list[str] | None, QueryParameter(name="group", description="Of one of these groups; repeatable.")
]
SeriesParameter = Annotated[
    list[str] | None, QueryParameter(name="series", description="Of one of these series; repeatable.")
]
ReferenceParameter = Annotated[
    list[str] | None, QueryParameter(name="reference", description="With one of your references; repeatable.")
]
FromParameter = Annotated[str | None, QueryParameter(name="from", description="Ending after this instant.")]
ToParameter = Annotated[str | None, QueryParameter(description="Beginning before this instant.")]
StartFromParameter = Annotated[
    str | None, QueryParameter(name="startFrom", description="Starting at or after this instant.")
]
StartToParameter = Annotated[str | None, QueryParameter(name="startTo", description="Starting before this instant.")]
OrderParameter = Annotated[
    Literal["asc", "desc"], QueryParameter(description="`desc`: the latest start first; not with `updatedSince`.")
]
ExpandParameter = Annotated[
    str | None,
    QueryParameter(
        pattern=EXPAND_PATTERN,
        description="Like `resource,service,customer`: the objects, without their histories, in place of their ids.",
    ),
]
SinceParameter = Annotated[
    str | None,
    QueryParameter(
        name="updatedSince",
        description="Changed since; sorted by `updatedAt`. Changes of the last ten seconds are held back, and every "
        "page has a `next`, also an empty one: a client that continues from it, now or later, misses no change.",
    ),
]


@get(
    "/reservations",
    guards=[needs("reservations:read")],
    responses=problems("overloaded"),
    operation_id="listReservations",
    tags=["Reservations"],
)
async def list_all(
    request: Request,
    reservations: NamedDependency[Reservations],
    resources: ResourceParameter = None,
    customers: CustomerParameter = None,
    services: ServiceParameter = None,
    statuses: StatusParameter = None,
    ids: IdParameter = None,
    group_ids: GroupParameter = None,
    series_ids: SeriesParameter = None,
    references: ReferenceParameter = None,
    from_: FromParameter = None,
    to: ToParameter = None,
    start_from: StartFromParameter = None,
    start_to: StartToParameter = None,
    updated_since: SinceParameter = None,
    order: OrderParameter = "asc",
    expand: ExpandParameter = None,
    limit: LimitParameter = LIMIT,
    cursor: CursorParameter = None,
) -> Response[Page[ListedReservationAnswer]]:
    """List reservations.

    By start, then id; with `updatedSince` by their last change, then id, and every page has a `next`.
    """
    caller = caller_of(request)
    filters = Filters(
        resources=resources,
        customers=customers,
        services=services,
        statuses=statuses or (),
        ids=ids,
        groups=group_ids,
        series=series_ids,
        references=references,
        from_=read_instant("from", from_),
        to=read_instant("to", to),
        start_from=read_instant("startFrom", start_from),
        start_to=read_instant("startTo", start_to),
        updated_since=read_instant("updatedSince", updated_since),
    )
    check_filters(filters, caller)
    expansion = Expansion.read(expand, caller)
    direction: Direction = -1 if order == "desc" else 1
    found, following = await list_reservations(reservations.store, filters, caller, limit, cursor, direction)
    objects = await expansion.objects(reservations.store, found)
    return await _page(request, found, following, reservations, objects)


@get(
    "/customers/{customer_id:str}/reservations",
    guards=[needs("reservations:read")],
    responses=problems("not-found", "overloaded"),
    operation_id="listCustomerReservations",
    tags=["Reservations"],
)
async def list_customer_reservations(
    request: Request,
    customer_id: FromPath[str],
    reservations: NamedDependency[Reservations],
    limit: LimitParameter = LIMIT,
    cursor: CursorParameter = None,
) -> Response[Page[ReservationAnswer]]:
    """List the reservations of a customer.

    The newest start first.
    """
    found, following = await list_reservations_of_customer(
        reservations.store, customer_id, caller_of(request), limit, cursor
    )
    return await _page(request, found, following, reservations)


async def _page(
    request: Request,
    found: Sequence[BsonDocument],
    following: str | None,
    reservations: Reservations,
    objects: Objects = NOTHING,
) -> Response[Any]:
    now = reservations.store.clock.now()

    def page() -> ShownPage:
        return ShownPage([expanded(shown(lenient_reservation(row), now), objects) for row in found], following)

    return await built(request, page, parts=sum(map(history_length, found)) + len(found))
