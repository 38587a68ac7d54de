"""Utilisation on the wire."""

from datetime import date
from typing import Annotated

from pydantic import Field

from app.domain.ids import ResourceId
from app.http.models import Answer, Instant


class UtilisationItemAnswer(Answer):
    """The use of a resource on some of its local days. Minutes are whole: what is shorter than one is cut off."""

    resource: ResourceId
    """The resource."""
    from_: Annotated[date, Field(alias="from", description="The first of the days, in the zone of the resource.")]
    to: date
    """The day after the last of them."""
    start_time: Instant
    """When the first day begins."""
    end_time: Instant
    """When the last day ends."""
    capacity: int
    """The capacity of the resource, as it is now."""
    open_minutes: int
    """How long it is open, by its present schedule, times off and closures."""
    booked_minutes: int
    """How long it is booked while it is open, times the units of each reservation."""
    outside_minutes: int
    """The same, while it is not open."""
    share: Annotated[
        float | None,
        Field(description="Booked minutes of open minutes times the capacity; absent where it is never open."),
    ] = None
    bookings: int
    """How many reservations began: requests, confirmed and completed ones, and no-shows."""
    no_shows: int
    """How many of them were no-shows."""
    cancelled_late: int
    """How many others were to begin, and were cancelled inside the cancellation notice that their service has now."""


class UtilisationAnswer(Answer):
    """The use of resources, by period."""

    items: list[UtilisationItemAnswer]
    """One for each resource and period, by period, then resource."""
