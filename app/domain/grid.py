"""The grid: the starts that are offered, before any rule has judged them.

The grid starts at each opening of a window (without a schedule, at each local day) and goes on every interval of
elapsed time, up to the next opening, while the slot ends in the open stretch. Where the schedule is asked at the ends
of a slot alone, it goes on while the slot starts there. Full-day services have the local days for a grid.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast
from zoneinfo import ZoneInfo

from app.domain.instants import Duration, Millis
from app.domain.schedule import Schedule, Window, windows
from app.domain.zones import ONE_DAY, day_of, days, start_of_day

_SKIPPED_DAYS = 3
"""More days than any zone ever skipped in a row."""
STARTS_MAX = 50_000
"""Starts that one request may have judged, over all its resources."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The starts of slots of `length`, every `interval` after an opening; both are milliseconds above 0.

    `may_leave`: whether a slot may end outside of the open stretch that it starts in.
    """

    schedule: Schedule
    tz: ZoneInfo
    length: Duration
    interval: Duration
    may_leave: bool = False

    def __post_init__(self) -> None:
        """Refuse lengths and intervals that would give infinitely many starts."""
        if self.length <= 0 or self.interval <= 0:
            raise ValueError(f"A slot and its interval take time, not {self.length} and {self.interval} ms.")

    def starts(self, after: Millis, before: Millis) -> Iterator[Millis]:
        """The starts in `[after, before)`, sorted and distinct, made lazily."""
        for run in self.runs(self.windows(after, before), after, before):
            yield from run

    def windows(self, after: Millis, before: Millis) -> list[Window]:
        """The open stretches that contain the slots, or their ends, that start in `[after, before)`."""
        return windows(self.schedule, self.tz, after, Millis(before + self.length))

    def runs(self, open_windows: Iterable[Window], after: Millis, before: Millis) -> Iterator[Sequence[Millis]]:
        """The starts in `[after, before)`, a non-empty run for each opening that they are counted from."""
        for window in open_windows:
            stop = min(before, window.end if self.may_leave else window.end - self.length + 1)
            for opening, following in zip(window.openings, (*window.openings[1:], window.end), strict=True):
                passed = max(0, -((opening - after) // self.interval))
                run = range(opening + passed * self.interval, min(following, stop), self.interval)
                if run:
                    yield cast("Sequence[Millis]", run)  # every item is an instant


def full_days(tz: ZoneInfo, after: Millis, before: Millis, count: int = 1) -> Iterator[tuple[Millis, Millis]]:
    """The slots of `count` local days that start in `[after, before)`, from first instant to first instant.

    The schedule plays no part: that each day needs a window is a rule, and judged like the others.
    """
    if before <= after:
        return
    first, last = day_of(after, tz), day_of(before, tz) + (count + _SKIPPED_DAYS) * ONE_DAY
    starts = [start_of_day(day, tz) for day in days(first, last, tz)]
    for start, end in zip(starts, starts[count:], strict=False):
        if after <= start < before:
            yield start, end
