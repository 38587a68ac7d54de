"""What the fields of a sample seem to hold, and which words their names are made of."""

import re
from collections import Counter
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from bson import DatetimeMS, ObjectId

from app.audit.survey import Field
from app.audit.texts import Format, Texts
from app.domain.instants import DAY, to_millis
from app.storage.values import SECONDS_FROM

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_ID_STEPS = frozenset({"_id", "id"})
_LOOKED_AT = 200
_MOST_OF = 0.8
_TEXTS = Texts(ZoneInfo("UTC"))
_DAYS = (
    *("D/M/YYYY", "M/D/YYYY", "D-M-YYYY", "M-D-YYYY", "D.M.YYYY", "D_M_YYYY", "M_D_YYYY", "YYYY/M/D", "YYYY_M_D"),
    *("ddd MMM DD YYYY", "MMMM D, YYYY", "D MMMM YYYY", "D MMM YYYY", "YYYYMMDD"),
)
_TIMES = ("HH:mm", "HH:mm:ss", "h:mm A")
FORMATS = {text: Format(text) for text in (*_DAYS, *(f"{day} {time}" for day in _DAYS for time in _TIMES))}
"""How days and instants are often written, if not as ISO 8601; where a day could be a month it is taken for a day."""


class Kind(Enum):
    """What a field holds."""

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


class Seen(NamedTuple):
    """A field of a sample: its path, kind, how days are written in it, and the words of its name."""

    path: str
    kind: Kind
    written: str | None
    words: tuple[str, ...]
    values: list[Any]

    @property
    def parent(self) -> str:
        """The path of the object in which it lies."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Its words as one."""
        return "".join(self.words)

    def has(self, *words: str) -> bool:
        """Whether one of these is a word of its name."""
        return not set(words).isdisjoint(self.words)


def look(path: str, field: Field) -> Seen:
    """What a field seems to be."""
    values = field.values[:_LOOKED_AT]
    kinds = Counter(map(_kind, values))
    kind, often = kinds.most_common(1)[0] if kinds else (Kind.OTHER, 0)
    if often < len(values) * _MOST_OF:
        kind = Kind.OTHER
    written = None
    if kind is Kind.TEXT and (written := _format(values)) is not None:
        kind = Kind.INSTANT if FORMATS[written].has_hours else Kind.DAY
    return Seen(path, kind, written, _words(path), values)


def _words(path: str) -> tuple[str, ...]:
    """The words of the last step; of an id that of the step before."""
    steps = path.split(".")
    step = steps[-2] if steps[-1] in _ID_STEPS and steps[1:] else steps[-1]
    return tuple(word.lower() for word in _WORD.findall(step))


def _kind(value: object) -> Kind:  # noqa: PLR0911 -- a table of types
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
    clock = _TEXTS.clock(value)
    if clock is not None:
        return Kind.CLOCK if clock.end is None else Kind.RANGE
    if _TEXTS.instant(value) is None:
        return Kind.TEXT
    return Kind.INSTANT if len(value.strip()) > len("2026-03-08") else Kind.DAY


def _format(values: list[object]) -> str | None:
    texts = [value.strip() for value in values if isinstance(value, str)]
    return next((text for text, format_ in FORMATS.items() if texts and all(map(format_.read, texts))), None)


def at_midnight(seen: Seen) -> bool:
    """Whether a field of instants means days: all lie at midnight UTC."""
    moments = [value for value in seen.values if isinstance(value, datetime)]
    return bool(moments) and all(to_millis(moment) % DAY == 0 for moment in moments)
