"""Groups and moves on the wire."""

from collections.abc import Sequence
from typing import Annotated, Any

from bson import ObjectId
from pydantic import Field
from pydantic.alias_generators import to_camel

from app.http.bounds import Bounded
from app.http.models import Answer, Body, CatalogueId, Instant, ObjectIdText
from app.reservations.schemas import HoldSeconds, NewReservation, Reason, ReservationAnswer, shown
from app.storage.documents import Reservation

MEMBERS = 20
MOVES = 50


class NewGroup(Body):
    """Reservations that are booked together or not at all."""

    reservations: Annotated[list[NewReservation], Bounded(MEMBERS, least=1)]
    expires_in_seconds: Annotated[
        HoldSeconds | None, Field(description="Makes all of them holds; no member then has one of its own.")
    ] = None


class GroupMove(Body):
    """Where one reservation goes: what is absent stays as it is, a new start alone keeps the length."""

    reservation: ObjectIdText
    version: Annotated[int, Field(ge=1, description="The version that you have read.")]
    start_time: Instant | None = None
    end_time: Instant | None = None
    resource: CatalogueId | None = None

    def to_patch(self) -> dict[str, Any]:
        """The change, with the names that the fields are stored under."""
        sent = self.mentioned().items()
        return {to_camel(name): value for name, value in sent if name not in {"reservation", "version"}}


class NewMoves(Body):
    """Reservations that change their places together or not at all."""

    moves: Annotated[list[GroupMove], Bounded(MOVES, least=1)]
    reason: Reason | None = None


class GroupAnswer(Answer):
    """Reservations that were booked together, in the order of the request.

    `version` counts the changes of all of them: it is 1 more than they have seen together.
    """

    id: str
    reservations: list[ReservationAnswer]
    version: int


class MovesAnswer(Answer):
    """The reservations that were moved, in the order of the request."""

    reservations: list[ReservationAnswer]


def shown_group(identity: ObjectId | None, reservations: list[ReservationAnswer]) -> GroupAnswer:
    """A group with its members as they are shown."""
    changes = sum(each.version - 1 for each in reservations if isinstance(each.version, int))
    return GroupAnswer(id=str(identity), reservations=reservations, version=1 + changes)


def shown_made(reservations: Sequence[Reservation]) -> list[ReservationAnswer]:
    """Reservations as they read when they were last changed: by no clock, so an answer that is kept says the same."""
    return [shown(each, each.updated_at) for each in reservations]
