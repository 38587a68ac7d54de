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


class SlotStartAnswer(Answer):
    """A start at which something can be booked (`distinct=start`)."""

    start_time: Instant
    """When it would begin."""
    end_time: Instant
    """When it would end."""
    local_start: Annotated[str, Field(description="The start on the clocks of `timezone`.")]
    resources: list[ResourceId]
    """The resources that are free then, by id."""
    remaining: Annotated[int, Field(description="What remains of all of them, without yours.")]


class SlotDayAnswer(Answer):
    """A local day of `timezone` on which something can be booked (`per=day`)."""

    date: Annotated[str, Field(description="The date, like `2026-03-08`.")]
    first: Instant
    """Its first start."""
    starts: int
    """How many starts it has; several resources that are free at one start count once."""


class AvailabilityAnswer(Answer):
    """Slots by start, then resource; or starts, or days."""

    timezone: str
    """The zone of `localStart`, and of the days."""
    items: list[SlotAnswer] | list[SlotStartAnswer] | list[SlotDayAnswer]
    """The slots, by start, then resource; with `distinct=start` the starts, with `per=day` the days."""


class AvailabilityExplanation(Answer):
    """All rules, always in the same order."""

    bookable: bool
    """Whether every rule allows it."""
    checks: list[RuleCheckAnswer]
    """Every rule's verdict."""


class ResourceExplanation(AvailabilityExplanation):
    """All rules on one resource of a pool."""

    resource: ResourceId
    """The resource."""


class PoolExplanation(Answer):
    """All rules on each resource of a service's pool."""

    bookable: bool
    """Whether every rule allows it on one of them."""
    resources: list[ResourceExplanation]
    """The active resources that offer the service, by id."""
