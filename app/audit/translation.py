"""Documents of any shape, turned into rows of the shape that the one reader (`app.storage.row_reader`) takes.

The place of a row is parsed only if it is asked for, so rows that occupy nothing cost no parsing.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from bson import DatetimeMS, Decimal128

from app.audit import texts
from app.audit.paths import COMBINATIONS_MAX, Paths, TooManyCombinationsError, Values, outermost
from app.audit.shape import Shape, option_text
from app.domain.instants import MINUTE, Duration, Millis
from app.domain.zones import ONE_DAY, zone
from app.storage.row_reader import FIELDS, LeftOut
from app.storage.values import COUNT_MAX as MOST_COUNTED
from app.storage.values import excerpt, instant

NO_STATUS = "(no status)"
"""The status of every row under `--no-status`."""

_BLOCKS = ("blockStart", "blockEnd")
_CACHE_SIZE = 1 << 16
"""Entries of each cache of parsed texts."""

_Place: TypeAlias = dict[str, object] | LeftOut


class TranslatedRow(NamedTuple):
    """A row without its place, the condition by which it is idle (empty: none), and a parser of its place."""

    row: dict[str, object]
    idle_because: str
    place: Callable[[], _Place]


class Translator:
    """Turns the documents of a shape into rows.

    Attributes:
        fields: The paths to read of each document.
        missing_paths: The paths of the shape that no document has had so far.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._is_default = shape.is_default
        self._copied_fields = tuple(name for name in FIELDS if name not in _replaced_fields(shape))
        spreading = [path for path in (shape.resource, shape.start, shape.date, shape.time) if path is not None]
        self.missing_paths = set(shape.paths)
        self._end = shape.end or "endTime"
        if shape.sets_times and shape.start is None and shape.date is None:
            spreading.append("startTime")
        ends = shape.sets_times and shape.minutes is None and shape.minutes_field is None
        others = {*self.missing_paths, *([self._end] if ends else [])} - set(spreading)
        self._paths = Paths(spreading, others)
        self.fields = outermost([*self._copied_fields, *spreading, *others])
        self._times = _Times(shape, self._end)
        self._translate = _reason_translator(shape)

    def rows(self, document: dict[str, object]) -> Iterator[TranslatedRow | LeftOut]:
        """The rows of a document."""
        if self._is_default:
            yield TranslatedRow(document, "", lambda: document)
            return
        copied = {name: document[name] for name in self._copied_fields if name in document}
        copied["_id"] = document.get("_id")
        try:
            combinations = self._paths.read(document)
        except TooManyCombinationsError:
            yield LeftOut(f"more than {COMBINATIONS_MAX:,} places in one document")
            return
        for values in combinations:
            if self.missing_paths:
                self.missing_paths -= values.keys()
            yield self._row(copied, values)

    def _row(self, copied: dict[str, object], values: Values) -> TranslatedRow:
        row = dict(copied)
        if self._shape.no_status:
            row["status"] = NO_STATUS
        elif self._shape.status is not None:
            status = values.get(self._shape.status)
            row["status"] = option_text(status) if isinstance(status, bool | int | float) else status
        idle_because = next((str(each) for each in self._shape.free_if if each.holds(values.get(each.path))), "")
        return TranslatedRow(row, idle_because, lambda: self._place(row, values))

    def _place(self, row: dict[str, object], values: Values) -> _Place:
        if self._shape.resource is not None:
            row["resource"] = values.get(self._shape.resource)
        if self._shape.units is not None:
            row["units"] = values.get(self._shape.units)
        if self._shape.sets_times:
            span = self._times.span(values)
            if isinstance(span, LeftOut):
                return span
            row["startTime"], row["endTime"] = span
        return row

    def translate_reason(self, reason: str) -> str:
        """A reason of the reader, with the schema's names of fields."""
        return self._translate(reason)


def _replaced_fields(shape: Shape) -> set[str]:
    """The reader's fields that are taken from other paths, or not at all."""
    replaced = {"items"} if shape.sets_place else set[str]()
    if shape.resource is not None:
        replaced.add("resource")
    if shape.units is not None:
        replaced.add("units")
    if shape.sets_times:
        replaced |= {"startTime", "endTime", *_BLOCKS}
    if shape.status is not None or shape.no_status:
        replaced.add("status")
    return replaced


def _reason_translator(shape: Shape) -> Callable[[str], str]:
    """A function that replaces the reader's names of fields by the schema's."""
    names = {
        "resource": shape.resource,
        "startTime": shape.start or shape.time or shape.date,
        "endTime": shape.end,
        "units": shape.units,
        "status": shape.status,
    }
    replacements = {name: path for name, path in names.items() if path is not None}
    if not replacements:
        return lambda reason: reason
    pattern = re.compile(rf"\b({'|'.join(replacements)})\b")

    @lru_cache(_CACHE_SIZE)
    def translate(reason: str) -> str:
        return pattern.sub(lambda match: replacements[match[0]], reason)

    return translate


class _Times:
    """Parses the start and end of a row.

    Args:
        shape: The paths and formats.
        end: The path of the end, where the shape has no length.
    """

    def __init__(self, shape: Shape, end: str) -> None:
        self._shape = shape
        self._start = shape.start or "startTime"
        self._end = end
        self._has_length = shape.minutes is not None or shape.minutes_field is not None
        written = None if shape.date_format is None else texts.DateFormat(shape.date_format)
        self._texts = texts.TimeParser(zone(shape.timezone or "UTC"), written)
        # days and times of a schema repeat, and parsing a text takes longer than the rest of a row
        self._instant = lru_cache(_CACHE_SIZE)(self._texts.instant)
        self._day = lru_cache(_CACHE_SIZE)(self._texts.day)
        self._clock = lru_cache(_CACHE_SIZE)(self._texts.clock)
        self._at = lru_cache(_CACHE_SIZE)(self._texts.instant_on)

    def span(self, values: Values) -> tuple[object, object] | LeftOut:
        """Start and end as the reader takes them, or why they cannot be read."""
        if self._shape.date is not None:
            return self._on_day(values, self._shape.date)
        start = self._read(values.get(self._start))
        if not self._has_length:
            return start, self._read(values.get(self._end))
        begin, length = instant(start), self._length(values)
        if begin is None:
            return start, None  # the reader refuses it with its own reason
        return length if isinstance(length, LeftOut) else (start, DatetimeMS(begin + length))

    def _read(self, value: object) -> object:
        """The instant of a text; any other value is unchanged."""
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
        number = texts.parse_minutes(value) if isinstance(value, str) else value
        if isinstance(number, Decimal128):
            number = float(number.to_decimal())
        if isinstance(number, int | float) and not isinstance(number, bool) and 0 < number <= MOST_COUNTED:
            return int(number * MINUTE)
        return LeftOut(f"{self._shape.minutes_field} is no number of minutes", excerpt(value))

    def _on_day(self, values: Values, path: str) -> tuple[object, object] | LeftOut:
        value = values.get(path)
        try:
            day = self._day(value)
        except TypeError:  # not hashable, so no value of a day
            day = None
        if day is None:
            return LeftOut(f"{path} is missing") if value is None else LeftOut(f"{path} is not a day", excerpt(value))
        if self._shape.time is None:
            whole = self._texts.bounds_of_day(day)
            return LeftOut(f"{path} is not a day", excerpt(value)) if whole is None else _dates(*whole)
        value = values.get(self._shape.time)
        clock = self._clock(value) if type(value) is str else self._texts.clock(value)
        start = None if clock is None else self._at(day, clock.start)
        if clock is None or start is None:
            name = self._shape.time
            return LeftOut(f"{name} is missing") if value is None else LeftOut(f"{name} is no time", excerpt(value))
        if self._has_length:
            length = self._length(values)
            return length if isinstance(length, LeftOut) else _dates(start, Millis(start + length))
        value = values.get(self._end)
        end_clock = self._clock(value) if type(value) is str else None
        end = clock.end if value is None else end_clock and end_clock.start
        if end is None:
            return DatetimeMS(start), self._read(value)
        # an end that is not after the start is one of the next day: the night shift's
        return DatetimeMS(start), _date(self._at(day if end > clock.start else day + ONE_DAY, end))


def _date(moment: Millis | None) -> DatetimeMS | None:
    return None if moment is None else DatetimeMS(moment)


def _dates(start: Millis, end: Millis) -> tuple[DatetimeMS, DatetimeMS]:
    return DatetimeMS(start), DatetimeMS(end)
