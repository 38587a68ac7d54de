"""Days and times of day as people's schemas store them: in texts, in dates at midnight, in a format of their own.

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
_UNTIL = re.compile(r"\s*(?:-|–|—|\bto\b|\buntil\b)\s*")  # noqa: RUF001 -- an en dash is what people type
_LENGTH = re.compile(r"(\d{1,7}(?:\.\d+)?)\s*(m|mins?|minutes?|h|hrs?|hours?)?\.?", re.ASCII | re.IGNORECASE)
_YEAR, _DAY_TEXT, _NOON, _LAST_HOUR, _HOUR = 4, 10, 12, 24, 60


class Clock(NamedTuple):
    """A time of day as the wall clock's minutes and seconds since midnight, and where a text named a span its end."""

    start: timedelta
    end: timedelta | None = None


class Format:
    """How a schema writes its days or instants.

    Args:
        text: With strptime's codes or Moment's letters; what stands in square brackets stands for itself.

    Raises:
        ValueError: with a sentence, if it names no day.
    """

    def __init__(self, text: str) -> None:
        self._codes = text if "%" in text else _codes(text)
        try:
            day = datetime(2026, 11, 23, 22, 45, tzinfo=UTC)
            read = datetime.strptime(day.strftime(self._codes), self._codes).date()  # noqa: DTZ007 -- a wall time
        except ValueError:
            read = date.min
        if read != day.date():
            raise ValueError(f"--date-format {text} names no day; write it like DD/MM/YYYY or %d/%m/%Y.")
        self.has_hours = _HOURS.search(self._codes) is not None

    def read(self, text: str) -> datetime | None:
        """A wall time or instant, if the text is one."""
        try:
            return datetime.strptime(text, self._codes)  # noqa: DTZ007 -- it is a wall time, unless it has an offset
        except ValueError:
            return None


def _codes(text: str) -> str:
    """Moment's letters as strptime's codes."""
    parts, at = [], 0
    for literal in [*_LITERAL.finditer(text), None]:
        end = len(text) if literal is None else literal.start()
        parts.append(_LETTER.sub(lambda match: _LETTERS[match[0]], text[at:end]))
        if literal is not None:
            parts.append((literal[1] or "").replace("%", "%%"))
            at = literal.end()
    return "".join(parts)


class Texts:
    """Reads texts as the wall times of a zone.

    Args:
        zone: Whose clocks the texts mean, where they name no offset.
        written: How days or instants are written; None: ISO 8601.
    """

    def __init__(self, zone: ZoneInfo, written: Format | None = None) -> None:
        self._zone = zone
        self._written = written

    def instant(self, text: str) -> Millis | None:
        """The instant of a text: of a day alone the day's first; in a gap later by the gap, in a fold the first."""
        text = text.strip()
        moment = self._moment(text)
        if moment is None:
            return None
        try:
            if moment.tzinfo is not None:
                return to_millis(moment)
            hours = len(text) > _DAY_TEXT if self._written is None else self._written.has_hours
            return resolve(moment, self._zone) if hours else start_of_day(moment.date(), self._zone)
        except (OverflowError, ValueError):  # at the ends of Python's calendar
            return None

    def _moment(self, text: str) -> datetime | None:
        if self._written is not None:
            return self._written.read(text)
        if text[_YEAR : _YEAR + 1] != "-":
            return None
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return None

    def day(self, value: object) -> date | None:
        """The local day that a value means.

        An instant at midnight UTC is the day that UTC shows, because so schemas store days; any other is its local day.
        """
        if isinstance(value, str):
            moment = self._moment(value.strip())
            if moment is None or moment.tzinfo is None:
                return None if moment is None else moment.date()
            value = moment
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
        texts = _UNTIL.split(value.strip())
        clocks = [_clock(text) for text in texts]
        if not 0 < len(clocks) <= len(Clock._fields) or None in clocks:
            return None
        return Clock(*clocks)  # type: ignore[arg-type]  # none of them is None

    def at(self, day: date, clock: timedelta) -> Millis | None:
        """The instant at which the clocks of the zone show that time on that day."""
        try:
            return resolve(datetime.combine(day, time.min) + clock, self._zone)
        except (OverflowError, ValueError):
            return None

    def whole(self, day: date) -> tuple[Millis, Millis] | None:
        """The first instants of a local day and of the next."""
        try:
            return start_of_day(day, self._zone), start_of_day(day + ONE_DAY, self._zone)
        except (OverflowError, ValueError):
            return None


def _clock(text: str) -> timedelta | None:
    match = _CLOCK.fullmatch(text)
    if match is None or (match[2] is None and match[4] is None):  # a number alone could be anything
        return None
    hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3))
    if match[4] is not None:
        if not 1 <= hour <= _NOON:
            return None
        hour = hour % _NOON + (_NOON if match[4] in "pP" else 0)
    clock = timedelta(hours=hour, minutes=minute, seconds=second)
    return clock if minute < _HOUR and second < _HOUR and clock <= timedelta(hours=_LAST_HOUR) else None


def minutes(text: str) -> float | None:
    """A length as text, in minutes: `45`, `45 min`, `1.5 hours`."""
    match = _LENGTH.fullmatch(text.strip())
    if match is None:
        return None
    return float(match[1]) * (_HOUR if (match[2] or "m").lower().startswith("h") else 1)
