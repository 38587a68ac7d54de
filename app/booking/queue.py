"""Intents on their way: their place in line, the batch that is being put together, the answer at the end."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from app.booking.idempotency import Replay
from app.booking.intents import Intent, Lane, Target
from app.booking.outcomes import Accepted
from app.booking.transaction import Batch, Outcome
from app.errors import Problem

T = TypeVar("T")

INTENTS_LIMIT = 64
WRITES_LIMIT = 128
BYTES_LIMIT = 4 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Ticket(Generic[T]):
    """An intent on its way, with its place in line and the future that its caller waits for.

    `until` is when the caller must be told something, `last_call` when it is too late to begin: by the loop's clock.
    `taken` says whether it is in a batch, and `batch` which one was the last.
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


AnyTicket: TypeAlias = Ticket[Any]
"""A ticket of a queue, whatever its intent gives."""


class BatchBuilder:
    """A batch being put together, within its limits; an intent above a limit goes alone, and so does a lengthy one."""

    def __init__(self, width: int, intents: int) -> None:
        self.tickets: list[AnyTicket] = []
        self._resources_max = width
        self._intents_max = intents
        self._guards: set[Lane] = set()
        self._targets: set[Target] = set()
        self._writes = 0
        self._bytes = 0
        self._is_exclusive = False

    @property
    def is_full(self) -> bool:
        """Whether nobody else fits, whoever it is."""
        return self._is_exclusive or len(self.tickets) >= self._intents_max or self._writes >= WRITES_LIMIT

    def fits(self, ticket: AnyTicket) -> bool:
        """Whether the limits allow it, and nobody in the batch changes the same document."""
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
        """Take it in."""
        self.tickets.append(ticket)
        self._guards |= ticket.intent.lanes()
        self._targets |= ticket.targets
        self._writes += ticket.intent.writes
        self._bytes += ticket.intent.size
        self._is_exclusive = ticket.intent.lengthy


def lanes_of(intent: Intent[object]) -> frozenset[Lane]:
    """What two batches never share: guards, and the Idempotency-Key."""
    return intent.lanes() | ({Lane(f"key:{intent.token.key}")} if intent.token else frozenset())


def resolve(ticket: AnyTicket, outcome: "Outcome | BaseException") -> None:
    """Tell the caller, if it still listens."""
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
        ticket.future.exception()  # a caller that went away is no reason for a warning
