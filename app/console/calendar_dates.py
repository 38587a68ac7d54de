"""The dates of the calendar's views, and what comes before and after them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo

from app.domain.instants import MINUTE, Millis
from app.domain.zones import FIRST_DAY, LAST_DAY, ONE_DAY, days, local, start_of_day

View: TypeAlias = Literal["day", "week", "month"]
VIEWS: tuple[View, ...] = get_args(View)

_WEEK = timedelta(days=7)
_STEP_MINUTES = 15
"""Clocks change by whole quarters of an hour, so every full hour lies on this grid after midnight."""


@dataclass(frozen=True, slots=True)
class Dates:
    """The local dates `[first, end)` that a view shows, and the dates to show before and after them."""

    first: date
    end: date
    before: date
    after: date

    @classmethod
    def of(cls, view: View, day: date) -> "Dates":
        """Those of the view that has a date in it; a month begins with the Monday of its first week."""
        if view == "day":
            return cls(day, day + ONE_DAY, day - ONE_DAY, day + ONE_DAY)
        if view == "week":
            first = day - timedelta(days=day.weekday())
            return cls(first, first + _WEEK, day - _WEEK, day + _WEEK)
        begin = day.replace(day=1)
        following = (begin + timedelta(days=31)).replace(day=1)
        last = following - ONE_DAY
        return cls(
            begin - timedelta(days=begin.weekday()),
            last + timedelta(days=7 - last.weekday()),
            (begin - ONE_DAY).replace(day=1),
            following,
        )

    def within(self, tz: ZoneInfo) -> list[date]:
        """The dates that a zone has."""
        return [*days(self.first, self.end, tz)]


def within_calendar(day: date) -> date:
    """The nearest date around which every view lies in the years that have zones."""
    return min(max(day, FIRST_DAY + 2 * _WEEK * 4), LAST_DAY - 2 * _WEEK * 4)


@lru_cache(maxsize=1 << 10)
def hours_of(day: date, tz: ZoneInfo) -> Sequence[tuple[int, int]]:
    """The full hours of a local day: the minutes elapsed since it began, and what the clocks show then.

    A day has 23 where the clocks spring forward over one, and one of them twice where they fall back.
    """
    start, end = start_of_day(day, tz), start_of_day(day + ONE_DAY, tz)
    found = []
    for elapsed in range(0, (end - start) // MINUTE, _STEP_MINUTES):
        wall = local(Millis(start + elapsed * MINUTE), tz)
        if wall.minute == 0:
            found.append((elapsed, wall.hour))
    return found
