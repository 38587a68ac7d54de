"""Measures the write path: counts for the metrics, and what took the time of a request for its record."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter
from typing import Final

from structlog.contextvars import bind_contextvars

from app.booking.batch import Batch, KeyUsed, Outcome, WriteConflict
from app.booking.existing import ReservationMoved
from app.booking.idempotency import Replay
from app.booking.outcomes import Accepted, Refused, Stranded
from app.booking.queue import AnyTicket
from app.booking.several import MembersRefused
from app.domain.rules import RULES
from app.errors import OutcomeUnknown, Problem
from app.telemetry.metrics import BookingMetrics, Metrics
from app.telemetry.tracer import Tracer

TRANSACTION_OUTCOMES: Final = ("committed", "unknown", "nothing", "conflict", "abandoned", "key-used", "failed")
"""`nothing`: it had nothing to write; `conflict`: it lost a write conflict, or had to begin again; `abandoned`: one of
its intents had run out of time; `key-used`: it met an Idempotency-Key that was used before; `failed`: another error."""

_NAMES: Final[Mapping[type, str]] = {
    Accepted: "accepted",
    Replay: "replayed",
    Refused: "refused",
    MembersRefused: "refused",
    Stranded: "stranded-bookings",
    ReservationMoved: "moved",
}


class Meter:
    """What a committer tells of its work; all times are those of the loop's clock.

    Args:
        metrics: The metrics of the process; None: nobody reads them.
        tracer: Makes the spans of batches; None: there are no traces.
    """

    def __init__(self, metrics: BookingMetrics | None = None, tracer: Tracer | None = None) -> None:
        self._metrics = metrics = metrics or Metrics().booking
        self._tracer = tracer
        self._transactions = {outcome: metrics.transactions.labels(outcome) for outcome in TRANSACTION_OUTCOMES}
        self._refusals = {rule: metrics.refusals.labels(rule) for rule in RULES}

    def batch(self, tickets: Sequence[AnyTicket], now: float) -> AbstractContextManager[None]:
        """A block with a batch of these tickets, which begins now; its lines name the requests in it."""
        self._metrics.batch_intents.observe(len(tickets))
        self._metrics.wait_seconds.observe(now - min(ticket.since for ticket in tickets))
        for ticket in tickets:
            if ticket.record is not None:
                ticket.record.queue_seconds += now - ticket.since
                ticket.record.attempts += 1
            ticket.since = now
        records = [ticket.record for ticket in tickets if ticket.record is not None]
        bind_contextvars(requests=[record.id for record in records])
        return nullcontext() if self._tracer is None else self._tracer.batch(records, len(tickets))

    @contextmanager
    def transaction(self, batch: Batch) -> Generator[Callable[[Sequence[Outcome]], None]]:
        """A block with a transaction, which calls what it gets with the outcomes."""
        began, ending = perf_counter(), "failed"

        def ended(outcomes: Sequence[Outcome]) -> None:
            nonlocal ending
            ending = _ending_of(outcomes)

        try:
            yield ended
        except WriteConflict:
            ending = "abandoned" if batch.abandoned else "conflict"
            raise
        except KeyUsed:
            ending = "key-used"
            raise
        finally:
            self._transactions[ending].inc()
            if self._tracer is not None:
                self._tracer.transaction(ending)
            self._metrics.transaction_seconds.observe(perf_counter() - began)
            if batch.commit_seconds is not None:
                self._metrics.commit_seconds.observe(batch.commit_seconds)

    def lost(self, tickets: Sequence[AnyTicket], now: float) -> None:
        """The batch of these tickets lost a write conflict, or has to run again for another reason."""
        self._metrics.retries.inc(len(tickets))
        for ticket in tickets:
            if ticket.record is not None:
                ticket.record.transaction_seconds += now - ticket.since
                ticket.record.lost += 1
            ticket.since = now

    def answered(self, answers: "Iterable[tuple[AnyTicket, Outcome | BaseException]]", now: float) -> None:
        """Tickets get their outcomes, from their batch or because their time is over."""
        outcomes: Counter[str] = Counter()
        for ticket, outcome in answers:
            outcomes[_name_of(outcome)] += 1
            for rule in _failed_rules(outcome):
                self._refusals[rule].inc()
            if ticket.record is None:
                continue
            if ticket.in_batch:
                ticket.record.transaction_seconds += now - ticket.since
            else:
                ticket.record.queue_seconds += now - ticket.since
        for name, number in outcomes.items():
            self._metrics.intents.labels(name).inc(number)


def _ending_of(outcomes: Sequence[Outcome]) -> str:
    """The outcome of a transaction that ended without an error."""
    if any(isinstance(outcome, OutcomeUnknown) for outcome in outcomes):
        return "unknown"
    return "committed" if any(isinstance(each, Accepted) and each.writes for each in outcomes) else "nothing"


def _name_of(outcome: "Outcome | BaseException") -> str:
    """The outcome of an intent as a label; a problem has its own name."""
    name = _NAMES.get(type(outcome))
    if name is not None:
        return name
    return outcome.name if isinstance(outcome, Problem) else "failed"


def _failed_rules(outcome: "Outcome | BaseException") -> list[str]:
    """The rules that refuse an intent; of a group those of all members."""
    if isinstance(outcome, Refused):
        return [check.rule for check in outcome.verdict.failed]
    if isinstance(outcome, MembersRefused):
        return [rule for _, reason in outcome.members for rule in _failed_rules(reason)]
    return []
