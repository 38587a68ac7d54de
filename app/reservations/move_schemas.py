"""Moves on the wire."""

from typing import Annotated

from pydantic import Field

from app.http.bounds import Bounded
from app.http.models import Answer, Body, Instant, ObjectIdText, ResourceReference
from app.reservations.schemas import Reason, ReservationAnswer, ReservationTime

MOVES = 50


class ReservationMove(ReservationTime):
    """The new place of one reservation: absent fields stay as they are, a new start alone keeps the length."""

    reservation: ObjectIdText
    """The id of the reservation."""
    version: Annotated[int, Field(ge=1, description="The version that you have read.")]
    start_time: Annotated[
        Instant | None, Field(description="Its new start, or `localStart` instead; alone it keeps the length.")
    ] = None
    resource: Annotated[
        ResourceReference | None,
        Field(description="Its new resource; `any`: a free resource of its service's pool, as in a booking."),
    ] = None


class NewMoves(Body):
    """Moves that are made together or not at all."""

    moves: Annotated[list[ReservationMove], Bounded(MOVES, least=1)]
    """What is to be moved, 1 to 50, each reservation once."""
    reason: Reason | None = None
    """The reason, for the history of each."""


class MovedReservations(Answer):
    """The reservations that were moved, in the order of the request."""

    reservations: list[ReservationAnswer]
    """As they are now, in the order of the request."""
