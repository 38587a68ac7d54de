"""What the intents of one batch see of each other: each is judged by the effects of all before it.

A batch that ignores an earlier effect accepts too much, or refuses what is free, or can never be committed.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.booking.book import Book
from app.booking.change import Change
from app.booking.confirm_extend import Confirm, Extend
from app.booking.group import AllOrNothing, BookGroup
from app.booking.intents import AnyIntent
from app.booking.move import Move
from app.booking.outcomes import Accepted, Refused
from app.booking.release import Close
from app.booking.several import MembersRefused
from app.storage.client import Store
from app.storage.documents import Reservation
from tests.support.database_check import peak_load
from tests.support.ids import ROOM_ID
from tests.support.step_driver import accepted, add_resource, book_accepted, book_hold, booking_of, run_batch
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("transactions")

HALF = NINE + HOUR / 2


def to(reservation: Reservation, **patch: Any) -> Change:
    """A change of a reservation of the room."""
    return Change(by="test", reservation=reservation.id, resource=ROOM_ID, patch=patch)


def cancelled(reservation: Reservation) -> AnyIntent:
    """The cancellation of a group of one."""
    return AllOrNothing(by="test", members=[Close(by="test", to="cancelled", reservation=reservation.id)])


def group(*members: Book) -> BookGroup:
    """A group of the given members."""
    return BookGroup(by="test", members=members)


async def test_a_time_that_was_left_is_free_and_one_that_was_taken_is_not(store: Store) -> None:
    """Behind a move its old time can be booked, and its new one cannot."""
    await add_resource(store)
    made = await book_accepted(store)
    moved = to(made, startTime=NINE + HOUR)

    assert accepted(await run_batch(store, moved, booking_of(), booking_of(NINE + HOUR))) == [True, True, False]
    assert await peak_load(store) == 1


async def test_two_moves_into_one_time(store: Store) -> None:
    """Of two moves into one time the second is refused."""
    await add_resource(store)
    one, two = await book_accepted(store), await book_accepted(store, start=NINE + HOUR)
    target = {"startTime": NINE + 5 * HOUR}

    assert accepted(await run_batch(store, to(one, **target), to(two, **target))) == [True, False]
    assert await peak_load(store) == 1


async def test_what_was_cancelled_with_others_is_free(store: Store) -> None:
    """Behind the end of a group its time can be booked in the same transaction."""
    await add_resource(store)
    made = await book_accepted(store)

    assert accepted(await run_batch(store, cancelled(made), booking_of())) == [True, True]


async def test_a_group_that_was_refused_takes_nothing(store: Store) -> None:
    """A refused group leaves its free times to later intents of the batch."""
    for name in ("room", "desk"):
        await add_resource(store, name)
    await book_accepted(store, resource="desk")
    both = group(booking_of(), booking_of(resource="desk"))
    refused, booked = await run_batch(store, both, booking_of())

    assert isinstance(refused, MembersRefused)
    assert isinstance(booked, Accepted)


async def test_a_move_that_was_refused_leaves_everything_where_it_is(store: Store) -> None:
    """After a refused move its old times are taken and its new times free for later intents of the batch."""
    await add_resource(store)
    one, two = await book_accepted(store), await book_accepted(store, start=NINE + HOUR)
    await book_accepted(store, start=NINE + 2 * HOUR)
    members = [to(one, startTime=NINE + 5 * HOUR), to(two, startTime=NINE + 2 * HOUR)]
    outcomes = await run_batch(store, Move(by="test", members=members), booking_of(), booking_of(NINE + 5 * HOUR))

    assert isinstance(outcomes[0], MembersRefused)
    assert accepted(outcomes) == [False, False, True]


async def test_two_over_one_expired_hold(store: Store) -> None:
    """Two bookings that fit in the place of an expired hold are both accepted, and the hold is marked once."""
    await add_resource(store, capacity=2)
    hold = await book_hold(store, timedelta(seconds=-1))

    assert accepted(await run_batch(store, booking_of(), booking_of())) == [True, True]
    row = await store.database["reservations"].find_one({"_id": hold})
    assert row is not None
    assert (row["status"], row["version"]) == ("expired", 2)


async def test_the_longest_of_a_batch_sets_the_reach(store: Store) -> None:
    """A short booking behind a long one does not hide the end of the long one from later lookups."""
    await add_resource(store)
    await run_batch(store, booking_of(length=30 * HOUR), booking_of(NINE + 50 * HOUR, 2 * HOUR))

    (outcome,) = await run_batch(store, booking_of(NINE + 29 * HOUR))

    assert isinstance(outcome, Refused)


async def test_a_very_long_one_is_seen_by_later_batches(store: Store) -> None:
    """A booking that blocks for more than a week conflicts with bookings at its start, in its middle and at its end."""
    await add_resource(store)
    await run_batch(store, booking_of(length=24 * 300 * HOUR), booking_of(NINE - HOUR))

    wishes = [NINE + 24 * 150 * HOUR, NINE + 24 * 300 * HOUR - HOUR, NINE - HOUR / 2, NINE + 24 * 300 * HOUR]
    assert accepted([(await run_batch(store, booking_of(start)))[0] for start in wishes]) == [False, False, False, True]


def confirmed(hold: ObjectId) -> AnyIntent:
    """Confirm the hold."""
    return Confirm(by="test", reservation=hold, resource=ROOM_ID)


def extended(hold: ObjectId) -> AnyIntent:
    """Extend the hold to two hours."""
    return Extend(by="test", reservation=hold, resource=ROOM_ID, seconds=7_200)


@pytest.mark.parametrize("change", [confirmed, extended])
async def test_a_confirmed_or_extended_hold_still_blocks(store: Store, change: Callable[[ObjectId], AnyIntent]) -> None:
    """A booking after the confirmation or the extension of a hold in the same batch is refused."""
    await add_resource(store)
    hold = await book_hold(store, timedelta(minutes=10))

    assert accepted(await run_batch(store, change(hold), booking_of())) == [True, False]
    assert await peak_load(store) == 1


@pytest.mark.parametrize("shrunk", [{"endTime": HALF}, {"startTime": HALF, "endTime": NINE + HOUR}])
async def test_the_rest_of_a_shortened_time_is_free(store: Store, shrunk: dict[str, Any]) -> None:
    """The time that a shortened reservation gives up can be booked in the same batch, and no more."""
    await add_resource(store)
    made = await book_accepted(store)
    wishes = [booking_of(NINE, HOUR / 2), booking_of(HALF, HOUR / 2)]
    outcomes = await run_batch(store, to(made, **shrunk), *wishes)

    assert sorted(accepted(outcomes[1:])) == [False, True]
    assert await peak_load(store) == 1
