"""When an edit of a resource can strand a booking at all, told from the rules before and after it alone.

Whoever may be stranded meets one of these stretches; whoever meets one need not be. An edit that opens or widens
everything it touches gives none, and then nobody has to be looked for.

The windows of a date are compared in wall time. Around changes of the clocks that does not do (in a gap a longer
window can become a shorter one), so those dates are resolved and compared as instants.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from app.domain.instants import DAY, EARLIEST, LATEST, Millis
from app.domain.rules import ResourceRules
from app.domain.schedule import MINUTES_A_DAY, Day, Hours, Schedule, hours_of, resolved
from app.domain.zones import FIRST_DAY, LAST_DAY, start_of_day, zone

Stretch = tuple[Millis, Millis]

MOST = 32
"""Stretches that are told apart; more are one, from the first to the last."""
_WHOLE_DAY: Day = (Hours(0, MINUTES_A_DAY),)
_REACH_DAYS = 3
"""A window that starts on a date ends within so many days of the date's start, also where a zone skips a day."""


def narrowed(before: ResourceRules, after: ResourceRules, daily: AbstractSet[str], now: Millis) -> list[Stretch]:
    """The stretches in which the edit can strand bookings that have not ended by `now`; `daily`: full-day services.

    That a resource counts its units otherwise strands nobody here; it is refused by itself.
    """
    if _everywhere(before, after, daily):
        return [(now, LATEST)]
    found = _away(before, after)
    if before.schedule is not after.schedule:
        found += _closed(before, after)
    return _from(now, found)


def _everywhere(before: ResourceRules, after: ResourceRules, daily: AbstractSet[str]) -> bool:
    """Whether the edit can strand anybody at any time."""
    if before.active > after.active or after.capacity < before.capacity or before.services - after.services:
        return True
    if before.timezone == after.timezone:
        return False
    return bool(daily) or not (_is_always(before.schedule) and _is_always(after.schedule))


def _is_always(schedule: Schedule) -> bool:
    return schedule.weekly is None and not schedule.overrides


def _away(before: ResourceRules, after: ResourceRules) -> list[Stretch]:
    known = {(off.start, off.end) for off in before.time_off}
    return [(off.start, off.end) for off in after.time_off if (off.start, off.end) not in known]


def _closed(before: ResourceRules, after: ResourceRules) -> list[Stretch]:
    """The dates on which less is open than before; all of time where some day of the week is."""
    tz = zone(after.timezone)
    if any(_shrinks(old, new) for old, new in zip(_of_week(before.schedule), _of_week(after.schedule), strict=True)):
        return [(EARLIEST, LATEST)]
    dates = set(before.schedule.overrides.keys() | after.schedule.overrides.keys())
    if before.schedule.weekly != after.schedule.weekly:
        dates |= changing(tz)
    return [
        (start_of_day(day, tz), start_of_day(day, tz) + (_REACH_DAYS + 1) * DAY)
        for day in sorted(dates)
        if _less_is_open(before.schedule, after.schedule, day, tz)
    ]


def _of_week(schedule: Schedule) -> Sequence[Day]:
    return schedule.weekly if schedule.weekly is not None else (_WHOLE_DAY,) * 7


def _less_is_open(before: Schedule, after: Schedule, day: date, tz: ZoneInfo) -> bool:
    """Whether some instant of a window that started on that date lies in none that starts on it now."""
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


def _covers(wide: Iterable[Stretch], narrow: Iterable[Stretch]) -> bool:
    """Whether each of the narrow ones lies within one stretch of the wide ones."""
    stretches = joined(wide)
    return all(any(start <= opens and closes <= end for start, end in stretches) for opens, closes in narrow)


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Sorted and apart; those that touch are one."""
    apart: list[Stretch] = []
    for start, end in sorted(stretches):
        if apart and start <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(apart[-1][1], end))
        else:
            apart.append((start, end))
    return apart


def _from(now: Millis, stretches: Iterable[Stretch]) -> list[Stretch]:
    """The stretches from `now` on, sorted and apart, and few.

    What lies in the past can strand whoever was there and has not left: that is who is there now.
    """
    left = joined((max(start, now), max(end, now + 1)) for start, end in stretches)
    return left if len(left) <= MOST else [(left[0][0], left[-1][1])]


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
