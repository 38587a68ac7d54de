"""What an operator sees at a glance: figures of `/metrics`, put beside each other and judged.

Counts are of all processes of a `reserva serve` since their start; figures of the queue, runs and events are of the
database.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.operations.metrics import Samples
from app.operations.service import Readiness

Mood: TypeAlias = Literal["good", "warn", "bad", "plain"]

WAIT_SECONDS = 120.0
"""For how long a run, an event or a message may wait before that is worth a warning."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of a card: its words are `facts.<name>`.

    Args:
        name: What it is about.
        value: A number, or the name of a text in the words `values`.
        mood: Whether it is as it should be.
        unit: `seconds` for a length of time, shown in the largest unit that fits.
    """

    name: str
    value: float | str
    mood: Mood = "plain"
    unit: Literal["count", "seconds", "word"] = "count"


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, as a bar: `percent` of the largest part."""

    name: str
    count: int
    percent: int


class Figures:
    """The samples of a scrape, by name and label."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def one(self, name: str) -> float:
        """The value of a sample without labels; 0 if there is none."""
        return next((value for _, value in self._samples.get(name, ())), 0.0)

    def by(self, name: str, label: str) -> dict[str, float]:
        """The sums of the samples of a name by one of their labels, without those that are 0."""
        sums: dict[str, float] = {}
        for labels, value in self._samples.get(name, ()):
            sums[labels[label]] = sums.get(labels[label], 0.0) + value
        return {key: value for key, value in sums.items() if value}

    def label(self, name: str, label: str) -> str:
        """A label of the first sample of a name; empty if there is none."""
        return next((labels.get(label, "") for labels, _ in self._samples.get(name, ())), "")

    def shares(self, name: str, label: str) -> list[Share]:
        """The sums as parts, the largest first."""
        sums = sorted(self.by(name, label).items(), key=lambda each: (-each[1], each[0]))
        largest = sums[0][1] if sums else 1.0
        return [Share(key, int(value), round(100 * value / largest)) for key, value in sums]


def cards(readiness: Readiness, figures: Figures) -> Iterator[tuple[str, Sequence[Fact]]]:
    """The cards of the page by their names, each with its facts."""
    yield "process", _process(readiness, figures)
    yield "bookings", _bookings(figures)
    yield "background", _background(figures)
    yield "events", _events(figures)


def _process(readiness: Readiness, figures: Figures) -> list[Fact]:
    state: Mapping[str, Mood] = {"ok": "good", "failed": "bad", "unknown": "warn", "degraded": "warn", "unset": "plain"}
    return [
        Fact("ready", "yes" if readiness.ready else "no", "good" if readiness.ready else "bad", "word"),
        Fact("mode", readiness.mode, "good" if readiness.mode == "strict" else "warn", "word"),
        Fact("database", readiness.database, state[readiness.database], "word"),
        Fact("indexes", readiness.indexes, state[readiness.indexes], "word"),
        Fact("redis", readiness.redis, state[readiness.redis], "word"),
        Fact("relay", readiness.relay, state[readiness.relay], "word"),
        Fact("version", figures.label("reserva_build_info", "version"), unit="word"),
    ]


def _bookings(figures: Figures) -> list[Fact]:
    problems = figures.by("reserva_http_problems_total", "problem")
    internal = problems.get("internal", 0.0)
    busy = sum(problems.get(name, 0.0) for name in ("overloaded", "unavailable", "outcome-unknown"))
    return [
        Fact("requests", sum(figures.by("reserva_http_request_seconds_count", "route").values())),
        Fact("waiting", figures.one("reserva_booking_waiting")),
        Fact("retries", figures.one("reserva_booking_retries_total")),
        Fact("busy", busy, "warn" if busy else "good"),
        Fact("internal", internal, "bad" if internal else "good"),
        Fact("limited", problems.get("rate-limited", 0.0)),
    ]


def _background(figures: Figures) -> list[Fact]:
    workers, queued = figures.one("reserva_workers"), figures.one("reserva_reconciliations_queued")
    waits = figures.one("reserva_reconciliations_queued_seconds")
    open_, untold = figures.one("reserva_findings_open"), figures.one("reserva_findings_untold")
    failures = figures.one("reserva_alert_failures")
    expiring = figures.one("reserva_keys_expiring")
    return [
        Fact("workers", workers, "good" if workers else "bad"),
        Fact("queued", queued, "warn" if waits > WAIT_SECONDS else "plain"),
        Fact("findings", open_, "warn" if open_ else "good"),
        Fact("untold", untold, "warn" if untold else "good"),
        Fact("alerts", failures, "bad" if failures else "good"),
        Fact("expiring", expiring, "warn" if expiring else "plain"),
    ]


def _events(figures: Figures) -> list[Fact]:
    lag, hooks = figures.one("reserva_events_waiting_seconds"), figures.one("reserva_webhooks_lag_seconds")
    paused = figures.one("reserva_webhooks_paused")
    return [
        Fact("kept", figures.one("reserva_events_kept")),
        Fact("unplaced", figures.one("reserva_events_waiting")),
        Fact("lag", lag, "warn" if lag > WAIT_SECONDS else "good", "seconds"),
        Fact("streams", figures.one("reserva_event_streams")),
        Fact("hooks_lag", hooks, "warn" if hooks > WAIT_SECONDS else "good", "seconds"),
        Fact("hooks_paused", paused, "bad" if paused else "good"),
    ]
