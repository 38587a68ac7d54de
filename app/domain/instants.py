"""Instants as whole milliseconds since the epoch.

The domain counts in `Millis` and `Duration`: comparison and subtraction then mean elapsed time, always. (Python
subtracts two datetimes of one zone by their wall clocks, which is wrong by an hour twice a year.)
"""

import re
from datetime import UTC, datetime, timedelta
from typing import NewType, TypeAlias

Millis = NewType("Millis", int)
"""An instant: whole milliseconds since the epoch."""

Duration: TypeAlias = int
"""A length of time in whole milliseconds.

It is a plain int, because all arithmetic gives one: the difference of two instants is a duration as it stands. An
instant that comes out of arithmetic is made one by name, `Millis(start + length)`; so a duration, a number of minutes
or one of seconds is never taken for an instant.
"""

SECOND: Duration = 1_000
MINUTE: Duration = 60 * SECOND
HOUR: Duration = 60 * MINUTE
DAY: Duration = 24 * HOUR
MINUTES_AN_HOUR = 60
HOURS_A_DAY = 24

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = Millis(0)
LATEST = Millis(7_289_654_400_000)  # 2201-01-01T00:00:00Z, excluded: instants lie in 1970 to 2200

_MILLISECOND = timedelta(milliseconds=1)
FIRST = Millis((datetime.min.replace(tzinfo=UTC) - EPOCH) // _MILLISECOND)
LAST = Millis((datetime.max.replace(tzinfo=UTC) - EPOCH) // _MILLISECOND)
"""The ends of Python's calendar, years 1 to 9999; rows that other programs wrote may lie anywhere in it."""
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.(\d+))?(?:[Zz]|[+-](\d{2}):(\d{2}))", re.ASCII)


def to_millis(instant: datetime) -> Millis:
    """Milliseconds since the epoch of an aware datetime; finer digits are cut."""
    return Millis((instant - EPOCH) // _MILLISECOND)


def from_millis(instant: Millis) -> datetime:
    """The same instant as an aware datetime in UTC."""
    return EPOCH + timedelta(milliseconds=instant)


def render(instant: datetime | Millis) -> str:
    """An instant as it is written in answers: UTC with milliseconds, `2026-03-08T09:00:00.000Z`."""
    moment = from_millis(instant) if isinstance(instant, int) else instant
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse(text: str) -> datetime:
    """Parse an instant of a request: RFC 3339 with an offset, 1970 to 2200, nothing finer than milliseconds.

    Raises:
        ValueError: with a sentence that says what is wrong and shows the right form.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("Write an instant with its offset, like 2026-03-08T09:00:00Z or 2026-03-08T09:00:00+01:00.")
    fraction = match[1]
    if fraction and fraction[3:].strip("0"):
        raise ValueError("Instants are stored to the millisecond; leave out the finer digits.")
    if match[2] and not (int(match[2]) < HOURS_A_DAY and int(match[3]) < MINUTES_AN_HOUR):
        raise ValueError("An offset lies between -23:59 and +23:59.")
    try:
        instant = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("There is no such date and time in the calendar.") from None
    if not EARLIEST <= to_millis(instant) < LATEST:
        raise ValueError("Instants lie in the years 1970 to 2200.")
    return instant
