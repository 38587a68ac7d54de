"""Documents of any shape, turned into rows of the shape that the one reader (`app.storage.row_reader`) takes.

What occupies nothing is never parsed: a row says first what it is, and where it lies only if somebody asks.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from bson import DatetimeMS, Decimal128

from app.audit import texts
from app.audit.paths import MOST, Paths, TooManyError, Values, outermost
from app.audit.shape import Shape, plain
from app.domain.instants import MINUTE, Duration, Millis
from app.domain.zones import ONE_DAY, zone
from app.storage.row_reader import FIELDS, LeftOut
from app.storage.values import COUNT_MAX as MOST_COUNTED
from app.storage.values import excerpt, instant

NO_STATUS = "(no status)"
"""The status of every row where there is none."""

_BLOCKS = ("blockStart", "blockEnd")
_REMEMBERED = 1 << 16
"""Texts of which the meaning is kept: days and times repeat."""

_Place: TypeAlias = dict[str, Any] | LeftOut


class Translated(NamedTuple):
    """A row: as the reader takes it but for where it lies, the condition by which it is free, and its place."""

    row: dict[str, Any]
    free: str
    place: Callable[[], _Place]


class Translation:
    """Turns the documents of a shape into rows.

    Attributes:
        fields: What has to be read of a document.
        unseen: The named paths that no document had yet.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._plain = shape.is_plain
        self._kept = tuple(name for name in FIELDS if name not in _replaced(shape))
        spreading = [path for path in (shape.resource, shape.start, shape.date, shape.time) if path is not None]
        self.unseen = set(shape.named)
        self._end = shape.end or "endTime"
        if shape.times and shape.start is None and shape.date is None:
            spreading.append("startTime")
        ends = shape.times and shape.minutes is None and shape.minutes_field is None
        others = {*self.unseen, *([self._end] if ends else [])} - set(spreading)
        self._paths = Paths(spreading, others)
        self.fields = outermost([*self._kept, *spreading, *others])
        self._times = _Times(shape, self._end)
        self._words = _words(shape)

    def rows(self, found: dict[str, object]) -> Iterator[Translated | LeftOut]:
        """The rows of a document."""
        if self._plain:
            yield Translated(found, "", lambda: found)
            return
        kept = {name: found[name] for name in self._kept if name in found}
        kept["_id"] = found.get("_id")
        try:
            combinations = self._paths.read(found)
        except TooManyError:
            yield LeftOut(f"more than {MOST:,} places in one document")
            return
        for values in combinations:
            if self.unseen:
                self.unseen -= values.keys()
            yield self._row(kept, values)

    def _row(self, kept: dict[str, object], values: Values) -> Translated:
        row = dict(kept)
        if self._shape.no_status:
            row["status"] = NO_STATUS
        elif self._shape.status is not None:
            status = values.get(self._shape.status)
            row["status"] = plain(status) if isinstance(status, bool | int | float) else status
        free = next((str(each) for each in self._shape.free_if if each.holds(values.get(each.path))), "")
        return Translated(row, free, lambda: self._place(row, values))

    def _place(self, row: dict[str, object], values: Values) -> _Place:
        if self._shape.resource is not None:
            row["resource"] = values.get(self._shape.resource)
        if self._shape.units is not None:
            row["units"] = values.get(self._shape.units)
        if self._shape.times:
            span = self._times.span(values)
            if isinstance(span, LeftOut):
                return span
            row["startTime"], row["endTime"] = span
        return row

    def named(self, reason: str) -> str:
        """A reason of the reader, in the words of the schema."""
        return self._words(reason)


def _replaced(shape: Shape) -> set[str]:
    """The reader's fields that are read from elsewhere, or not at all."""
    replaced = {"items"} if shape.places else set[str]()
    if shape.resource is not None:
        replaced.add("resource")
    if shape.units is not None:
        replaced.add("units")
    if shape.times:
        replaced |= {"startTime", "endTime", *_BLOCKS}
    if shape.status is not None or shape.no_status:
        replaced.add("status")
    return replaced


def _words(shape: Shape) -> Callable[[str], str]:
    """What replaces the reader's names of fields by the schema's."""
    names = {
        "resource": shape.resource,
        "startTime": shape.start or shape.time or shape.date,
        "endTime": shape.end,
        "units": shape.units,
        "status": shape.status,
    }
    ours = {name: path for name, path in names.items() if path is not None}
    if not ours:
        return lambda reason: reason
    pattern = re.compile(rf"\b({'|'.join(ours)})\b")
    return lru_cache(_REMEMBERED)(lambda reason: pattern.sub(lambda match: ours[match[0]], reason))


class _Times:
    """Reads from when to when a row is.

    Args:
        shape: Where that stands.
        end: The path of the end, where no length is known.
    """

    def __init__(self, shape: Shape, end: str) -> None:
        self._shape = shape
        self._start = shape.start or "startTime"
        self._end = end
        self._lasts = shape.minutes is not None or shape.minutes_field is not None
        written = None if shape.date_format is None else texts.Format(shape.date_format)
        self._texts = texts.Texts(zone(shape.timezone or "UTC"), written)
        # days and times of a schema repeat, and reading a text takes longer than everything else of a row
        self._instant = lru_cache(_REMEMBERED)(self._texts.instant)
        self._day = lru_cache(_REMEMBERED)(self._texts.day)
        self._clock = lru_cache(_REMEMBERED)(self._texts.clock)
        self._at = lru_cache(_REMEMBERED)(self._texts.at)

    def span(self, values: Values) -> tuple[Any, Any] | LeftOut:
        """Start and end as the reader takes them, or what is wrong."""
        if self._shape.date is not None:
            return self._on_day(values, self._shape.date)
        start = self._read(values.get(self._start))
        if not self._lasts:
            return start, self._read(values.get(self._end))
        begin, length = instant(start), self._length(values)
        if begin is None:
            return start, None  # the reader says what is wrong with it
        return length if isinstance(length, LeftOut) else (start, DatetimeMS(begin + length))

    def _read(self, value: object) -> Any:
        """An instant as the reader takes it; what is none stays as it is."""
        if type(value) is not str:
            return value
        moment = self._instant(value)
        return value if moment is None else DatetimeMS(moment)

    def _length(self, values: Values) -> Duration | LeftOut:
        if self._shape.minutes_field is None:
            return (self._shape.minutes or 0) * MINUTE
        value = values.get(self._shape.minutes_field)
        if value is None:
            return LeftOut(f"{self._shape.minutes_field} is missing")
        number = texts.minutes(value) if isinstance(value, str) else value
        if isinstance(number, Decimal128):
            number = float(number.to_decimal())
        if isinstance(number, int | float) and not isinstance(number, bool) and 0 < number <= MOST_COUNTED:
            return int(number * MINUTE)
        return LeftOut(f"{self._shape.minutes_field} is no number of minutes", excerpt(value))

    def _on_day(self, values: Values, path: str) -> tuple[Any, Any] | LeftOut:
        value = values.get(path)
        try:
            day = self._day(value)
        except TypeError:  # no value of a day, else it could be remembered
            day = None
        if day is None:
            return LeftOut(f"{path} is missing") if value is None else LeftOut(f"{path} is not a day", excerpt(value))
        if self._shape.time is None:
            whole = self._texts.whole(day)
            return LeftOut(f"{path} is not a day", excerpt(value)) if whole is None else _dates(*whole)
        value = values.get(self._shape.time)
        clock = self._clock(value) if type(value) is str else self._texts.clock(value)
        start = None if clock is None else self._at(day, clock.start)
        if clock is None or start is None:
            name = self._shape.time
            return LeftOut(f"{name} is missing") if value is None else LeftOut(f"{name} is no time", excerpt(value))
        if self._lasts:
            length = self._length(values)
            return length if isinstance(length, LeftOut) else _dates(start, Millis(start + length))
        value = values.get(self._end)
        until = self._clock(value) if type(value) is str else None
        end = clock.end if value is None else until and until.start
        if end is None:
            return DatetimeMS(start), self._read(value)
        # an end that is not after the start is one of the next day: the night shift's
        return DatetimeMS(start), _dated(self._at(day if end > clock.start else day + ONE_DAY, end))


def _dated(moment: Millis | None) -> DatetimeMS | None:
    return None if moment is None else DatetimeMS(moment)


def _dates(start: Millis, end: Millis) -> tuple[DatetimeMS, DatetimeMS]:
    return DatetimeMS(start), DatetimeMS(end)
