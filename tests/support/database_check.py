"""What the database holds, told without a line of the app: it is the app that is being checked."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.database import Database

BLOCKING = ("pending", "confirmed")


def peaks(database: Database[dict[str, Any]]) -> dict[str, int]:
    """The highest load of each resource: all beginnings and ends in order of time, at one instant the ends first.

    A hold counts as long as it is stored as pending: whoever took its place must have marked it.
    """
    edges: dict[str, list[tuple[datetime, int]]] = {}
    fields = {"resource": 1, "blockStart": 1, "blockEnd": 1, "units": 1}
    for row in database["reservations"].find({"status": {"$in": BLOCKING}}, fields):
        those = edges.setdefault(row["resource"], [])
        those += [(row["blockStart"], row["units"]), (row["blockEnd"], -row["units"])]
    highest = {}
    for resource, those in edges.items():
        load = highest[resource] = 0
        for _, change in sorted(those):
            load += change
            highest[resource] = max(highest[resource], load)
    return highest


def booked(database: Database[dict[str, Any]], resource: str) -> int:
    """How many reservations occupy a resource at any time."""
    return database["reservations"].count_documents({"resource": resource, "status": {"$in": BLOCKING}})


def lost(database: Database[dict[str, Any]], acknowledged: Iterable[dict[str, Any]]) -> list[str]:
    """The ids of acknowledged reservations that the database does not hold as they were answered."""
    rows = {row["_id"]: row for row in database["reservations"].find()}
    return [told["id"] for told in acknowledged if not _same(told, rows.get(ObjectId(told["id"])))]


def _same(told: dict[str, Any], row: dict[str, Any] | None) -> bool:
    if row is None:
        return False
    times = ("startTime", "endTime", "blockStart", "blockEnd", "createdAt", "updatedAt")
    return all(datetime.fromisoformat(told[name]) == row[name] for name in times) and all(
        told[name] == row[name] for name in ("resource", "status", "guests", "units", "version")
    )
