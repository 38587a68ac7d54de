"""Availability on the wire."""

from typing import Annotated

from pydantic import Field

from app.http.models import Answer, Instant


class SlotAnswer(Answer):
    """A time that can be booked."""

    resource: str
    start_time: Instant
    end_time: Instant
    local_start: Annotated[str, Field(description="The start on the clocks of `timezone`.")]
    remaining: Annotated[int, Field(description="Capacity less the peak in the block, without yours.")]


class AvailabilityAnswer(Answer):
    """Slots by start, then resource."""

    timezone: str
    items: list[SlotAnswer]


class RuleCheckAnswer(Answer):
    """One rule's verdict, and what is in the way as far as the key may read it."""

    rule: str
    ok: bool
    detail: str
    reservation: str | None = None
    time_off: str | None = None
    override: str | None = None


class AvailabilityExplanation(Answer):
    """All rules, always in the same order."""

    bookable: bool
    checks: list[RuleCheckAnswer]
