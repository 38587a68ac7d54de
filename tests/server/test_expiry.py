"""Holds expire by the database's clock, whatever the clock of the process."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from bson import Binary

from app.booking import BookingService
from app.booking.batch import WriteConflict
from app.booking.expiry import Elapse, complete_ended, expire_lapsed
from app.booking.transaction import attempt
from app.domain.instants import SECOND, Millis
from app.storage import reservation_transitions
from app.storage.client import Store
from app.storage.clock import Clock
from app.storage.steps import Step
from tests.support.step_driver import (
    add_resource,
    booking_of,
    optimistic_batch,
    running_booking_service,
)

AHEAD = 3_600 * SECOND
"""By so much a process takes the database's clock to be further than it is."""

pytestmark = pytest.mark.servers("any")


async def book_hold_ahead(store: Store, booking: BookingService, monkeypatch: pytest.MonkeyPatch) -> object:
    """A hold of some minutes, after which the process's idea of the clock runs ahead."""
    await add_resource(store)
    hold = await booking.book(booking_of(hold_seconds=600))
    millis = store.clock.millis
    monkeypatch.setattr(store.clock, "millis", lambda: millis() + AHEAD)
    return hold.id  # type: ignore[union-attr]  # it is no replay


@pytest.mark.promise("holds")
class TestAhead:
    """A process that takes the database's clock to be an hour ahead."""

    async def test_the_worker_leaves_a_live_hold_alone(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """A live hold is not marked before its time, and so it can be confirmed."""
        booking = BookingService(store)
        await booking.start()
        hold = await book_hold_ahead(store, booking, monkeypatch)

        marked = await expire_lapsed(store, booking.committer)
        confirmed = await booking.confirm(hold, by="test")  # type: ignore[arg-type]  # an id
        await booking.stop()

        assert marked == 0
        assert confirmed.status == "confirmed"

    async def test_a_live_hold_can_be_cancelled(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """The cancellation of a live hold does not mark it expired."""
        booking = BookingService(store)
        await booking.start()
        hold = await book_hold_ahead(store, booking, monkeypatch)

        cancelled = await booking.close(hold, "cancelled", by="test")  # type: ignore[arg-type]  # an id
        await booking.stop()

        assert [entry.to for entry in cancelled.history] == ["pending", "cancelled"]


async def test_what_is_over_is_marked(store: Store) -> None:
    """A hold that has ended by the database's clock is marked expired, once."""
    booking = BookingService(store)
    await booking.start()
    await add_resource(store)
    await booking.book(booking_of(hold_seconds=600))
    past = store.clock.now() - timedelta(minutes=1)
    await store.database["reservations"].update_many({}, {"$set": {"expiresAt": past}})
    marked = [await expire_lapsed(store, booking.committer) for _ in range(2)]
    await booking.stop()

    assert marked == [1, 0]
    row = await store.database["reservations"].find_one({})
    assert row is not None
    assert row["status"] == "expired"


@pytest.mark.parametrize("odd", [{"version": "one"}, {"history": "none"}])
async def test_unmarkable_rows_do_not_stop_the_others(
    store: Store, monkeypatch: pytest.MonkeyPatch, odd: dict[str, str]
) -> None:
    """Foreign rows that take no new version or history entry stay as they are, and later rows are marked."""
    monkeypatch.setattr(reservation_transitions, "RESERVATIONS_PER_FETCH", 2)
    await add_resource(store)
    past = store.clock.now() - timedelta(hours=3)
    row = {"resource": "room", "version": 1, "history": [], "startTime": past, "endTime": past + timedelta(hours=1)}
    rows = [row | odd] * 3 + [row]
    for state in ({"status": "pending", "expiresAt": past}, {"status": "confirmed"}):
        await store.database["reservations"].insert_many([each | state for each in rows])

    async with running_booking_service(store) as booking:
        done = [await expire_lapsed(store, booking.committer), await complete_ended(store, booking.committer, 1)]

    assert done == [1, 1]
    assert await store.database["reservations"].count_documents({"status": {"$in": ["pending", "confirmed"]}}) == 6


@pytest.mark.parametrize("identity", [42, "hold", UUID(int=7), "x" * 300, 7.5])
async def test_holds_with_ids_of_other_programs_are_marked(store: Store, identity: object) -> None:
    """Whatever the id, and what has ended is completed behind them."""
    await add_resource(store)
    past = store.clock.now() - timedelta(hours=3)
    row = {"resource": "room", "version": 1, "history": [], "startTime": past, "endTime": past + timedelta(hours=1)}
    hold = {**row, "_id": Binary.from_uuid(identity) if isinstance(identity, UUID) else identity}
    await store.database["reservations"].insert_one({**hold, "status": "pending", "expiresAt": past})
    await store.database["reservations"].insert_one({**row, "status": "confirmed"})
    async with running_booking_service(store) as booking:
        done = [await expire_lapsed(store, booking.committer), await complete_ended(store, booking.committer, 1)]

    assert done == [1, 1]
    assert await store.database["outbox"].count_documents({}) == 2


async def test_a_hold_that_another_program_confirms_is_not_expired(mock_store: Store) -> None:
    """Without transactions too: between the read and the update it got another status, and no other version."""
    await add_resource(mock_store)
    async with running_booking_service(mock_store) as booking:
        hold: Any = await booking.book(booking_of(hold_seconds=600))
    identity = hold.id
    over = {"$set": {"expiresAt": mock_store.clock.now() - timedelta(minutes=1)}}
    await mock_store.database["reservations"].update_one({"_id": identity}, over)
    at = mock_store.clock.now()
    intent = Elapse(by="worker", reservation=identity, version=1, before="pending", to="expired", at=at, lapsed_at=at)
    body = attempt(optimistic_batch(intent))
    step = next(body)
    with pytest.raises(WriteConflict):  # noqa: PT012  # the body goes on step by step
        while True:
            if step.name == "reservations.update":
                paid = {"$set": {"status": "confirmed"}}
                await mock_store.database["reservations"].update_one({"_id": identity}, paid)
            step = body.send(await performed(mock_store, step))

    row = await mock_store.database["reservations"].find_one({"_id": identity})
    assert row is not None
    assert row["status"] == "confirmed"


async def performed(store: Store, step: Step) -> Any:
    """The result of a step without a transaction."""
    if not step.method:
        return None
    result = getattr(store.database[step.collection], step.method)(*step.arguments, **step.options)
    return await (result.to_list(None) if step.method == "find" else result)


class TestClock:
    """A process's estimate of the database's clock, from answers and how long each took."""

    def test_a_slow_answer_does_not_spoil_what_is_known(self, mock_store: Store) -> None:
        """An answer that took most of a second says less than the quick one before it, and is not taken over."""
        clock = Clock(mock_store.client, native=True)
        clock._learn(Millis(1_000_000), 100.0, 100.002)
        known = clock._ahead
        clock._learn(Millis(1_010_000), 110.0, 110.9)
        after_slow = clock._ahead
        clock._learn(Millis(1_021_000), 120.0, 120.002)

        assert after_slow == known
        assert clock._ahead == pytest.approx(known + 1_000)  # type: ignore[operator]  # it is known by now
