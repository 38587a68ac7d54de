"""The metrics that a process counts itself; each process of `reserva serve` has the same ones.

Children of labels that are needed for every request are looked up once: the library takes longer to find one than to
count. Gauges are set by `Sampler`.
"""

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, values

from app.errors import ProblemName
from app.telemetry.shared_folder import folder_of_processes

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; a request ends within three if it writes, within ten if it reads."""
_BATCH_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_INTENTS_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
_LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

# A series beside each counter, with the time at which the process began to count.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own

# The library counts in any folder that its variable names, with files for each process that nobody removes.
if folder_of_processes() is None:
    values.ValueClass = values.MutexValue


class Metrics:
    """All of them; `registry` has them for a process that shares none with others."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.http = HttpMetrics(self.registry)
        self.booking = BookingMetrics(self.registry)
        self.process = ProcessMetrics(self.registry)


class HttpMetrics:
    """Requests and their answers. Labels have few values: templates of routes, known methods, statuses, problems."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "reserva_http_request_seconds",
            "Requests by route, method and status: how long they took until the answer was complete.",
            ["route", "method", "status"],
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self._problems = Counter(
            "reserva_http_problems", "Answers that are problems, by type.", ["problem"], registry=registry
        )
        for problem in get_args(ProblemName):
            self._problems.labels(problem)
        self._children: dict[tuple[str, str, int], Histogram] = {}

    def count(self, route: str, method: str, status: int, problem: str | None, seconds: float) -> None:
        """Count a request with the time that it took."""
        key = (route, method, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._seconds.labels(*key)
        child.observe(seconds)
        if problem is not None:
            self._problems.labels(problem).inc()


class BookingMetrics:
    """The write path: its queue, its batches and their transactions, and what became of the intents in them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.waiting = Gauge(
            "reserva_booking_waiting", "Intents that wait for a batch.", multiprocess_mode="livesum", registry=registry
        )
        self.wait_seconds = Histogram(
            "reserva_booking_wait_seconds",
            "Batches: how long the intent that waited longest for it waited.",
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )
        self.batch_intents = Histogram(
            "reserva_booking_batch_intents",
            "Batches: how many intents they have.",
            buckets=_INTENTS_BUCKETS,
            registry=registry,
        )
        self.transactions = Counter(
            "reserva_booking_transactions", "Transactions of batches, by outcome.", ["outcome"], registry=registry
        )
        self.transaction_seconds = Histogram(
            "reserva_booking_transaction_seconds",
            "Transactions of batches: how long they took, with their commit.",
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "reserva_booking_commit_seconds",
            "Commits of transactions: how long they took, failed ones included.",
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )
        self.retries = Counter(
            "reserva_booking_retries", "Intents that were queued again after a lost batch.", registry=registry
        )
        self.intents = Counter(
            "reserva_booking_intents", "Intents that were answered, by outcome.", ["outcome"], registry=registry
        )
        self.refusals = Counter(
            "reserva_booking_refusals", "Rules that refused a booking or a change.", ["rule"], registry=registry
        )


class ProcessMetrics:
    """The event loop, the connections to MongoDB, and the streams of events."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.loop_lag_seconds = Histogram(
            "reserva_event_loop_lag_seconds",
            "How late the event loop was, four times a second in each process.",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self.connections = Gauge(
            "reserva_mongodb_connections",
            "Connections to MongoDB, by whether an operation uses them.",
            ["state"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.event_streams = Gauge(
            "reserva_event_streams", "Open streams of events.", multiprocess_mode="livesum", registry=registry
        )
        self.damaged_events = Gauge(
            "reserva_events_damaged",
            "Events of the log that another program has damaged, as far as a process has read them.",
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.checkouts_waiting = Gauge(
            "reserva_mongodb_checkouts_waiting",
            "Operations that wait for a connection to MongoDB.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.checkout_failures = Counter(
            "reserva_mongodb_checkout_failures", "Operations that got no connection to MongoDB.", registry=registry
        )
