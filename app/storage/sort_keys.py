"""Positions in a sorted list, for values of any type: as text for a cursor, and as conditions for what comes after.

A server sorts all types, one after the other, but its `$gt` compares within one. So what comes after a value is what is
greater, and everything of a later type.
"""

from datetime import datetime
from math import isnan
from typing import Any
from uuid import UUID

from bson import Code, CodecOptions, DatetimeMS, Decimal128, ObjectId, encode
from bson.binary import UuidRepresentation
from bson.codec_options import DatetimeConversion
from bson.json_util import JSONMode, JSONOptions, dumps, loads

from app.storage.bson_types import BsonDocument, Filter

_TYPES: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("null", (type(None),)),
    ("number", (int, float, Decimal128)),
    ("string", (str,)),
    ("object", (dict,)),
    ("binData", (bytes, UUID)),
    ("objectId", (ObjectId,)),
    ("bool", (bool,)),
    ("date", (datetime, DatetimeMS)),
)
"""In the order in which servers sort them. Other types come last; no page continues after one."""

_OPTIONS: JSONOptions = JSONOptions(
    json_mode=JSONMode.CANONICAL, tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
_STORED: CodecOptions[BsonDocument] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
_DEEPEST = 100
"""Objects and lists in a mark, and so the depth of nesting; a server takes queries of up to 200 levels."""
_ODD = "="


def mark_of(value: object) -> str:
    """A value as text; of an ObjectId its digits."""
    return str(value) if isinstance(value, ObjectId) else _ODD + dumps(value, json_options=_OPTIONS)


def value_of(mark: str) -> Any:
    """The value of a mark.

    Raises:
        ValueError: it is none.
    """
    try:
        value = loads(mark[1:], json_options=_OPTIONS) if mark.startswith(_ODD) else ObjectId(mark)
        ours = mark_of(value) == mark and _rank(value) < len(_TYPES) and mark.count("{") + mark.count("[") <= _DEEPEST
        encode({"": value}, codec_options=_STORED)  # a value that no document can hold cannot be in a query
    except Exception:  # noqa: BLE001  # extended JSON fails in as many ways as it has types
        raise ValueError("this is no mark") from None
    if not ours:
        raise ValueError("this is no mark")
    return value


def after(field: str, value: object, direction: int) -> list[Filter]:
    """The conditions of which one holds for whatever is sorted after a value, upwards or downwards (-1)."""
    rank = _rank(value)
    names = [name for name, _ in _TYPES]
    others = names[rank + 1 :] if direction > 0 else names[1:rank]
    found: list[Filter] = []
    if value is not None and not (isinstance(value, float) and isnan(value)):
        found.append({field: {"$gt" if direction > 0 else "$lt": value}})
    elif value is not None and direction > 0:
        found.append({field: {"$gte": float("-inf")}})
    found += [{field: {"$type": name}} for name in others]
    if direction < 0 < rank:
        found.append({field: None})
    return found


def after_both(first: tuple[str, object], second: tuple[str, object], direction: int) -> Filter:
    """The condition for whatever is sorted after two values of two fields."""
    # Named as a value: an object with a `$` in it would be taken for a question.
    ties = [{first[0]: {"$eq": first[1]}, **each} for each in after(*second, direction)]
    return {"$or": [*after(*first, direction), *ties]}


def _rank(value: object) -> int:
    if isinstance(value, bool):
        return next(rank for rank, (name, _) in enumerate(_TYPES) if name == "bool")
    if isinstance(value, Code):
        return len(_TYPES)
    return next((rank for rank, (_, types) in enumerate(_TYPES) if isinstance(value, types)), len(_TYPES))
