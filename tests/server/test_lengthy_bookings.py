"""Long bookings on a busy resource: the first conflicts refuse them before all occupants are read."""

from typing import Any

import pytest
from bson import ObjectId

from app.booking.change import Change
from app.booking.group import BookGroup
from app.booking.outcomes import Accepted, Refused
from app.booking.queue import BatchBuilder, Ticket, lanes_of
from app.booking.release import Close
from app.booking.several import MembersRefused
from app.storage.client import Store
from app.storage.conflict_lookup import GLIMPSE_ROWS
from tests.support.ids import ROOM_ID
from tests.support.step_driver import StepDriver, accepted, add_resource, book_accepted, booking_of, run_batch
from tests.support.times import DAY, HOUR, NINE

pytestmark = pytest.mark.servers("transactions")

YEAR = 365 * DAY
MANY = GLIMPSE_ROWS + 50


async def busy(store: Store, *, capacity: int = 1, at_once: int = 1) -> list[ObjectId]:
    """A room with many bookings of an hour, at once or one after the other; their ids by start."""
    made = (await book_first(store, capacity)).to_mongo()
    rows: list[dict[str, Any]] = []
    for number in range(MANY):
        start = NINE + number // at_once * HOUR
        times = {"startTime": start, "blockStart": start, "endTime": start + HOUR, "blockEnd": start + HOUR}
        rows.append(made | times | {"_id": ObjectId()})
    await store.database["reservations"].delete_one({"_id": made["_id"]})
    await store.database["reservations"].insert_many(rows)
    return [row["_id"] for row in rows]


async def book_first(store: Store, capacity: int) -> Any:
    """A booking of an hour in a new room, so that the reach of its guard is right."""
    await add_resource(store, capacity=capacity)
    return await book_accepted(store)


async def steps_of(store: Store, *intents: Any) -> tuple[list[Any], list[str]]:
    """The outcomes of the intents in one batch, and the names of its steps."""
    driver = StepDriver(store, intents)
    try:
        return [*await driver.finish()], driver.done
    finally:
        await driver.close()


@pytest.mark.promise("deadlines")
async def test_a_year_on_a_busy_resource_is_refused_by_its_first_conflicts(store: Store) -> None:
    """The booking is refused before all occupants are read, and each listed conflict overlaps it."""
    ids = await busy(store)
    (refused,), steps = await steps_of(store, booking_of(NINE, YEAR))

    assert isinstance(refused, Refused)
    assert refused.verdict.is_conflict
    assert {each.id for each in refused.verdict.conflicts} <= {*ids}
    assert len(refused.verdict.conflicts) >= 10
    assert ("occupants.glimpse" in steps, "occupants.read" in steps) == (True, False)


async def test_a_move_to_a_year_is_refused_by_its_first_conflicts(store: Store) -> None:
    """A reservation that would be prolonged beyond many others does not count itself among them."""
    await busy(store)
    made = await book_accepted(store, start=NINE - HOUR)
    longer = Change(by="test", reservation=made.id, resource=ROOM_ID, patch={"endTime": NINE + YEAR})
    (refused,), steps = await steps_of(store, longer)

    assert isinstance(refused, Refused)
    assert made.id not in {each.id for each in refused.verdict.conflicts}
    assert "occupants.read" not in steps


async def test_what_the_first_do_not_refuse_is_judged_by_all(store: Store) -> None:
    """Only behind many who leave room the load is too high: it is found, and where it is not the year is booked."""
    await busy(store, capacity=2)
    late = NINE + 300 * DAY
    (booked,), steps = await steps_of(store, booking_of(NINE, YEAR))
    assert isinstance(booked, Accepted)
    assert "occupants.read" in steps
    await run_batch(store, Close(by="test", reservation=booked.value.id, to="cancelled"))
    await book_accepted(store, start=late)
    await book_accepted(store, start=late)

    (refused,), steps = await steps_of(store, booking_of(NINE, YEAR))

    assert isinstance(refused, Refused)
    assert {each.start for each in refused.verdict.conflicts} == {int(late.timestamp() * 1000)}


async def test_a_group_and_a_batch_are_judged_by_all(store: Store) -> None:
    """A group lists every member that cannot be booked, and a later intent of a batch sees the earlier ones."""
    await busy(store)
    year = booking_of(NINE, YEAR)
    (refused,), _ = await steps_of(store, BookGroup(by="test", members=[year, booking_of(NINE + 2 * YEAR, YEAR)]))
    assert isinstance(refused, MembersRefused)
    assert [place for place, _ in refused.members] == [0]

    late = booking_of(NINE + 3 * YEAR, HOUR)
    assert accepted(await run_batch(store, late, booking_of(NINE + 2 * YEAR, YEAR + DAY))) == [True, False]


async def test_a_pool_is_not_refused_for_its_busy_member(store: Store) -> None:
    """A booking of a pool is made on the member that is free."""
    await busy(store)
    await add_resource(store, "desk")
    wish = booking_of(NINE, YEAR, resource=None, pool=("desk", "room"))
    (booked,) = await run_batch(store, wish)

    assert isinstance(booked, Accepted)
    assert booked.value.resource == "desk"


def test_a_lengthy_wish_shares_no_batch() -> None:
    """Bookings of an hour do not wait for all that a long booking reads."""
    year, hour = booking_of(NINE, YEAR), booking_of()
    for first, second in ((year, hour), (hour, year)):
        tickets = [Ticket(each, lanes_of(each), 0, 0, None) for each in (first, second)]  # type: ignore[arg-type]  # no caller waits
        chosen = BatchBuilder(64, 64)
        chosen.add(tickets[0])
        assert chosen.is_full is (first is year)
        assert not (chosen.fits(tickets[1]) and not chosen.is_full)
