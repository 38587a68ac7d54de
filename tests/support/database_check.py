"""What the database holds, checked without a line of the app: it is the app that is being judged."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

from bson import ObjectId
from pymongo.database import Database

BLOCKING = ("pending", "confirmed")
"""A hold counts as long as it is stored as pending: a booking in its place must have marked it."""


class HasDatabase(Protocol):
    """Whatever has an asynchronous database, as `Store` does."""

    @property
    def database(self) -> Any:
        """The database, by Motor's interface."""


def highest_loads(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The highest load of each resource, exact to the millisecond of the stored times.

    All beginnings and ends are added up in order of time, at one instant the ends first.
    """
    edges: dict[str, list[tuple[datetime, int]]] = {}
    for row in rows:
        changes = edges.setdefault(row["resource"], [])
        changes += [(row["blockStart"], row["units"]), (row["blockEnd"], -row["units"])]
    highest = {}
    for resource, changes in edges.items():
        load = highest[resource] = 0
        for _, change in sorted(changes):
            load += change
            highest[resource] = max(highest[resource], load)
    return highest


def peak_loads(database: Database[dict[str, Any]]) -> dict[str, int]:
    """The highest load of each resource that has reservations, by their block times alone."""
    return highest_loads(database["reservations"].find({"status": {"$in": BLOCKING}}))


async def peak_load(store: HasDatabase, resource: str = "room") -> int:
    """The highest load of one resource, by the block times of its reservations alone."""
    query = {"resource": resource, "status": {"$in": BLOCKING}}
    rows = await store.database["reservations"].find(query).to_list(None)
    return highest_loads(rows).get(resource, 0)


def booked_count(database: Database[dict[str, Any]], resource: str) -> int:
    """How many reservations occupy a resource at any time."""
    return database["reservations"].count_documents({"resource": resource, "status": {"$in": BLOCKING}})


def lost_ids(database: Database[dict[str, Any]], acknowledged: Iterable[dict[str, Any]]) -> list[str]:
    """The ids of acknowledged reservations that the database does not hold as they were answered."""
    rows = {row["_id"]: row for row in database["reservations"].find()}
    return [answer["id"] for answer in acknowledged if not _is_stored(answer, rows.get(ObjectId(answer["id"])))]


def _is_stored(answer: dict[str, Any], row: dict[str, Any] | None) -> bool:
    if row is None:
        return False
    times = ("startTime", "endTime", "blockStart", "blockEnd", "createdAt", "updatedAt")
    return all(datetime.fromisoformat(answer[name]) == row[name] for name in times) and all(
        answer[name] == row[name] for name in ("resource", "status", "guests", "units", "version")
    )
