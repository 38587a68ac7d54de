"""Time zones: from instants to local wall time and back, right at every clock change.

Wall times are naive datetimes. Where clocks spring forward some wall times do not exist (a gap), where they fall back
some exist twice (a fold); `resolve` follows the "compatible" rule of RFC 5545 and Temporal. A local day is everything
from its first instant to the first instant of the next date, so days tile time without overlap or gap: they have 23,
25 or 23.5 hours, may begin at 01:00, and one that a zone skipped has no length and counts as no day.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

from app.domain.instants import DAY, Millis, from_millis, to_millis

ONE_DAY = timedelta(days=1)

_NOT_PLACES = frozenset({"Factory", "localtime"})  # "not set", and the setting of this machine
_SHOWN_MAX = 64
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2200, 12, 31)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_WALL = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?", re.ASCII)


@cache
def _names() -> frozenset[str]:
    """Every name of the IANA database. Only these are opened, so that no name can be a path to another file."""
    return frozenset(available_timezones()) - _NOT_PLACES


@cache
def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name, spelt as IANA spells it.

    Raises:
        ValueError: with a sentence, where there is no such zone.
    """
    if name not in _names():
        raise ValueError(f"There is no time zone {name[:_SHOWN_MAX]!r}; use an IANA name like Europe/Berlin.")
    return ZoneInfo(name)


def resolve(wall: datetime, tz: ZoneInfo) -> Millis:
    """The instant of a wall time by the "compatible" rule: in a gap later by the gap, in a fold the first."""
    return to_millis(wall.replace(tzinfo=tz, fold=0))


def choices(wall: datetime, tz: ZoneInfo) -> tuple[Millis, ...]:
    """The instants that a wall time can mean: one, or two by the offset before and after a change of the clocks.

    Two that ascend are a fold (the wall time exists twice); two that descend are a gap (it does not exist).
    """
    before = resolve(wall, tz)
    after = to_millis(wall.replace(tzinfo=tz, fold=1))
    return (before,) if before == after else (before, after)


def local(instant: Millis, tz: ZoneInfo) -> datetime:
    """The wall time of an instant in a zone, as a naive datetime."""
    return from_millis(instant).astimezone(tz).replace(tzinfo=None, fold=0)


@lru_cache(maxsize=1 << 16)
def start_of_day(day: date, tz: ZoneInfo) -> Millis:
    """The first instant of a local day; for a day that the zone skipped, that of the next day."""
    midnight = datetime.combine(day, time.min)
    instants = choices(midnight, tz)
    if len(instants) == 1 or instants[0] < instants[1]:
        return instants[0]
    shifted, earlier = instants  # midnight lies in a gap, the day begins with the change, which is between the two
    return Millis(
        earlier + bisect_left(range(earlier, shifted), midnight, key=lambda instant: local(Millis(instant), tz))
    )


def exists(day: date, tz: ZoneInfo) -> bool:
    """Whether a zone has that date at all (Pacific/Apia went from 29 to 31 December 2011)."""
    return start_of_day(day, tz) < start_of_day(day + ONE_DAY, tz)


def day_of(instant: Millis, tz: ZoneInfo) -> date:
    """The local day that an instant lies in.

    It is the date that the clocks show, except where they fall back over midnight: the part of the old date that they
    show a second time belongs to the new day, which has begun.
    """
    day = local(instant, tz).date()
    while start_of_day(day + ONE_DAY, tz) <= instant:
        day += ONE_DAY
    return day


def is_day_start(instant: Millis, tz: ZoneInfo) -> bool:
    """Whether an instant is the first of a local day."""
    return start_of_day(day_of(instant, tz), tz) == instant


def next_day(instant: Millis, tz: ZoneInfo, days: int = 1) -> Millis:
    """The first instant of the local day that is `days` days after that of an instant; skipped ones do not count."""
    day = day_of(instant, tz)
    for _ in range(days):
        day = day_of(start_of_day(day + ONE_DAY, tz), tz)
    return start_of_day(day, tz)


def days_between(start: Millis, end: Millis, tz: ZoneInfo) -> int:
    """How many local days there are from that of `start` to that of `end`, without the last and without skipped ones.

    The elapsed time is whole days but for the difference of the offsets at both ends, which is far below half a day,
    unless the zone crossed the date line; and then it skipped a day, which does not count.
    """
    elapsed = start_of_day(day_of(end, tz), tz) - start_of_day(day_of(start, tz), tz)
    return max(0, (elapsed + DAY // 2) // DAY)


def days(first: date, end: date, tz: ZoneInfo) -> Iterator[date]:
    """The local days from `first` to `end`, which is excluded, without those that the zone skipped."""
    for ordinal in range(first.toordinal(), end.toordinal()):
        day = date.fromordinal(ordinal)
        if exists(day, tz):
            yield day


def parse_day(text: str) -> date:
    """Parse a local date of a request, `2026-03-08`, 1970 to 2200.

    Raises:
        ValueError: with a sentence that shows the right form.
    """
    if _DAY.fullmatch(text) is None:
        raise ValueError("Write a date like 2026-03-08.")
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError("There is no such date in the calendar.") from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError("Dates lie in the years 1970 to 2200.")
    return day


def parse_wall(text: str) -> datetime:
    """Parse a wall time of a request, `2026-03-08T02:30` (seconds and milliseconds may follow), 1970 to 2200.

    Raises:
        ValueError: with a sentence that shows the right form.
    """
    if _WALL.fullmatch(text) is None:
        raise ValueError("Write a local time without an offset, like 2026-03-08T02:30.")
    parse_day(text[:10])
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError("There is no such time of day.") from None


def render_wall(wall: datetime) -> str:
    """A wall time as it is written in answers: `2026-03-08T02:30`, with seconds only where there are any."""
    whole = wall.second == 0 and wall.microsecond == 0
    return wall.isoformat(timespec="minutes" if whole else "seconds" if wall.microsecond == 0 else "milliseconds")
