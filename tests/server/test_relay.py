"""The relay as a task: it places what comes, takes over from one that died, and outlives outages."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect, OperationFailure
from structlog.testing import capture_logs

from app.events.relay import DEAD_SECONDS, Relay
from app.storage.client import Store
from app.storage.event_log import RELAY
from app.storage.leases import LeaseStore, new_owner
from app.storage.outbox import is_outbox_empty
from app.wakeups import Wakeups
from tests.support.commands import SECONDS
from tests.support.redis_server import OwnRedis
from tests.support.relaying import add_events, event_document, logged, place_all

pytestmark = pytest.mark.servers("any")


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await holds():  # noqa: ASYNC110  # a state of the database has no event
            await asyncio.sleep(0.01)


async def _placed(store: Store, number: int) -> None:
    async def holds() -> bool:
        return len(await logged(store)) >= number

    await _until(holds)


@contextmanager
def failing(relay: Relay, error: Exception, when: Callable[[str], bool]) -> Iterator[list[str]]:
    """Let the steps of those names fail; the names that did."""
    driver: Any = relay._driver
    name = "perform" if hasattr(driver, "perform") else "_perform"
    perform, failed = getattr(driver, name), []

    def performing(step: Any, *arguments: Any) -> Any:
        if when(step.name):
            failed.append(step.name)
            raise error
        return perform(step, *arguments)

    setattr(driver, name, performing)
    yield failed
    setattr(driver, name, perform)


async def test_it_places_what_comes(store: Store) -> None:
    """It places what waits at its start and what comes later, and gives its lease back at its end."""
    relay = Relay(store, Wakeups(None, store.database.name))
    await add_events(store, *(event_document(ObjectId(), 1) for _ in range(450)))
    relay.start()
    await _placed(store, 450)
    await add_events(store, event_document(ObjectId(), 1))
    await _placed(store, 451)
    await relay.stop()

    lease = await store.database["leases"].find_one({"_id": RELAY})
    assert lease is not None
    assert lease["place"] == 451
    assert "owner" not in lease


async def test_what_is_in_the_log_already(store: Store) -> None:
    """An event that is in the outbox again, by a writer that stood still or a dump made under load, keeps its place."""
    first, second = event_document(ObjectId(), 1), event_document(ObjectId(), 1)
    await add_events(store, first)
    await place_all(store)
    await add_events(store, first, second)
    await store.database["leases"].update_one({"_id": RELAY}, {"$unset": {"owner": ""}})
    relay = Relay(store, Wakeups(None, store.database.name))
    relay.start()
    await _until(lambda: is_outbox_empty(store))
    await relay.stop()

    assert await logged(store) == [(1, first["subject"], 1), (2, second["subject"], 1)]


async def test_it_takes_over(store: Store) -> None:
    """It waits for the owner of the lease as long as that one beats, and places once it is silent."""
    leases = LeaseStore(store)
    grant = await leases.acquire(new_owner(), RELAY, dead_seconds=DEAD_SECONDS)
    assert grant is not None
    relay = Relay(store, Wakeups(None, store.database.name))
    await add_events(store, event_document(ObjectId(), 1))
    relay.start()
    for _ in range(5):
        await leases.renew(grant)
        await asyncio.sleep(0)
    assert await logged(store) == []

    await store.database["leases"].update_one({"_id": RELAY}, {"$set": {"beatAt": store.clock.ago(DEAD_SECONDS + 1)}})

    await _placed(store, 1)
    await relay.stop()


async def test_it_outlives_outages(store: Store) -> None:
    """It goes on after any number of failures of the database, and logs the first alone."""
    relay = Relay(store, Wakeups(None, store.database.name))
    await add_events(store, event_document(ObjectId(), 1))
    closed = AutoReconnect("connection closed")
    with capture_logs() as lines, failing(relay, closed, lambda name: name == "outbox.read") as failed:
        relay.start()

        async def often() -> bool:
            return len(failed) >= 4

        await _until(often)

    await _placed(store, 1)
    await relay.stop()
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["events are not placed"]


async def test_an_event_that_the_server_refuses(store: Store) -> None:
    """An event of which the server refuses to read the subject is placed without its state, the others with theirs."""
    ids = [ObjectId() for _ in range(8)]
    await store.database["reservations"].insert_many([{"_id": each, "version": 1} for each in ids])
    await add_events(store, *(event_document(each, 1) for each in ids))
    relay = Relay(store, Wakeups(None, store.database.name))
    refusals = iter(range(4))  # of 200, 100, 50, … events; small databases stand for large ones
    relay._most = 8
    with failing(
        relay,
        OperationFailure("BSON field is unknown", 2),
        lambda name: name == "reservations.read" and next(refusals, None) is not None,
    ):
        relay.start()
        await _placed(store, 8)
        await relay.stop()

    stateless = await store.database["events"].count_documents({"state": {"$exists": False}})
    assert stateless == 1
    assert sorted(subject for _, subject, _ in await logged(store)) == sorted(ids)


@pytest.mark.servers("any", once=True)
async def test_signals(store: Store, redis: OwnRedis) -> None:
    """A signal reaches every process of the same database, and none of another; without Redis there is none."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    ours, others = Wakeups(redis.url, store.database.name), Wakeups(redis.url, "another")
    ours.listen("outbox", lambda: heard.put_nowait("ours"))
    others.listen("outbox", lambda: heard.put_nowait("others"))
    sender = Wakeups(redis.url, store.database.name)

    async def reached() -> bool:
        for _ in range(10):
            sender.notify()
        return not heard.empty()

    await _until(reached)
    assert {heard.get_nowait() for _ in range(heard.qsize())} == {"ours"}
    redis.kill()
    sender.notify()
    for each in (ours, others, sender):
        await each.close()
