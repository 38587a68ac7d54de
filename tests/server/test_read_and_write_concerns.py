"""What the write path asks of the server beside the operation itself: which data a read sees, when a write counts.

A weaker concern breaks nothing on one healthy node, and everything after a failover. So these tests check the commands.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo import ReadPreference
from pymongo.errors import AutoReconnect

from app.booking import BookingService
from app.booking.drivers import driver_for
from app.booking.expiry import complete_ended, expire_lapsed
from app.booking.idempotency import Replay
from app.booking.release import Close
from app.booking.session_driver import SessionDriver
from app.reconciliation.engine import reconcile_reservations
from app.storage.client import Store, connect
from tests.support.command_log import logged_store
from tests.support.servers import with_options
from tests.support.step_driver import (
    FailingStepDriver,
    add_resource,
    book_accepted,
    booking_of,
    keyed_booking_of,
    lost_commit_answer,
    run_batch,
    running_booking_service,
)

pytestmark = pytest.mark.servers("transactions")

MAJORITY = {"w": "majority", "j": True}
FORMS = {"find", "update", "insert", "delete", "commitTransaction", "aggregate"}


def in_transactions(asked: list[tuple[str, Any]]) -> list[list[tuple[str, Any]]]:
    """The commands of each transaction, in order."""
    found: dict[int, list[tuple[str, Any]]] = {}
    for name, command in asked:
        if command.get("autocommit") is False:
            found.setdefault(command["txnNumber"], []).append((name, command))
    return list(found.values())


def outside(asked: list[tuple[str, Any]], collection: str) -> list[tuple[str, Any]]:
    """What was asked of a collection beside the transactions."""
    return [each for each in asked if each[1].get("autocommit") is None and each[1].get(each[0]) == collection]


def level(command: Any) -> Any:
    """The read concern."""
    return command.get("readConcern", {}).get("level")


async def keyed(store: Store) -> None:
    """Book with an Idempotency-Key."""
    await run_batch(store, keyed_booking_of())


async def test_a_batch_is_one_transaction_on_a_snapshot_with_a_majority(database_url: str) -> None:
    """A booking is one transaction from the guard on: it begins with `snapshot` and ends with `majority, j`."""
    async with logged_store(database_url) as (store, commands):
        await add_resource(store)
        commands.take()
        await book_accepted(store)
        asked = [each for each in commands.take() if each[0] in FORMS]

    (transaction,) = in_transactions(asked)
    names = [name for name, _ in transaction]
    assert len(asked) == len(transaction)
    assert {"find", "insert", "update"} < {*names}
    (_, first), (last, commit) = transaction[0], transaction[-1]
    assert first["startTransaction"] is True
    assert level(first) == "snapshot"
    assert not any("readConcern" in command for _, command in transaction[1:])
    assert last == "commitTransaction"
    assert commit["writeConcern"] == MAJORITY


@pytest.mark.parametrize("capacity", [1, 2])
async def test_keys_are_read_from_the_majority(database_url: str, capacity: int) -> None:
    """A write that a failover may undo is no answer to repeat: an aborted transaction that read it does not suffice.

    With capacity 1 the second request is refused for what the first has booked, with 2 its insert is a duplicate.
    """
    async with logged_store(database_url) as (store, commands):
        await add_resource(store, capacity=capacity)
        async with running_booking_service(store) as booking:
            await booking.book(keyed_booking_of())
            commands.take()
            replay = await booking.book(keyed_booking_of())
        asked = commands.take()
        guard = await store.database["guards"].find_one({"_id": "room"})

    (lookup,) = [each for each in outside(asked, "reservations") if "idempotencyKey" in str(each[1])]
    assert isinstance(replay, Replay)
    assert lookup[0] == "find"
    assert level(lookup[1]) == "majority"
    assert "commitTransaction" not in [name for name, _ in asked]
    assert guard is not None
    assert guard["seq"] == 1


async def test_the_question_whether_it_was_done_is_asked_of_the_majority(database_url: str) -> None:
    """The session is ended, then the guard written with a majority, then the proof read from a majority's data."""
    async with logged_store(database_url) as (store, commands):
        await add_resource(store)
        driver = FailingStepDriver(store, [booking_of()])
        driver.fail("commit", lost_commit_answer(), done=True)
        await driver.until("reservations.insert")
        commands.take()
        await driver.finish()
        asked = commands.take()
        await driver.close()

    names = [name for name, command in asked if command.get("autocommit") is None]
    assert names[:3] == ["killSessions", "update", "find"]
    (fence,), (proof,) = outside(asked, "guards"), outside(asked, "reservations")
    assert fence[1]["writeConcern"] == MAJORITY
    assert level(proof[1]) == "majority"


async def _cancel(store: Store, identity: ObjectId) -> None:
    booking = BookingService(store)
    await booking.start()
    await booking.close(identity, "cancelled", by="test")
    await booking.stop()


async def _expire(store: Store, identity: ObjectId) -> None:
    over = {"status": "pending", "expiresAt": store.clock.now() - timedelta(minutes=1)}
    await store.database["reservations"].update_one({"_id": identity}, {"$set": over})
    async with running_booking_service(store) as booking:
        assert await expire_lapsed(store, booking.committer) == 1


async def _complete(store: Store, identity: ObjectId) -> None:
    now = store.clock.now()
    over = {"startTime": now - timedelta(hours=3), "endTime": now - timedelta(hours=2)}
    await store.database["reservations"].update_one({"_id": identity}, {"$set": over})
    async with running_booking_service(store) as booking:
        assert await complete_ended(store, booking.committer, 1) == 1


@pytest.mark.parametrize("change", [_cancel, _expire, _complete])
async def test_a_closure_and_its_event_count_with_a_majority(
    database_url: str, change: Callable[[Store, ObjectId], Awaitable[None]]
) -> None:
    """What ends a reservation is guarded by its version, and acknowledged by a majority together with its event."""
    async with logged_store(database_url) as (store, commands):
        await add_resource(store)
        made = await book_accepted(store)
        commands.take()
        await change(store, made.id)
        (closure,) = in_transactions(commands.take())

    (ending,) = [command for _, command in closure if command.get("update") == "reservations"]
    assert ending["updates"][0]["q"]["version"] == 1
    assert [command["insert"] for name, command in closure if name == "insert"] == ["outbox"]
    last, commit = closure[-1]
    assert last == "commitTransaction"
    assert commit["writeConcern"] == MAJORITY


async def _cancel_group(booking: BookingService, identity: ObjectId) -> None:
    await booking.close_all([identity], "cancelled", by="test")


CLOSED: list[tuple[str, Callable[[BookingService, ObjectId], Awaitable[object]]]] = [
    ("cancelled", lambda booking, identity: booking.close(identity, "cancelled", by="test")),
    ("cancelled", _cancel_group),
    ("confirmed", lambda booking, identity: booking.confirm(identity, by="test")),
]


@pytest.mark.parametrize(("status", "repeat"), CLOSED)
async def test_what_is_so_already_counts_with_a_majority(
    database_url: str, status: str, repeat: Callable[[BookingService, ObjectId], Awaitable[object]]
) -> None:
    """A verb whose work was done before writes nothing, and is answered once a majority has what it has read."""
    async with logged_store(database_url) as (store, commands):
        await add_resource(store)
        made = await book_accepted(store)
        await store.database["reservations"].update_one({"_id": made.id}, {"$set": {"status": status}})
        async with running_booking_service(store) as booking:
            commands.take()
            await repeat(booking, made.id)
            (transaction,) = in_transactions(commands.take())
        row = await store.database["reservations"].find_one({"_id": made.id})

    assert row is not None
    assert row["version"] == 1
    assert level(transaction[0][1]) == "snapshot"
    last, commit = transaction[-1]
    assert (last, commit.get("writeConcern")) == ("commitTransaction", MAJORITY)


async def test_what_is_so_already_is_not_said_without_a_majority(database_url: str) -> None:
    """If that commit fails, so does the transaction, and its session is ended."""
    async with logged_store(database_url) as (store, commands):
        await add_resource(store)
        made = await book_accepted(store)
        await run_batch(store, _closing(made.id))
        driver = FailingStepDriver(store, [_closing(made.id)])
        driver.fail("commit", lost_commit_answer(), done=False)
        commands.take()
        with pytest.raises(AutoReconnect):
            await driver.finish()
        await driver.close()
        names = [name for name, _ in commands.take()]

    assert "killSessions" in names


def _closing(identity: ObjectId) -> Close:
    return Close(reservation=identity, operation=ObjectId(), service=None, by="test", to="cancelled")


async def test_findings_are_read_from_one_snapshot_and_written_to_a_majority(database_url: str) -> None:
    """The second scan reads everything on one snapshot; findings are written in a transaction like bookings."""
    async with logged_store(database_url) as (store, commands):
        await add_resource(store)
        made = await book_accepted(store)
        copy = made.model_copy(update={"id": ObjectId()})
        await store.database["reservations"].insert_one(copy.to_mongo())
        commands.take()
        run = await reconcile_reservations(store, "full")
        scanned, written = in_transactions(commands.take())

    assert run.findings == 1
    assert {command.get("find") for _, command in scanned} >= {"resources", "reservations"}
    for transaction in (scanned, written):
        assert transaction[0][1]["startTransaction"] is True
        assert level(transaction[0][1]) == "snapshot"
    last, commit = written[-1]
    assert last == "commitTransaction"
    assert commit["writeConcern"] == MAJORITY


async def test_an_address_cannot_weaken_what_is_read_and_written(database_url: str) -> None:
    """Neither reads from secondaries nor fast and unsafe writes reach reservations, whatever the address asks for."""
    weak = "readPreference=secondaryPreferred&w=1&journal=false"
    store = await connect(with_options(database_url, weak))
    driver = driver_for(store, 1)
    assert isinstance(driver, SessionDriver)
    databases: list[Any] = [store.database, driver.database]
    await driver.close()
    await store.close()

    assert [each.read_preference.mode for each in databases] == [ReadPreference.PRIMARY.mode] * 2
    assert [each.write_concern.document for each in databases] == [MAJORITY] * 2
