"""`/v1/reservations`, and a customer's reservations."""

from collections.abc import Sequence
from typing import Annotated

from litestar import Controller, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from app.access.routes import caller_of, needs
from app.reservations.queries import Filters, check_span, list_of_customer, list_reservations, read_reservation
from app.reservations.schemas import NewReservation, ReservationAnswer, Transition, shown
from app.reservations.service import Reservations
from app.storage.documents import Reservation
from app.timeline.lifecycle import Status
from app.wire.answers import versioned
from app.wire.conventions import HARMLESS_KEY
from app.wire.openapi import problems
from app.wire.paging import LIMIT, CursorParameter, LimitParameter, Page
from app.wire.parameters import read_instant
from app.wire.request import Request

_WRITE = ("overloaded", "outcome-unknown")
_BOOK = problems("conflict", "rule", *_WRITE, body=True)
_VERB = problems("not-found", "forbidden-transition", "overloaded", body=True)

Force = Annotated[
    bool, QueryParameter(description="Lift notice, horizon, schedule and time off; needs `reservations:admin`.")
]
StatusParameter = Annotated[list[Status] | None, QueryParameter(name="status", description="One or several.")]
CustomerParameter = Annotated[str | None, QueryParameter(description="Of this customer.")]
ResourceParameter = Annotated[str | None, QueryParameter(description="Of this resource.")]
FromParameter = Annotated[str | None, QueryParameter(name="from", description="Overlapping what begins here.")]
ToParameter = Annotated[str | None, QueryParameter(description="Overlapping what ends here.")]
SinceParameter = Annotated[
    str | None, QueryParameter(name="updatedSince", description="Changed since; sorted by `updatedAt`.")
]


class ReservationRoutes(Controller):
    """Times taken on resources."""

    path = "/reservations"
    tags = ("Reservations",)

    @post(guards=[needs("reservations:write")], responses=_BOOK, operation_id="book")
    async def book(
        self,
        request: Request,
        data: JSONBody[NewReservation],
        reservations: NamedDependency[Reservations],
        force: Force = False,
    ) -> Response[ReservationAnswer]:
        """Book a time: 201, or who or what is in the way."""
        made = await reservations.create(data, caller_of(request), force=force)
        return _answer(made, reservations, status=201)

    @get(guards=[needs("reservations:read")], responses=problems(), operation_id="listReservations")
    async def list_all(  # noqa: PLR0913  # one argument a filter
        self,
        request: Request,
        reservations: NamedDependency[Reservations],
        resource: ResourceParameter = None,
        customer: CustomerParameter = None,
        statuses: StatusParameter = None,
        from_: FromParameter = None,
        to: ToParameter = None,
        updated_since: SinceParameter = None,
        limit: LimitParameter = LIMIT,
        cursor: CursorParameter = None,
    ) -> Page[ReservationAnswer]:
        """Reservations by start, then id; with `updatedSince` by change, then id."""
        filters = Filters(
            resource,
            customer,
            statuses or (),
            read_instant("from", from_),
            read_instant("to", to),
            read_instant("updatedSince", updated_since),
        )
        check_span(filters)
        found, following = await list_reservations(reservations.store, filters, caller_of(request), limit, cursor)
        return _page(found, following, reservations)

    @get("/{identity:str}", guards=[needs("reservations:read")], responses=problems("not-found"))
    async def read(
        self, request: Request, identity: FromPath[str], reservations: NamedDependency[Reservations]
    ) -> Response[ReservationAnswer]:
        """One reservation."""
        return _answer(await read_reservation(reservations.store, identity, caller_of(request)), reservations)

    @post(
        "/{identity:str}/cancel",
        guards=[needs("reservations:write")],
        responses=_VERB,
        opt=HARMLESS_KEY,
        status_code=200,
        operation_id="cancelReservation",
    )
    async def cancel(
        self,
        request: Request,
        identity: FromPath[str],
        reservations: NamedDependency[Reservations],
        data: JSONBody[Transition | None] = None,
    ) -> Response[ReservationAnswer]:
        """Give the time back; repeating it is harmless, and no overlap keeps it from being done."""
        reason = data.reason if data else None
        return _answer(await reservations.finish(identity, "cancelled", caller_of(request), reason), reservations)


@get(
    "/customers/{identity:str}/reservations",
    guards=[needs("reservations:read")],
    responses=problems("not-found"),
    operation_id="listReservationsOfCustomer",
    tags=["Reservations"],
)
async def of_customer(
    request: Request,
    identity: FromPath[str],
    reservations: NamedDependency[Reservations],
    limit: LimitParameter = LIMIT,
    cursor: CursorParameter = None,
) -> Page[ReservationAnswer]:
    """A customer's reservations, newest start first."""
    found, following = await list_of_customer(reservations.store, identity, caller_of(request), limit, cursor)
    return _page(found, following, reservations)


def _page(found: Sequence[Reservation], following: str | None, reservations: Reservations) -> Page[ReservationAnswer]:
    now = reservations.store.clock.now()
    return Page[ReservationAnswer](items=[shown(each, now) for each in found], next=following)


def _answer(reservation: Reservation, reservations: Reservations, *, status: int = 200) -> Response[ReservationAnswer]:
    location = f"/v1/reservations/{reservation.id}" if status == 201 else None  # noqa: PLR2004  # created
    answer = shown(reservation, reservations.store.clock.now())
    return versioned(answer, reservation.version, status=status, location=location)


router = Router("/v1", route_handlers=[ReservationRoutes, of_customer])
