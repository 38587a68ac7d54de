"""The update document of every change of a stored reservation, inside and outside of transactions."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NotRequired, TypedDict

from bson import ObjectId

from app.domain.lifecycle import Status
from app.storage.bson_types import UpdateDocument

HISTORY_LINES_MAX = 50
"""A reservation keeps the latest lines of its history."""

STAMP: Mapping[str, bool] = {"updatedAt": True}
"""For `$currentDate`: the database's clock at the moment at which it applies the change."""

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
