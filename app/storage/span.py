"""Spans: the stretches of resources whose occupants somebody asks for."""

from dataclasses import dataclass

from app.domain.instants import DAY, Millis

LENGTHY: Millis = 31 * DAY
"""What wants a longer time than this can meet tens of thousands."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one resource, in block times, whose occupants an intent must see.

    `since`: only those that were changed since then; the others are known already.
    """

    resource: str
    start: Millis
    end: Millis
    since: Millis | None = None

    @property
    def lengthy(self) -> bool:
        """Whether it may have tens of thousands of occupants."""
        return self.since is None and self.end - self.start > LENGTHY
