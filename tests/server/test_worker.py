"""The worker as a process: what waits for it, whoever told it, and how it ends."""

import asyncio
import signal
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis

from app.reconciliation import queue, runs
from app.reconciliation.alerts import Alerts
from app.reconciliation.queue import Queue
from app.settings import Settings
from app.storage.client import Store
from app.storage.documents import Run
from tests.actors import HOUR, NINE
from tests.contract.processes import eventually, run, running
from worker import jobs

pytestmark = pytest.mark.servers("rust")


def context(store: Store) -> dict[str, Any]:
    """What the worker gives its jobs."""
    settings = Settings(complete_after_hours=1)
    return {"store": store, "settings": settings, "alerts": Alerts(settings)}


async def succeeds(store: Store, asked: Run) -> bool:
    """Whether a run comes to its end."""
    kept = store.client.delegate[store.database.name]["reconciliations"]
    return await asyncio.to_thread(eventually, lambda: kept.find_one({"_id": asked.id})["state"] == "succeeded")


async def test_it_carries_out_what_waits(store: Store, database_url: str, redis_url: str) -> None:
    """What stands in MongoDB alone when it starts, and what it is told of by Redis later; SIGTERM ends it."""
    times = {"startTime": NINE, "endTime": NINE + HOUR}
    await store.database["reservations"].insert_many([{"resource": "r", "status": "confirmed", **times} for _ in "12"])
    silent = await runs.ask_for(store, "full")
    redis = Redis.from_url(redis_url)
    with running("worker", MONGODB_URL=database_url, REDIS_URL=redis_url) as worker:
        assert await succeeds(store, silent)
        told = await runs.ask_for(store, "resource", "r")
        jobs = Queue(redis_url)
        assert await jobs.put(queue.RUN, str(told.id), identity=str(told.id))
        await jobs.close()
        assert await succeeds(store, told)
        assert redis.exists(f"{queue.QUEUE}:health-check")
        assert worker.ended(signal.SIGTERM) == 0
    redis.close()
    assert (await runs.get(store, str(silent.id))).findings == 1
    assert (await runs.get(store, str(told.id))).conflicts == 1
    assert any("Conflict detected" in line for line in worker.err)
    assert worker.out == []


async def test_the_scheduled_job_tells_what_the_seed_told(store: Store) -> None:
    """`conflicts`, and more; the first of a day is full, the next looks at what has changed."""
    times = {"startTime": NINE, "endTime": NINE + HOUR}
    await store.database["reservations"].insert_many([{"resource": "r", "status": "confirmed", **times} for _ in "123"])
    told = [await jobs.reconcile_reservations(context(store)) for _ in "12"]
    kinds = [each["kind"] async for each in store.database["reconciliations"].find().sort("_id")]

    assert told == [{"conflicts": 3, "findings": 1, "scanned": 3}] * 2
    assert kinds == ["full", "incremental"]


async def test_the_dead_are_taken_over_and_a_told_run_is_done_once(store: Store) -> None:
    """A look into MongoDB finds what a dead worker left; a job whose run was done meanwhile does nothing."""
    await runs.ask_for(store, "full")
    dead = await runs.claim(store, "the dead")
    assert dead is not None
    silent = store.clock.now() - timedelta(seconds=runs.DEAD_SECONDS + 1)
    await store.database["reconciliations"].update_one({"_id": dead.id}, {"$set": {"beatAt": silent}})

    assert await jobs.pick_up_reconciliations(context(store)) == 1
    states = {each["_id"]: each["state"] async for each in store.database["reconciliations"].find()}
    (successor,) = states.keys() - {dead.id}
    assert states == {dead.id: "abandoned", successor: "succeeded"}
    assert await jobs.run_reconciliation(context(store), str(successor)) == {}
    assert await jobs.pick_up_reconciliations(context(store)) == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"RESERVA_RECONCILE_CRON": "61 * * * *"}, "RESERVA_RECONCILE_CRON"),
        ({"REDIS_URL": ""}, "REDIS_URL"),
        ({"REDIS_URL": "http://somewhere"}, "REDIS_URL"),
    ],
)
def test_it_says_what_it_cannot_work_with(
    store: Store, database_url: str, redis_url: str, settings: dict[str, str], words: str
) -> None:
    """A sentence that names the setting, and exit code 2."""
    ended = run("worker", cwd=None, **({"MONGODB_URL": database_url, "REDIS_URL": redis_url} | settings))

    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
