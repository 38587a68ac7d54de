"""Events get their places one after the other, each once, those of one subject in the order of its versions."""

import json
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from bson import Code, Decimal128, Int64, ObjectId
from pymongo.errors import OperationFailure
from structlog.testing import capture_logs

from app.booking.batch import WriteConflict
from app.events.event_ids import event_id
from app.events.rendering import shown_event
from app.storage.client import Store
from app.storage.documents import Event
from app.storage.event_log import RELAY, EventLog
from app.storage.leases import OwnershipLost
from tests.support.interleavings import orders
from tests.support.relaying import (
    Walk,
    add_events,
    event_document,
    later,
    logged,
    new_grant,
    place_all,
    placing,
    writing,
)
from tests.support.step_driver import StepDriver, add_resource, booking_of
from tests.support.times import HOUR, NINE

STEPS_MAX = 30


async def _events(store: Store) -> list[Event]:
    log = EventLog(store)
    floor, last = await log.bounds()
    return [event async for event in log.read(floor, last, 1_000)]


@pytest.mark.servers("any")
async def test_places_follow_each_other(store: Store) -> None:
    """Each event gets the next place, those of one reservation in the order of versions, the rest by time."""
    early, late = ObjectId(), ObjectId()
    await add_events(
        store,
        event_document(early, 1, at=later(1)),
        event_document(early, 10, at=later(5)),
        event_document(early, 9, at=later(9)),
        event_document(late, 1, at=later(3)),
        event_document(late, 2, at=later(20)),
    )

    placed = await place_all(store)

    assert placed == (5, 5, False)
    assert await logged(store) == [(1, early, 1), (2, late, 1), (3, early, 9), (4, early, 10), (5, late, 2)]
    assert await store.database["outbox"].count_documents({}) == 0


@pytest.mark.servers("any")
async def test_batches(store: Store) -> None:
    """A batch takes the events in the order of their ids, so no later version of a subject comes before an earlier."""
    one, two = sorted([ObjectId(), ObjectId()])
    await add_events(store, *(event_document(each, version) for version in range(1, 5) for each in (two, one)))

    placed = await place_all(store, most=3)

    assert placed.last == 8
    assert [(subject, version) for _, subject, version in await logged(store)] == [
        (each, version) for each in (one, two) for version in range(1, 5)
    ]


@pytest.mark.servers("any")
async def test_state(store: Store) -> None:
    """The state is the reservation as it is stored, without what belongs to the write path or other programs."""
    known, gone = ObjectId(), ObjectId()
    shown = {"_id": known, "resource": "room", "version": 7, "notes": "window seat"}
    hidden = {"idempotencyKey": "k", "idempotency": {"body": "b"}, "importKey": "i", "formerCustomers": ["c"]}
    await store.database["reservations"].insert_one(shown | hidden | {"plugin": {"x": 1}})
    await add_events(store, event_document(known, 7), event_document(gone, 1))

    await place_all(store)

    by_subject = {each.subject: each.state for each in await _events(store)}
    assert by_subject == {known: shown, gone: None}


ODD: list[dict[str, Any]] = [
    {
        "_id": "text",
        "history": "none",
        "metadata": {"$odd": {"a.b": [Decimal128("NaN")]}},
    },
    {"_id": 7.5, "resource": Code("x"), "version": Int64(2**40)},
    {"_id": {"b": 1, "a": [1, 2]}, "notes": "x" * 2_000_000},
    {"_id": b"\x00\xff", "status": None},
    {"_id": None},
    {"_id": True},
]


@pytest.mark.servers("wire")
async def test_odd_documents(store: Store) -> None:
    """Reservations that other programs wrote, of any shape and with ids of any type, stand in nobody's way."""
    for row in ODD:
        await store.database["reservations"].insert_one(row)
    await add_events(store, *(event_document(row["_id"], 1) for row in ODD), {"_id": "rubbish", "at": "yesterday"})
    await add_events(store, event_document("zz last", 1))

    await place_all(store, most=2)

    events = await _events(store)
    assert [json.loads(shown_event(event).json)["id"] for event in events] == [event_id(event.id) for event in events]
    assert len(events) == len(ODD) + 1
    assert await store.database["outbox"].count_documents({}) == 0


DAMAGE: list[dict[str, Any]] = [
    {"at": "2030-01-07T09:00:00Z"},
    {"version": 1.0, "by": 7},
    {"type": "reservation.exploded"},
    {"subject": None, "changed": "notes"},
]


@pytest.mark.servers("any")
async def test_damaged_events(store: Store) -> None:
    """What another program has damaged in the outbox or in the log is placed, read, told by the doctor and removed."""
    await add_events(store, *(event_document(ObjectId(), 1, at=later(number)) | DAMAGE[number] for number in range(4)))
    await add_events(store, event_document(ObjectId(), 1, at=later(9)))
    await place_all(store)
    assert [(event.id, event.version) for event in await _events(store)] == [(place, 1) for place in range(1, 6)]
    assert len(store.damaged_events) == 0
    for place, damage in enumerate(DAMAGE, 1):
        await store.database["events"].update_one({"_id": place}, {"$set": damage})
    await store.database["events"].update_one({"_id": 5}, {"$unset": {"key": "", "at": "", "subject": ""}})
    await store.database["events"].insert_one({"_id": "rubbish"})

    with capture_logs() as logged:
        events = [event for _ in "12" for event in await _events(store)]

    assert [event.id for event in events] == [*range(1, 6)] * 2
    assert all(json.loads(shown_event(event).json)["type"] == "reservation.changed" for event in events)
    assert [each["id"] for each in logged] == [1, 2, 3, 4, 5]
    assert len(store.damaged_events) == 5
    assert await EventLog(store).damaged(100) == [5, 4, 3, 2, 1]
    assert await EventLog(store).prune(1) == 0
    await store.database["events"].update_many({}, {"$unset": {"placedAt": ""}})
    for place in range(1, 5):
        await store.database["events"].update_one({"_id": place}, {"$set": {"at": later(0) - 9_999 * HOUR}})
    store.clock.now = lambda: later(0)  # type: ignore[method-assign]  # it is read alone
    assert await EventLog(store).prune(30) == 5
    assert await EventLog(store).bounds() == (5, 5)


@pytest.mark.servers("any")
async def test_another_owner(store: Store) -> None:
    """A relay that was paused anywhere until another one took its lease places nothing more."""
    for number in range(STEPS_MAX):
        subject = ObjectId()
        await add_events(store, event_document(subject, 1), event_document(subject, 2))
        paused = placing(store, await new_grant(store))
        for _ in range(number):
            await paused.advance()
        if paused.next is None:
            await paused.close()
            break
        if store.mode == "strict":  # until then its transaction has the lease locked
            await paused.be_reaped(store)

        await place_all(store)
        before = await logged(store)
        while await paused.advance():
            pass
        await paused.close()

        assert await logged(store) == before
        assert [version for _, each, version in before if each == subject] == [1, 2], number
        assert [place for place, *_ in before] == [*range(1, len(before) + 1)]
        assert await store.database["outbox"].count_documents({}) == 0
    else:
        pytest.fail("it has more steps than that")


@pytest.mark.servers("transactions")
async def test_ownership_lost(store: Store) -> None:
    """A relay whose lease another one has acquired meanwhile is told so by its next placing."""
    paused = placing(store, await new_grant(store))
    await add_events(store, event_document(ObjectId(), 1))
    await place_all(store)

    with pytest.raises(OwnershipLost):
        await paused.finish()
    await paused.close()


@pytest.mark.promise("events")
@pytest.mark.servers("any")
async def test_killed_between_steps(store: Store) -> None:
    """Wherever a relay is killed, the next one places every event once and without a gap."""
    for number in range(STEPS_MAX):
        subject = ObjectId()
        await add_events(store, *(event_document(subject, version) for version in (1, 2, 3)))
        killed = placing(store, await new_grant(store))
        for _ in range(number):
            await killed.advance()
        ended = killed.next is None
        await killed.kill()

        await place_all(store)

        events = await logged(store)
        assert [version for _, each, version in events if each == subject] == [1, 2, 3], number
        assert [place for place, *_ in events] == [*range(1, len(events) + 1)], number
        if ended:
            return
    pytest.fail("it has more steps than that")


@pytest.mark.promise("events")
@pytest.mark.servers("transactions", once=True)
@pytest.mark.parametrize("same", [True, False], ids=["one reservation", "two reservations"])
async def test_all_orders_of_two_writers_and_the_relay(store: Store, *, same: bool) -> None:
    """In every order of two writers and a placing, all that commits is placed once, in the order of versions."""
    numbers = count()
    for order in orders(8, 8):
        first = ObjectId()
        second = first if same else ObjectId()
        ids = {first, second}
        await store.database["reservations"].insert_many([{"_id": each, "version": 1} for each in ids])
        writers = [Walk(store, writing(first, 2)), Walk(store, writing(second, 2))]
        relay = placing(store, await new_grant(store))
        walks: dict[str, list[Walk]] = {"a": [relay], "b": writers}
        for letter in order:
            walk = walks[letter][next(numbers) % len(walks[letter])]
            await walk.advance()
        for walk in (*writers, relay):
            while await walk.advance():
                pass
            await walk.close()
        committed = [each for walk, each in zip(writers, (first, second), strict=True) if walk.error is None]
        await place_all(store)

        events = await logged(store)
        assert sorted(each for _, each, _ in events if each in ids) == sorted(committed), order
        assert [place for place, *_ in events] == [*range(1, len(events) + 1)], order


@pytest.mark.servers("transactions")
async def test_late_commit(store: Store) -> None:
    """An event that is committed while another one is placed gets a later place, though it happened before."""
    slow, quick = ObjectId(), ObjectId()
    await store.database["reservations"].insert_many([{"_id": slow, "version": 1}, {"_id": quick, "version": 1}])
    writer = Walk(store, writing(slow, 2, at=NINE))
    await writer.before("commit")
    await Walk(store, writing(quick, 2, at=later(5))).finish()

    relay = placing(store, await new_grant(store))
    await relay.before("events.insert")
    await writer.finish()
    await relay.finish()
    seen = await logged(store)
    await place_all(store)

    assert seen == [(1, quick, 2)]
    assert await logged(store) == [(1, quick, 2), (2, slow, 2)]


@pytest.mark.servers("any")
async def test_lost_lease(store: Store) -> None:
    """A lease that was removed from the database is made anew from the log."""
    for subject in range(3):
        await add_events(store, event_document(subject, 1))
        await place_all(store)
    await store.database["leases"].delete_one({"_id": RELAY})

    await add_events(store, event_document(9, 1))
    await place_all(store)

    assert await logged(store) == [(1, 0, 1), (2, 1, 1), (3, 2, 1), (4, 9, 1)]


@pytest.mark.servers("transactions", once=True)
async def test_bookers_and_the_relay(store: Store) -> None:
    """In every order of two bookings and a placing, each booking that commits is placed once, with its state."""
    await add_resource(store)
    for number, order in enumerate(orders(10, 8)[::3]):
        bookers = [StepDriver(store, [booking_of(NINE + (2 * number + each) * HOUR)]) for each in range(2)]
        relay = placing(store, await new_grant(store))
        going = [*bookers]
        turns = count()
        for letter in order + "a" * 2 * STEPS_MAX:
            if letter == "b":
                await relay.advance()
            elif going:
                booker = going[next(turns) % len(going)]
                try:
                    ended = not await booker.advance()
                except WriteConflict:
                    ended = True
                if ended:
                    going.remove(booker)
        for booker in bookers:
            await booker.close()
        while await relay.advance():
            pass
        await relay.close()
    await place_all(store)

    booked = {row["_id"] async for row in store.database["reservations"].find()}
    events = await _events(store)
    assert len(booked) > 1
    assert sorted(event.subject for event in events) == sorted(booked)
    assert all(event.state is not None and event.state["status"] == "confirmed" for event in events)
    assert [event.id for event in events] == [*range(1, len(events) + 1)]


@pytest.mark.servers("transactions")
@pytest.mark.parametrize("committed", [True, False])
async def test_a_commit_without_an_answer(store: Store, *, committed: bool) -> None:
    """After a commit whose answer was lost the next placing goes on from what the database says."""
    await add_events(store, event_document(ObjectId(), 1), event_document(ObjectId(), 1))
    grant = await new_grant(store)
    lost = placing(store, grant)
    await lost.before("commit")
    if committed:
        await lost.advance()
    await lost.close()

    relay = placing(store, grant)
    with suppress(OperationFailure):  # what is still open there has the lease locked
        await relay.finish()
    await relay.close()
    await place_all(store)

    assert [place for place, *_ in await logged(store)] == [1, 2]
    assert await store.database["outbox"].count_documents({}) == 0
