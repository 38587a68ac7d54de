"""Cron lines of five fields, and their times in UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

_FIELDS = 5
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class CronLine:
    """A line that `parse` has checked."""

    text: str


def parse(line: str) -> CronLine:
    """Parse a cron line.

    As in every cron, a time matches if its day of the month *or* its weekday does where both are restricted.

    Raises:
        ValueError: with a sentence that says what is wrong.
    """
    if len(line.split()) != _FIELDS:
        raise ValueError(f"{line!r} must have five fields: minute, hour, day of the month, month, weekday.")
    try:
        next(CronSim(line, datetime(2000, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(f"{line!r} is not understood: {error}.") from None
    except StopIteration:
        raise ValueError(f"{line!r} never comes.") from None
    return CronLine(line)


def next_after(line: CronLine, instant: datetime) -> datetime:
    """The first time after an instant."""
    return next(CronSim(line.text, instant.astimezone(UTC)))


def last_until(line: CronLine, instant: datetime) -> datetime:
    """The last time that is not after an instant."""
    return next(CronSim(line.text, instant.astimezone(UTC) + _MICROSECOND, reverse=True))
