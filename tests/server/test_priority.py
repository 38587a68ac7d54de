"""Priority marks: a process that reads one leaves the guard alone for a moment, and never longer."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.booking import BookingService
from app.booking import priority as module
from app.booking.batch import WriteConflict
from app.booking.committer import CONFLICTS_BEFORE_PRIORITY
from app.booking.intents import Lane, guard_lanes
from app.booking.outcomes import Accepted
from app.booking.priority import YIELD_MILLISECONDS, priority_requester
from app.storage.client import Store
from tests.support.step_driver import StepDriver, add_resource, booking_of
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("transactions")

MOMENT_SECONDS = YIELD_MILLISECONDS / 1000
POOL = ("room", "other")


async def rested(store: Store, **wish: Any) -> dict[Lane, float]:
    """For how many seconds the batch of one booking leaves each marked guard alone."""
    driver = StepDriver(store, [booking_of(**wish)])
    (outcome,) = await driver.finish()
    await driver.close()
    assert isinstance(outcome, Accepted)
    return driver.batch.yield_requests


async def last_changed(store: Store, ago: timedelta) -> None:
    """Let every guard's last change be that long ago."""
    await store.database["guards"].update_many({}, {"$set": {"at": store.clock.now() - ago}})


@pytest.mark.parametrize("quiet", [timedelta(seconds=30), timedelta(days=1)])
async def test_a_pool_that_lay_still_rests_no_longer_than_any_other(store: Store, quiet: timedelta) -> None:
    """A mark counts from now on: the guard of a pool's member that is only read may have changed a day ago."""
    for name in POOL:
        await add_resource(store, name)
    await last_changed(store, quiet)
    await priority_requester(store)(guard_lanes(*POOL), ObjectId())

    waits = await rested(store, resource=None, pool=POOL)

    assert all(wait <= MOMENT_SECONDS for wait in waits.values()), waits


@pytest.mark.parametrize("wish", [{}, {"resource": None, "pool": POOL}], ids=["one", "pool"])
async def test_no_mark_asks_for_more_than_a_moment(store: Store, wish: dict[str, Any]) -> None:
    """Whatever a mark says, written by whatever clock, the resource rests for the agreed moment."""
    for name in POOL:
        await add_resource(store, name)
    mark = {"yieldUntil": store.clock.now() + timedelta(days=1), "yieldTo": ObjectId()}
    await store.database["guards"].update_many({}, {"$set": mark})

    waits = await rested(store, **wish)

    assert waits
    assert set(waits.values()) == {MOMENT_SECONDS}


async def test_an_old_mark_is_no_reason_to_rest(store: Store) -> None:
    """A mark that is over delays no batch, on a guard that is changed as on one that is only read."""
    for name in POOL:
        await add_resource(store, name)
    await last_changed(store, timedelta(hours=1))
    mark = {"yieldUntil": store.clock.now() - timedelta(minutes=1), "yieldTo": ObjectId()}
    await store.database["guards"].update_many({}, {"$set": mark})

    assert await rested(store) == {}
    assert await rested(store, resource=None, pool=("other",)) == {}


async def mark(store: Store, owner: ObjectId, *, ahead: timedelta = timedelta(seconds=30)) -> None:
    """Mark the room's guard for priority, until so far ahead of the database's clock."""
    until = {"yieldUntil": store.clock.now() + ahead, "yieldTo": owner}
    await store.database["guards"].update_one({"_id": "room"}, {"$set": until})


class Rests:
    """The lanes that a write path let rest, whatever the reason."""

    def __init__(self, booking: BookingService, patch: pytest.MonkeyPatch) -> None:
        self.lanes: list[str] = []
        rest = booking.committer.backoff.start

        def noting(seconds: Mapping[Lane, float]) -> None:
            self.lanes += seconds
            rest(dict.fromkeys(seconds, 0.0))

        patch.setattr(booking.committer.backoff, "start", noting)


async def test_who_reads_the_mark_of_another_leaves_the_resource_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch that met it is finished, then the resource rests; its neighbours do not."""
    for name in ("room", "desk"):
        await add_resource(store, name)
    booking = BookingService(store)
    await booking.start()
    rests = Rests(booking, monkeypatch)
    await mark(store, ObjectId())
    await booking.book(booking_of())
    await booking.book(booking_of(resource="desk"))
    await booking.stop()

    assert rests.lanes == ["room"]


async def test_no_process_rests_for_its_own_mark_or_for_an_old_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that set the mark books on; so do all others once the moment is over."""
    await add_resource(store)
    booking = BookingService(store)
    await booking.start()
    rests = Rests(booking, monkeypatch)
    await booking.book(booking_of())
    await mark(store, booking.committer.owner)
    await booking.book(booking_of(NINE + HOUR))
    await mark(store, ObjectId(), ahead=timedelta(seconds=-1))
    await booking.book(booking_of(NINE + 2 * HOUR))
    await booking.stop()

    assert rests.lanes == []


async def test_the_mark_is_by_the_clock_of_the_database_and_names_its_owner(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is asked for gets it, a moment ahead; everything else of the guards stays as it was."""
    monkeypatch.setattr(module, "YIELD_MILLISECONDS", 60_000)
    for name in ("room", "desk", "other"):
        await add_resource(store, name)
    before = {row["_id"]: row async for row in store.database["guards"].find()}
    owner = ObjectId()
    await priority_requester(store)(guard_lanes("room", "desk"), owner)
    after = {row["_id"]: row async for row in store.database["guards"].find()}

    assert after["other"] == before["other"]
    for name in ("room", "desk"):
        ahead = after[name].pop("yieldUntil") - store.clock.now()
        assert after[name].pop("yieldTo") == owner
        assert timedelta(0) < ahead <= timedelta(seconds=61)
        assert after[name] == before[name]


async def test_a_booking_that_loses_again_and_again_asks_for_priority(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A booking that lost its guard three times marks it in the database once more losses come, and then books."""
    await add_resource(store, capacity=9)
    booking = BookingService(store)
    await booking.start()
    run, tries = booking.committer.driver.run, list[int]()

    async def beaten(slot: int, body: Any, budget_seconds: float) -> Any:
        tries.append(slot)
        if len(tries) <= CONFLICTS_BEFORE_PRIORITY + 1:
            body.close()
            raise WriteConflict
        return await run(slot, body, budget_seconds)

    monkeypatch.setattr(booking.committer.driver, "run", beaten)
    await booking.book(booking_of())
    owner = booking.committer.owner
    await booking.stop()
    guard = await store.database["guards"].find_one({"_id": "room"})

    assert guard is not None
    assert guard["yieldTo"] == owner
    assert len(tries) == CONFLICTS_BEFORE_PRIORITY + 2


async def test_a_booking_that_lost_less_often_sets_no_mark(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an ordinary loss the booking waits and sets no mark; marks are for bookings that lose to a stream."""
    await add_resource(store, capacity=9)
    booking = BookingService(store)
    await booking.start()
    run, tries = booking.committer.driver.run, list[int]()

    async def beaten(slot: int, body: Any, budget_seconds: float) -> Any:
        tries.append(slot)
        if len(tries) <= CONFLICTS_BEFORE_PRIORITY:
            body.close()
            raise WriteConflict
        return await run(slot, body, budget_seconds)

    monkeypatch.setattr(booking.committer.driver, "run", beaten)
    await booking.book(booking_of())
    await booking.stop()
    guard = await store.database["guards"].find_one({"_id": "room"})

    assert guard is not None
    assert "yieldTo" not in guard
