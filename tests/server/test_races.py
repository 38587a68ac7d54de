"""Two bookers of one time, stopped after both have read the occupants and before either has written."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from app.booking.batch import WriteConflict
from app.booking.outcomes import Accepted, Refused
from app.booking.snapshot import Snapshot
from app.domain import rules
from app.domain.ids import ResourceId
from app.domain.rules import Check
from app.errors import Problem
from app.storage import conflict_lookup, guard_steps
from app.storage.catalogue_updates import Changes
from app.storage.client import Store
from app.storage.reach import Reach
from app.storage.span import Span
from tests.support.database_check import peak_load
from tests.support.step_driver import (
    StepDriver,
    add_resource,
    add_service,
    book_accepted,
    booking_of,
    planned_edit,
    run_batch,
)
from tests.support.times import HOUR, NINE
from tests.support.unguarded import without_the_bump

MILLISECOND = timedelta(milliseconds=1)
Mutation = Callable[[pytest.MonkeyPatch], None]


async def race(store: Store, *, stop_at: str = "occupants.read") -> int:
    """Let two bookers read, then let both go on; the highest load that they brought about."""
    drivers = [StepDriver(store, [booking_of()]), StepDriver(store, [booking_of(NINE + HOUR / 2)])]
    try:
        for driver in drivers:
            try:
                await driver.until(stop_at)
            except WriteConflict:
                continue  # it lost the guard before it could read
        for driver in drivers:
            try:
                if driver.outcomes is None and stop_at in driver.done:
                    await driver.finish()
            except WriteConflict:
                continue
    finally:
        for driver in drivers:
            await driver.close()
    return await peak_load(store)


def with_a_bump_that_changes_nothing(patch: pytest.MonkeyPatch) -> None:
    """Write what is there already: a no-op takes no lock."""
    patch.setattr(guard_steps, "BUMP", {"$set": {"seq": 0, "at": NINE}})


def without_the_check(patch: pytest.MonkeyPatch) -> None:
    """Judge every rule but the capacity."""
    patch.setattr(rules, "_capacity", lambda *_, **__: (Check("capacity", ok=True, detail="unchecked"), ()))


@pytest.mark.servers("transactions")
@pytest.mark.promise("capacity")
async def test_two_bookers_of_one_time_cannot_both_win(store: Store) -> None:
    """Of two bookers that both read a free room, one commits; the other loses the guard and is then refused."""
    await add_resource(store)

    load = await race(store)

    assert load == 1
    (again,) = await run_batch(store, booking_of())
    assert isinstance(again, Refused)


@pytest.mark.servers("transactions")
@pytest.mark.parametrize("mutate", [without_the_bump, with_a_bump_that_changes_nothing])
@pytest.mark.promise("capacity")
async def test_the_race_notices_a_guard_that_does_not_guard(
    store: Store, mutate: Mutation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the guard only read, or changed to what it was, the very same race books the room twice."""
    await add_resource(store)
    await book_accepted(store, start=NINE - 50 * HOUR)  # raises the reach, which would be a write of the guard as well
    await store.database["guards"].update_one({"_id": "room"}, {"$set": {"seq": 0, "at": NINE}})
    mutate(monkeypatch)

    assert await race(store) == 2


@pytest.mark.servers("transactions")
@pytest.mark.promise("capacity")
async def test_the_race_notices_a_check_that_is_skipped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the capacity rule the guard alone lets the second booker in after the first."""
    await add_resource(store)
    without_the_check(monkeypatch)
    await race(store)
    await run_batch(store, booking_of())

    assert await peak_load(store) == 2


@pytest.mark.servers("any")
@pytest.mark.parametrize(("apart", "expected"), [(0, 1), (-1, 2)])
async def test_the_judge_of_the_races_is_exact(store: Store, apart: int, expected: int) -> None:
    """Rows that touch are no overlap, and one millisecond is: the judge reads the stored times as they are."""
    end = NINE + HOUR
    times = [(NINE, end), (end + apart * MILLISECOND, end + HOUR)]
    rows = [{"resource": "room", "status": "confirmed", "units": 1} for _ in times]
    blocks = [{"blockStart": start, "blockEnd": until} for start, until in times]
    await store.database["reservations"].insert_many([row | block for row, block in zip(rows, blocks, strict=True)])

    assert await peak_load(store) == expected


@pytest.mark.servers("transactions")
async def test_a_race_for_one_millisecond_is_judged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the capacity rule two bookings that share one millisecond are seen as a double booking."""
    await add_resource(store)
    without_the_check(monkeypatch)

    await run_batch(store, booking_of(), booking_of(NINE + HOUR - MILLISECOND))

    assert await peak_load(store) == 2


@pytest.mark.servers("transactions")
async def test_a_lost_guard_stops_all_booking(store: Store) -> None:
    """Without its guard document a resource takes no bookings, and no booking makes a new one."""
    await add_resource(store)
    await store.database["guards"].delete_one({"_id": "room"})

    outcomes = [*await run_batch(store, booking_of()), *await run_batch(store, booking_of(NINE + 2 * HOUR))]

    assert [type(outcome) for outcome in outcomes] == [Problem, Problem]
    assert {outcome.name for outcome in outcomes if isinstance(outcome, Problem)} == {"unavailable"}
    assert await store.database["reservations"].count_documents({}) == 0
    assert await store.database["guards"].count_documents({}) == 0


@pytest.mark.servers("transactions")
async def test_a_batch_sees_its_own_bookings(store: Store) -> None:
    """Of many wishes for one time in one transaction exactly as many win as the capacity allows, in their order."""
    await add_resource(store, capacity=3)

    outcomes = await run_batch(store, *[booking_of() for _ in range(10)])

    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [True] * 3 + [False] * 7
    assert await peak_load(store) == 3


@pytest.mark.servers("transactions")
async def test_a_long_booking_conflicts_up_to_its_end(store: Store) -> None:
    """A booking is found by its last minute, however long before it began: the reach grows with what is booked."""
    await add_resource(store)
    await book_accepted(store, start=NINE, length=30 * HOUR)
    await book_accepted(store, start=NINE + 100 * HOUR, length=400 * HOUR)

    wishes = [NINE + 29 * HOUR, NINE + 499 * HOUR, NINE + 30 * HOUR, NINE + 500 * HOUR]
    outcomes = await run_batch(store, *[booking_of(start) for start in wishes])

    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [False, False, True, True]


@pytest.mark.servers("transactions")
async def test_a_reach_that_is_not_raised_would_be_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reach left as it is, the end of a long booking is invisible: the test above stands on its raising."""
    await add_resource(store)
    monkeypatch.setattr(Reach, "covering", lambda self, *_: self)
    await book_accepted(store, start=NINE, length=30 * HOUR)

    (outcome,) = await run_batch(store, booking_of(NINE + 29 * HOUR))

    assert isinstance(outcome, Accepted)


@pytest.mark.servers("transactions")
async def test_a_buffer_before_a_booking_conflicts(store: Store) -> None:
    """A booking is found by its buffer before, though it starts after the wish has ended: the reach extends ahead."""
    await add_resource(store, services=["cut"])
    await add_service(store, bufferBeforeMinutes=30)
    await book_accepted(store, service="cut")

    (late,) = await run_batch(store, booking_of(NINE - HOUR - HOUR / 60 * 29))
    (right,) = await run_batch(store, booking_of(NINE - HOUR - HOUR / 2))

    assert [type(late), type(right)] == [Refused, Accepted]


@pytest.mark.servers("transactions")
async def test_a_lookup_without_the_reach_ahead_would_be_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reach ahead left out of the lookup, a buffer before is booked over: the test above stands on it."""
    await add_resource(store, services=["cut"])
    await add_service(store, bufferBeforeMinutes=30)
    await book_accepted(store, service="cut")
    clusters = conflict_lookup._clusters

    def behind_only(spans: Iterable[Span], reaches: Mapping[ResourceId, Reach]) -> Any:
        return clusters(spans, {name: reach._replace(ahead=0) for name, reach in reaches.items()})

    monkeypatch.setattr(conflict_lookup, "_clusters", behind_only)
    (outcome,) = await run_batch(store, booking_of(NINE - HOUR - HOUR / 60 * 29))

    assert isinstance(outcome, Accepted)


@pytest.mark.servers("transactions")
@pytest.mark.parametrize(
    ("changed", "fits"), [({"capacity": 1}, False), ({"capacity": 3}, True), ({"active": False}, False)]
)
async def test_an_edit_counts_for_later_intents_of_its_batch(
    store: Store, changed: dict[str, Any], *, fits: bool
) -> None:
    """A booking after an edit is judged by the edited room, also within the same transaction."""
    await add_resource(store, capacity=2)
    for _ in range(2 if fits else 1):
        await book_accepted(store)

    edited, booked = await run_batch(store, await planned_edit(store, Changes(changed), force=True), booking_of())

    assert isinstance(edited, Accepted)
    assert isinstance(booked, Accepted if fits else Refused)


@pytest.mark.servers("transactions")
async def test_an_edit_that_its_batch_does_not_see_would_be_noticed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without that the room is above its new capacity at once: the test above stands on it."""
    await add_resource(store, capacity=2)
    await book_accepted(store)
    monkeypatch.setattr(Snapshot, "replace", lambda *_: None)

    await run_batch(store, await planned_edit(store, Changes({"capacity": 1}), force=True), booking_of())

    assert await peak_load(store) == 2


@pytest.mark.servers("transactions")
async def test_buffers_of_neighbours_add_up(store: Store) -> None:
    """Between two bookings there is room for the first one's buffer after and the second one's before."""
    await add_resource(store, services=["cut"])
    await add_service(store, bufferBeforeMinutes=10, bufferAfterMinutes=20)
    await book_accepted(store, service="cut")

    early = booking_of(NINE + HOUR + HOUR / 60 * 29, service="cut")
    right = booking_of(NINE + HOUR + HOUR / 60 * 30, service="cut")
    outcomes = [*await run_batch(store, early), *await run_batch(store, right)]

    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [False, True]


@pytest.mark.servers("transactions")
async def test_a_filter_by_end_time_would_be_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Occupants are found by their block, not by their `endTime`: a filter on it misses who is still in a buffer."""
    await add_resource(store, services=["cut"])
    await add_service(store, bufferAfterMinutes=20)
    await book_accepted(store, service="cut")
    start = NINE + HOUR + HOUR / 60 * 10

    (refused,) = await run_batch(store, booking_of(start))
    assert isinstance(refused, Refused)

    starting = conflict_lookup._starting
    late = {"endTime": {"$gt": start}}
    monkeypatch.setattr(conflict_lookup, "_starting", lambda *arguments: starting(*arguments) | late)
    (booked,) = await run_batch(store, booking_of(start))
    assert isinstance(booked, Accepted)
