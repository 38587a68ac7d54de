"""The grid: the starts that are offered, before any rule has judged them.

From each opening of a window (without a schedule, of each local day) and every interval of elapsed time after it, up
to the next opening, while the slot ends in the open stretch. Full-day services have the local days for a grid.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from app.timeline.instants import Millis
from app.timeline.schedule import Schedule, windows
from app.timeline.zones import ONE_DAY, day_of, days, next_day, start_of_day

STARTS_MAX = 50_000
"""Starts that one request may ask to be judged, over all its resources."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The starts of slots of `length`, every `interval` after an opening; both are milliseconds above 0."""

    schedule: Schedule
    tz: ZoneInfo
    length: Millis
    interval: Millis

    def __post_init__(self) -> None:
        """Refuse what would never come to an end."""
        if self.length <= 0 or self.interval <= 0:
            raise ValueError(f"A slot and its interval take time, not {self.length} and {self.interval} ms.")

    def starts(self, after: Millis, before: Millis) -> Iterator[Millis]:
        """The starts in `[after, before)`, sorted, each once, made as they are asked for."""
        for run in self._runs(after, before):
            yield from run

    def count(self, after: Millis, before: Millis) -> int:
        """How many `starts` would give: cheap whatever the number, to be held against `STARTS_MAX`."""
        return sum(len(run) for run in self._runs(after, before))

    def _runs(self, after: Millis, before: Millis) -> Iterator[range]:
        """The starts by the opening that they are counted from."""
        for window in windows(self.schedule, self.tz, after, before + self.length):
            stop = min(before, window.end - self.length + 1)
            for opening, following in zip(window.openings, (*window.openings[1:], window.end), strict=True):
                passed = max(0, -((opening - after) // self.interval))
                yield range(opening + passed * self.interval, min(following, stop), self.interval)


def full_days(tz: ZoneInfo, after: Millis, before: Millis, count: int = 1) -> Iterator[tuple[Millis, Millis]]:
    """The slots of `count` local days that start in `[after, before)`, from first instant to first instant.

    The schedule has no part in it: the rule that each day needs a window is judged like the others.
    """
    for day in days(day_of(after, tz), day_of(before, tz) + ONE_DAY, tz):
        start = start_of_day(day, tz)
        if after <= start < before:
            yield start, next_day(start, tz, count)
