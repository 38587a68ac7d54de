"""`/metrics`, as Prometheus reads it; everything in it is read from the database when somebody asks."""

from typing import get_args

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from app.reconciliation.figures import AlertFigures, Figures
from app.storage.capabilities import StoreMode

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def rendered(figures: Figures, mode: StoreMode) -> bytes:
    """The text of a scrape."""
    registry = CollectorRegistry()
    modes = Gauge("reserva_mode", "1 at the mode in which this process books.", ["mode"], registry=registry)
    for known in get_args(StoreMode):
        modes.labels(known).set(known == mode)
    gauge = Gauge("reserva_findings_open", "Findings that nobody has looked at.", registry=registry)
    gauge.set(figures.findings_open)
    gauge = Gauge("reserva_findings_oldest_seconds", "Age of the oldest open finding.", registry=registry)
    gauge.set(figures.oldest_seconds)
    seconds = Gauge("reserva_reconciliation_seconds", "How long the last run took.", ["kind"], registry=registry)
    rows = Gauge("reserva_reconciliation_rows", "Reservations that the last run read.", ["kind"], registry=registry)
    for kind, run in figures.runs.items():
        seconds.labels(kind).set(run.seconds)
        rows.labels(kind).set(run.rows)
    _alerts(figures.alerts, registry)
    return generate_latest(registry)


def _alerts(alerts: AlertFigures, registry: CollectorRegistry) -> None:
    gauge = Gauge("reserva_findings_untold", "Open findings that the alert URL was not told yet.", registry=registry)
    gauge.set(alerts.untold)
    words = "For how long the oldest of them is open."
    Gauge("reserva_findings_untold_seconds", words, registry=registry).set(alerts.oldest_seconds)
    words = "Messages in a row that the alert URL did not take."
    Gauge("reserva_alert_failures", words, registry=registry).set(alerts.failures)
    if alerts.succeeded is not None:
        words = "When the alert URL last took a message, in seconds since 1970."
        Gauge("reserva_alert_success_seconds", words, registry=registry).set(alerts.succeeded.timestamp())
