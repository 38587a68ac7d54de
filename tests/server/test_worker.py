"""The worker as a process: the jobs that wait for it, from Redis and MongoDB, and how it ends."""

import asyncio
import json
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from app import job_queue
from app.domain.ids import ResourceId
from app.job_queue import Queue
from app.reconciliation import engine, recheck, reconciler
from app.reconciliation.alerts import Alerts
from app.reconciliation.findings.listing import list_findings
from app.reconciliation.findings.transitions import FindingTransition, transition
from app.settings import Settings
from app.storage.client import Store
from app.storage.documents import Run, RunKind
from app.storage.finding_pages import FindingFilters
from app.storage.leases import DEAD_SECONDS
from app.storage.runs import RunStore
from tests.support.commands import eventually, run_reserva, running_command, running_reserva
from tests.support.redis_server import OwnRedis
from tests.support.step_driver import add_resource, running_booking_service
from tests.support.times import HOUR, NINE
from worker import jobs

pytestmark = pytest.mark.servers("fast")
KINDS: tuple[RunKind, ...] = ("full", "incremental")


def context(store: Store) -> dict[str, Any]:
    """What the worker gives its jobs."""
    settings = Settings(complete_after_hours=1)
    return {"store": store, "settings": settings, "alerts": Alerts(settings)}


async def insert_overlaps(store: Store, *resources: str) -> None:
    """Two reservations of the same hour on each of them, put there past all checks."""
    times = {"status": "confirmed", "startTime": NINE, "endTime": NINE + HOUR, "updatedAt": store.clock.now()}
    await store.database["reservations"].insert_many([{"resource": name, **times} for name in resources * 2])


async def succeeds(store: Store, asked: Run) -> bool:
    """Whether a run comes to its end."""
    runs = store.client.delegate[store.database.name]["reconciliations"]
    return await asyncio.to_thread(eventually, lambda: runs.find_one({"_id": asked.id})["state"] == "succeeded")


async def test_it_carries_out_what_waits(store: Store, database_url: str, redis_url: str) -> None:
    """It carries out a run that waits in MongoDB at its start and one announced by Redis later; SIGTERM ends it."""
    times = {"startTime": NINE, "endTime": NINE + HOUR}
    await store.database["reservations"].insert_many([{"resource": "r", "status": "confirmed", **times} for _ in "12"])
    silent = await RunStore(store).enqueue("full")
    with running_reserva("worker", MONGODB_URL=database_url, REDIS_URL=redis_url) as worker:
        assert await succeeds(store, silent)
        announced = await RunStore(store).enqueue("resource", ResourceId("r"))
        jobs = Queue(redis_url)
        assert await jobs.put(job_queue.RUN, str(announced.id), identity=str(announced.id))
        await jobs.close()
        assert await succeeds(store, announced)
        assert run_reserva("health", "worker", MONGODB_URL=database_url).returncode == 0
        assert worker.end(signal.SIGTERM) == 0
    assert run_reserva("health", "worker", MONGODB_URL=database_url).returncode == 1
    assert (await RunStore(store).get(str(silent.id))).findings == 1
    assert (await RunStore(store).get(str(announced.id))).conflicts == 1
    assert any("Conflict detected" in line for line in worker.err)
    assert worker.out == []


async def test_it_outlives_redis(store: Store, database_url: str, tmp_path: Path) -> None:
    """It starts without Redis and carries out what waits in MongoDB; so too after Redis came and was killed."""
    redis = OwnRedis(tmp_path)
    with running_reserva("worker", MONGODB_URL=database_url, REDIS_URL=redis.url) as worker:
        assert await succeeds(store, await RunStore(store).enqueue("full"))
        redis.start()
        await asyncio.to_thread(worker.wait_for_line, "Redis can be used again")
        redis.kill()
        assert await succeeds(store, await RunStore(store).enqueue("incremental"))
        assert worker.end(signal.SIGTERM) == 0


async def test_a_time_that_passed_is_caught_up_at_start(store: Store, database_url: str) -> None:
    """A worker whose line comes once a year runs what was due in January as soon as it starts; Redis is not needed."""
    redis, yearly = "redis://127.0.0.1:1", "0 0 1 1 *"
    await reconciled_in_the_year_before(store)
    runs = store.client.delegate[store.database.name]["reconciliations"]
    with running_reserva("worker", MONGODB_URL=database_url, REDIS_URL=redis, RESERVA_RECONCILE_CRON=yearly) as worker:
        assert await asyncio.to_thread(eventually, lambda: runs.count_documents({"state": "succeeded"}) == 2)
        assert worker.end(signal.SIGTERM) == 0
    lines = [line for line in worker.err if "reconciliation " in line]

    assert [word for line in lines for word in ("is due", "begins", "ended") if word in line] == [
        "is due",
        "begins",
        "ended",
    ]
    assert all("kind=full" in line for line in lines)


async def reconciled_in_the_year_before(store: Store) -> None:
    """The last run was one before the last January."""
    past = store.clock.now() - timedelta(days=366)
    row = {"kind": "full", "state": "succeeded", "createdAt": past, "startedAt": past, "finishedAt": past}
    await store.database["reconciliations"].insert_one({"_id": ObjectId.from_datetime(past), **row})


async def test_the_scheduled_job_returns_the_fields_of_the_seed(store: Store) -> None:
    """`conflicts`, and more; the first of a day is full, the next is incremental, and each is due once."""
    times = {"startTime": NINE, "endTime": NINE + HOUR}
    await store.database["reservations"].insert_many([{"resource": "r", "status": "confirmed", **times} for _ in "123"])
    reports = [await jobs.reconcile_reservations(context(store))]
    await store.database["reconciliations"].update_one({}, {"$set": {"startedAt": store.clock.now() - HOUR}})
    reports += [await jobs.reconcile_reservations(context(store)) for _ in "12"]
    kinds = [each["kind"] async for each in store.database["reconciliations"].find().sort("_id")]

    assert reports == [{"conflicts": 3, "findings": 1, "scanned": 3}] * 2 + [{}]
    assert kinds == ["full", "incremental"]


async def test_a_dead_workers_run_is_taken_over_and_an_announced_run_is_done_once(store: Store) -> None:
    """A poll of MongoDB finds what a dead worker left; a job whose run was done meanwhile does nothing."""
    await RunStore(store).enqueue("full")
    dead = await RunStore(store).claim("the dead")
    assert dead is not None
    silent = store.clock.now() - timedelta(seconds=DEAD_SECONDS + 1)
    await store.database["reconciliations"].update_one({"_id": dead.id}, {"$set": {"beatAt": silent}})

    assert await jobs.pick_up_reconciliations(context(store)) == 1
    states = {each["_id"]: each["state"] async for each in store.database["reconciliations"].find()}
    (successor,) = states.keys() - {dead.id}
    assert states == {dead.id: "abandoned", successor: "succeeded"}
    assert await jobs.run_reconciliation(context(store), str(successor)) == {}
    assert await jobs.pick_up_reconciliations(context(store)) == 0


async def test_it_writes_down_what_time_has_done(store: Store) -> None:
    """A hold that is over is expired, what was confirmed and ended long enough ago is completed; nothing else is."""
    await add_resource(store, "r")
    now = store.clock.now()
    past = {"resource": "r", "version": 1, "history": [], "startTime": now - 3 * HOUR, "endTime": now - 2 * HOUR}
    lapsed = {**past, "status": "pending", "expiresAt": now - HOUR}
    rows = [lapsed, {**lapsed, "expiresAt": now + HOUR}, {**past, "status": "confirmed"}]
    rows.append({**past, "status": "confirmed", "endTime": now - HOUR / 2})
    ids = (await store.database["reservations"].insert_many(rows)).inserted_ids
    async with running_booking_service(store) as booking:
        report = await jobs.tidy_up(context(store) | {"booking": booking})
        again = await jobs.tidy_up(context(store) | {"booking": booking})
    stored = {row["_id"]: row async for row in store.database["reservations"].find()}

    assert report == {"events": 0, "closures": 0, "expired": 1, "completed": 1}
    assert [stored[each]["status"] for each in ids] == ["expired", "pending", "completed", "confirmed"]
    assert again == {"events": 0, "closures": 0, "expired": 0, "completed": 0}


async def test_two_never_run_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that meets a running run leaves the queue to it, or waits for its turn."""
    running_now, most = 0, 0
    confirm = recheck.confirm_windows

    async def counted(*arguments: Any) -> Any:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        found = await confirm(*arguments)
        running_now -= 1
        return found

    monkeypatch.setattr(reconciler, "confirm_windows", counted)
    monkeypatch.setattr(engine, "LEASE_POLL_SECONDS", 0.01)
    await insert_overlaps(store, "r")
    asked = await asyncio.gather(*(engine.reconcile_reservations(store, kind) for kind in KINDS * 3))
    await asyncio.gather(*(jobs.pick_up_reconciliations(context(store)) for _ in "123"))

    assert most == 1
    assert {run.state for run in asked} == {"succeeded"}
    assert await store.database["findings"].count_documents({}) == 1


@pytest.mark.parametrize(("stage", "count"), [("read", 0), ("read again", 2), ("settled", 2), ("recorded", 3)])
async def test_a_killed_run_leaves_no_trace_in_the_findings(
    store: Store, database_url: str, stage: str, count: int
) -> None:
    """Killed at any stage, by SIGKILL: the run that takes over finds what an undisturbed one does."""
    await insert_overlaps(store, "a", "b", "c")
    findings = store.database["findings"]
    command = [sys.executable, "-m", "tests.support.reconciling_process", database_url, stage]
    with running_command(command, env={}) as sweeper:
        await asyncio.to_thread(sweeper.wait_for_line, f"at {stage}")
        sweeper.process.kill()
        sweeper.process.wait()
    half = await findings.count_documents({})
    (dead,) = await store.database["reconciliations"].find().to_list(None)
    silent = {"beatAt": store.clock.now() - timedelta(seconds=DEAD_SECONDS + 1)}
    await store.database["reconciliations"].update_one({"_id": dead["_id"]}, {"$set": silent})
    await store.database["leases"].update_one({}, {"$set": silent})
    assert await jobs.pick_up_reconciliations(context(store)) == 1
    found = await findings.find().sort("resource").to_list(None)

    assert half == count
    assert [(each["resource"], each["state"], each["version"]) for each in found] == [
        (name, "open", 1) for name in "abc"
    ]
    assert (await RunStore(store).get(str(dead["_id"]))).state == "abandoned"


async def test_the_command_ends_with_1_for_findings_that_are_not_accepted(store: Store, database_url: str) -> None:
    """0 without a finding, 1 with one, 0 again once it is accepted."""
    codes = [run_reserva("reconcile", "--json", MONGODB_URL=database_url).returncode]
    await insert_overlaps(store, "r")
    codes += [run_reserva("reconcile", "--json", MONGODB_URL=database_url).returncode for _ in "12"]
    (finding,) = (await list_findings(store, FindingFilters(), "from", 2, None)).findings
    await transition(store, str(finding.id), FindingTransition("accepted", "me"))
    last = run_reserva("reconcile", "--full", "--json", MONGODB_URL=database_url)

    assert codes == [0, 1, 1]
    assert last.returncode == 0, last.stderr
    assert {name: json.loads(last.stdout)[name] for name in ("findings", "new")} == {"findings": 1, "new": 0}


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
    ended = run_reserva("worker", cwd=None, **({"MONGODB_URL": database_url, "REDIS_URL": redis_url} | settings))

    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
