"""Reads values that other programs stored: ids, instants and counts of many types.

Each reader returns None for a value that it cannot interpret; the caller decides what that means.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from math import isfinite
from typing import Any, NamedTuple
from uuid import UUID

from bson import Binary, DatetimeMS, Decimal128, ObjectId, encode
from bson.dbref import DBRef
from typing_extensions import override

from app.domain.instants import FIRST, LAST, SECOND, Millis, render, to_millis

COUNT_MAX = 2**31
"""The largest readable count."""

SECONDS_FROM, MILLIS_FROM = 10**8, 10**11
"""A number as an instant: below the first it is unreadable, between the two it is seconds since 1970 (1973 to 5138),
above milliseconds (from 1973 on)."""

_ID_FIELDS = ("value", "id", "_id")
_YEAR = 4
_EXCERPT_CHARACTERS_MAX = 60
_TEXT_CHARACTERS_MAX = 200
_OBJECT_ID = re.compile(r"[0-9a-f]{24}")
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")

NAMELESS = "(no _id)"


def identity(value: object) -> str | None:
    """The id that a relation means, as text: an ObjectId and its 24 digits are the same.

    It may be the id itself, `{relationTo, value}`, a populated document with `id` or `_id`, or a DBRef.
    """
    if isinstance(value, Mapping):
        return next((identity(value[name]) for name in _ID_FIELDS if value.get(name) is not None), None)
    if isinstance(value, DBRef):
        return identity(value.id)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    elif isinstance(value, bytes):
        value = value.hex()
    known = isinstance(value, str | int | ObjectId | UUID) and not isinstance(value, bool)
    return str(value) or None if known else None


def label(value: object) -> str:
    """The text by which a stored document is known, whatever its `_id` is: any two ids can be compared by it.

    Two that are different have different ones: text that reads like an id of another type is quoted, and what is no
    plain id is known by a digest of its BSON, which is the same however it was decoded.
    """
    if value is None:
        return NAMELESS
    if type(value) is str:  # BSON's code is a kind of text, and another id
        return f'"{value}"' if len(forms(value)) > 1 else value
    if isinstance(value, UUID):
        value = Binary.from_uuid(value)
    plain = None if isinstance(value, Mapping | DBRef | bytes | str) else identity(value)
    return plain or f"#{sha256(encode({'': value})).hexdigest()}"


def object_id(text: str) -> ObjectId | None:
    """The ObjectId that a text spells; None where it spells none."""
    return ObjectId(text) if ObjectId.is_valid(text) else None


def forms(text: str) -> list[Any]:
    """What an id may be stored as so that `identity` gives that text, as far as a database can look it up.

    Relations that are objects, and bytes, are not among them: see `is_opaque`.
    """
    found: list[object] = [text]
    if _OBJECT_ID.fullmatch(text):
        found.append(ObjectId(text))
    if _WHOLE.fullmatch(text) and -(2**63) <= int(text) < 2**63:
        found.append(int(text))
    return found


def is_opaque(value: object) -> bool:
    """Whether an id is stored in a form that no lookup by its text finds: inside an object, or as bytes."""
    return isinstance(value, Mapping | DBRef | bytes)


def instant(value: object) -> Millis | None:
    """An instant: a BSON date, ISO 8601 text (without an offset: UTC), or a number of seconds or milliseconds."""
    if isinstance(value, datetime):
        return to_millis(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, str):
        return _parsed(value.strip())
    if isinstance(value, DatetimeMS):
        moment = int(value)
    else:
        number = _number(value)
        if number is None or number < SECONDS_FROM:
            return None
        moment = int(number) if number >= MILLIS_FROM else int(number * SECOND)
    return Millis(moment) if FIRST <= moment <= LAST else None


def _parsed(text: str) -> Millis | None:
    if text[_YEAR : _YEAR + 1] != "-":  # a number as text may mean something else
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    millis = to_millis(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return millis if FIRST <= millis <= LAST else None


def count(value: object, least: int = 1) -> int | None:
    """A whole number from `least`, of whatever type BSON has for numbers: JavaScript stores them as doubles too."""
    number = _number(value)
    if number is None or not least <= number <= COUNT_MAX or number != int(number):
        return None
    return int(number)


def _number(value: object) -> int | float | Decimal | None:
    """A finite number of any BSON type; a boolean is none."""
    if isinstance(value, Decimal128):
        value = value.to_decimal()
        if value.is_nan():  # `is_finite` of a signalling NaN raises in Python
            return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return value if isfinite(value) else None


def shown_text(value: object) -> str:
    """A value of any type as text for an answer: an id or a date in its usual form."""
    if (known := identity(value)) is not None:
        return _shortened(known)
    if isinstance(value, datetime):
        return render(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, DatetimeMS):
        return f"{int(value)} ms since 1970"
    return _shortened(value if isinstance(value, str) else repr(value))


def plain_metadata(stored: object) -> object:
    """Metadata with values as text for which JSON has no form."""
    if not isinstance(stored, dict) or all(_is_plain(value) for value in stored.values()):
        return stored
    return {key: value if _is_plain(value) else shown_text(value) for key, value in stored.items()}


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT_CHARACTERS_MAX else text[: _TEXT_CHARACTERS_MAX - 1] + "…"


class OtherId(NamedTuple):
    """An id that is neither an ObjectId nor text; Python by itself takes one for true, and hashes no list."""

    kind: str
    digits: str
    text: str

    @override
    def __str__(self) -> str:
        """The text that is shown."""
        return self.text


def row_key(identity: object) -> ObjectId | str | OtherId:
    """An id of any type as something that can be compared and hashed; as a text it is what people are shown."""
    if isinstance(identity, ObjectId) or type(identity) is str:  # BSON's code is a kind of text that has no hash
        return identity
    return OtherId(type(identity).__name__, repr(identity), shown_text(identity))


def excerpt(value: object) -> str:
    """A value as an example of what was found: its beginning, in printable characters."""
    text = printable(value if isinstance(value, str) else repr(value))
    text = text if len(text) <= _EXCERPT_CHARACTERS_MAX else text[: _EXCERPT_CHARACTERS_MAX - 1] + "…"
    return f'"{text}"' if isinstance(value, str) else text


def printable(text: str) -> str:
    """Text of other programs, fit for a terminal: unprintable characters are replaced."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
