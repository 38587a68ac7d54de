"""Parsers for days and times of day as foreign schemas store them: texts, dates at midnight, formats of their own.

A format is written with the codes of strptime (`%d_%m_%Y`) or with the letters of Moment and Day.js (`D_M_YYYY`).
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from app.domain.instants import DAY, Millis, from_millis, to_millis
from app.domain.zones import ONE_DAY, local, resolve, start_of_day
from app.storage.values import instant

_LETTERS = {
    "YYYY": "%Y",
    "YY": "%y",
    "MMMM": "%B",
    "MMM": "%b",
    "MM": "%m",
    "M": "%m",
    "DD": "%d",
    "D": "%d",
    "dddd": "%A",
    "ddd": "%a",
    "HH": "%H",
    "H": "%H",
    "hh": "%I",
    "h": "%I",
    "mm": "%M",
    "m": "%M",
    "ss": "%S",
    "s": "%S",
    "A": "%p",
    "a": "%p",
    "ZZ": "%z",
    "Z": "%z",
}
_LETTER = re.compile("|".join(sorted(_LETTERS, key=len, reverse=True)))
_LITERAL = re.compile(r"\[([^\]]*)\]|%")
_HOURS = re.compile(r"%[HIXcT]")
_CLOCK = re.compile(r"(\d{1,2})(?:[:.h](\d{2})(?:[:.](\d{2})(?:\.\d+)?)?)?\s*([ap])?\.?m?\.?", re.ASCII | re.IGNORECASE)
_SPAN_SEPARATOR = re.compile(r"\s*(?:-|–|—|\bto\b|\buntil\b)\s*")  # noqa: RUF001 -- an en dash is what people type
_LENGTH = re.compile(r"(\d{1,7}(?:\.\d+)?)\s*(m|mins?|minutes?|h|hrs?|hours?)?\.?", re.ASCII | re.IGNORECASE)
_YEAR_DIGITS, _DAY_LENGTH, _HOURS_OF_HALF_DAY, _HOURS_OF_DAY, _SIXTY = 4, 10, 12, 24, 60


class Clock(NamedTuple):
    """A time of day as the time since midnight on the wall clock; `end` is set where a text names a span."""

    start: timedelta
    end: timedelta | None = None


class DateFormat:
    """A format of days or instants.

    Args:
        text: The format, with strptime's codes or Moment's letters; text in square brackets is literal.

    Raises:
        ValueError: with a sentence, if the format names no day.
    """

    def __init__(self, text: str) -> None:
        self._codes = text if "%" in text else _strptime_codes(text)
        try:
            day = datetime(2026, 11, 23, 22, 45, tzinfo=UTC)
            read = datetime.strptime(day.strftime(self._codes), self._codes).date()  # noqa: DTZ007 -- a wall time
        except ValueError:
            read = date.min
        if read != day.date():
            raise ValueError(f"--date-format {text} names no day; write it like DD/MM/YYYY or %d/%m/%Y.")
        self.has_hours = _HOURS.search(self._codes) is not None

    def parse(self, text: str) -> datetime | None:
        """The wall time or instant of a text; None if it has another format."""
        try:
            return datetime.strptime(text, self._codes)  # noqa: DTZ007 -- it is a wall time, unless it has an offset
        except ValueError:
            return None


def _strptime_codes(text: str) -> str:
    """Convert Moment's letters into strptime's codes."""
    parts, at = [], 0
    for literal in [*_LITERAL.finditer(text), None]:
        end = len(text) if literal is None else literal.start()
        parts.append(_LETTER.sub(lambda match: _LETTERS[match[0]], text[at:end]))
        if literal is not None:
            parts.append((literal[1] or "").replace("%", "%%"))
            at = literal.end()
    return "".join(parts)


class TimeParser:
    """Parses texts as the wall times of a zone.

    Args:
        zone: The zone of texts that name no offset.
        date_format: The format of days or instants; None: ISO 8601.
    """

    def __init__(self, zone: ZoneInfo, date_format: DateFormat | None = None) -> None:
        self._zone = zone
        self._date_format = date_format

    def instant(self, text: str) -> Millis | None:
        """The instant of a text: the first of a day alone; a time in a gap moves past it, in a fold it is the first."""
        text = text.strip()
        parsed = self._parse(text)
        if parsed is None:
            return None
        try:
            if parsed.tzinfo is not None:
                return to_millis(parsed)
            hours = len(text) > _DAY_LENGTH if self._date_format is None else self._date_format.has_hours
            return resolve(parsed, self._zone) if hours else start_of_day(parsed.date(), self._zone)
        except (OverflowError, ValueError):  # at the ends of Python's calendar
            return None

    def _parse(self, text: str) -> datetime | None:
        if self._date_format is not None:
            return self._date_format.parse(text)
        if text[_YEAR_DIGITS : _YEAR_DIGITS + 1] != "-":
            return None
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return None

    def day(self, value: object) -> date | None:
        """The local day of a value.

        An instant at midnight UTC means that day of UTC, as schemas store days; any other instant its local day.
        """
        if isinstance(value, str):
            parsed = self._parse(value.strip())
            if parsed is None or parsed.tzinfo is None:
                return None if parsed is None else parsed.date()
            value = parsed
        millis = instant(value)
        if millis is None:
            return None
        try:
            return from_millis(millis).date() if millis % DAY == 0 else local(millis, self._zone).date()
        except (OverflowError, ValueError):
            return None

    def clock(self, value: object) -> Clock | None:
        """A time of day: a text like `9:30`, `09:30:00`, `2:15 PM` or `10:00 - 11:30`, or an instant's, locally."""
        if isinstance(value, datetime):
            try:
                wall = local(to_millis(value if value.tzinfo else value.replace(tzinfo=UTC)), self._zone)
            except OverflowError:
                return None
            return Clock(timedelta(hours=wall.hour, minutes=wall.minute, seconds=wall.second))
        if not isinstance(value, str):
            return None
        texts = _SPAN_SEPARATOR.split(value.strip())
        clocks = [_parse_clock(text) for text in texts]
        if not 0 < len(clocks) <= len(Clock._fields) or None in clocks:
            return None
        return Clock(*clocks)  # type: ignore[arg-type]  # none of them is None

    def instant_on(self, day: date, clock: timedelta) -> Millis | None:
        """The instant at which the clocks of the zone show that time of that day."""
        try:
            return resolve(datetime.combine(day, time.min) + clock, self._zone)
        except (OverflowError, ValueError):
            return None

    def bounds_of_day(self, day: date) -> tuple[Millis, Millis] | None:
        """The first instants of a local day and of the next."""
        try:
            return start_of_day(day, self._zone), start_of_day(day + ONE_DAY, self._zone)
        except (OverflowError, ValueError):
            return None


def _parse_clock(text: str) -> timedelta | None:
    match = _CLOCK.fullmatch(text)
    if match is None or (match[2] is None and match[4] is None):  # a number alone could be anything
        return None
    hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3))
    if match[4] is not None:
        if not 1 <= hour <= _HOURS_OF_HALF_DAY:
            return None
        hour = hour % _HOURS_OF_HALF_DAY + (_HOURS_OF_HALF_DAY if match[4] in "pP" else 0)
    clock = timedelta(hours=hour, minutes=minute, seconds=second)
    return clock if minute < _SIXTY and second < _SIXTY and clock <= timedelta(hours=_HOURS_OF_DAY) else None


def parse_minutes(text: str) -> float | None:
    """The minutes of a length as text: `45`, `45 min`, `1.5 hours`."""
    match = _LENGTH.fullmatch(text.strip())
    if match is None:
        return None
    return float(match[1]) * (_SIXTY if (match[2] or "m").lower().startswith("h") else 1)
