"""`/v1/reservations`; the lists are in `list_routes`."""

from typing import Annotated

from litestar import Controller, Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from app.access.routes import caller_of, needs
from app.booking import Replay
from app.http.answers import stored_response, versioned
from app.http.etags import IfMatch, IfMatchHeader
from app.http.openapi import problems
from app.http.request import Request
from app.http.request_checks import REPLAYED_KEY
from app.http.routing import get, patch, post
from app.reservations.idempotency import RenderedAnswer, rendered, token_of
from app.reservations.list_routes import list_all, list_customer_reservations
from app.reservations.queries import read_reservation
from app.reservations.rendering import ShownReservation, shown
from app.reservations.schemas import NewReservation, ReservationAnswer, ReservationPatch
from app.reservations.service import Reservations
from app.storage.documents import Reservation

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


router = Router("/v1", route_handlers=[ReservationRoutes, list_all, list_customer_reservations])
