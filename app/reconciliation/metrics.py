"""Figures of reconciliation for `/metrics`, read from the database, so that every process gives the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from app.cluster.worker_heartbeat import Workers, workers
from app.storage.client import Store
from app.storage.documents import Run, RunKind
from app.storage.findings import FindingAge, FindingStore
from app.storage.leases import LeaseStore
from app.storage.runs import KINDS, RunStore

FINDINGS_READ_MAX = 100
"""Findings without an alert among which the oldest is searched; it is nearly always among those with the least ids."""


@dataclass(frozen=True, slots=True)
class KindFigures:
    """The runs of a kind: the last that succeeded, and when the last of the others ended; None where there is none."""

    success: Run | None
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """Runs that wait, the age of the oldest of them in seconds (0 without one), and the workers that live."""

    waiting: int
    oldest_seconds: float
    workers: Workers


@dataclass(frozen=True, slots=True)
class AlertFigures:
    """Open findings without an accepted alert.

    `oldest_seconds`: for how long the oldest of these findings is open, 0 without one; `failures`: how many
    messages in a row the alert URL refused; `succeeded`: when it last accepted one.
    """

    unalerted: int
    oldest_seconds: float
    failures: int
    succeeded: datetime | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Findings that are open, the age of the oldest of them in seconds (0 without one), runs, workers and alerts."""

    findings_open: int
    oldest_seconds: float
    runs: Mapping[RunKind, KindFigures]
    queue: QueueFigures
    alerts: AlertFigures


async def read_figures(store: Store) -> Figures:
    """The figures as they are now."""
    findings = FindingStore(store)
    count, oldest = await findings.count_open(), await findings.first_seen_of_oldest_open()
    age = 0.0 if oldest is None else max((store.clock.now() - oldest).total_seconds(), 0.0)
    kinds: dict[RunKind, KindFigures] = {kind: await _kind_figures(store, kind) for kind in KINDS}
    return Figures(count, age, kinds, await _queue_figures(store), await _alert_figures(store))


async def _kind_figures(store: Store, kind: RunKind) -> KindFigures:
    failure = await RunStore(store).last(["failed", "abandoned"], [kind])
    return KindFigures(
        await RunStore(store).last(["succeeded"], [kind]), None if failure is None else failure.finished_at
    )


async def _queue_figures(store: Store) -> QueueFigures:
    count, oldest = await RunStore(store).queued()
    age = 0.0 if oldest is None else max((store.clock.now() - oldest.created_at).total_seconds(), 0.0)
    return QueueFigures(count, age, await workers(store))


async def _alert_figures(store: Store) -> AlertFigures:
    findings = FindingStore(store)
    count = await findings.count_unalerted()
    oldest = min(map(_opened_at, await findings.unalerted_ages(FINDINGS_READ_MAX)), default=None)
    age = 0.0 if oldest is None else max((store.clock.now() - oldest).total_seconds(), 0.0)
    delivery = await LeaseStore(store).delivery()
    return AlertFigures(count, age, delivery.failures, delivery.succeeded_at)


def _opened_at(finding: FindingAge) -> datetime:
    """Since when a finding is open, which may have been opened again."""
    openings = takewhile(lambda entry: entry.to == "open", reversed(finding.history))
    return min((entry.at for entry in openings), default=finding.first_seen)
