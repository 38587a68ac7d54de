"""`/v1/reservations`, and a customer's reservations."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from litestar import Controller, Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from app.access.routes import caller_of, needs
from app.booking import Replay
from app.domain.ids import ResourceId, ServiceId
from app.domain.lifecycle import Status
from app.http.answers import built, stored_response, versioned
from app.http.etags import IfMatch, IfMatchHeader
from app.http.openapi import problems
from app.http.paging import LIMIT, CursorParameter, LimitParameter, Page
from app.http.parameters import check_filter_values, read_instant
from app.http.request import Request
from app.http.request_checks import REPLAYED_KEY
from app.http.routing import get, patch, post
from app.reservations.expansion import EXPAND_PATTERN, NOTHING, Expansion, ListedReservationAnswer, Objects, expanded
from app.reservations.idempotency import RenderedAnswer, rendered, token_of
from app.reservations.queries import (
    Filters,
    check_filters,
    list_reservations,
    list_reservations_of_customer,
    read_reservation,
)
from app.reservations.rendering import ShownPage, ShownReservation, shown
from app.reservations.schemas import NewReservation, ReservationAnswer, ReservationPatch
from app.reservations.service import Reservations
from app.storage.bson_types import BsonDocument
from app.storage.documents import Reservation
from app.storage.reservation_filters import Direction
from app.storage.stored_reservations import history_length, lenient_reservation

_CREATE = problems("conflict", "hold-limit", "rule", "local-time", "idempotency-mismatch", body=True)
_UPDATE = problems(
    "not-found",
    "conflict",
    "too-late",
    "hold-expired",
    "hold-limit",
    "forbidden-transition",
    "stale",
    "precondition-required",
    "rule",
    "local-time",
    body=True,
)

Force = Annotated[
    bool, QueryParameter(description="Lift notice, horizon, schedule and time off; needs `reservations:admin`.")
]
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


class ReservationRoutes(Controller):
    """Times taken on resources."""

    path = "/reservations"
    tags = ("Reservations",)

    @post(guards=[needs("reservations:write")], responses=_CREATE, opt=REPLAYED_KEY, operation_id="createReservation")
    async def create(
        self,
        request: Request,
        data: JSONBody[NewReservation],
        reservations: NamedDependency[Reservations],
        force: Force = False,
    ) -> Response[ReservationAnswer]:
        """Create a reservation.

        With `expiresInSeconds` it is a hold. With an Idempotency-Key, the first answer is stored and returned to each
        repetition.
        """
        caller = caller_of(request)

        def render(made: Reservation) -> RenderedAnswer:
            return rendered(_shown(made, reservations), _location(made), made.version)

        token = await token_of(request, caller, render)
        made = await reservations.create(data, caller, force=force, token=token)
        if isinstance(made, Replay):
            return stored_response(made.answer, replayed=True)
        if made.idempotency is not None:
            return stored_response(made.idempotency, replayed=False)
        return reservation_response(made, reservations, status=HTTP_201_CREATED)

    @get(guards=[needs("reservations:read")], responses=problems("overloaded"), operation_id="listReservations")
    async def list_all(
        self,
        request: Request,
        reservations: NamedDependency[Reservations],
        resources: ResourceParameter = None,
        customers: CustomerParameter = None,
        services: ServiceParameter = None,
        statuses: StatusParameter = None,
        ids: IdParameter = None,
        group_ids: GroupParameter = None,
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
            references=references,
            from_=read_instant("from", from_),
            to=read_instant("to", to),
            start_from=read_instant("startFrom", start_from),
            start_to=read_instant("startTo", start_to),
            updated_since=read_instant("updatedSince", updated_since),
        )
        check_filter_values(
            resource=resources,
            customer=customers,
            service=services,
            status=statuses,
            id=ids,
            group=group_ids,
            reference=references,
        )
        check_filters(filters, caller)
        expansion = Expansion.read(expand, caller)
        direction: Direction = -1 if order == "desc" else 1
        found, following = await list_reservations(reservations.store, filters, caller, limit, cursor, direction)
        objects = await expansion.objects(reservations.store, found)
        return await _page(request, found, following, reservations, objects)

    @get(
        "/{reservation_id:str}",
        guards=[needs("reservations:read")],
        responses=problems("not-found"),
        operation_id="getReservation",
    )
    async def read(
        self, request: Request, reservation_id: FromPath[str], reservations: NamedDependency[Reservations]
    ) -> Response[ReservationAnswer]:
        """Get a reservation.

        A hold whose time is over reads as `expired`.
        """
        found = await read_reservation(reservations.store, reservation_id, caller_of(request))
        if _shown(found, reservations).changed_by_time:
            request.mark_changeable()
        return reservation_response(found, reservations)

    @patch(
        "/{reservation_id:str}",
        guards=[needs("reservations:write")],
        responses=_UPDATE,
        operation_id="updateReservation",
    )
    async def update(
        self,
        request: Request,
        reservation_id: FromPath[str],
        data: JSONBody[ReservationPatch],
        reservations: NamedDependency[Reservations],
        if_match: IfMatchHeader = None,
        force: Force = False,
    ) -> Response[ReservationAnswer]:
        """Update a reservation.

        A change that could add load is checked like a booking; one that cannot is never refused for an overlap.
        `notice` and `horizon` are judged only where the start moves, so a reservation that has begun can be extended.
        With `resource` `any` it gets a free resource of its service's pool, and is judged there like a booking.
        Inside the cancellation notice of a confirmed one, another start, resource or service, an earlier end and fewer
        guests are `/problems/too-late` without `reservations:admin`; a change of a request's service is 403.
        """
        changed = await reservations.change(
            reservation_id, data, IfMatch.read(if_match), caller_of(request), force=force
        )
        return reservation_response(changed, reservations)


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


def reservation_response(
    reservation: Reservation, reservations: Reservations, *, status: int = HTTP_200_OK
) -> Response[ReservationAnswer]:
    """A reservation as it is now, with its `ETag`; where it was made, with its `Location`."""
    location = _location(reservation) if status == HTTP_201_CREATED else None
    return versioned(_shown(reservation, reservations), reservation.version, status=status, location=location)


def _shown(reservation: Reservation, reservations: Reservations) -> ShownReservation:
    return shown(reservation, reservations.store.clock.now())


def _location(reservation: Reservation) -> str:
    return f"/v1/reservations/{reservation.id}"


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


router = Router("/v1", route_handlers=[ReservationRoutes, list_customer_reservations])
