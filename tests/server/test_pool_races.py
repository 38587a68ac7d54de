"""A pool booking reads all members of the pool and changes the guard of the chosen one at the end.

Until then it has no lock. All depends on that late change: it fails if another batch changed the guard since the pool
was read, and it brings the database's clock for a member that was judged by the process's own.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from app.booking.batch import WriteConflict
from app.booking.intents import AnyIntent
from app.booking.outcomes import Accepted, Refused
from app.booking.snapshot import Snapshot
from app.domain.instants import Millis, to_millis
from app.storage.catalogue_updates import Changes
from app.storage.client import Store
from app.storage.rule_cache import RuleCache
from app.storage.steps import Steps, find
from tests.support.database_check import peak_load
from tests.support.interleavings import interleave, orders, steps_alone
from tests.support.step_driver import (
    StepDriver,
    accepted,
    add_resource,
    book_accepted,
    book_hold,
    booking_of,
    planned_edit,
    run_batch,
)
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("transactions")

HOUR_MILLIS = 3_600_000


def any_room(*pool: str, **fields: Any) -> AnyIntent:
    """A booking for nine o'clock on any free member of the pool."""
    return booking_of(resource=None, pool=pool or ("room",), **fields)


def without_the_late_change(patch: pytest.MonkeyPatch) -> None:
    """Read the guard of the chosen member instead of changing it."""

    def only_read(self: Snapshot, resources: frozenset[str]) -> Steps[None]:
        for resource in sorted(resources - self.changed):
            yield find("guards.chosen", "guards", {"_id": resource})

    patch.setattr(Snapshot, "take_chosen_guards", only_read)


async def add_room(store: Store) -> None:
    """A room whose guard reaches far enough already: raising it would be a change of the guard as well."""
    await add_resource(store)
    await book_accepted(store, start=NINE - 50 * HOUR)


async def race(store: Store, *wishes: AnyIntent) -> int:
    """Let all drivers read the occupants, then finish them one by one; the highest load afterwards."""
    drivers = [StepDriver(store, [wish]) for wish in wishes]
    for driver in drivers:
        await driver.until("occupants.read")
    for driver in drivers:
        try:
            await driver.finish()
        except WriteConflict:
            continue
    for driver in drivers:
        await driver.close()
    return await peak_load(store)


RIVALS: list[Callable[[], AnyIntent]] = [any_room, booking_of]


@pytest.mark.parametrize("rival", RIVALS)
async def test_a_member_that_was_read_free_is_not_taken_twice(store: Store, rival: Callable[[], AnyIntent]) -> None:
    """A pool booking that read a member as free loses to a booking of it since then, by name or from a pool."""
    await add_room(store)

    assert await race(store, rival(), any_room()) == 1
    (again,) = await run_batch(store, any_room())
    assert isinstance(again, Refused)


async def test_the_race_for_a_member_notices_a_guard_that_is_not_changed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the guard of the chosen member only read, the very same race books it twice."""
    await add_room(store)
    without_the_late_change(monkeypatch)

    assert await race(store, booking_of(), any_room()) == 2


async def test_takers_of_a_pool_in_all_orders(store: Store) -> None:
    """Whatever the order of their steps, two takers and a pool of one room: one gets it, and never both."""
    await add_room(store)
    rules = RuleCache()
    makers = [any_room, any_room]
    counts = [await steps_alone(store, make, rules) for make in makers]
    for order in orders(*counts):
        await store.database["reservations"].delete_many({})
        outcomes = await interleave(store, order, makers, rules)

        assert sorted(accepted(outcomes)) == [False, True], order
        assert await peak_load(store) == 1, order


async def test_who_lost_a_member_gets_another(store: Store) -> None:
    """The batch goes again and chooses anew."""
    for name in ("room", "desk"):
        await add_resource(store, name)
    loser = StepDriver(store, [any_room("room", "desk")])
    await loser.until("occupants.read")
    for name in ("room", "desk"):  # whichever it chose
        await book_accepted(store, resource=name)
    with pytest.raises(WriteConflict):
        await loser.finish()
    await loser.close()
    await store.database["reservations"].delete_many({"resource": "desk"})

    (outcome,) = await run_batch(store, any_room("room", "desk"))

    assert isinstance(outcome, Accepted)
    assert outcome.value.resource == "desk"


async def test_an_edit_since_it_was_read_is_noticed(store: Store) -> None:
    """A member that was switched off after it was read is not booked by what was true before."""
    await add_room(store)
    late = StepDriver(store, [any_room()])
    await late.until("occupants.read")
    (edited,) = await run_batch(store, await planned_edit(store, Changes({"active": False}), force=True))
    assert isinstance(edited, Accepted)

    with pytest.raises(WriteConflict):
        await late.finish()
    await late.close()
    assert await store.database["reservations"].count_documents({"startTime": NINE}) == 0


async def test_a_hold_ends_by_the_clock_of_the_database_for_a_pool_as_well(store: Store) -> None:
    """A process whose clock is an hour ahead takes no live hold for one that is over: its batch runs again."""
    await add_room(store)
    hold = await book_hold(store, timedelta(minutes=10))
    ahead = StepDriver(store, [any_room()], clock=Millis(store.clock.millis() + HOUR_MILLIS))

    with pytest.raises(WriteConflict):
        await ahead.finish()
    await ahead.close()

    row = await store.database["reservations"].find_one({"_id": hold})
    assert row is not None
    assert row["status"] == "pending"
    assert await peak_load(store) == 1


async def test_a_process_behind_the_database_stamps_nothing_earlier_than_what_is_there(store: Store) -> None:
    """Judged by a clock that is a little behind, a booking out of a pool still comes after the last one there."""
    await add_room(store)
    before = await book_accepted(store)
    behind = StepDriver(store, [any_room(start=NINE + HOUR)], clock=Millis(to_millis(before.created_at) - 100))
    (outcome,) = await behind.finish()
    await behind.close()

    assert isinstance(outcome, Accepted)
    assert outcome.value.created_at >= before.created_at


async def test_a_pool_takes_the_place_of_a_hold_that_is_over_for_both_clocks(store: Store) -> None:
    """Judged over by the process's clock, and confirmed by the database's: its place is taken, and it is marked."""
    await add_room(store)
    hold = await book_hold(store, timedelta(seconds=-1))
    taker = StepDriver(store, [any_room()], clock=store.clock.millis())
    (outcome,) = await taker.finish()
    await taker.close()

    row = await store.database["reservations"].find_one({"_id": hold})
    assert isinstance(outcome, Accepted)
    assert row is not None
    assert row["status"] == "expired"
    assert await peak_load(store) == 1
