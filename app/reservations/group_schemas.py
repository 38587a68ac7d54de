"""Groups on the wire."""

from typing import Annotated

from pydantic import Field

from app.http.bounds import Bounded
from app.http.models import Answer, Body
from app.reservations.schemas import Holder, HoldSeconds, NewReservation, ReservationAnswer

MEMBERS = 20


class NewGroup(Body):
    """Reservations that are booked together or not at all."""

    reservations: Annotated[list[NewReservation], Bounded(MEMBERS, least=1)]
    """What is to be booked, 1 to 20."""
    expires_in_seconds: Annotated[
        HoldSeconds | None, Field(description="Makes all of them holds; no member then has one of its own.")
    ] = None
    holder: Annotated[Holder | None, Field(description="Who holds all of them; no member then has one of its own.")] = (
        None
    )


class GroupAnswer(Answer):
    """Reservations that were booked together, in the order of the request.

    `version` is 1 more than the number of changes of all its members.
    """

    id: str
    """Its id."""
    reservations: list[ReservationAnswer]
    """Its members, in the order of the request."""
    version: int
    """From 1, one more with each change of a member; its `ETag`."""
