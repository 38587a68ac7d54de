"""The update document of every change of a stored reservation, inside and outside of transactions."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NotRequired, TypedDict

from bson import ObjectId

from app.domain.lifecycle import Status
from app.storage.bson_types import BsonDocument, Row, UpdateDocument
from app.storage.documents import Reservation

HISTORY_LINES_MAX = 50
"""A reservation keeps the latest lines of its history."""

STAMP: Mapping[str, bool] = {"updatedAt": True}
"""For `$currentDate`: the database's clock at the moment at which it applies the change."""

DERIVED_FIELDS = frozenset(
    {"blockStart", "blockEnd", "long", "units", "timezone", "version", "updatedAt", "history", "status", "importKey"}
    | {"formerCustomers"}
)
"""Fields that follow from others: the history names only what the caller changed."""

HistoryLine = TypedDict(
    "HistoryLine",
    {
        "at": datetime,
        "by": str,
        "operation": ObjectId,
        "from": NotRequired[str],
        "to": NotRequired[Status],
        "changed": NotRequired[list[str]],
        "reason": NotRequired[str],
    },
)
"""A line of a stored history: a change of status has `from` and `to`, any other the names of the fields `changed`.

`from` is the status as it was stored, in whatever spelling.
"""


def reservation_update(
    line: HistoryLine,
    *,
    stamp: datetime | None = None,
    fields: Mapping[str, object] | None = None,
    unset: Collection[str] = (),
) -> UpdateDocument:
    """The update document of a stored reservation: status, fields, version, `updatedAt` and a line of history.

    Args:
        line: The line; its `to`, if it has one, is the new status.
        stamp: The new `updatedAt`; None: the database's clock as it applies the update.
        fields: Other fields to set, under their stored names.
        unset: The stored names of the fields to remove.
    """
    changed: dict[str, object] = {**(fields or {})}
    if "to" in line:
        changed["status"] = line["to"]
    if stamp is not None:
        changed["updatedAt"] = stamp
    update: UpdateDocument = {
        "$set": changed,
        "$inc": {"version": 1},
        "$push": {"history": {"$each": [line], "$slice": -HISTORY_LINES_MAX}},
    }
    if stamp is None:
        update["$currentDate"] = STAMP
    if unset:
        update["$unset"] = dict.fromkeys(unset, "")
    return update


def updated(row: BsonDocument, line: HistoryLine, at: datetime, *, version: int) -> Reservation:
    """A reservation after its update at an instant, with its new version and the line in its history.

    `row` has its fields as they are to be stored, with the history before.
    """
    history = [*row["history"], line][-HISTORY_LINES_MAX:]
    reservation: Reservation = Reservation.model_validate(
        row | {"updatedAt": at, "version": version, "history": history}
    )
    return reservation


_LOOKUP_FIELDS = ("resource", "status", "startTime", "endTime", "blockStart", "blockEnd", "units")


def lookup_fields(row: Row, row_after: Row) -> dict[str, object]:
    """The fields of a row of another program that must be rewritten, so that the lookup finds it in its new place."""
    fields = {name: row_after[name] for name in _LOOKUP_FIELDS if not is_same_json(row.get(name), row_after[name])}
    if isinstance(named := row.get("resource"), ObjectId) and str(named) == row_after["resource"]:
        del fields["resource"]  # the lookup finds it as it is, and other writers may need it so
    return fields


def is_same_json(one: object, other: object) -> bool:
    """Whether two values are the same JSON: in Python true equals 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same_json(value, other[name]) for name, value in one.items())
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
