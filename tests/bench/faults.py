"""Reservations by the million, with overlaps at known places among neighbours that only touch."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from bson import ObjectId
from pymongo.database import Database

from tests.support.reservation_rows import reservation_row
from tests.support.slot_bookings import LENGTH, start_of

EACH = 100
"""Reservations of one resource."""
FAULTY = 10
"""Every tenth resource has one fault."""
BATCH = 5_000
KINDS = ("pair", "triple", "overrun", "containment")


class Window(NamedTuple):
    """Where a fault is; a finding has to say the same."""

    resource: str
    start: datetime
    end: datetime


def plant(database: Database[dict[str, Any]], rows: int) -> set[Window]:
    """So many confirmed reservations, a hundred a resource, and a fault on every tenth of the resources.

    All neighbours touch, which is legal: a pair shares half of a slot, a triple all of it, an overrun is the fourth of
    three places, and a containment lies within another one.
    """
    resources = [f"room-{number:05}" for number in range(rows // EACH)]
    kinds = {name: KINDS[place % len(KINDS)] for place, name in enumerate(resources[::FAULTY])}
    database["resources"].insert_many(
        [{"_id": name, "name": name, "capacity": 3 if kinds.get(name) == "overrun" else 1} for name in resources]
    )
    windows: set[Window] = set()
    made = (row for name in resources for row in _rows(name, kinds.get(name), windows))
    while some := list(islice(made, BATCH)):
        database["reservations"].insert_many(some, ordered=False)
    return windows


def _rows(resource: str, kind: str | None, windows: set[Window]) -> Iterator[dict[str, Any]]:
    start, end = start_of(EACH // 2), start_of(EACH // 2) + LENGTH
    half = timedelta(minutes=15)
    extra = {
        None: [],
        "pair": [(start + half, end)],
        "triple": [(start, end)] * 2,
        "overrun": [(start, end)] * 3,
        "containment": [(start + half, end - half)],
    }[kind]
    if extra:
        windows.add(Window(resource, *extra[0]))
    for slot in range(EACH - len(extra)):
        yield _row(resource, start_of(slot), start_of(slot) + LENGTH)
    for first, last in extra:
        yield _row(resource, first, last)


def _row(resource: str, start: datetime, end: datetime) -> dict[str, Any]:
    now = datetime(2026, 1, 1, tzinfo=start.tzinfo)
    history = [{"at": now, "by": "planted", "operation": ObjectId(), "to": "confirmed"}]
    stamps = {"createdAt": now, "updatedAt": now}
    return reservation_row(resource, start, end, timezone="UTC", key="planted", history=history, **stamps)
