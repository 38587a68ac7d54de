"""The routes below `/v1/reservations/{id}` that change a status, or extend a hold."""

from typing import Any, NamedTuple

from litestar import Controller, Response, Router
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK

from app.access.routes import caller_of, needs
from app.caller import Caller
from app.domain.lifecycle import Status
from app.http.openapi import problems
from app.http.request import Request
from app.http.request_checks import HARMLESS_KEY
from app.http.routing import post
from app.reservations.routes import reservation_response
from app.reservations.schemas import Confirmation, HoldExtension, Reopening, ReservationAnswer, StatusChange, reason_of
from app.reservations.service import Reservations

_HOLD = problems("not-found", "hold-expired", "forbidden-transition", body=True)
_CANCEL = problems("not-found", "forbidden-transition", "too-late", body=True)
_END = problems("not-found", "forbidden-transition", body=True)
_REOPEN = problems("not-found", "conflict", "forbidden-transition", body=True)


class ReservationInPath(NamedTuple):
    """The reservation in the path of a request, the service that changes it, and the caller."""

    service: Reservations
    identity: str
    caller: Caller


def _reservation_in_path(
    request: Request, reservation_id: FromPath[str], reservations: NamedDependency[Reservations]
) -> ReservationInPath:
    return ReservationInPath(reservations, reservation_id, caller_of(request))


_VERB: dict[str, Any] = {
    "guards": [needs("reservations:write")],
    "opt": HARMLESS_KEY,
    "status_code": HTTP_200_OK,
    "dependencies": {"reservation": Provide(_reservation_in_path, sync_to_thread=False)},
}


_BY_ADMIN: dict[str, Any] = {"guards": [needs("reservations:admin")]}


class StatusRoutes(Controller):
    """Changes of the status of a reservation."""

    path = "/reservations/{reservation_id:str}"
    tags = ("Reservations",)

    @post("/confirm", responses=_HOLD, operation_id="confirmReservation", **_VERB)
    async def confirm(
        self, reservation: NamedDependency[ReservationInPath], data: JSONBody[Confirmation | None] = None
    ) -> Response[ReservationAnswer]:
        """Confirm a hold or a request.

        The customer, notes, metadata and reference that come with it are set in the same step. Repeating it is
        harmless; with other details than the first time it is 409. No rule is judged again. Without
        `reservations:admin` a hold of a service with `approval` becomes a request (`pending`, without `expiresAt`), and
        confirming a request is 403.
        """
        service, identity, caller = reservation
        details = {} if data is None else data.details()
        return reservation_response(await service.confirm(identity, caller, reason_of(data), details), service)

    @post("/extend", responses=_HOLD, operation_id="extendReservation", **_VERB)
    async def extend(
        self, reservation: NamedDependency[ReservationInPath], data: JSONBody[HoldExtension]
    ) -> Response[ReservationAnswer]:
        """Extend a hold.

        The seconds count from now. The hold ends at most 86,400 seconds after it was made, and is never shortened.
        """
        service, identity, caller = reservation
        return reservation_response(await service.extend(identity, data.expires_in_seconds, caller), service)

    @post("/cancel", responses=_CANCEL, operation_id="cancelReservation", **_VERB)
    async def cancel(
        self, reservation: NamedDependency[ReservationInPath], data: JSONBody[StatusChange | None] = None
    ) -> Response[ReservationAnswer]:
        """Cancel a reservation.

        Repeating it is harmless, and no overlap prevents it. A confirmed reservation can be cancelled until the
        cancellation notice of its service; after that, without `reservations:admin`, the answer is `/problems/too-late`
        with `until`, the last instant at which it was possible.
        """
        return await _finish(reservation, "cancelled", data)

    @post("/complete", responses=_END, operation_id="completeReservation", **_VERB)
    async def complete(
        self, reservation: NamedDependency[ReservationInPath], data: JSONBody[StatusChange | None] = None
    ) -> Response[ReservationAnswer]:
        """Complete a reservation.

        For a reservation that took place: possible from its start on, and not with a key that is bound to a customer.
        """
        return await _finish(reservation, "completed", data)

    @post("/no-show", responses=_END, operation_id="markReservationNoShow", **_VERB)
    async def mark_no_show(
        self, reservation: NamedDependency[ReservationInPath], data: JSONBody[StatusChange | None] = None
    ) -> Response[ReservationAnswer]:
        """Mark a reservation as a no-show.

        For a customer who did not come: possible from the start on, and not with a key that is bound to a customer.
        """
        return await _finish(reservation, "no-show", data)

    @post("/reopen", responses=_REOPEN, operation_id="reopenReservation", **_VERB | _BY_ADMIN)
    async def reopen(
        self, reservation: NamedDependency[ReservationInPath], data: JSONBody[Reopening]
    ) -> Response[ReservationAnswer]:
        """Reopen a reservation.

        One that was completed, or marked as a no-show, is confirmed again. Its time was free meanwhile, so the capacity
        is judged as for a booking. Needs `reservations:admin`; repeating it is harmless.
        """
        service, identity, caller = reservation
        return reservation_response(await service.reopen(identity, caller, data.reason), service)


async def _finish(reservation: ReservationInPath, to: Status, data: StatusChange | None) -> Response[ReservationAnswer]:
    service, identity, caller = reservation
    return reservation_response(await service.finish(identity, to, caller, reason_of(data)), service)


router = Router("/v1", route_handlers=[StatusRoutes])
