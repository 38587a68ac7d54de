"""Two drivers in every order of their steps: expiry, confirm and move never put two into one time."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.booking import BookingService
from app.booking.change import Change
from app.booking.confirm_extend import Confirm
from app.booking.edit import EditResource
from app.booking.outcomes import Accepted, Refused
from app.booking.reopen import Reopen
from app.errors import Problem
from app.storage.catalogue_updates import Changes
from app.storage.client import Store
from app.storage.rule_cache import RuleCache
from tests.support.database_check import peak_load
from tests.support.ids import ROOM_ID
from tests.support.interleavings import Make, interleave, orders, steps_alone
from tests.support.step_driver import accepted, add_resource, book_accepted, book_hold, booking_of, planned_edit
from tests.support.times import HOUR, NINE


async def _all_orders(store: Store, prepare: Callable[[], Any], makers: Callable[[Any], list[Make]]) -> list[Any]:
    """Every order on a fresh hour; the database is emptied of reservations in between."""
    rules = RuleCache()
    prepared = await prepare()
    counts = [await steps_alone(store, make, rules) for make in makers(prepared)]
    results = []
    for order in orders(*counts):
        await store.database["reservations"].delete_many({})
        prepared = await prepare()
        outcomes = await interleave(store, order, makers(prepared), rules)
        results.append((order, prepared, outcomes, await peak_load(store)))
    return results


@pytest.mark.servers("transactions")
@pytest.mark.promise("holds")
async def test_two_bookers_over_an_expired_hold(store: Store) -> None:
    """Whatever the order, one of two bookers takes the place of a hold whose time is over, and the hold is marked."""
    await add_resource(store)

    async def prepare() -> ObjectId:
        return await book_hold(store, timedelta(seconds=-1))

    def makers(_: ObjectId) -> list[Make]:
        return [booking_of, lambda: booking_of(NINE + HOUR / 2)]

    for order, _, outcomes, load in await _all_orders(store, prepare, makers):
        assert sorted(accepted(outcomes)) == [False, True], order
        assert load == 1, order


@pytest.mark.servers("transactions")
@pytest.mark.promise("capacity")
@pytest.mark.promise("holds")
async def test_confirm_and_book_around_the_instant_of_expiry(store: Store) -> None:
    """A confirm and a booking of the same time never both win, wherever the hold's end falls between their steps."""
    await add_resource(store)
    lifetimes = iter([timedelta(milliseconds=step) for step in range(-2, 60, 3)] * 1_000)

    async def prepare() -> ObjectId:
        return await book_hold(store, next(lifetimes))

    def makers(hold: ObjectId) -> list[Make]:
        return [lambda: Confirm(by="test", reservation=hold, resource=ROOM_ID), booking_of]

    seen: set[tuple[bool, ...]] = set()
    for order, _, outcomes, load in await _all_orders(store, prepare, makers):
        confirmed, booked = outcomes
        seen.add(tuple(accepted(outcomes)))
        assert sum(accepted(outcomes)) <= 1, order
        assert load == 1, order
        if isinstance(booked, Accepted):
            assert isinstance(confirmed, Problem), order
            assert confirmed.name == "hold-expired", order
    assert (False, True) in seen


@pytest.mark.servers("transactions")
@pytest.mark.promise("holds")
async def test_a_confirm_goes_by_the_clock_of_the_database(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose own clock is an hour behind cannot confirm a hold that is over by the database's clock."""
    await add_resource(store)
    hold = await book_hold(store, timedelta(seconds=-5))
    before = {"at": store.clock.now() - timedelta(seconds=10)}  # no change of the guard since the hold was over
    await store.database["guards"].update_one({"_id": "room"}, {"$set": before})
    late = store.clock.millis() - 3_600_000
    monkeypatch.setattr(store.clock, "millis", lambda: late)
    booking = BookingService(store)
    await booking.start()

    with pytest.raises(Problem) as refused:
        await booking.confirm(hold, by="test")

    assert refused.value.name == "hold-expired"
    await booking.stop()


@pytest.mark.servers("transactions")
@pytest.mark.promise("capacity")
async def test_reopen_and_book_into_one_time(store: Store) -> None:
    """What was completed by mistake and a booking of its time: exactly one gets it."""
    await add_resource(store)

    async def prepare() -> ObjectId:
        ended: ObjectId = (await book_accepted(store)).id
        await store.database["reservations"].update_one({"_id": ended}, {"$set": {"status": "completed"}})
        return ended

    def makers(ended: ObjectId) -> list[Make]:
        return [lambda: Reopen(by="test", reservation=ended, resource=ROOM_ID, reason="x"), booking_of]

    for order, _, outcomes, load in await _all_orders(store, prepare, makers):
        assert sorted(accepted(outcomes)) == [False, True], order
        assert any(isinstance(outcome, Refused) for outcome in outcomes), order
        assert load == 1, order


@pytest.mark.servers("transactions")
@pytest.mark.promise("capacity")
async def test_move_and_book_into_one_time(store: Store) -> None:
    """A reservation that moves into a time and a booking of that time: exactly one gets it."""
    await add_resource(store)

    async def prepare() -> ObjectId:
        moved: ObjectId = (await book_accepted(store, start=NINE + 5 * HOUR)).id
        return moved

    def makers(moved: ObjectId) -> list[Make]:
        patch = {"startTime": NINE + HOUR / 2}
        return [lambda: Change(by="test", reservation=moved, resource=ROOM_ID, patch=patch), booking_of]

    for order, _, outcomes, load in await _all_orders(store, prepare, makers):
        assert sorted(accepted(outcomes)) == [False, True], order
        assert any(isinstance(outcome, Refused) for outcome in outcomes), order
        assert load == 1, order


@pytest.mark.servers("transactions")
@pytest.mark.promise("capacity")
async def test_move_into_a_pool_and_book_into_one_time(store: Store) -> None:
    """A reservation that moves to any free member of a pool of one and a booking there: exactly one gets it."""
    for name in ("room", "away"):
        await add_resource(store, name)
        await book_accepted(store, start=NINE - 50 * HOUR, resource=name)

    async def prepare() -> ObjectId:
        away: ObjectId = (await book_accepted(store, resource="away")).id
        return away

    def makers(moved: ObjectId) -> list[Make]:
        place: Any = {"reservation": moved, "resource": "away", "pool": ("room",)}
        return [lambda: Change(by="test", patch={}, **place), booking_of]

    for order, _, outcomes, load in await _all_orders(store, prepare, makers):
        assert sorted(accepted(outcomes)) == [False, True], order
        assert any(isinstance(outcome, Refused) for outcome in outcomes), order
        assert load == 1, order


@pytest.mark.servers("transactions")
@pytest.mark.promise("capacity")
async def test_shrink_and_book_never_cross(store: Store) -> None:
    """An edit that leaves room for one, planned while one was there, and a second booking: never both, in any order."""

    async def prepare() -> EditResource:
        for collection in ("resources", "guards"):
            await store.database[collection].delete_many({})
        await add_resource(store, capacity=2)
        await book_accepted(store)
        return await planned_edit(store, Changes({"capacity": 1}))

    def makers(edit: EditResource) -> list[Make]:
        return [lambda: EditResource(by="test", identity=ROOM_ID, plan=edit.plan), booking_of]

    seen: set[tuple[bool, ...]] = set()
    for order, _, outcomes, load in await _all_orders(store, prepare, makers):
        seen.add(tuple(accepted(outcomes)))
        assert sum(accepted(outcomes)) == 1, order
        assert load == (2 if accepted(outcomes)[1] else 1), order
    assert seen == {(True, False), (False, True)}
