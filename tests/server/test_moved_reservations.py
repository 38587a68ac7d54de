"""A change takes the guard of the resource it last read for its reservation, and notices a move since then.

Otherwise it would be judged without the guard, the occupants and the rules of its present resource.
"""

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from app.booking import BookingService
from app.booking.change import Change
from app.booking.confirm_extend import Confirm, Extend
from app.booking.existing import ReservationMoved
from app.booking.intents import AnyIntent
from app.booking.move import Move
from app.booking.outcomes import Accepted
from app.errors import Problem
from app.storage.client import Store
from tests.support.ids import ROOM_ID
from tests.support.step_driver import add_resource, add_service, book_accepted, run_batch
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("transactions")

Make = Callable[..., AnyIntent]


def confirm(**fields: Any) -> Confirm:
    """Make it firm."""
    return Confirm(by="test", **fields)


def extend(**fields: Any) -> Extend:
    """Extend its hold."""
    return Extend(by="test", seconds=1_200, **fields)


def later(**fields: Any) -> Change:
    """Move it by an hour."""
    return Change(by="test", patch={"startTime": NINE + HOUR}, **fields)


def note(**fields: Any) -> Change:
    """Change nothing but its notes."""
    return Change(by="test", patch={"notes": "x"}, **fields)


def move_group(**fields: Any) -> Move:
    """Move it together with others."""
    return Move(by="test", members=[later(**fields)])


MAKERS: list[Make] = [confirm, extend, later, note, move_group]


@pytest.mark.parametrize("make", MAKERS)
async def test_a_reservation_that_was_moved_comes_back_for_the_right_guard(store: Store, make: Make) -> None:
    """No change of a reservation is made without the guard of the resource that it is on."""
    for name in ("room", "desk"):
        await add_resource(store, name)
    hold = await book_accepted(store, resource="desk", hold_seconds=600)
    before = await store.database["reservations"].find_one({"_id": hold.id})

    (outcome,) = await run_batch(store, make(reservation=hold.id, resource="room"))
    (right,) = await run_batch(store, make(reservation=hold.id, resource="desk"))

    assert isinstance(outcome, ReservationMoved)
    assert isinstance(right, Accepted)
    after = await store.database["reservations"].find_one({"_id": hold.id})
    assert before is not None
    assert after is not None
    assert after["version"] == before["version"] + 1


@pytest.mark.parametrize("make", [confirm, extend, later])
async def test_a_reservation_that_got_another_service_comes_back_for_its_rules(store: Store, make: Make) -> None:
    """A confirm that last read the reservation without its service does not skip the service's approval."""
    await add_resource(store, services=["cut"])
    await add_service(store, approval=True)
    hold = await book_accepted(store, service="cut", hold_seconds=600)

    (outcome,) = await run_batch(store, make(reservation=hold.id, resource="room"))
    (right,) = await run_batch(store, make(reservation=hold.id, resource="room", service="cut"))

    assert isinstance(outcome, ReservationMoved)
    assert isinstance(right, Accepted)
    assert right.value.status == "pending"


async def test_a_reservation_that_moves_before_its_batch_is_found_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of a reservation that is moved between the read and the batch is made on its present resource."""
    for name in ("room", "desk"):
        await add_resource(store, name)
    made = await book_accepted(store)
    booking = BookingService(store)
    await booking.start()
    submit, lanes = booking.committer.submit, list[frozenset[str]]()

    async def after_a_move(intent: AnyIntent) -> Any:
        lanes.append(intent.lanes())
        if len(lanes) == 1:
            away = Change(by="other", reservation=made.id, resource=ROOM_ID, patch={"resource": "desk"})
            (moved,) = await run_batch(store, away)
            assert isinstance(moved, Accepted)
        return await submit(intent)

    monkeypatch.setattr(booking.committer, "submit", after_a_move)
    changed = await booking.change(made.id, {"startTime": NINE + HOUR}, version=None, by="test")
    await booking.stop()

    assert lanes == [{"room"}, {"desk"}]
    assert (changed.resource, changed.start_time) == ("desk", NINE + HOUR)
    assert [entry.by for entry in changed.history] == ["test", "other", "test"]


async def test_what_never_rests_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reservation that is moved away each time is `overloaded` in the end, and nothing was done to it."""
    await add_resource(store)
    made = await book_accepted(store)
    booking = BookingService(store)
    await booking.start()

    async def elsewhere(intent: AnyIntent) -> Any:
        raise ReservationMoved

    monkeypatch.setattr(booking.committer, "submit", elsewhere)
    with pytest.raises(Problem) as refused:
        await booking.confirm(made.id, by="test")
    await booking.stop()

    assert refused.value.name == "overloaded"
    assert await store.database["reservations"].count_documents({"_id": ObjectId(made.id), "version": 1}) == 1
