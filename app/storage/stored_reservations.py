"""Stored reservations of any program as documents: strictly for a change, leniently for an answer.

A change needs every field, so what cannot be read is refused by name. An answer shows odd values as text. Both take
what the reader of rows takes: whole numbers of any type, relations as ids, instants as dates, texts and numbers.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from bson import ObjectId
from pydantic import ValidationError

from app.domain.instants import Millis, from_millis
from app.domain.lifecycle import STATUSES, Status, status_at
from app.errors import Fault, Problem
from app.storage.bson_types import BsonDocument, Row
from app.storage.documents import HistoryEntry, Reservation
from app.storage.row_reader import folded
from app.storage.values import count, excerpt, identity, instant, shown_text

FIRST_YEAR, LAST_YEAR = 1968, 2203
"""The years in which all that is booked here lies, with the longest buffers; instants outside are shown but not
computed with."""

BRIEF_WITHOUT = ("history", "metadata", "idempotency", "formerCustomers")
"""Fields that a brief reservation is read without: they may be long, and files and calendars have no place for them."""

_DATES = ("startTime", "endTime", "blockStart", "blockEnd")
_COUNTS = ("units", "guests", "version")
_NONE = type(None)
_TYPES: Mapping[str, frozenset[type]] = {
    **dict.fromkeys(("resource", "status", "timezone", "key"), frozenset({str})),
    **dict.fromkeys((*_DATES, "createdAt", "updatedAt"), frozenset({datetime})),
    **dict.fromkeys(("service", "customer", "notes", "reference", "holder", "importKey"), frozenset({str, _NONE})),
    **dict.fromkeys(_COUNTS, frozenset({int})),
    "expiresAt": frozenset({datetime, _NONE}),
    "metadata": frozenset({dict, _NONE}),
    "history": frozenset({list}),
}
"""The types of the fields that Reserva writes."""

_BY_FOLDED: Mapping[str, Status] = {folded(status): status for status in STATUSES}
_NAMES = {field.alias or name: name for name, field in Reservation.model_fields.items()}


def _ours(row: Row) -> Reservation | None:
    """A row that is as Reserva writes it; None for any other."""
    if not _is_ours(row):
        return None
    try:
        ours: Reservation = Reservation.model_validate(row)
    except ValidationError:
        return None
    return ours


def strict_reservation(row: Row) -> Reservation:
    """A stored reservation to change: every field must be readable.

    Raises:
        Problem: `invalid`, with each field that cannot be read.
    """
    if (ours := _ours(row)) is not None:
        return ours
    fields, odd = _read(row)
    for name in ("createdAt", "updatedAt", "key", "version"):
        if row.get(name) is None:
            odd[name] = None
    if row.get("history", ()) is None:  # nothing can be added to that
        odd["history"] = None
    if not odd:
        try:
            read: Reservation = Reservation.model_validate(fields)
        except ValidationError as error:
            odd = {str(fault["loc"][0]): row.get(str(fault["loc"][0])) for fault in error.errors()}
        else:
            return read
    raise unreadable(odd)


def lenient_reservation(row: Row) -> Reservation:
    """A stored reservation to show: odd values are text, missing ones have the value that counts for them, or none."""
    if (ours := _ours(row)) is not None:
        return ours
    fields, odd = _read(row)
    texts = {name: None if value is None else shown_text(value) for name, value in odd.items()}
    made: BsonDocument = {_NAMES[name]: value for name, value in (fields | texts).items()}
    history = made["history"] if isinstance(made["history"], list) else []
    made["history"] = [entry for each in history if (entry := _entry(each)) is not None]
    known: Reservation = Reservation.model_construct(**made)
    return known


def brief_reservation(row: Row) -> Reservation:
    """The same of a row that was read without `BRIEF_WITHOUT`: it has no history."""
    return lenient_reservation({**row, "history": []})


def customer_of(row: Row) -> str | None:
    """The customer of a row, as text; None where it has none."""
    return None if (customer := row.get("customer")) is None else identity(customer) or shown_text(customer)


def history_length(row: Row) -> int:
    """How many entries the history of a row has; 0 where it is no list."""
    return len(history) if isinstance(history := row.get("history"), list) else 0


def start_of(row: Row) -> Millis:
    """The start of a reservation that is to be changed.

    Raises:
        Problem: `invalid` where it cannot be read.
    """
    start = instant(row.get("startTime"))
    if start is None:
        raise unreadable({"startTime": row.get("startTime")})
    return start


def status_of(row: Row, now: Millis) -> Status:
    """The status at an instant of a reservation that is to be changed: a hold whose time is over is expired.

    Raises:
        Problem: `invalid` where it cannot be read.
    """
    status = known_status(row.get("status"))
    if status is None:
        raise unreadable({"status": row.get("status")})
    return status_at(status, instant(row.get("expiresAt")), now)


def unreadable(odd: Mapping[str, object]) -> Problem:
    """The problem of a reservation that cannot be changed while these fields have these values."""
    faults = [Fault((name.removeprefix("_"),), _flaw(name.removeprefix("_"), odd[name])) for name in odd]
    detail = " ".join(fault.detail for fault in faults)
    return Problem("invalid", f"{detail} Correct it where it was written.", faults=faults)


def _flaw(name: str, value: object) -> str:
    return f"Its {name} is missing or null." if value is None else f"Its {name} cannot be read: {excerpt(value)}."


def _is_ours(row: Row) -> bool:
    """Whether every field has exactly the type that Reserva writes, within its bounds."""
    get = row.get
    return (
        isinstance(get("_id"), ObjectId)
        and all(type(get(name)) in types for name, types in _TYPES.items())
        and all(isinstance(at := row[name], datetime) and FIRST_YEAR <= at.year <= LAST_YEAR for name in _DATES)
        and all(isinstance(number := row[name], int) and number > 0 for name in _COUNTS)
        and "" not in {row["resource"], get("service"), get("customer")}
    )


def _read(row: Row) -> tuple[dict[str, object], dict[str, object]]:
    """The fields that can be read, by their stored names; and those that cannot, as they are."""
    found = {**row, **_defaults(row)}
    fields: dict[str, object] = {}
    odd: dict[str, object] = {}
    for name, read in _READERS.items():
        value = found.get(name)
        known = None if value is None else read(value)
        if known is not None:
            fields[name] = known
        elif value is not None or name in _REQUIRED:
            odd[name] = value
    return fields, odd


def _defaults(row: Row) -> dict[str, object]:
    """The values that count for missing fields."""
    usual = {"blockStart": row.get("startTime"), "blockEnd": row.get("endTime"), "guests": 1, "units": 1, "version": 1}
    usual |= {"timezone": "UTC", "history": [], "key": ""}
    if isinstance(known := row.get("_id"), ObjectId):
        usual["createdAt"] = known.generation_time
        usual["updatedAt"] = row.get("createdAt", usual["createdAt"])
    return {name: value for name, value in usual.items() if row.get(name) is None}


def _text(value: object) -> str | None:
    return value if type(value) is str else None


def known_status(value: object) -> Status | None:
    """The status that a stored one means, however it is spelled; None if there is no such."""
    return _BY_FOLDED.get(folded(value)) if type(value) is str else None


def _date(value: object) -> datetime | None:
    moment = instant(value)
    date = None if moment is None else from_millis(moment)
    return date if date is not None and FIRST_YEAR <= date.year <= LAST_YEAR else None


def _id(value: object) -> ObjectId | None:
    return value if isinstance(value, ObjectId) else None


def _texts(value: object) -> object:
    return value if isinstance(value, list) and all(isinstance(each, str) for each in value) else None


def _history(value: object) -> list[object] | None:
    return value if isinstance(value, list) and all(isinstance(each, dict) for each in value) else None


def _entry(value: object) -> HistoryEntry | None:
    try:
        entry: HistoryEntry = HistoryEntry.model_validate(value)
    except ValidationError:
        return None
    return entry


def _object(value: object) -> object:
    return value if isinstance(value, dict) else None


_READERS: Mapping[str, Callable[[object], object]] = {
    "_id": _id,
    "status": known_status,
    "history": _history,
    "group": _id,
    "series": _id,
    "metadata": _object,
    "long": lambda value: value if isinstance(value, bool) else None,
    "idempotency": _object,
    "formerCustomers": _texts,
    **dict.fromkeys(("resource", "service", "customer"), identity),
    **dict.fromkeys((*_DATES, "createdAt", "updatedAt", "expiresAt"), _date),
    **dict.fromkeys(_COUNTS, count),
    **dict.fromkeys(("timezone", "notes", "reference", "holder", "key", "idempotencyKey", "importKey"), _text),
}
_REQUIRED = frozenset({"_id", "resource", "status", *_DATES, *_COUNTS, "timezone", "createdAt", "updatedAt", "key"})
