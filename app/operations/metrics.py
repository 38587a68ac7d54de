"""`/metrics` in the format of Prometheus: what all processes counted, and figures that each scrape reads anew."""

import asyncio
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import TypeAlias, get_args

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.parser import text_string_to_metric_families

from app.access.key_uses import keys_about_to_expire
from app.events.figures import EventFigures, read_event_figures
from app.job_queue import Queue
from app.reconciliation.metrics import AlertFigures, Figures, KindFigures, QueueFigures, read_figures
from app.storage.capabilities import StoreMode
from app.storage.client import Store
from app.storage.documents import RunKind
from app.telemetry.metrics import Metrics
from app.telemetry.sampler import Sampler
from app.telemetry.shared_files import registry_of_all
from app.webhooks.metrics import WebhookFigures
from app.webhooks.metrics import read_figures as read_webhook_figures
from app.work import WorkPool

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SCRAPES_MAX = 4
"""Scrapes that wait at once; questions about free times, which wait elsewhere, take no place from them."""


Samples: TypeAlias = Mapping[str, Sequence[tuple[Mapping[str, str], float]]]
"""The labels and values of all samples, by the name of the sample."""


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
        figures, events, webhooks, expiring, redis = await asyncio.gather(
            read_figures(self._store),
            read_event_figures(self._store),
            read_webhook_figures(self._store),
            keys_about_to_expire(self._store),
            self._queue.is_answering(),
        )
        return await self._work.run(self._render, figures, events, webhooks, len(expiring), redis)

    async def samples(self) -> "Samples":
        """The samples of a scrape, for a page that shows some of them.

        Raises:
            Problem: `overloaded` where too many scrapes wait.
        """
        return await self._work.run(_samples, await self.text())

    def start(self) -> None:
        """Sample from now on."""
        self._sampler.start()

    def stop(self) -> None:
        """Sample no more, and answer no more scrapes."""
        self._sampler.stop()
        self._work.close()

    def _render(
        self,
        figures: Figures,
        events: EventFigures,
        webhooks: Sequence[WebhookFigures],
        expiring: int,
        redis: bool | None,  # noqa: FBT001  # the facts of one scrape, by position
    ) -> bytes:
        registry, gauges = CollectorRegistry(), _Gauges()
        registry.register(gauges)
        _process(self._store.mode, redis, gauges)
        _findings(figures, gauges)
        _runs(figures.runs, gauges)
        _queue(figures.queue, gauges)
        _alerts(figures.alerts, gauges)
        _events(events, gauges)
        _webhooks(webhooks, gauges)
        gauges.add("reserva_keys_expiring", "Keys in use that expire within 14 days.", expiring)
        return generate_latest(registry_of_all(self._metrics.registry)) + generate_latest(registry)


def _samples(text: bytes) -> Samples:
    found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


class _Gauges:
    """The figures of one scrape; a collector of the library.

    They are no `Gauge`: that is counted in the files that processes share, where the next scrape would find it again.
    """

    def __init__(self) -> None:
        build = {"version": version("reserva"), "python": platform.python_version()}
        words = "The version of Reserva, and that of Python."
        self._families: list[Metric] = [InfoMetricFamily("reserva_build", words, build)]

    def add(self, name: str, words: str, value: float) -> None:
        """Add a gauge that has one sample."""
        self._families.append(GaugeMetricFamily(name, words, value))

    def labelled(self, name: str, words: str, *labels: str) -> GaugeMetricFamily:
        """Add a gauge whose samples, with a value for each label, are added to what this returns."""
        family = GaugeMetricFamily(name, words, labels=labels)
        self._families.append(family)
        return family

    def counted(self, name: str, words: str, value: float) -> None:
        """Add a count that is stored in the database."""
        self._families.append(CounterMetricFamily(name, words, value))

    def counts(self, name: str, words: str, *labels: str) -> CounterMetricFamily:
        """Add counts that are stored in the database; the samples are added to what this returns."""
        family = CounterMetricFamily(name, words, labels=labels)
        self._families.append(family)
        return family

    def collect(self) -> Iterable[Metric]:
        return self._families


def _process(mode: StoreMode, redis: bool | None, gauges: _Gauges) -> None:  # noqa: FBT001  # a fact of the process, by position
    modes = gauges.labelled("reserva_mode", "1 at the mode in which this process books.", "mode")
    for each in get_args(StoreMode):
        modes.add_metric([each], each == mode)
    if redis is not None:
        gauges.add("reserva_redis_up", "Whether Redis answers, where REDIS_URL is set.", redis)


def _findings(figures: Figures, gauges: _Gauges) -> None:
    gauges.add("reserva_findings_open", "Findings in state open.", figures.findings_open)
    gauges.add("reserva_findings_oldest_seconds", "Age of the oldest open finding.", figures.oldest_seconds)


def _runs(kinds: Mapping[RunKind, KindFigures], gauges: _Gauges) -> None:
    def gauge(name: str, words: str, *labels: str) -> GaugeMetricFamily:
        return gauges.labelled(f"reserva_reconciliation_{name}", words, "kind", *labels)

    seconds = gauge("seconds", "How long the last run that succeeded took.")
    rows = gauge("rows", "Reservations that it read.")
    left_out = gauge("left_out", "Reservations that it left out, because it cannot read them.", "reason")
    success = gauge("success_seconds", "When it ended, in seconds since 1970.")
    failure = gauge("failure_seconds", "When the last run that failed or was given up ended, in seconds since 1970.")
    for kind, figures in kinds.items():
        run = figures.success
        if run is not None and run.started_at is not None and run.finished_at is not None:
            seconds.add_metric([kind], (run.finished_at - run.started_at).total_seconds())
            rows.add_metric([kind], run.scanned)
            success.add_metric([kind], run.finished_at.timestamp())
            for reason, count in (run.left_out or {}).items():
                left_out.add_metric([kind, reason], count)
        if figures.failed_at is not None:
            failure.add_metric([kind], figures.failed_at.timestamp())


def _queue(queue: QueueFigures, gauges: _Gauges) -> None:
    gauges.add("reserva_reconciliations_queued", "Runs that wait.", queue.waiting)
    words = "For how long the oldest of them waits."
    gauges.add("reserva_reconciliations_queued_seconds", words, queue.oldest_seconds)
    gauges.add("reserva_workers", "Live workers.", queue.workers.alive)
    if queue.workers.seconds is not None:
        words = "Seconds since the last heartbeat of a worker."
        gauges.add("reserva_worker_heartbeat_seconds", words, queue.workers.seconds)


def _alerts(alerts: AlertFigures, gauges: _Gauges) -> None:
    gauges.add("reserva_findings_untold", "Open findings without an accepted alert.", alerts.unalerted)
    words = "For how long the oldest of them is open."
    gauges.add("reserva_findings_untold_seconds", words, alerts.oldest_seconds)
    gauges.add("reserva_alert_failures", "Failures of the alert URL in a row.", alerts.failures)
    if alerts.succeeded is not None:
        words = "When the alert URL last accepted a message, in seconds since 1970."
        gauges.add("reserva_alert_success_seconds", words, alerts.succeeded.timestamp())


def _events(events: EventFigures, gauges: _Gauges) -> None:
    gauges.add("reserva_events_waiting", "Events that wait for their place in the log.", events.waiting)
    gauges.add("reserva_events_waiting_seconds", "For how long the oldest of them waits.", events.oldest_seconds)
    gauges.add("reserva_events_kept", "Events that can be read.", events.kept)
    gauges.counted("reserva_events_placed", "Events that have got their place.", events.placed)


def _webhooks(figures: Sequence[WebhookFigures], gauges: _Gauges) -> None:
    given_up = sum(each.webhook.paused_at is not None for each in figures)
    gauges.add("reserva_webhooks_paused", "Webhooks given up after three days of failures.", given_up)
    lag = max((each.lag_seconds for each in figures if each.webhook.paused_at is None), default=0.0)
    gauges.add("reserva_webhooks_lag_seconds", "The greatest lag of a webhook that is not paused.", lag)
    words = "Events that an active webhook has not been offered yet."
    lag_events = gauges.labelled("reserva_webhook_lag_events", words, "webhook")
    lag_seconds = gauges.labelled("reserva_webhook_lag_seconds", "Age of the first of them.", "webhook")
    attempts = gauges.counts("reserva_webhook_deliveries", "Attempts by their outcome.", "webhook", "outcome")
    missed = gauges.counts("reserva_webhook_missed_events", "Events removed by age before their turn.", "webhook")
    for each in figures:
        webhook, name = each.webhook, str(each.webhook.id)
        lag_events.add_metric([name], each.lag_events)
        lag_seconds.add_metric([name], each.lag_seconds)
        attempts.add_metric([name, "delivered"], webhook.delivered)
        attempts.add_metric([name, "failed"], webhook.failed)
        missed.add_metric([name], webhook.missed)
