"""How much of a resource's open time is booked, by local days, weeks or months.

Load is counted in units of capacity, by the times of reservations without their buffers. What is booked outside the
open time (forced, or booked before the hours were changed, or over closed nights) is counted apart, so the share of
the open time that is booked is above 1 only where a resource is overbooked.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate, islice, pairwise
from typing import Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from app.domain.instants import Duration, Millis
from app.domain.rules import ResourceRules
from app.domain.schedule import windows
from app.domain.zones import ONE_DAY, start_of_day, zone

PeriodLength: TypeAlias = Literal["day", "week", "month"]
Stretch: TypeAlias = tuple[Millis, Millis]

_WEEK = timedelta(days=7)
_BEYOND_A_MONTH = timedelta(days=31)


class Period(NamedTuple):
    """The local days from `first` to `last`, which is excluded, and the instants at which they begin and end."""

    first: date
    last: date
    start: Millis
    end: Millis


class Booking(NamedTuple):
    """A reservation that counts: what it takes of the resource during `[start, end)`, and what became of it.

    One that was cancelled takes nothing, and counts only if that was late.
    """

    start: Millis
    end: Millis
    units: int
    outcome: Literal["booked", "no-show", "cancelled-late"] = "booked"


@dataclass(slots=True)
class Use:
    """The use of a resource in a period; lengths in milliseconds, those that are booked times the units.

    Reservations count in the period that they begin in.
    """

    period: Period
    open: Duration = 0
    booked: Duration = 0
    outside: Duration = 0
    bookings: int = 0
    no_shows: int = 0
    cancelled_late: int = 0

    def share(self, capacity: int) -> float | None:
        """The share of the open time that is booked, of all units of the capacity; None where it is never open."""
        return self.booked / (self.open * capacity) if self.open and capacity else None


def periods(first: date, last: date, per: PeriodLength, tz: ZoneInfo) -> list[Period]:
    """The days from `first` to `last` (excluded), weeks from Monday or months that tile them.

    The first and the last one may be a part of a week or month. A day that the zone skipped is none.
    """
    found: list[Period] = []
    day = first
    while day < last:
        after = min(_next(day, per), last)
        start, end = start_of_day(day, tz), start_of_day(after, tz)
        if start < end:
            found.append(Period(day, after, start, end))
        day = after
    return found


def _next(day: date, per: PeriodLength) -> date:
    """The first day of the period after that of a day."""
    if per == "day":
        return day + ONE_DAY
    if per == "week":
        return day - timedelta(days=day.weekday()) + _WEEK
    return (day.replace(day=1) + _BEYOND_A_MONTH).replace(day=1)


def open_stretches(resource: ResourceRules, start: Millis, end: Millis) -> list[Stretch]:
    """When a resource is open within `[start, end)`: its schedule less its times off and closures; sorted and apart."""
    off = _union((each.start, each.end) for each in (*resource.time_off, *resource.closed_index))
    ends = [until for _, until in off]
    found: list[Stretch] = []
    for window in windows(resource.schedule, zone(resource.timezone), start, end):
        opens, closes = max(window.start, start), min(window.end, end)
        found += _without((opens, closes), islice(off, bisect_right(ends, opens), None))
    return found


def _union(times: Iterable[Stretch]) -> list[Stretch]:
    """The instants that lie in any of these times, as stretches that are sorted and apart."""
    found: list[Stretch] = []
    for start, end in sorted(times):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def _without(stretch: Stretch, off: Iterable[Stretch]) -> Iterator[Stretch]:
    """What is left of a stretch; `off` begins with the first time off that ends after the stretch begins."""
    start, end = stretch
    for begins, until in off:
        if begins >= end:
            break
        if begins > start:
            yield start, begins
        start = until
    if start < end:
        yield start, end


class _OpenTime:
    """How long it was open until an instant, by a binary search."""

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self._starts = [start for start, _ in stretches]
        self._lengths = [end - start for start, end in stretches]
        self._before = [0, *accumulate(self._lengths)]

    def until(self, instant: Millis) -> Duration:
        """The open time before an instant."""
        index = bisect_right(self._starts, instant) - 1
        if index < 0:
            return 0
        return self._before[index] + min(instant - self._starts[index], self._lengths[index])


def utilisation(resource: ResourceRules, spans: Sequence[Period], bookings: Iterable[Booking]) -> list[Use]:
    """The use of a resource in each of some periods, which follow one another.

    It takes a time in proportion to the bookings and the periods together, however long bookings are.
    """
    uses = [Use(period) for period in spans]
    if not uses:
        return uses
    first, last = spans[0].start, spans[-1].end
    opened = _OpenTime(open_stretches(resource, first, last))
    starts = [period.start for period in spans]
    changes: dict[Millis, int] = dict.fromkeys([*starts, last], 0)
    for booking in bookings:
        if first <= booking.start < last:
            _count(uses[bisect_right(starts, booking.start) - 1], booking)
        start, end = max(booking.start, first), min(booking.end, last)
        if booking.outcome != "cancelled-late" and start < end:
            changes[start] = changes.get(start, 0) + booking.units
            changes[end] = changes.get(end, 0) - booking.units
    for use in uses:
        use.open = opened.until(use.period.end) - opened.until(use.period.start)
    _add_load(uses, sorted(changes.items()), opened)
    return uses


def _count(use: Use, booking: Booking) -> None:
    use.bookings += booking.outcome != "cancelled-late"
    use.no_shows += booking.outcome == "no-show"
    use.cancelled_late += booking.outcome == "cancelled-late"


def _add_load(uses: Sequence[Use], changes: Sequence[tuple[Millis, int]], opened: _OpenTime) -> None:
    """Add up the load between one change and the next; each period begins at one of them."""
    load, place = 0, 0
    for (instant, change), (following, _) in pairwise(changes):
        load += change
        while uses[place].period.end <= instant:
            place += 1
        if load:
            inside = opened.until(following) - opened.until(instant)
            uses[place].booked += load * inside
            uses[place].outside += load * (following - instant - inside)
