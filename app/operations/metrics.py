"""`/metrics` in the format of Prometheus: what all processes counted, and figures that each scrape reads anew."""

import asyncio
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge, Info, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from app.access.key_uses import keys_about_to_expire
from app.job_queue import Queue
from app.reconciliation.metrics import AlertFigures, Figures, KindFigures, QueueFigures, read_figures
from app.storage.capabilities import StoreMode
from app.storage.client import Store
from app.storage.documents import RunKind
from app.telemetry.metrics import Metrics
from app.telemetry.sampler import Sampler
from app.telemetry.shared_files import registry_of_all
from app.work import WorkPool

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SCRAPES_MAX = 4
"""Scrapes that wait at once; questions about free times, which wait elsewhere, take no place from them."""


class Scrape:
    """Answers scrapes.

    Args:
        store: The database.
        metrics: What this process counts.
        sampler: Sets its gauges.
        queue: The queue in Redis.
    """

    def __init__(self, store: Store, metrics: Metrics, sampler: Sampler, queue: Queue) -> None:
        self._store = store
        self._metrics = metrics
        self._sampler = sampler
        self._queue = queue
        self._work = WorkPool(threads=1, queue_limit=SCRAPES_MAX)

    async def text(self) -> bytes:
        """The text of a scrape; made in a thread, because it can have some thousand lines.

        Raises:
            Problem: `overloaded` where too many scrapes wait.
        """
        self._sampler.sample()
        figures, expiring, redis = await asyncio.gather(
            read_figures(self._store), keys_about_to_expire(self._store), self._queue.is_answering()
        )
        return await self._work.run(self._render, figures, len(expiring), redis)

    def start(self) -> None:
        """Sample from now on."""
        self._sampler.start()

    def stop(self) -> None:
        """Sample no more, and answer no more scrapes."""
        self._sampler.stop()
        self._work.close()

    def _render(self, figures: Figures, expiring: int, redis: bool | None) -> bytes:  # noqa: FBT001  # three facts of one scrape, by position
        counted = generate_latest(registry_of_all(self._metrics.registry))
        registry = CollectorRegistry()
        _process(self._store.mode, redis, registry)
        _findings(figures, registry)
        _runs(figures.runs, registry)
        _queue(figures.queue, registry)
        _alerts(figures.alerts, registry)
        words = "Keys in use that expire within 14 days."
        Gauge("reserva_keys_expiring", words, registry=registry).set(expiring)
        return counted + generate_latest(registry)


def _process(mode: StoreMode, redis: bool | None, registry: CollectorRegistry) -> None:  # noqa: FBT001  # a fact of the process, by position
    build = {"version": version("reserva"), "python": platform.python_version()}
    Info("reserva_build", "The version of Reserva, and that of Python.", registry=registry).info(build)
    modes = Gauge("reserva_mode", "1 at the mode in which this process books.", ["mode"], registry=registry)
    for each in get_args(StoreMode):
        modes.labels(each).set(each == mode)
    if redis is not None:
        Gauge("reserva_redis_up", "Whether Redis answers, where REDIS_URL is set.", registry=registry).set(redis)


def _findings(figures: Figures, registry: CollectorRegistry) -> None:
    gauge = Gauge("reserva_findings_open", "Findings in state open.", registry=registry)
    gauge.set(figures.findings_open)
    gauge = Gauge("reserva_findings_oldest_seconds", "Age of the oldest open finding.", registry=registry)
    gauge.set(figures.oldest_seconds)


def _runs(kinds: Mapping[RunKind, KindFigures], registry: CollectorRegistry) -> None:
    def gauge(name: str, words: str, *labels: str) -> Gauge:
        return Gauge(f"reserva_reconciliation_{name}", words, ["kind", *labels], registry=registry)

    seconds = gauge("seconds", "How long the last run that succeeded took.")
    rows = gauge("rows", "Reservations that it read.")
    left_out = gauge("left_out", "Reservations that it left out, because it cannot read them.", "reason")
    success = gauge("success_seconds", "When it ended, in seconds since 1970.")
    failure = gauge("failure_seconds", "When the last run that failed or was given up ended, in seconds since 1970.")
    for kind, figures in kinds.items():
        run = figures.success
        if run is not None and run.started_at is not None and run.finished_at is not None:
            seconds.labels(kind).set((run.finished_at - run.started_at).total_seconds())
            rows.labels(kind).set(run.scanned)
            success.labels(kind).set(run.finished_at.timestamp())
            for reason, count in (run.left_out or {}).items():
                left_out.labels(kind, reason).set(count)
        if figures.failed_at is not None:
            failure.labels(kind).set(figures.failed_at.timestamp())


def _queue(queue: QueueFigures, registry: CollectorRegistry) -> None:
    Gauge("reserva_reconciliations_queued", "Runs that wait.", registry=registry).set(queue.waiting)
    words = "For how long the oldest of them waits."
    Gauge("reserva_reconciliations_queued_seconds", words, registry=registry).set(queue.oldest_seconds)
    Gauge("reserva_workers", "Live workers.", registry=registry).set(queue.workers.alive)
    if queue.workers.seconds is not None:
        words = "Seconds since the last heartbeat of a worker."
        Gauge("reserva_worker_heartbeat_seconds", words, registry=registry).set(queue.workers.seconds)


def _alerts(alerts: AlertFigures, registry: CollectorRegistry) -> None:
    gauge = Gauge("reserva_findings_untold", "Open findings without an accepted alert.", registry=registry)
    gauge.set(alerts.unalerted)
    words = "For how long the oldest of them is open."
    Gauge("reserva_findings_untold_seconds", words, registry=registry).set(alerts.oldest_seconds)
    words = "Failures of the alert URL in a row."
    Gauge("reserva_alert_failures", words, registry=registry).set(alerts.failures)
    if alerts.succeeded is not None:
        words = "When the alert URL last accepted a message, in seconds since 1970."
        Gauge("reserva_alert_success_seconds", words, registry=registry).set(alerts.succeeded.timestamp())
