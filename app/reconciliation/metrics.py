"""What an operator watches of reconciliation, read from what is kept: the same whichever process is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from app.cluster.worker_heartbeat import Workers, workers
from app.reconciliation.alerts import UNTOLD
from app.reconciliation.stored_findings import FINDINGS
from app.storage.client import Store
from app.storage.documents import Run, RunKind
from app.storage.leases import LeaseStore
from app.storage.runs import KINDS, RunStore

OLDEST = 100
"""Findings among which the one that waits longest is looked for; those with the least ids are nearly always it."""


@dataclass(frozen=True, slots=True)
class KindFigures:
    """The runs of a kind: the last that succeeded, and when the last of the others ended; None where there is none."""

    success: Run | None
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """Runs that wait, for how long the oldest of them does (0 without one), and the workers that could begin them."""

    waiting: int
    oldest_seconds: float
    workers: Workers


@dataclass(frozen=True, slots=True)
class AlertFigures:
    """What the alert URL was not told yet.

    `oldest_seconds`: for how long the oldest of these findings is open, 0 without one; `failures`: how often in a row
    the alert URL has failed by now; `succeeded`: when it last took a message.
    """

    untold: int
    oldest_seconds: float
    failures: int
    succeeded: datetime | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Findings that are open, the age of the oldest of them (0 without one), runs, workers and alerts."""

    findings_open: int
    oldest_seconds: float
    runs: Mapping[RunKind, KindFigures]
    queue: QueueFigures
    alerts: AlertFigures


async def read_figures(store: Store) -> Figures:
    """The figures as they are now."""
    where = {"state": "open"}
    count = await store.database[FINDINGS].count_documents(where)
    oldest = await store.database[FINDINGS].find_one(where, {"firstSeen": 1}, sort=[("firstSeen", 1)])
    age = 0.0 if oldest is None else (store.clock.now() - oldest["firstSeen"]).total_seconds()
    kinds = {kind: await _of_kind(store, kind) for kind in KINDS}
    return Figures(count, age, kinds, await _queue(store), await _alerts(store))


async def _of_kind(store: Store, kind: RunKind) -> KindFigures:
    failure = await RunStore(store).last(["failed", "abandoned"], [kind])
    return KindFigures(
        await RunStore(store).last(["succeeded"], [kind]), None if failure is None else failure.finished_at
    )


async def _queue(store: Store) -> QueueFigures:
    count, oldest = await RunStore(store).queued()
    age = 0.0 if oldest is None else max((store.clock.now() - oldest.created_at).total_seconds(), 0.0)
    return QueueFigures(count, age, await workers(store))


async def _alerts(store: Store) -> AlertFigures:
    count = await store.database[FINDINGS].count_documents(UNTOLD)
    fields = {"firstSeen": 1, "history.at": 1, "history.to": 1}
    some = store.database[FINDINGS].find(UNTOLD, fields, sort=[("_id", 1)], limit=OLDEST)
    oldest = min([_opened(row) async for row in some], default=None)
    age = 0.0 if oldest is None else max((store.clock.now() - oldest).total_seconds(), 0.0)
    delivery = await LeaseStore(store).delivery()
    return AlertFigures(count, age, delivery.failures, delivery.succeeded_at)


def _opened(row: dict[str, Any]) -> datetime:
    """Since when a finding is open, which may have been opened again."""
    last = takewhile(lambda entry: entry["to"] == "open", reversed(row.get("history") or []))
    opened: datetime = min((entry["at"] for entry in last), default=row["firstSeen"])
    return opened
