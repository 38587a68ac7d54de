"""An event is there exactly if its change is: both are written by one transaction."""

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect, OperationFailure

from app.booking.intents import AnyIntent
from app.booking.release import Close
from app.storage.client import Store
from tests.support.step_driver import (
    FailingStepDriver,
    StepDriver,
    add_resource,
    book_accepted,
    booking_of,
    lost_commit_answer,
)
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("transactions")


async def release(store: Store) -> AnyIntent:
    """The cancellation of what is booked at eight."""
    made = await book_accepted(store, start=NINE - HOUR)
    await store.database["outbox"].delete_many({})
    return Close(by="test", reservation=made.id, to="cancelled")


async def booking(store: Store) -> AnyIntent:
    """A booking at nine."""
    del store
    return booking_of()


async def versions(store: Store) -> tuple[set[tuple[object, int]], set[tuple[object, int]]]:
    """The versions of reservations that are stored now, and those that have an event."""
    rows = await store.database["reservations"].find().to_list(None)
    events = await store.database["outbox"].find().to_list(None)
    return {(row["_id"], row["version"]) for row in rows}, {(row["subject"], row["version"]) for row in events}


@pytest.mark.parametrize("make", [booking, release])
async def test_neither_is_seen_before_the_commit(store: Store, make: object) -> None:
    """After the last statement both are still invisible; after the commit both are there."""
    await add_resource(store)
    intent = await make(store)  # type: ignore[operator]  # one of the two above
    before = await versions(store)
    driver = StepDriver(store, [intent])
    await driver.until("outbox.insert")
    unseen = await versions(store)
    await driver.finish()
    await driver.close()
    reservations, events = await versions(store)

    assert unseen == before
    assert events == reservations - before[0]


@pytest.mark.parametrize("make", [booking, release])
async def test_a_failed_event_undoes_its_change(store: Store, make: object) -> None:
    """A change whose event cannot be written is not written."""
    await add_resource(store)
    intent = await make(store)  # type: ignore[operator]  # one of the two above
    before = await versions(store)
    driver = FailingStepDriver(store, [intent])
    driver.fail("outbox.insert", OperationFailure("no space"), done=False)
    with pytest.raises(OperationFailure):
        await driver.finish()
    await driver.close()

    assert await versions(store) == before


@pytest.mark.parametrize("done", [True, False])
async def test_an_unheard_commit_of_a_closure_is_known_by_its_proof(store: Store, *, done: bool) -> None:
    """Whether it was committed is read after its session was ended; both are there, or neither."""
    await add_resource(store)
    intent = await release(store)
    driver = FailingStepDriver(store, [intent])
    driver.fail("commit", lost_commit_answer() if done else AutoReconnect("connection closed"), done=done)
    outcomes: list[object] = []
    try:
        outcomes = [*(await driver.finish())]
    except Exception:  # noqa: BLE001  # a write conflict, where nothing was committed
        assert not done
    await driver.close()
    row = await store.database["reservations"].find_one({})
    assert row is not None

    assert row["status"] == ("cancelled" if done else "confirmed")
    assert len(outcomes) == (1 if done else 0)
    assert await store.database["outbox"].count_documents({}) == (1 if done else 0)


async def test_one_statement_writes_the_events_of_a_batch(store: Store) -> None:
    """However many intents share it."""
    await add_resource(store)
    driver = StepDriver(store, [booking_of(NINE + number * HOUR) for number in range(5)])
    await driver.finish()
    await driver.close()

    assert driver.done.count("outbox.insert") == 1
    assert await store.database["outbox"].count_documents({}) == 5
    assert {type(row["subject"]) for row in await store.database["outbox"].find().to_list(None)} == {ObjectId}
