"""The instant and the lengths of time that most tests book with, and local times."""

from datetime import UTC, date, datetime, time, timedelta

NINE = datetime(2030, 1, 7, 9, tzinfo=UTC)
"""A Monday, far enough ahead for every rule of notice."""

MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def local(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """A local time, which has no zone."""
    return datetime.combine(date(year, month, day), time(hour, minute))
