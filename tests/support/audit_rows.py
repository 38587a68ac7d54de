"""Databases of others for `reserva audit`: rows by quarters of an hour, and the command on them."""

from collections.abc import Iterable
from typing import Any

from bson import json_util

from app.storage.client import Store
from tests.support.times import NINE, QUARTER


def foreign_row(resource: Any, start: int, end: int | None, **fields: Any) -> dict[str, Any]:
    """A reservation of others; its times are quarters of an hour from nine."""
    times = {"startTime": NINE + start * QUARTER, **({} if end is None else {"endTime": NINE + end * QUARTER})}
    return {"resource": resource, "status": "confirmed"} | times | fields


async def insert_into(store: Store, collection: str, documents: Iterable[dict[str, Any]]) -> None:
    """Insert documents as another program would."""
    await store.database[collection].insert_many([dict(each) for each in documents])


def audit_arguments(server: str, store: Store) -> list[str]:
    """The command for the database of a store."""
    return ["audit", "--mongodb", server, "--database", store.database.name]


async def database_contents(store: Store) -> dict[str, Any]:
    """All that is in a database: options, indexes and documents of each collection."""
    listed = await store.database.list_collections()
    return {
        each["name"]: (
            each["type"],
            each.get("options"),
            None if each["type"] == "view" else await store.database[each["name"]].index_information(),
            [json_util.dumps(found) async for found in store.database[each["name"]].find(sort=[("_id", 1)])],
        )
        async for each in listed
    }
