"""`/v1/reservations`, and a customer's reservations."""

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Controller, Response, Router, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from app.access.routes import caller_of, needs
from app.booking import Replay
from app.domain.lifecycle import Status
from app.http.answers import built, stored_response, versioned
from app.http.etags import IfMatch, IfMatchHeader
from app.http.openapi import ProblemNames, problems
from app.http.paging import LIMIT, CursorParameter, LimitParameter, Page
from app.http.parameters import read_instant
from app.http.request import Request
from app.http.request_checks import HARMLESS_KEY, KEPT_KEY, IdempotencyKeyHeader
from app.reservations.idempotency import RenderedAnswer, rendered, token_of
from app.reservations.queries import (
    Filters,
    check_span,
    list_reservations,
    list_reservations_of_customer,
    read_reservation,
)
from app.reservations.schemas import (
    HoldExtension,
    NewReservation,
    ReservationAnswer,
    ReservationPatch,
    StatusChange,
    reservation_answer,
)
from app.reservations.service import Reservations
from app.storage.documents import Reservation
from app.storage.reservations import Row
from app.storage.stored_reservations import history_length, lenient_reservation

_WRITE: ProblemNames = ("overloaded", "outcome-unknown")
_BOOK = problems("conflict", "hold-limit", "rule", "local-time", "idempotency-mismatch", *_WRITE, body=True)
_CHANGE = problems(
    "not-found",
    "conflict",
    "too-late",
    "hold-expired",
    "hold-limit",
    "forbidden-transition",
    "stale",
    "precondition-required",
    "rule",
    *_WRITE,
    body=True,
)
_CONFIRM = problems("not-found", "hold-expired", "forbidden-transition", *_WRITE, body=True)
_EXTEND = problems("not-found", "hold-expired", "forbidden-transition", *_WRITE, body=True)
_CANCEL = problems("not-found", "forbidden-transition", "too-late", "overloaded", body=True)
_END = problems("not-found", "forbidden-transition", *_WRITE, body=True)
_VERB: dict[str, Any] = {"guards": [needs("reservations:write")], "opt": HARMLESS_KEY, "status_code": HTTP_200_OK}

Force = Annotated[
    bool, QueryParameter(description="Lift notice, horizon, schedule and time off; needs `reservations:admin`.")
]
StatusParameter = Annotated[list[Status] | None, QueryParameter(name="status", description="One or several.")]
CustomerParameter = Annotated[str | None, QueryParameter(description="Of this customer.")]
ResourceParameter = Annotated[str | None, QueryParameter(description="Of this resource.")]
FromParameter = Annotated[str | None, QueryParameter(name="from", description="Overlapping what begins here.")]
ToParameter = Annotated[str | None, QueryParameter(description="Overlapping what ends here.")]
SinceParameter = Annotated[
    str | None,
    QueryParameter(
        name="updatedSince",
        description="Changed since; sorted by `updatedAt`. Changes of the last ten seconds are held back, and every "
        "page has a `next`, also an empty one: who goes on from it, now or later, misses no change.",
    ),
]


class ReservationRoutes(Controller):
    """Times taken on resources."""

    path = "/reservations"
    tags = ("Reservations",)

    @post(guards=[needs("reservations:write")], responses=_BOOK, opt=KEPT_KEY, operation_id="createReservation")
    async def create(
        self,
        request: Request,
        data: JSONBody[NewReservation],
        reservations: NamedDependency[Reservations],
        key: IdempotencyKeyHeader = None,
        force: Force = False,
    ) -> Response[ReservationAnswer]:
        """Create a reservation.

        With `expiresInSeconds` it is a hold. With an Idempotency-Key the first answer is kept, and is the answer to
        each repetition.
        """
        del key  # declared for the description; it is part of the token
        caller = caller_of(request)

        def render(made: Reservation) -> RenderedAnswer:
            return rendered(_shown(made, reservations), _location(made), made.version)

        token = await token_of(request, caller, render)
        made = await reservations.create(data, caller, force=force, token=token)
        if isinstance(made, Replay):
            return stored_response(made.answer, replayed=True)
        if made.idempotency is not None:
            return stored_response(made.idempotency, replayed=False)
        return _answer(made, reservations, status=201)

    @get(guards=[needs("reservations:read")], responses=problems("overloaded"), operation_id="listReservations")
    async def list_all(
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
    ) -> Response[Page[ReservationAnswer]]:
        """List reservations.

        By start, then id; with `updatedSince` by their last change, then id, on pages without an end.
        """
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
        return await _page(request, found, following, reservations)

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
        if _shown(found, reservations).status != found.status:
            request.answer_anew()
        return _answer(found, reservations)

    @patch(
        "/{reservation_id:str}",
        guards=[needs("reservations:write")],
        responses=_CHANGE,
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
        `notice` and `horizon` are judged only where the start moves, so what has begun can be prolonged. Inside the
        cancellation notice of a confirmed one another start, resource or service, an earlier end and fewer guests are
        `/problems/too-late` without `reservations:admin`; the service of a request is 403.
        """
        matching = IfMatch.read(if_match)
        changed = await reservations.change(reservation_id, data.to_patch(), matching, caller_of(request), force=force)
        return _answer(changed, reservations)

    @post("/{reservation_id:str}/confirm", responses=_CONFIRM, operation_id="confirmReservation", **_VERB)
    async def confirm(
        self,
        request: Request,
        reservation_id: FromPath[str],
        reservations: NamedDependency[Reservations],
        data: JSONBody[StatusChange | None] = None,
    ) -> Response[ReservationAnswer]:
        """Confirm a hold or a request.

        No rule is judged again. Without `reservations:admin` a hold of a service with `approval` becomes a request
        (`pending`, without `expiresAt`), and confirming a request is 403.
        """
        return _answer(await reservations.confirm(reservation_id, caller_of(request), _reason(data)), reservations)

    @post("/{reservation_id:str}/extend", responses=_EXTEND, operation_id="extendReservation", **_VERB)
    async def extend(
        self,
        request: Request,
        reservation_id: FromPath[str],
        data: JSONBody[HoldExtension],
        reservations: NamedDependency[Reservations],
    ) -> Response[ReservationAnswer]:
        """Extend a hold.

        The time counts from now, ends at most 86,400 seconds after the hold was made, and is never shortened.
        """
        extended = await reservations.extend(reservation_id, data.expires_in_seconds, caller_of(request))
        return _answer(extended, reservations)

    @post("/{reservation_id:str}/cancel", responses=_CANCEL, operation_id="cancelReservation", **_VERB)
    async def cancel(
        self,
        request: Request,
        reservation_id: FromPath[str],
        reservations: NamedDependency[Reservations],
        data: JSONBody[StatusChange | None] = None,
    ) -> Response[ReservationAnswer]:
        """Cancel a reservation.

        Repeating it is harmless, and no overlap keeps it from being done. A confirmed one can be cancelled until its
        service's cancellation notice before the start; after that, without `reservations:admin`, it is
        `/problems/too-late`, which says `until` when it was possible.
        """
        return await _end("cancelled", request, reservation_id, reservations, data)

    @post("/{reservation_id:str}/complete", responses=_END, operation_id="completeReservation", **_VERB)
    async def complete(
        self,
        request: Request,
        reservation_id: FromPath[str],
        reservations: NamedDependency[Reservations],
        data: JSONBody[StatusChange | None] = None,
    ) -> Response[ReservationAnswer]:
        """Complete a reservation.

        It took place. Possible from its start on, and not for keys that are bound to a customer.
        """
        return await _end("completed", request, reservation_id, reservations, data)

    @post("/{reservation_id:str}/no-show", responses=_END, operation_id="markReservationNoShow", **_VERB)
    async def mark_no_show(
        self,
        request: Request,
        reservation_id: FromPath[str],
        reservations: NamedDependency[Reservations],
        data: JSONBody[StatusChange | None] = None,
    ) -> Response[ReservationAnswer]:
        """Mark a reservation as a no-show.

        Nobody came. Possible from its start on, and not for keys that are bound to a customer.
        """
        return await _end("no-show", request, reservation_id, reservations, data)


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


async def _end(
    to: Status, request: Request, reservation_id: str, reservations: Reservations, data: StatusChange | None
) -> Response[ReservationAnswer]:
    return _answer(await reservations.finish(reservation_id, to, caller_of(request), _reason(data)), reservations)


def _reason(data: StatusChange | None) -> str | None:
    return data.reason if data else None


def _shown(reservation: Reservation, reservations: Reservations) -> ReservationAnswer:
    return reservation_answer(reservation, reservations.store.clock.now())


def _location(reservation: Reservation) -> str:
    return f"/v1/reservations/{reservation.id}"


async def _page(
    request: Request, found: Sequence[Row], following: str | None, reservations: Reservations
) -> Response[Page[ReservationAnswer]]:
    now = reservations.store.clock.now()

    def page() -> Page[ReservationAnswer]:
        items = [reservation_answer(lenient_reservation(row), now) for row in found]
        return Page[ReservationAnswer](items=items, next=following)

    return await built(request, page, parts=sum(map(history_length, found)) + len(found))


def _answer(reservation: Reservation, reservations: Reservations, *, status: int = 200) -> Response[ReservationAnswer]:
    location = _location(reservation) if status == HTTP_201_CREATED else None
    return versioned(_shown(reservation, reservations), reservation.version, status=status, location=location)


router = Router("/v1", route_handlers=[ReservationRoutes, list_customer_reservations])
