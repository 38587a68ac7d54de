"""What `/readyz` says of what the process uses."""

import asyncio

import pytest

from app.booking import BookingService
from app.http.shutdown import Shutdown
from app.job_queue import Queue
from app.operations.service import Operations
from app.storage.client import Store
from app.storage.documents import Run
from app.storage.leases import OWNER
from app.storage.runs import RunStore
from tests.support.command_log import logged_store
from tests.support.redis_server import OwnRedis


@pytest.mark.servers("transactions", once=True)
async def test_redis_that_is_away_is_no_reason(store: Store, booking: BookingService, redis: OwnRedis) -> None:
    """Without Redis the process is degraded and ready, since bookings do without it; it notices when Redis returns."""
    queue = Queue(redis.url)
    operations = Operations(store, queue, Shutdown(), lambda: booking.heartbeat.obstacle)

    before = await operations.readiness()
    redis.kill()
    away = await operations.readiness()
    redis.start()
    after = await operations.readiness()
    await queue.close()

    assert [each.redis for each in (before, away, after)] == ["ok", "degraded", "ok"]
    assert all(each.ready for each in (before, away, after))


@pytest.mark.servers("transactions", once=True)
async def test_the_last_reconciliation_is_the_last_that_succeeded(store: Store, booking: BookingService) -> None:
    """A run that failed later does not count, and before the first one there is nothing to say."""
    runs = RunStore(store)
    operations = Operations(store, Queue(None), Shutdown(), lambda: booking.heartbeat.obstacle)
    none = await operations.readiness()

    good = await _begun(runs)
    await runs.succeed(good)
    await runs.fail(await _begun(runs), "no luck")

    assert (none.last_reconciliation, none.redis) == (None, "unset")
    assert (await operations.readiness()).last_reconciliation == (await runs.get(str(good.id))).finished_at


async def _begun(runs: RunStore) -> Run:
    queued = await runs.enqueue("full")
    begun = await runs.claim(OWNER, queued.id)
    assert begun is not None
    return begun


async def test_a_process_that_ends_asks_nothing(store: Store, booking: BookingService) -> None:
    """It is not ready, and says nothing of the database."""
    shutdown = Shutdown()
    shutdown.announce()

    asked = await Operations(store, Queue(None), shutdown, lambda: booking.heartbeat.obstacle).readiness()

    assert (asked.ready, asked.database, asked.indexes) == (False, "unknown", "unknown")


@pytest.mark.servers("wire", "transactions", once=True)
async def test_a_crowd_that_asks_costs_one_look(database_url: str) -> None:
    """Whoever asks while another one is asking shares the look at the database; the next one looks again."""
    async with logged_store(database_url) as (store, commands):
        operations = Operations(store, Queue(None), Shutdown(), lambda: None)
        commands.take()
        await operations.readiness()
        one = sorted(name for name, _ in commands.take())
        crowd = await asyncio.gather(*(operations.readiness() for _ in range(50)))
        of_a_crowd = sorted(name for name, _ in commands.take())

    assert one
    assert of_a_crowd == one
    assert all(each.ready for each in crowd)
