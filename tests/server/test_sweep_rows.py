"""The pass over all reservations, on servers that answer a find at once and on those that only scan for it."""

from datetime import timedelta
from itertools import groupby
from typing import Any

import pytest
from bson import ObjectId

from app.storage import sweep_rows
from app.storage.client import Store
from app.storage.sweep_rows import pass_batches
from tests.support.times import NINE

pytestmark = pytest.mark.servers("wire")

PAGE_ROWS = 6
"""Of the pages in this test."""


def rows_of(resource: object, count: int) -> list[dict[str, Any]]:
    """Confirmed rows of a resource, told apart by their starts."""
    hours = [timedelta(hours=number) for number in range(count)]
    ends = {"endTime": NINE + timedelta(days=1)}
    return [{"resource": resource, "status": "confirmed", "startTime": NINE + each, **ends} for each in hours]


async def test_a_pass_reads_every_row_once_and_each_resource_at_a_stretch(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists of resources apart, which are rescanned; a server that sorts each find is asked for few rows at a time."""
    monkeypatch.setattr(sweep_rows, "PAGE_ROWS", PAGE_ROWS)
    rooms = [f"room-{number:02}" for number in range(30)]
    await store.database["resources"].insert_many([{"_id": room} for room in rooms])
    others: list[object] = ["a", "room-05x", "z", "", None, 7, ObjectId(), {"id": "room-01"}, ["room-01", "room-20"]]
    rows = [row for name in [*rooms, *others] for row in rows_of(name, 2)]
    await store.database["reservations"].insert_many([*rows, *({"status": "cancelled"} for _ in range(3))])

    batches = [batch async for batch in pass_batches(store)]

    read = [str(row["resource"]) for batch in batches for row in batch]
    assert sorted(read) == sorted(str(row["resource"]) for row in rows)
    assert len([*groupby(each for each in read if not each.startswith("["))]) == len(rooms) + len(others) - 1
    if store.shape == "single":
        assert max(map(len, batches)) <= max(2 * PAGE_ROWS, 2 * len(others))
