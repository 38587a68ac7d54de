"""The queue's tickets, and the builder of a batch from them."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from app.booking.batch import Batch, Outcome
from app.booking.idempotency import Replay
from app.booking.intents import Intent, Lane, Target
from app.booking.outcomes import Accepted
from app.errors import Problem
from app.telemetry.request_record import RequestRecord

T = TypeVar("T")

INTENTS_LIMIT = 64
WRITES_LIMIT = 128
BYTES_LIMIT = 4 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Ticket(Generic[T]):
    """An intent in the queue or in a batch, with the future that its caller awaits.

    Args:
        intent: The intent.
        lanes: Its guards, and its Idempotency-Key if it has one.
        deadline: When the caller must be answered, by the loop's clock.
        start_by: When it is too late to join a batch, by the loop's clock.
        future: The caller's.
        conflicts: How many write conflicts its batches lost.
        in_batch: Whether a batch has it.
        batch: The last batch that had it.
        timer: Fires at `start_by`, then at `deadline`.
        timeout_problem: The answer if its time ends before it is run again; None: `overloaded`.
        targets: The documents that it changes.
        since: Since when it waits, or its batch runs, by the loop's clock.
        record: The record of the request that it belongs to, if there is one.
    """

    intent: Intent[T]
    lanes: frozenset[Lane]
    deadline: float
    start_by: float
    future: "asyncio.Future[T | Replay]"
    conflicts: int = 0
    in_batch: bool = False
    batch: Batch | None = None
    timer: asyncio.TimerHandle | None = None
    timeout_problem: Problem | None = None
    targets: frozenset[Target] = field(default_factory=frozenset)
    since: float = 0.0
    record: RequestRecord | None = None


AnyTicket: TypeAlias = Ticket[Any]
"""A ticket of a queue, whatever its intent gives."""


class BatchBuilder:
    """Fills a batch up to its limits; an intent above a limit, or a lengthy one, gets a batch of its own.

    Args:
        resources_max: How many guards the batch may have, unless its first intent has more.
        intents_max: How many intents it may have.
    """

    def __init__(self, resources_max: int, intents_max: int) -> None:
        self.tickets: list[AnyTicket] = []
        self._resources_max = resources_max
        self._intents_max = intents_max
        self._guards: set[Lane] = set()
        self._targets: set[Target] = set()
        self._writes = 0
        self._bytes = 0
        self._is_exclusive = False

    @property
    def is_full(self) -> bool:
        """Whether the batch is at a limit."""
        return self._is_exclusive or len(self.tickets) >= self._intents_max or self._writes >= WRITES_LIMIT

    def fits(self, ticket: AnyTicket) -> bool:
        """Whether a ticket can join: within the limits, and with no target in common with the others."""
        if not self.tickets:
            return True
        return (
            not ticket.intent.lengthy
            and self._writes + ticket.intent.writes <= WRITES_LIMIT
            and self._bytes + ticket.intent.size <= BYTES_LIMIT
            and len(self._guards | ticket.intent.lanes()) <= max(self._resources_max, len(self._guards))
            and self._targets.isdisjoint(ticket.targets)
        )

    def add(self, ticket: AnyTicket) -> None:
        """Add a ticket to the batch."""
        self.tickets.append(ticket)
        self._guards |= ticket.intent.lanes()
        self._targets |= ticket.targets
        self._writes += ticket.intent.writes
        self._bytes += ticket.intent.size
        self._is_exclusive = ticket.intent.lengthy


def lanes_of(intent: Intent[object]) -> frozenset[Lane]:
    """The lanes of an intent: its guards, and its Idempotency-Key."""
    return intent.lanes() | ({Lane(f"key:{intent.token.key}")} if intent.token else frozenset())


def resolve(ticket: AnyTicket, outcome: "Outcome | BaseException") -> None:
    """Answer the caller, unless it was answered or cancelled."""
    if ticket.timer is not None:
        ticket.timer.cancel()
    if ticket.future.done():
        return
    if isinstance(outcome, Accepted):
        ticket.future.set_result(outcome.value)
    elif isinstance(outcome, Replay):
        ticket.future.set_result(outcome)
    else:
        ticket.future.set_exception(outcome)
        ticket.future.exception()  # so that asyncio does not warn of a caller that was cancelled
