"""A new status of a stored reservation as an update document: the same whoever brings it about, and why."""

from datetime import datetime
from typing import Any

from app.booking.timestamps import STAMP

HISTORY_KEPT = 50
"""Lines of its history that a reservation keeps: the latest."""


def history_line(entry: dict[str, Any]) -> dict[str, Any]:
    """What is pushed to a stored reservation to add a line to its history."""
    return {"history": {"$each": [entry], "$slice": -HISTORY_KEPT}}


def status_update(entry: dict[str, Any], stamp: datetime | None = None) -> dict[str, Any]:
    """The update that brings a stored reservation to the status `to` of a line of history, with that line.

    Args:
        entry: The line.
        stamp: What `updatedAt` becomes; None: the database's clock as it applies the update.
    """
    update: dict[str, Any] = {"$set": {"status": entry["to"]}, "$inc": {"version": 1}, "$push": history_line(entry)}
    if stamp is None:
        return update | {"$currentDate": STAMP}
    update["$set"]["updatedAt"] = stamp
    return update
