"""The kind of value that each field of a sample seems to hold, and the words of its name."""

import re
from collections import Counter
from datetime import datetime
from enum import Enum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bson import DatetimeMS, ObjectId

from app.audit.survey import Field
from app.audit.texts import DateFormat, TimeParser
from app.domain.instants import DAY, to_millis
from app.storage.values import SECONDS_FROM

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_ID_STEPS = frozenset({"_id", "id"})
_VALUES_MAX = 200
_SHARE_MIN = 0.8
_PARSER = TimeParser(ZoneInfo("UTC"))
_DAYS = (
    *("D/M/YYYY", "M/D/YYYY", "D-M-YYYY", "M-D-YYYY", "D.M.YYYY", "D_M_YYYY", "M_D_YYYY", "YYYY/M/D", "YYYY_M_D"),
    *("ddd MMM DD YYYY", "MMMM D, YYYY", "D MMMM YYYY", "D MMM YYYY", "YYYYMMDD"),
)
_TIMES = ("HH:mm", "HH:mm:ss", "h:mm A")
FORMATS = {text: DateFormat(text) for text in (*_DAYS, *(f"{day} {time}" for day in _DAYS for time in _TIMES))}
"""Common formats of days and instants besides ISO 8601, tried in this order: D/M before M/D."""


class Kind(Enum):
    """The kind of values of a field."""

    INSTANT = "a date, or a text of one"
    EPOCH = "a number of seconds or milliseconds"
    DAY = "a day"
    CLOCK = "a time of day"
    RANGE = "a time of day and another"
    FLAG = "true or false"
    ID = "an ObjectId"
    NUMBER = "a number"
    TEXT = "any other text"
    OTHER = "something else, or nothing"


class FieldProfile(NamedTuple):
    """A field of a sample: its path, kind, date format, the words of its name, and values."""

    path: str
    kind: Kind
    date_format: str | None
    words: tuple[str, ...]
    values: list[object]

    @property
    def parent(self) -> str:
        """The path of the object that contains it."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Its words, joined without separators."""
        return "".join(self.words)

    def has(self, *words: str) -> bool:
        """Whether its name contains one of the words."""
        return not set(words).isdisjoint(self.words)


def profile_field(path: str, field: Field) -> FieldProfile:
    """The profile of a field, by the kind that most of its values have."""
    values = field.values[:_VALUES_MAX]
    kinds = Counter(map(_kind_of, values))
    kind, occurrences = kinds.most_common(1)[0] if kinds else (Kind.OTHER, 0)
    if occurrences < len(values) * _SHARE_MIN:
        kind = Kind.OTHER
    date_format = None
    if kind is Kind.TEXT and (date_format := _common_format(values)) is not None:
        kind = Kind.INSTANT if FORMATS[date_format].has_hours else Kind.DAY
    return FieldProfile(path, kind, date_format, _words(path), values)


def _words(path: str) -> tuple[str, ...]:
    """The words of the last step of a path; where that is `id`, of the step before."""
    steps = path.split(".")
    step = steps[-2] if steps[-1] in _ID_STEPS and steps[1:] else steps[-1]
    return tuple(word.lower() for word in _WORD.findall(step))


def _kind_of(value: object) -> Kind:  # noqa: PLR0911 -- a table of types
    if isinstance(value, bool):
        return Kind.FLAG
    if isinstance(value, datetime | DatetimeMS):
        return Kind.INSTANT
    if isinstance(value, ObjectId):
        return Kind.ID
    if isinstance(value, int | float):
        return Kind.EPOCH if value >= SECONDS_FROM else Kind.NUMBER
    if not isinstance(value, str):
        return Kind.OTHER
    clock = _PARSER.clock(value)
    if clock is not None:
        return Kind.CLOCK if clock.end is None else Kind.RANGE
    if _PARSER.instant(value) is None:
        return Kind.TEXT
    return Kind.INSTANT if len(value.strip()) > len("2026-03-08") else Kind.DAY


def _common_format(values: list[object]) -> str | None:
    texts = [value.strip() for value in values if isinstance(value, str)]
    return next((text for text, format_ in FORMATS.items() if texts and all(map(format_.parse, texts))), None)


def at_midnight(profile: FieldProfile) -> bool:
    """Whether all instants of a field lie at midnight UTC, so that the field means days."""
    instants = [value for value in profile.values if isinstance(value, datetime)]
    return bool(instants) and all(to_millis(instant) % DAY == 0 for instant in instants)
