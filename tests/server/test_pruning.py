"""What is too old is removed: stored answers with their keys, and nothing else of a reservation."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.booking import BookingService, Replay
from app.booking.session_driver import SessionDriver
from app.operations.pruning import PRUNED_KINDS, prune
from app.settings import Settings
from app.storage import event_log, keyed_reservations, webhooks
from app.storage.client import Store
from app.storage.documents import Reservation
from app.storage.event_log import EventLog, EventsGone
from app.storage.steps import Step
from tests.support.api_client import ApiClient, booking_body, created, problem
from tests.support.commands import run_reserva
from tests.support.http_client import serving
from tests.support.relaying import add_events, event_document, place_all
from tests.support.step_driver import add_resource, booking_of, keyed_booking_of
from tests.support.times import DAY, HOUR, NINE

pytestmark = pytest.mark.servers("any")


def pass_time(store: Store, monkeypatch: pytest.MonkeyPatch, time: timedelta) -> None:
    """Let the database's clock, as this process knows it, be so much further."""
    now = store.clock.now
    monkeypatch.setattr(store.clock, "now", lambda: now() + time)


def removed(**counts: int) -> dict[str, int]:
    """What is removed of each kind: so many, else none."""
    return dict.fromkeys(PRUNED_KINDS, 0) | counts


async def rows(store: Store) -> list[dict[str, Any]]:
    """The stored reservations, in the order in which they were made."""
    return await store.database["reservations"].find().sort("_id", 1).to_list(None)


@pytest.mark.promise("idempotency")
async def test_an_answer_is_kept_for_its_time_and_no_longer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then a key is replayed; afterwards it books anew, and what it booked before stays as it was."""
    monkeypatch.setattr(keyed_reservations, "BATCH", 2)
    async with serving(store) as http:
        api = ApiClient(http, store)
        await api.resource()
        first = [created(await api.book(NINE + hour * HOUR, key=f"k{hour}")) for hour in range(3)]
        await api.booked(NINE + 3 * HOUR)
        group: dict[str, Any] = {
            "json": {"reservations": [booking_body(NINE + 4 * HOUR)]},
            "headers": {"Idempotency-Key": "group"},
        }
        created(await api.request("POST", "/v1/groups", **group))
        before = await rows(store)

        pass_time(store, monkeypatch, 29 * DAY)
        assert await prune(store, Settings()) == removed()
        assert created(await api.book(key="k0")) == first[0]
        pass_time(store, monkeypatch, 2 * DAY)
        assert await prune(store, Settings(answers_days=0)) == removed()
        assert await prune(store, Settings()) == removed(answers=4)
        assert await prune(store, Settings()) == removed()

        stored = {"idempotency", "idempotencyKey"}
        assert await rows(store) == [{name: row[name] for name in row if name not in stored} for row in before]
        anew = created(await api.book(NINE + 9 * HOUR, key="k0"))
        assert anew["id"] not in {each["id"] for each in first}
        problem(await api.request("POST", "/v1/groups", **group), "conflict")


async def test_keys_of_other_programs_stay(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key without an answer was written by another program, which may still need it."""
    await store.database["reservations"].insert_one({"resource": "room", "idempotencyKey": "theirs"})
    before = await rows(store)
    pass_time(store, monkeypatch, 31 * DAY)

    assert await prune(store, Settings()) == removed()
    assert await rows(store) == before


async def test_answers_of_the_first_version_are_kept_from_now_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such an answer about several reservations has no time: it gets the present one, and is removed in its turn."""
    answer = {"_id": "old", "requestHash": "h", "status": 201, "headers": {}, "body": '{"reservations": []}'}
    await store.database["answers"].insert_one(answer)

    assert await prune(store, Settings()) == removed()
    pass_time(store, monkeypatch, 31 * DAY)
    assert await prune(store, Settings()) == removed(answers=1)


def at_step(monkeypatch: pytest.MonkeyPatch, number: int, action: Callable[[], Any]) -> list[str]:
    """Do something in the midst of a batch, before its step of that number; the names of the steps that were done."""
    perform, loop = SessionDriver.perform, asyncio.get_running_loop()
    done: list[str] = []

    def performing(driver: SessionDriver, step: Step, slot: int, until: float) -> Any:
        if len(done) == number:
            asyncio.run_coroutine_threadsafe(action(), loop).result()
        done.append(step.name)
        return perform(driver, step, slot, until)

    monkeypatch.setattr(SessionDriver, "perform", performing)
    return done


@pytest.mark.servers("transactions")
@pytest.mark.promise("idempotency")
@pytest.mark.parametrize("refused", [False, True])
async def test_a_key_that_is_pruned_while_it_is_repeated(
    store: Store, booking: BookingService, monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    """Before whichever step: the repeated request gets the old answer or is judged anew, and never fails otherwise."""
    await add_resource(store, capacity=1 if refused else 1_000)
    steps, number = 1, 0
    outcomes: list[object] = []
    while number < steps:
        await store.database["reservations"].delete_many({})
        await store.database["watermarks"].delete_many({})
        made = await booking.book(keyed_booking_of())
        assert isinstance(made, Reservation)
        with monkeypatch.context() as patch:
            pass_time(store, patch, 31 * DAY)
            done = at_step(patch, number, lambda: prune(store, Settings()))
            try:
                outcomes.append(await booking.book(keyed_booking_of()))
            except Exception as refusal:  # noqa: BLE001  # looked at below
                outcomes.append(refusal)
        steps, number = len(done), number + 1

    kinds = [type(each).__name__ for each in outcomes]
    assert set(kinds) == {"Replay", "Refused" if refused else "Reservation"}
    assert all(each.answer.body for each in outcomes if isinstance(each, Replay))
    assert steps > 4


async def test_a_batch_that_is_interrupted_is_gone_on_with(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was removed is not looked at again, and what was not is removed by the next."""
    monkeypatch.setattr(keyed_reservations, "BATCH", 1)
    await add_resource(store)
    async with serving(store) as http:
        api = ApiClient(http, store)
        for hour in range(3):
            created(await api.book(NINE + hour * HOUR, key=f"k{hour}"))
    pass_time(store, monkeypatch, 31 * DAY)

    def interrupt(*_: object) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await prune(store, Settings(), interrupt)
    assert await prune(store, Settings()) == removed(answers=2)


@pytest.mark.servers("fast")
async def test_the_command(store: Store, database_url: str) -> None:
    """`reserva prune` says how many it removed of each kind; the numbers alone are on standard output."""
    await add_resource(store)
    book = booking_of()
    old = {"_id": "old", "at": store.clock.now() - 31 * DAY, "body": "{}", "reservations": [book.reservation]}
    await store.database["answers"].insert_many([old, {**old, "_id": "new", "at": store.clock.now()}])

    spoken = await asyncio.to_thread(run_reserva, "prune", MONGODB_URL=database_url)
    as_json = await asyncio.to_thread(run_reserva, "prune", "--json", MONGODB_URL=database_url)

    assert spoken.returncode == as_json.returncode == 0
    assert spoken.stdout == "runs        0\nanswers     1\nevents      0\ndeliveries  0\nsessions    0\n"
    assert as_json.stdout == '{"runs":0,"answers":0,"events":0,"deliveries":0,"sessions":0}\n'
    assert [row["_id"] async for row in store.database["answers"].find()] == ["new"]


async def place_on_days(store: Store, now: datetime) -> None:
    """An event of each of the last forty days, placed on that day."""
    await add_events(store, *(event_document(each, 1, at=now - each * DAY) for each in range(40, 0, -1)))
    await place_all(store)
    for place in range(1, 41):
        placed = {"placedAt": now - (41 - place) * DAY}
        await store.database["events"].update_one({"_id": place}, {"$set": placed})


async def test_events_that_waited_long(store: Store) -> None:
    """An event that got its place today is kept, however long no worker ran."""
    await add_events(store, event_document(1, 1, at=store.clock.now() - 40 * DAY))
    await place_all(store)

    assert await prune(store, Settings()) == removed()
    assert await EventLog(store).bounds() == (0, 1)


async def test_old_events(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are kept for their time; whoever reads from the beginning starts behind those that were removed."""
    now = store.clock.now()
    await place_on_days(store, now)
    monkeypatch.setattr(event_log, "PRUNE_BATCH", 3)
    log = EventLog(store)

    assert await prune(store, Settings(events_days=0)) == removed()
    assert await prune(store, Settings()) == removed(events=11)

    assert await log.bounds() == (11, 40)
    assert [event.subject async for event in log.read(11, 40, 100)] == [*range(29, 0, -1)]
    with pytest.raises(EventsGone):
        [event async for event in log.read(10, 40, 100)]


async def test_events_that_go_while_they_are_read(store: Store) -> None:
    """A reader that has looked at the floor before events were removed is told that they are gone, and gets no gap."""
    now = store.clock.now()
    await place_on_days(store, now)
    log = EventLog(store)
    floor, last = await log.bounds()

    await prune(store, Settings())

    with pytest.raises(EventsGone):
        [event async for event in log.read(floor, last, 100)]


@pytest.mark.servers("any", once=True)
async def test_records_of_deliveries_are_kept_for_a_week(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older ones go, a batch at a time, those of webhooks that are gone as well."""
    monkeypatch.setattr(webhooks, "PRUNE_BATCH", 2)
    now = store.clock.now()
    rows = [{"webhook": ObjectId(), "at": now - timedelta(days=days, minutes=1)} for days in (0, 6, 7, 8, 90)]
    await store.database["webhook_deliveries"].insert_many(rows)

    assert (await prune(store, Settings()))["deliveries"] == 3
    assert await store.database["webhook_deliveries"].count_documents({}) == 2
