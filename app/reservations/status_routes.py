"""The routes below `/v1/reservations/{id}` that change a status, or extend a hold."""

from typing import Any

from litestar import Controller, Response, Router, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK

from app.access.routes import caller_of, needs
from app.domain.lifecycle import Status
from app.http.openapi import problems
from app.http.request import Request
from app.http.request_checks import HARMLESS_KEY
from app.reservations.routes import reservation_response
from app.reservations.schemas import HoldExtension, ReservationAnswer, StatusChange, reason_of
from app.reservations.service import Reservations

_HOLD = problems("not-found", "hold-expired", "forbidden-transition", body=True)
_CANCEL = problems("not-found", "forbidden-transition", "too-late", body=True)
_END = problems("not-found", "forbidden-transition", body=True)
_VERB: dict[str, Any] = {"guards": [needs("reservations:write")], "opt": HARMLESS_KEY, "status_code": HTTP_200_OK}


class StatusRoutes(Controller):
    """Changes of the status of a reservation."""

    path = "/reservations/{reservation_id:str}"
    tags = ("Reservations",)

    @post("/confirm", responses=_HOLD, operation_id="confirmReservation", **_VERB)
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
        return reservation_response(
            await reservations.confirm(reservation_id, caller_of(request), reason_of(data)), reservations
        )

    @post("/extend", responses=_HOLD, operation_id="extendReservation", **_VERB)
    async def extend(
        self,
        request: Request,
        reservation_id: FromPath[str],
        data: JSONBody[HoldExtension],
        reservations: NamedDependency[Reservations],
    ) -> Response[ReservationAnswer]:
        """Extend a hold.

        The seconds count from now. The hold ends at most 86,400 seconds after it was made, and is never shortened.
        """
        extended = await reservations.extend(reservation_id, data.expires_in_seconds, caller_of(request))
        return reservation_response(extended, reservations)

    @post("/cancel", responses=_CANCEL, operation_id="cancelReservation", **_VERB)
    async def cancel(
        self,
        request: Request,
        reservation_id: FromPath[str],
        reservations: NamedDependency[Reservations],
        data: JSONBody[StatusChange | None] = None,
    ) -> Response[ReservationAnswer]:
        """Cancel a reservation.

        Repeating it is harmless, and no overlap prevents it. A confirmed reservation can be cancelled until the
        cancellation notice of its service; after that, without `reservations:admin`, the answer is `/problems/too-late`
        with `until`, the last instant at which it was possible.
        """
        return await _end("cancelled", request, reservation_id, reservations, data)

    @post("/complete", responses=_END, operation_id="completeReservation", **_VERB)
    async def complete(
        self,
        request: Request,
        reservation_id: FromPath[str],
        reservations: NamedDependency[Reservations],
        data: JSONBody[StatusChange | None] = None,
    ) -> Response[ReservationAnswer]:
        """Complete a reservation.

        For a reservation that took place: possible from its start on, and not with a key that is bound to a customer.
        """
        return await _end("completed", request, reservation_id, reservations, data)

    @post("/no-show", responses=_END, operation_id="markReservationNoShow", **_VERB)
    async def mark_no_show(
        self,
        request: Request,
        reservation_id: FromPath[str],
        reservations: NamedDependency[Reservations],
        data: JSONBody[StatusChange | None] = None,
    ) -> Response[ReservationAnswer]:
        """Mark a reservation as a no-show.

        For a customer who did not come: possible from the start on, and not with a key that is bound to a customer.
        """
        return await _end("no-show", request, reservation_id, reservations, data)


async def _end(
    to: Status, request: Request, reservation_id: str, reservations: Reservations, data: StatusChange | None
) -> Response[ReservationAnswer]:
    ended = await reservations.finish(reservation_id, to, caller_of(request), reason_of(data))
    return reservation_response(ended, reservations)


router = Router("/v1", route_handlers=[StatusRoutes])
