"""A commit whose answer is lost: it is acknowledged if it was applied, run again if not, else unknown."""

import asyncio
import threading
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect, ExecutionTimeout, OperationFailure
from pymongo.synchronous.client_session import ClientSession

from app.booking import BookingService, Replay, Token
from app.booking.batch import Batch, Outcome, WriteConflict
from app.booking.change import Change
from app.booking.outcomes import Accepted
from app.booking.plain_driver import PlainDriver
from app.booking.session_driver import SessionDriver
from app.booking.transaction import attempt
from app.domain.instants import EARLIEST
from app.errors import OutcomeUnknown, Problem
from app.storage.catalogue_updates import Changes
from app.storage.client import Store
from app.storage.documents import Reservation, StoredAnswer
from app.storage.rule_cache import RuleCache
from app.storage.steps import BEGIN, Step
from tests.support.ids import ROOM_ID
from tests.support.step_driver import (
    FailingStepDriver,
    add_resource,
    book_accepted,
    booking_of,
    lost_commit_answer,
    optimistic_batch,
    planned_edit,
    run_batch,
)
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("transactions")


def no_such_transaction() -> OperationFailure:
    """What a server says that was restarted between the commit and the question."""
    return OperationFailure("no such transaction", 251, {"errorLabels": ["TransientTransactionError"]})


@pytest.mark.parametrize("error", [lost_commit_answer, no_such_transaction])
@pytest.mark.promise("deadlines")
async def test_a_commit_that_came_through_is_acknowledged(store: Store, error: Any) -> None:
    """A lost answer, or "no such transaction" of a restarted server, does not turn a booking into a failure."""
    await add_resource(store)
    driver = FailingStepDriver(store, [booking_of()])
    driver.fail("commit", error(), done=True)

    (outcome,) = await driver.finish()
    await driver.close()

    assert isinstance(outcome, Accepted)
    assert await store.database["reservations"].count_documents({"_id": outcome.value.id}) == 1


@pytest.mark.parametrize("error", [lost_commit_answer, no_such_transaction])
@pytest.mark.promise("deadlines")
async def test_a_commit_that_never_arrived_goes_again(store: Store, error: Any) -> None:
    """What surely did not happen may be tried again: nothing of it is there, and the guard is free."""
    await add_resource(store)
    driver = FailingStepDriver(store, [booking_of()])
    driver.fail("commit", error(), done=False)

    with pytest.raises(WriteConflict):
        await driver.finish()
    await driver.close()

    assert await store.database["reservations"].count_documents({}) == 0
    assert (await book_accepted(store)).status == "confirmed"


@pytest.mark.promise("deadlines")
async def test_an_open_commit_is_answered_with_an_unknown_outcome(store: Store) -> None:
    """Without an answer to the second question either, the accepted get ids to look for, the refused `overloaded`."""
    await add_resource(store)
    wishes = [booking_of(), booking_of(NINE + HOUR / 2)]
    driver = FailingStepDriver(store, wishes)
    driver.fail("commit", lost_commit_answer(), done=True)
    driver.fail("commit.fence", AutoReconnect("still closed"), done=False)

    accepted, refused = await driver.finish()
    await driver.close()

    assert isinstance(accepted, OutcomeUnknown)
    assert accepted.extra["reservations"] == [str(wishes[0].reservation)]
    assert isinstance(refused, Problem)
    assert refused.name == "overloaded"


async def test_the_same_key_tells_what_became_of_it(store: Store) -> None:
    """After an unknown outcome the repeated key is answered by what was done then, and books nothing more."""
    await add_resource(store)

    def render(made: Reservation) -> StoredAnswer:
        return StoredAnswer(request_hash="same", status=201, headers={}, body=str(made.id))

    token = Token("key", "same", render)
    wish = booking_of(token=token)
    driver = FailingStepDriver(store, [wish])
    driver.fail("commit", lost_commit_answer(), done=True)
    driver.fail("commit.fence", AutoReconnect("still closed"), done=False)
    (unknown,) = await driver.finish()
    await driver.close()
    assert isinstance(unknown, OutcomeUnknown)

    booking = BookingService(store)
    await booking.start()
    again = await booking.book(booking_of(token=token))
    await booking.stop()

    assert isinstance(again, Replay)
    assert again.answer.body == str(wish.reservation)
    assert await store.database["reservations"].count_documents({}) == 1


def broken() -> AutoReconnect:
    """A connection that went in the middle of an operation."""
    return AutoReconnect("connection closed")


def too_slow() -> ExecutionTimeout:
    """An operation that the server gave up because its time was over."""
    return ExecutionTimeout("operation exceeded time limit", 50)


@pytest.mark.parametrize("error", [broken, too_slow])
async def test_the_locks_of_a_cut_off_transaction_are_free_at_once(
    store: Store, error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is ended, since an abort may be lost like the operation before it without an error."""
    await add_resource(store)
    driver = SessionDriver(store.client.delegate, store.database.name, 1)
    perform = driver.perform

    def cut(step: Step, slot: int, until: float) -> Any:
        if step.name == "reservations.insert":
            raise error()
        return perform(step, slot, until)

    def lost(session: ClientSession, command: str) -> Any:
        raise AutoReconnect("connection closed")

    driver.perform = cut  # type: ignore[method-assign]  # that is the fault
    with monkeypatch.context() as patch:
        patch.setattr(ClientSession, "_finish_transaction_with_retry", lost)
        with pytest.raises(type(error())):
            await asyncio.to_thread(
                driver.drive, 0, attempt(Batch([booking_of()], RuleCache(), 1, clock=EARLIEST, owner=ObjectId())), 10.0
            )
    await driver.end_doubtful_sessions()  # another thread may still be at it
    booked = await book_accepted(store)
    await driver.close()

    assert await store.database["reservations"].distinct("_id") == [booked.id]


async def test_what_takes_too_long_before_its_commit_is_surely_undone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A booking whose deadline ends during a read in its transaction is `overloaded`, and nothing was written."""
    await add_resource(store)
    booking = BookingService(store)
    await booking.start()
    driver = booking.committer.driver
    assert isinstance(driver, SessionDriver)
    perform, released = driver.perform, threading.Event()

    def slow(step: Step, slot: int, until: float) -> Any:
        result = perform(step, slot, until)
        if step.name == "occupants.read":
            released.wait()
        return result

    monkeypatch.setattr(driver, "perform", slow)
    with pytest.raises(Problem) as undone:
        await booking.book(booking_of(deadline_seconds=0.5))
    released.set()
    await booking.stop()

    assert undone.value.name == "overloaded"
    assert await store.database["reservations"].count_documents({}) == 0
    assert (await book_accepted(store)).status == "confirmed"


async def test_what_the_server_gave_up_is_no_conflict(store: Store) -> None:
    """An operation over its time is reported as that, also where the driver allows a retry of the transaction."""
    await add_resource(store)
    slow = too_slow()
    slow._add_error_label("TransientTransactionError")
    driver = FailingStepDriver(store, [booking_of()])
    driver.fail("occupants.read", slow, done=False)

    with pytest.raises(ExecutionTimeout):
        await driver.finish()
    await driver.close()


async def test_a_key_that_a_stranger_used_in_between_is_answered_like_the_stranger(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A booking with the same key commits after the keys were looked up: the duplicate goes again, and is a replay."""
    await add_resource(store, capacity=2)

    def render(made: Reservation) -> StoredAnswer:
        return StoredAnswer(request_hash="same", status=201, headers={}, body=str(made.id))

    token = Token("key", "same", render)
    first, second = booking_of(token=token), booking_of(token=token)
    booking = BookingService(store)
    await booking.start()
    driver = booking.committer.driver
    assert isinstance(driver, SessionDriver)
    perform, loop, begun = driver.perform, asyncio.get_running_loop(), list[str]()

    def after_a_stranger(step: Step, slot: int, until: float) -> Any:
        if step is BEGIN:
            begun.append(step.name)
            if len(begun) == 1:
                asyncio.run_coroutine_threadsafe(run_batch(store, first), loop).result()
        return perform(step, slot, until)

    monkeypatch.setattr(driver, "perform", after_a_stranger)
    answer = await booking.book(second)
    await booking.stop()

    assert isinstance(answer, Replay)
    assert answer.answer.body == str(first.reservation)
    assert await store.database["reservations"].distinct("_id") == [first.reservation]


async def test_without_transactions_a_duplicate_goes_again_as_well(mock_store: Store) -> None:
    """The unique index alone refuses a second booking of a key, which is then answered like the first."""
    await add_resource(mock_store, capacity=2)

    def render(made: Reservation) -> StoredAnswer:
        return StoredAnswer(request_hash="same", status=201, headers={}, body=str(made.id))

    token = Token("key", "same", render)
    booking, other = BookingService(mock_store), BookingService(mock_store)
    await booking.start()
    driver = booking.committer.driver
    assert isinstance(driver, PlainDriver)
    perform, met = driver._perform, list[Any]()

    async def after_a_stranger(step: Step, until: float) -> Any:
        if step.name == "reservations.insert" and not met:
            met.append(await other.book(booking_of(token=token)))
        return await perform(step, until)

    driver._perform = after_a_stranger  # type: ignore[method-assign]  # that is the race
    answer = await booking.book(booking_of(token=token))
    await booking.stop()

    assert isinstance(answer, Replay)
    assert answer.answer.body == str(met[0].id)
    assert await mock_store.database["reservations"].distinct("_id") == [met[0].id]


async def plain_steps(store: Store, batch: Batch, before_update: Any) -> list[Outcome]:
    """Run a batch without a transaction, with something happening right before its first update."""
    driver = PlainDriver(store)
    perform = driver._perform

    async def interrupted(step: Step, until: float) -> Any:
        if step.name in {"reservations.update", "resources.update"}:
            await before_update()
        return await perform(step, until)

    driver._perform = interrupted  # type: ignore[method-assign]  # that is the race
    return await driver.run(0, attempt(batch), 10)


async def test_an_update_that_matches_nothing_is_not_taken_for_done(mock_store: Store) -> None:
    """Without transactions a change that another write overtook runs again instead of being acknowledged."""
    await add_resource(mock_store)
    booking = BookingService(mock_store)
    await booking.start()
    made = await booking.book(booking_of())
    assert isinstance(made, Reservation)
    change = Change(by="test", reservation=made.id, resource=ROOM_ID, patch={"guests": 2})

    async def cancel() -> None:
        await booking.close(made.id, "cancelled", by="other")

    with pytest.raises(WriteConflict):
        await plain_steps(mock_store, optimistic_batch(change), cancel)
    await booking.stop()

    row = await mock_store.database["reservations"].find_one({"_id": made.id})
    assert row is not None
    assert (row["status"], row["guests"]) == ("cancelled", 1)


@pytest.mark.parametrize("meanwhile", [{"status": "confirmed", "version": 2}, {"version": 2}])
async def test_a_hold_that_went_on_is_not_marked_as_over(mock_store: Store, meanwhile: dict[str, Any]) -> None:
    """Without transactions the mark of an expired hold is for the version that was read, while it is pending."""
    await add_resource(mock_store)
    booking = BookingService(mock_store)
    await booking.start()
    hold = await booking.book(booking_of(hold_seconds=600))
    await booking.stop()
    assert isinstance(hold, Reservation)
    rows = mock_store.database["reservations"]
    over = {"expiresAt": mock_store.clock.now() - HOUR}
    await rows.update_one({"_id": hold.id}, {"$set": over})

    async def go_on() -> None:
        await rows.update_one({"_id": hold.id}, {"$set": meanwhile})

    batch = optimistic_batch(booking_of(), clock=mock_store.clock.millis())
    with pytest.raises(WriteConflict):
        await plain_steps(mock_store, batch, go_on)

    row = await rows.find_one({"_id": hold.id})
    assert row is not None
    assert row["status"] == meanwhile.get("status", "pending")
    assert await rows.count_documents({}) == 1


async def test_an_edit_does_not_undo_another(mock_store: Store) -> None:
    """Without transactions an edit that another write overtook runs again instead of overwriting it."""
    await add_resource(mock_store)
    resources = mock_store.database["resources"]

    async def rename() -> None:
        await resources.update_one({"_id": "room"}, {"$set": {"name": "other", "version": 2}})

    edit = await planned_edit(mock_store, Changes({"capacity": 5}))
    batch = optimistic_batch(edit, clock=mock_store.clock.millis())
    with pytest.raises(WriteConflict):
        await plain_steps(mock_store, batch, rename)

    row = await resources.find_one({"_id": "room"})
    assert row is not None
    assert (row["name"], row["capacity"]) == ("other", 1)


async def test_a_row_of_our_own_is_no_conflict(mock_store: Store) -> None:
    """Without transactions an insert that was done, and failed only in its answer, is acknowledged as booked."""
    await add_resource(mock_store)
    driver = PlainDriver(mock_store)
    perform = driver._perform

    async def unlucky(step: Step, until: float) -> Any:
        result = await perform(step, until)
        if step.name == "reservations.insert":
            raise AutoReconnect("connection closed")
        return result

    driver._perform = unlucky  # type: ignore[method-assign]  # that is the fault
    wish = booking_of()
    (outcome,) = await driver.run(0, attempt(optimistic_batch(wish)), 10)

    assert isinstance(outcome, Accepted)
