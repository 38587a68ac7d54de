"""Scheduled runs: what is due by the clock and the stored runs, retried, abandoned and pruned."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.cron import last_until, parse
from app.reconciliation import engine, schedule
from app.reconciliation.reconciler import Reconciler
from app.storage.client import Store
from app.storage.documents import Run
from app.storage.leases import DEAD_SECONDS
from app.storage.runs import RETRY_MINUTES, RunStore
from tests.support.run_rows import insert_run
from tests.support.times import HOUR, MINUTE

pytestmark = pytest.mark.servers("any")

HOURLY = parse("0 * * * *")


async def states(store: Store) -> dict[ObjectId, str]:
    """All runs."""
    return {row["_id"]: row["state"] async for row in store.database["reconciliations"].find()}


async def waiting(store: Store) -> list[Run]:
    """The runs that wait."""
    return list(await RunStore(store).newest(["queued"], [], None, 100))


@pytest.mark.promise("reconciliation-resumes")
async def test_a_time_that_passed_without_a_run_is_caught_up(store: Store) -> None:
    """A run is due once for each time of the line unless one has begun since then; the day's first is full."""
    time = last_until(HOURLY, store.clock.now())
    midnight = time.replace(hour=0)
    await insert_run(store, "full", midnight - 3 * MINUTE)
    first = await schedule.enqueue_due(store, HOURLY)
    again = await schedule.enqueue_due(store, HOURLY)
    assert first is not None
    assert (first.kind, again) == ("full", None)
    assert (await engine.carry_out(store)) is not None
    assert await schedule.enqueue_due(store, HOURLY) is None

    yesterday = {"startedAt": time - 3 * MINUTE}
    await store.database["reconciliations"].update_many({"_id": first.id}, {"$set": yesterday})
    second = await schedule.enqueue_due(store, HOURLY)
    assert second is not None
    assert second.kind == "incremental"


@pytest.mark.parametrize("state", ["running", "succeeded", "failed", "abandoned"])
async def test_what_was_begun_since_is_not_due(store: Store, state: str) -> None:
    """A run that has begun since makes none due, whatever its state: failed runs have retries of their own."""
    time = last_until(HOURLY, store.clock.now())
    await insert_run(store, "full", time, state)

    assert await schedule.enqueue_due(store, HOURLY) is None


async def test_less_than_what_is_due_does_not_do(store: Store) -> None:
    """An incremental run that has begun since does not replace the day's full run."""
    await insert_run(store, "incremental", last_until(HOURLY, store.clock.now()))
    due = await schedule.enqueue_due(store, HOURLY)

    assert due is not None
    assert due.kind == "full"


async def test_two_workers_ask_for_one_run(store: Store) -> None:
    """At the same moment."""
    asked = await asyncio.gather(*(schedule.enqueue_due(store, HOURLY) for _ in "12345"))

    assert len({run.id for run in asked if run is not None}) == 1
    assert len(await waiting(store)) == 1


@pytest.mark.promise("reconciliation-resumes")
async def test_what_failed_is_tried_again_after_pauses_that_grow(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one minute, five and fifteen, and then no more; each try knows which it is."""

    async def broken(*_: Any) -> None:
        raise ValueError("it breaks")

    monkeypatch.setattr(Reconciler, "reconcile", broken)
    await RunStore(store).enqueue("full")
    pauses = []
    for _ in RETRY_MINUTES:
        failed = await engine.carry_out(store)
        assert failed is not None
        assert failed.finished_at is not None
        assert failed.retry_at is not None
        pauses.append((failed.retry_at - failed.finished_at) / MINUTE)
        assert await RunStore(store).enqueue_retries() == []
        past = {"retryAt": store.clock.now() - MINUTE}
        await store.database["reconciliations"].update_one({"_id": failed.id}, {"$set": past})
        (again,) = await RunStore(store).enqueue_retries()
        assert (again.kind, again.tries) == ("full", failed.tries + 1)
    last = await engine.carry_out(store)

    assert pauses == list(RETRY_MINUTES)
    assert last is not None
    assert (last.state, last.error, last.retry_at) == ("failed", "ValueError: it breaks", None)
    assert await waiting(store) == []


@pytest.mark.parametrize(
    ("failed", "since", "tried"),
    [
        ({"kind": "incremental"}, {"kind": "incremental"}, False),
        ({"kind": "incremental"}, {"kind": "full"}, False),
        ({"kind": "full"}, {"kind": "incremental"}, True),
        ({"kind": "resource", "resource": "a"}, {"kind": "resource", "resource": "b"}, True),
        ({"kind": "resource", "resource": "a"}, {"kind": "resource", "resource": "a"}, False),
    ],
)
async def test_a_failed_run_is_not_retried_after_an_equal_request(
    store: Store, failed: dict[str, Any], since: dict[str, Any], *, tried: bool
) -> None:
    """A later run of the same scope replaces the retry, whatever its state, and the failed run gets no other."""
    now = store.clock.now()
    await insert_run(store, at=now - HOUR, state="failed", retryAt=now - MINUTE, **failed)
    await insert_run(store, at=now - MINUTE, **since)
    again = await RunStore(store).enqueue_retries()

    assert bool(again) == tried
    assert await store.database["reconciliations"].count_documents({"retryAt": {"$exists": True}}) == 0
    assert await RunStore(store).enqueue_retries() == []


@pytest.mark.promise("reconciliation-resumes")
async def test_the_silent_are_given_up_so_often_and_no_more(store: Store) -> None:
    """Another run takes the place of one whose process died, but not of one that ended a process again and again."""
    silent = store.clock.now() - timedelta(seconds=DEAD_SECONDS + 1)
    await insert_run(store, "full", silent, "running", owner="worker", tries=1)
    await insert_run(store, "incremental", silent, "running", owner="worker", tries=1 + len(RETRY_MINUTES))
    await insert_run(store, "resource", store.clock.now(), "running", owner="worker", resource="a")
    asked = await RunStore(store).abandon_dead()

    assert [(run.kind, run.tries) for run in asked] == [("full", 2)]
    assert sorted((await states(store)).values()) == ["abandoned", "abandoned", "queued", "running"]


async def test_old_runs_are_pruned_but_never_the_last_that_succeeded(store: Store) -> None:
    """What has ended is removed so many days after it was asked for, whatever became of it; 0 days remove nothing."""
    now = store.clock.now()
    old, older = now - timedelta(days=91), now - timedelta(days=92)
    gone = [await insert_run(store, "full", older), await insert_run(store, "resource", older, "failed")]
    gone.append(await insert_run(store, "incremental", older, "abandoned"))
    stay = [await insert_run(store, "full", old), await insert_run(store, "resource", older, resource="a")]
    stay += [
        await insert_run(store, "incremental", older, "queued"),
        await insert_run(store, "incremental", now, "failed"),
    ]
    assert await RunStore(store).prune(0) == 0
    assert await RunStore(store).prune(93) == 0
    assert await RunStore(store).prune(90) == len(gone)

    assert set(await states(store)) == set(stay)
    mark = await RunStore(store).watermark()
    assert mark is not None
    assert mark.id == stay[0]
