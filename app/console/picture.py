"""The picture of a finding: its load over time, with what is above capacity, and a lane for each reservation.

All places are percentages of the width, so that the picture is as wide as the page without a script; heights are
pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from app.domain.instants import DAY, FIRST, HOUR, LAST, MINUTE, Duration, Millis
from app.domain.zones import day_of, start_of_day, zone

LOAD_HEIGHT = 96
"""Pixels of the highest load."""
LANE_HEIGHT = 30
LANES_MAX = 30
"""Reservations with a lane of their own; the table has all."""
TICKS_MAX = 7
_STEPS: Sequence[Duration] = (
    *(minutes * MINUTE for minutes in (1, 5, 10, 15, 30)),
    *(hours * HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * DAY for days in (1, 2, 7, 14, 28, 91, 364)),
)


class Taken(NamedTuple):
    """What a reservation takes of the resource, buffers included, and how it is called."""

    name: str
    start: Millis
    end: Millis
    units: int
    is_hold: bool = False


class Stretch(NamedTuple):
    """A stretch of equal load, in units."""

    start: Millis
    end: Millis
    load: int


class Place(NamedTuple):
    """A place along the picture, as SVG takes it."""

    x: str
    width: str


class Tick(NamedTuple):
    """A mark of the time axis."""

    x: str
    at: Millis
    is_day: bool
    """Whether it stands at the beginning of a day, and is written as a date."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn between two instants.

    Args:
        start: The first instant.
        end: The last one.
        window: The finding's own stretch.
        capacity: That of the resource, in units.
        taken: The reservations, by start.
        stretches: The load over time, without stretches of none.
        timezone: Of the resource.
    """

    start: Millis
    end: Millis
    window: tuple[Millis, Millis]
    capacity: int
    taken: Sequence[Taken]
    stretches: Sequence[Stretch]
    timezone: str

    @property
    def highest(self) -> int:
        """The most that is drawn, in units: the peak, or the capacity."""
        return max(self.capacity, *(each.load for each in self.stretches), 1)

    @property
    def lanes(self) -> Sequence[Taken]:
        """The reservations that are drawn."""
        return self.taken[:LANES_MAX]

    def height(self, units: int) -> float:
        """The pixels of a load."""
        return round(units * LOAD_HEIGHT / self.highest, 2)

    def place(self, start: Millis, end: Millis) -> Place:
        """Where a stretch of time lies, cut at the edges."""
        left, right = max(start, self.start), min(end, self.end)
        return Place(self._along(left), self._percent(right - left))

    def ticks(self) -> Sequence[Tick]:
        """The marks of the axis, at round wall times; none at the ends of Python's calendar, where no zone goes."""
        try:
            return [*self._ticks()]
        except (ValueError, OverflowError):
            return []

    def _ticks(self) -> Iterator[Tick]:
        length = self.end - self.start
        step = next((each for each in _STEPS if length / each <= TICKS_MAX), length)
        tz = zone(self.timezone)
        at = start_of_day(day_of(self.start, tz), tz)
        at = Millis(at + -(-(self.start - at) // step) * step)
        while at < self.end - length // 16:  # what is written there would be cut
            is_day = step >= DAY or start_of_day(day_of(at, tz), tz) == at
            yield Tick(self._along(at), at, is_day)
            at = Millis(at + step)

    def _along(self, at: Millis) -> str:
        return self._percent(at - self.start)

    def _percent(self, length: Duration) -> str:
        return f"{100 * length / (self.end - self.start):.3f}%"


def picture(window: tuple[Millis, Millis], capacity: int, taken: Sequence[Taken], timezone: str) -> Picture:
    """The picture of a window: with as much around it as its reservations reach, but so that it fills a quarter."""
    start, end = window
    around = max((end - start) * 3 // 2, 10 * MINUTE)
    first = min([start, *(each.start for each in taken)]) - MINUTE
    last = max([end, *(each.end for each in taken)]) + MINUTE
    shown = Millis(max(first, start - around, FIRST)), Millis(min(last, end + around, LAST))
    met = sorted((each for each in taken if each.start < shown[1] and shown[0] < each.end), key=lambda each: each[1:3])
    return Picture(*shown, window, capacity, met, stretches(met, *shown), timezone)


def stretches(taken: Sequence[Taken], start: Millis, end: Millis) -> list[Stretch]:
    """The load between two instants, without stretches of none."""
    edges = {start, end, *(edge for each in taken for edge in (each.start, each.end) if start < edge < end)}
    found: list[Stretch] = []
    for first, last in pairwise(sorted(edges)):
        load = sum(each.units for each in taken if each.start <= first < each.end)
        if found and found[-1].load == load and found[-1].end == first:
            found[-1] = found[-1]._replace(end=last)
        elif load:
            found.append(Stretch(first, last, load))
    return found
