"""Availability on the wire."""

from typing import Annotated

from pydantic import Field

from app.domain.ids import ResourceId
from app.http.models import Answer, Instant
from app.http.problem_schemas import RuleCheckAnswer


class SlotAnswer(Answer):
    """A time that can be booked."""

    resource: ResourceId
    """The resource that is free."""
    start_time: Instant
    """When it would begin."""
    end_time: Instant
    """When it would end."""
    local_start: Annotated[str, Field(description="The start on the clocks of `timezone`.")]
    remaining: Annotated[int, Field(description="Capacity less the peak in the block, without yours.")]


class AvailabilityAnswer(Answer):
    """Slots by start, then resource."""

    timezone: str
    """The zone of `localStart`."""
    items: list[SlotAnswer]
    """The slots, by start, then resource."""


class AvailabilityExplanation(Answer):
    """All rules, always in the same order."""

    bookable: bool
    """Whether every rule allows it."""
    checks: list[RuleCheckAnswer]
    """Every rule's verdict."""
