"""The instant and the lengths of time that most tests book with."""

from datetime import UTC, datetime, timedelta

NINE = datetime(2030, 1, 7, 9, tzinfo=UTC)
"""A Monday, far enough ahead for every rule of notice."""

MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
