"""Without transactions a crash can leave an event out; the worker's next pass writes it."""

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.storage import missing_events
from app.storage.client import Store
from app.storage.missing_events import MissingEvents
from app.storage.outbox import add_events
from tests.support.relaying import logged, place_all
from tests.support.step_driver import add_resource, booking_of, running_booking_service

pytestmark = pytest.mark.servers("any")


async def outbox(store: Store) -> list[tuple[str, int]]:
    """The types and versions of all events, in the order of their ids."""
    return [(row["type"], row["version"]) for row in await store.database["outbox"].find().sort("_id", 1).to_list(None)]


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was changed a moment ago counts as settled."""
    monkeypatch.setattr(missing_events, "SETTLED_SECONDS", -60)


async def changed(store: Store) -> ObjectId:
    """A hold that was confirmed and cancelled; its id."""
    await add_resource(store)
    async with running_booking_service(store) as booking:
        hold: Any = await booking.book(booking_of(hold_seconds=600))
        await booking.confirm(hold.id, by="test")
        await booking.close(hold.id, "cancelled", by="test")
    identity: ObjectId = hold.id
    return identity


ALL = [("reservation.held", 1), ("reservation.confirmed", 2), ("reservation.cancelled", 3)]


@pytest.mark.parametrize("lost", [[1], [3], [1, 2, 3], []])
async def test_lost_events_are_written_again(store: Store, lost: list[int]) -> None:
    """Whichever of them are lost; the others are not written a second time, also by the next pass."""
    await changed(store)
    before = await store.database["outbox"].find().sort("_id", 1).to_list(None)
    await store.database["outbox"].delete_many({"version": {"$in": lost}})

    assert [await MissingEvents(store).write_missing(), await MissingEvents(store).write_missing()] == [len(lost), 0]
    assert await outbox(store) == ALL
    assert await store.database["outbox"].find().sort("_id", 1).to_list(None) == before


async def test_what_has_its_place_is_not_missing(store: Store) -> None:
    """An event that left the outbox for the log is known by its key."""
    identity = await changed(store)
    rows = await store.database["outbox"].find().to_list(None)
    placed = [{**row, "_id": place, "key": row["_id"]} for place, row in enumerate(rows, 1)]
    await store.database["events"].insert_many(placed)
    await store.database["outbox"].delete_many({"subject": identity})

    assert await MissingEvents(store).write_missing() == 0


@pytest.mark.servers("standalone")
async def test_a_writer_that_stood_still(store: Store) -> None:
    """What was taken for missing and placed meanwhile is not placed again when its writer leaves it after all."""
    await changed(store)
    late = await store.database["outbox"].find().sort("_id", 1).to_list(None)
    await store.database["outbox"].delete_many({})
    await MissingEvents(store).write_missing()
    await place_all(store)
    await add_events(store, late, None)
    await place_all(store)

    assert [version for _, _, version in await logged(store)] == [1, 2, 3]


async def test_rows_of_other_programs_have_none(store: Store) -> None:
    """They were not changed here, whatever they have for a history."""
    now = store.clock.now() - timedelta(seconds=30)
    odd: list[Any] = ["none", [], [1], [{"at": now}], [{"at": "x", "by": 1, "operation": None}], None]
    rows = [{"updatedAt": now, "version": 2, "history": history} for history in odd]
    await store.database["reservations"].insert_many([*rows, {"updatedAt": now}, {"updatedAt": now, "version": "x"}])

    assert await MissingEvents(store).write_missing() == 0
