"""Moves on the wire."""

from typing import Annotated, Any

from pydantic import Field
from pydantic.alias_generators import to_camel

from app.http.bounds import Bounded
from app.http.models import Answer, Body, Instant, ObjectIdText, ResourceReference
from app.reservations.schemas import Reason, ReservationAnswer

MOVES = 50


class ReservationMove(Body):
    """The new place of one reservation: absent fields stay as they are, a new start alone keeps the length."""

    reservation: ObjectIdText
    """The id of the reservation."""
    version: Annotated[int, Field(ge=1, description="The version that you have read.")]
    start_time: Instant | None = None
    """Its new start; alone it keeps the length."""
    end_time: Instant | None = None
    """Its new end."""
    resource: ResourceReference | None = None
    """Its new resource."""

    def to_patch(self) -> dict[str, Any]:
        """The change, with the names that the fields are stored under."""
        sent = self.sent_fields().items()
        return {to_camel(name): value for name, value in sent if name not in {"reservation", "version"}}


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
