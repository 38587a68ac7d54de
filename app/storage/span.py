"""Spans: stretches of resources whose occupants are looked up."""

from dataclasses import dataclass

from app.domain.ids import ResourceId
from app.domain.instants import DAY, Duration, Millis

LENGTHY_FROM: Duration = 31 * DAY
"""A span longer than this can have tens of thousands of occupants."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one resource, in block times, whose occupants an intent must see.

    `since`: only occupants that were changed since then; the others are known already.
    """

    resource: ResourceId
    start: Millis
    end: Millis
    since: Millis | None = None

    @property
    def lengthy(self) -> bool:
        """Whether it may have tens of thousands of occupants."""
        return self.since is None and self.end - self.start > LENGTHY_FROM
