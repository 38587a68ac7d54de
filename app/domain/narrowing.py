"""The stretches of time in which an edit of a resource can strand bookings, from the rules before and after it alone.

Every booking that the edit strands meets one of these stretches; not every booking that meets one is stranded. An edit
that only opens or widens gives no stretches, and then no bookings have to be read.

The windows of a date are compared in wall time. Near changes of the clocks that is not enough (in a gap a longer window
can become a shorter one), so those dates are resolved and compared as instants.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar
from zoneinfo import ZoneInfo

from app.domain.instants import DAY, EARLIEST, LATEST, Millis
from app.domain.rules import ResourceRules, ServicesById, before_and_after
from app.domain.schedule import MINUTES_A_DAY, Day, Hours, Schedule, hours_of, resolved
from app.domain.zones import FIRST_DAY, LAST_DAY, start_of_day, zone

Stretch = tuple[Millis, Millis]
N = TypeVar("N", bound=int)
"""Instants, or minutes of a day."""

STRETCHES_MAX = 32
"""Stretches that are returned separately; more of them become one, from the first to the last."""
_WHOLE_DAY: Day = (Hours(0, MINUTES_A_DAY),)
_REACH_DAYS = 3
"""A window that starts on a date ends within so many days of the date's start, also where a zone skips a day."""


def narrowed(before: ResourceRules, after: ResourceRules, services: ServicesById, now: Millis) -> list[Stretch]:
    """The stretches in which the edit can strand bookings, of these services too, that have not ended by `now`.

    A change of the capacity mode strands nothing here: `Planner.plan` refuses it while bookings block.
    """
    before, after = before_and_after(before, after)
    if _everywhere(before, after, services):
        return [(now, LATEST)]
    stretches = _new_time_off(before, after)
    if before.schedule is not after.schedule:
        # Where a booking may end as the resource opens, it ends before it meets the stretch that is closed.
        earlier = 1 if any(service.at_ends for service in services.values()) else 0
        stretches += [(Millis(start - earlier), end) for start, end in _closed(before, after)]
    return _from(now, stretches)


def _everywhere(before: ResourceRules, after: ResourceRules, services: ServicesById) -> bool:
    """Whether the edit can strand bookings at any time."""
    if before.active > after.active or after.capacity < before.capacity or before.services - after.services:
        return True
    if after.guests_limit < before.guests_limit or after.service_only > before.service_only:
        return True
    if before.timezone == after.timezone:
        return False
    if any(service.kind == "full-day" for service in services.values()):
        return True
    return not (_is_always(before.schedule) and _is_always(after.schedule))


def _is_always(schedule: Schedule) -> bool:
    return schedule.weekly is None and not schedule.overrides


def _new_time_off(before: ResourceRules, after: ResourceRules) -> list[Stretch]:
    known = {(off.start, off.end) for off in (*before.time_off, *before.closed_index)}
    return [(off.start, off.end) for off in (*after.time_off, *after.closed_index) if (off.start, off.end) not in known]


def _closed(before: ResourceRules, after: ResourceRules) -> list[Stretch]:
    """The stretches of dates with less open than before; all of time where a day of the week has less."""
    tz = zone(after.timezone)
    if any(_shrinks(old, new) for old, new in zip(_of_week(before.schedule), _of_week(after.schedule), strict=True)):
        return [(EARLIEST, LATEST)]
    dates = set(before.schedule.overrides.keys() | after.schedule.overrides.keys())
    if before.schedule.weekly != after.schedule.weekly:
        dates |= changing(tz)
    return [
        (start_of_day(day, tz), Millis(start_of_day(day, tz) + (_REACH_DAYS + 1) * DAY))
        for day in sorted(dates)
        if _less_is_open(before.schedule, after.schedule, day, tz)
    ]


def _of_week(schedule: Schedule) -> Sequence[Day]:
    return schedule.weekly if schedule.weekly is not None else (_WHOLE_DAY,) * 7


def _less_is_open(before: Schedule, after: Schedule, day: date, tz: ZoneInfo) -> bool:
    """Whether some instant of the old windows of that date lies in none of its new ones."""
    old, new = hours_of(before, day), hours_of(after, day)
    if old == new:
        return False
    if day not in changing(tz):
        return _shrinks(_WHOLE_DAY if old is None else old, _WHOLE_DAY if new is None else new)
    return not _covers(_instants(new, day, tz), _instants(old, day, tz))


def _instants(hours: Day | None, day: date, tz: ZoneInfo) -> list[Stretch]:
    return [(opens, closes) for opens, closes, _ in resolved(hours, day, tz)]


@lru_cache(maxsize=1 << 12)
def _shrinks(old: Day, new: Day) -> bool:
    """Whether some minute of the old windows lies in none of the new ones."""
    return not _covers(new, old)


def _covers(wide: Iterable[tuple[N, N]], narrow: Iterable[tuple[N, N]]) -> bool:
    """Whether each of the narrow ones lies within one stretch of the wide ones."""
    stretches = joined(wide)
    return all(any(start <= opens and closes <= end for start, end in stretches) for opens, closes in narrow)


def joined(stretches: Iterable[tuple[N, N]]) -> list[tuple[N, N]]:
    """The stretches sorted and disjoint; those that touch are merged."""
    apart: list[tuple[N, N]] = []
    for start, end in sorted(stretches):
        if apart and start <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(apart[-1][1], end))
        else:
            apart.append((start, end))
    return apart


def _from(now: Millis, stretches: Iterable[Stretch]) -> list[Stretch]:
    """The stretches from `now` on, sorted and disjoint, at most `STRETCHES_MAX`.

    A stretch in the past becomes the instant `now`: it can strand bookings that have not ended yet.
    """
    clipped = joined((max(start, now), max(end, Millis(now + 1))) for start, end in stretches)
    return clipped if len(clipped) <= STRETCHES_MAX else [(clipped[0][0], clipped[-1][1])]


@lru_cache(maxsize=64)
def changing(tz: ZoneInfo) -> frozenset[date]:
    """The dates near which the clocks of a zone change, to the end of the calendar."""
    ordinals = range(FIRST_DAY.toordinal(), LAST_DAY.toordinal() + 1)
    noons = ((ordinal, tz.utcoffset(datetime.combine(date.fromordinal(ordinal), time(12)))) for ordinal in ordinals)
    changes = [ordinal for (_, before), (ordinal, after) in pairwise(noons) if before != after]
    return frozenset(
        date.fromordinal(near)
        for ordinal in changes
        for near in range(ordinal - _REACH_DAYS, min(ordinal + 2, ordinals.stop))
    )
