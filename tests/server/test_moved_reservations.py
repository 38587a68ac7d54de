"""A change asks for guards by where its reservation was last seen; if it was moved since, it must notice.

Otherwise it would be judged without the guard, the occupants and the rules of where it lies now.
"""

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from app.booking import BookingService
from app.booking.change import Change
from app.booking.confirm_extend_close import Close, Confirm, Extend
from app.booking.existing import ReservationMoved
from app.booking.group import AllOrNothing, Move
from app.booking.intents import AnyIntent
from app.booking.outcomes import Accepted
from app.errors import Problem
from app.storage.client import Store
from tests.support.ids import ROOM_ID
from tests.support.step_driver import add_resource, add_service, book_accepted, run_batch
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("transactions")

Make = Callable[..., AnyIntent]


def confirm(**held: Any) -> Confirm:
    """Make it firm."""
    return Confirm(by="test", **held)


def extend(**held: Any) -> Extend:
    """Hold it for longer than it is held."""
    return Extend(by="test", seconds=1_200, **held)


def cancel(**held: Any) -> Close:
    """Cancel it, as of a group."""
    return Close(by="test", to="cancelled", **held)


def later(**held: Any) -> Change:
    """Move it by an hour."""
    return Change(by="test", patch={"startTime": NINE + HOUR}, **held)


def note(**held: Any) -> Change:
    """Change nothing but its notes."""
    return Change(by="test", patch={"notes": "x"}, **held)


def cancel_group(**held: Any) -> AllOrNothing:
    """Cancel a group of it."""
    return AllOrNothing(by="test", members=[cancel(**held)])


def move_group(**held: Any) -> Move:
    """Move it together with others."""
    return Move(by="test", members=[later(**held)])


MAKERS: list[Make] = [confirm, extend, cancel, later, note, cancel_group, move_group]


@pytest.mark.parametrize("make", MAKERS)
async def test_a_reservation_that_was_moved_comes_back_for_the_right_guard(store: Store, make: Make) -> None:
    """Whatever is wanted of it, nothing is done while the guard of where it lies is not held."""
    for name in ("room", "desk"):
        await add_resource(store, name)
    held = await book_accepted(store, resource="desk", hold_seconds=600)
    before = await store.database["reservations"].find_one({"_id": held.id})

    (outcome,) = await run_batch(store, make(reservation=held.id, resource="room"))
    (right,) = await run_batch(store, make(reservation=held.id, resource="desk"))

    assert isinstance(outcome, ReservationMoved)
    assert isinstance(right, Accepted)
    after = await store.database["reservations"].find_one({"_id": held.id})
    assert before is not None
    assert after is not None
    assert after["version"] == before["version"] + 1


@pytest.mark.parametrize("make", [confirm, extend, cancel, later])
async def test_a_reservation_that_got_another_service_comes_back_for_its_rules(store: Store, make: Make) -> None:
    """What needs approval is not made firm by whoever last saw it without its service."""
    await add_resource(store, services=["cut"])
    await add_service(store, approval=True)
    held = await book_accepted(store, service="cut", hold_seconds=600)

    (outcome,) = await run_batch(store, make(reservation=held.id, resource="room"))
    (right,) = await run_batch(store, make(reservation=held.id, resource="room", service="cut"))

    assert isinstance(outcome, ReservationMoved)
    assert isinstance(right, Accepted)
    assert right.value.status == ("cancelled" if make is cancel else "pending")


async def test_what_moves_on_its_way_is_found_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller whose reservation is moved between the look and the batch gets what it wanted, where it is now."""
    for name in ("room", "desk"):
        await add_resource(store, name)
    made = await book_accepted(store)
    desk = BookingService(store)
    await desk.start()
    submit, lanes = desk.committer.submit, list[frozenset[str]]()

    async def after_a_move(intent: AnyIntent) -> Any:
        lanes.append(intent.lanes())
        if len(lanes) == 1:
            away = Change(by="other", reservation=made.id, resource=ROOM_ID, patch={"resource": "desk"})
            (moved,) = await run_batch(store, away)
            assert isinstance(moved, Accepted)
        return await submit(intent)

    monkeypatch.setattr(desk.committer, "submit", after_a_move)
    changed = await desk.change(made.id, {"startTime": NINE + HOUR}, version=None, by="test")
    await desk.stop()

    assert lanes == [{"room"}, {"desk"}]
    assert (changed.resource, changed.start_time) == ("desk", NINE + HOUR)
    assert [entry.by for entry in changed.history] == ["test", "other", "test"]


async def test_what_never_rests_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reservation that is moved away each time is `overloaded` in the end, and nothing was done to it."""
    await add_resource(store)
    made = await book_accepted(store)
    desk = BookingService(store)
    await desk.start()

    async def elsewhere(intent: AnyIntent) -> Any:
        raise ReservationMoved

    monkeypatch.setattr(desk.committer, "submit", elsewhere)
    with pytest.raises(Problem) as refused:
        await desk.confirm(made.id, by="test")
    await desk.stop()

    assert refused.value.name == "overloaded"
    assert await store.database["reservations"].count_documents({"_id": ObjectId(made.id), "version": 1}) == 1
