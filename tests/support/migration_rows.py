"""Databases that others left for `reserva migrate`, and what it finds in them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from app.migration.report import MigrationReport
from app.storage.client import Store

FIRST = datetime(2026, 5, 1, 9, tzinfo=UTC)


async def database_documents(store: Store) -> dict[str, Any]:
    """All documents and the names of all indexes of a database, to compare before and after."""
    found: dict[str, Any] = {}
    for name in await store.database.list_collection_names():
        rows = await store.database[name].find({}).sort("_id", 1).to_list(None)
        found[name] = (rows, {index["name"] async for index in store.database[name].list_indexes()})
    return found


def ids_by_kind(report: MigrationReport) -> dict[str, list[tuple[str, ...]]]:
    """What a report found: the ids by kind."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for finding in report.findings:
        found.setdefault(finding.kind, []).append(finding.ids)
    return found


def room_row(**fields: Any) -> dict[str, Any]:
    """An hour on room 1, confirmed."""
    times = {"startTime": FIRST, "endTime": FIRST + timedelta(hours=1)}
    return {"_id": ObjectId(), "resource": "room-1", "status": "confirmed", **times, **fields}


SOON = FIRST.replace(year=2090)


def long_row(hours: float, **fields: Any) -> dict[str, Any]:
    """A reservation of so many hours that begins at nine, years ahead."""
    return room_row(startTime=SOON, endTime=SOON + timedelta(hours=hours), **fields)


async def insert_catalogue(store: Store, size: int) -> None:
    """So many resources, each offering one of ten services and with one booking."""
    ids = [f"room-{number:05}" for number in range(size)]
    await store.database["services"].insert_many([{"_id": f"cut-{number}"} for number in range(10)])
    await store.database["resources"].insert_many(
        [{"_id": each, "services": [f"cut-{place % 10}"]} for place, each in enumerate(ids)]
    )
    await store.database["reservations"].insert_many(
        [long_row(place % 5, resource=each) for place, each in enumerate(ids)]
    )
