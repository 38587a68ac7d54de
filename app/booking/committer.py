"""The group commit: one queue a process, batches that share no lane, answers once a batch's outcome is known.

An intent waits while a running batch or an older intent has one of its lanes. An intent whose deadline passes before
its batch sends what cannot be taken back is `overloaded`, and the batch runs again without it. After that only the
batch determines the outcome, and an intent whose deadline passes is `outcome-unknown`.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVar

import structlog
from bson import ObjectId

from app.booking.backoff import Backoff, backoff_seconds
from app.booking.batch import Outcome, WriteConflict
from app.booking.batch_runner import BatchRunner
from app.booking.driver import Driver
from app.booking.failures import outcome_unknown
from app.booking.idempotency import Replay
from app.booking.intents import Intent, Lane
from app.booking.meter import Meter
from app.booking.outcomes import Accepted, overloaded
from app.booking.priority import RequestPriority
from app.booking.queue import INTENTS_LIMIT, AnyTicket, BatchBuilder, Ticket, lanes_of, resolve
from app.booking.slots import BatchSlots
from app.booking.time_budget import start_reserve_seconds, typical_batch_seconds
from app.booking.turns import Turns
from app.deadline import call_at, detached, sending, within
from app.domain.instants import Millis
from app.errors import OutcomeUnknown
from app.storage.rule_cache import RuleCache
from app.telemetry import request_record

log = structlog.get_logger()

T = TypeVar("T")

QUEUE_LIMIT = 8_192
CONFLICTS_BEFORE_PRIORITY = 3
"""An intent whose batches lost so many write conflicts requests priority on its guards."""


class Committer:
    """The queue and the batches of one process; all but the transactions themselves runs on the event loop.

    Args:
        driver: Runs the batches.
        branches_per_find: The branches of a read of occupants, at most.
        clock: The database's clock in milliseconds, as this process knows it.
        request_priority: Asks other processes to leave guards alone for a moment; None: they are never asked.
        rules: The process's cache of rules; None: one of its own.
        meter: Measures the work; None: nobody reads what it counts.
        database: What distinguishes the database from others that processes of this host use.
    """

    def __init__(
        self,
        driver: Driver,
        branches_per_find: int,
        *,
        clock: Callable[[], Millis],
        request_priority: RequestPriority | None = None,
        rules: RuleCache | None = None,
        meter: Meter | None = None,
        database: str = "",
        on_write: Callable[[], None] = lambda: None,
    ) -> None:
        self.driver = driver
        self._on_write = on_write
        self.request_priority = request_priority
        self.owner = ObjectId()
        self.waiting: deque[AnyTicket] = deque()
        self.busy_lanes: set[Lane] = set()
        self.backoff = Backoff(on_end=self._schedule_pump)
        self.resources_max = INTENTS_LIMIT
        """The resources that the next batch may span: halved by a write conflict, doubled by a success."""
        self.slots = BatchSlots(on_open=self._schedule_pump)
        self.turns = Turns(database, on_turn=self._schedule_pump)
        self.batches: set[asyncio.Task[None]] = set()
        self.priority_requests: set[asyncio.Task[None]] = set()
        self.stopping = False
        self.batch_seconds = 0.0
        """The seconds that a batch takes at present."""
        self.write_conflicts = 0
        """How many batches lost a write conflict so far."""
        self._meter = meter or Meter()
        self._runner = BatchRunner(
            driver,
            rules or RuleCache(atomic=driver.atomic),
            branches_per_find,
            clock=clock,
            owner=self.owner,
            backoff=self.backoff,
            meter=self._meter,
        )
        self._pumping = False

    async def submit(self, intent: Intent[T]) -> T | Replay:
        """Queue an intent and await its value, or the stored answer of its Idempotency-Key.

        A caller that is cancelled loses its answer; the intent is not cancelled.

        Raises:
            Problem: the intent cannot be done; `overloaded` if it was not done, `outcome-unknown` if it may have been.
            Refused, Stranded, MembersRefused: the rules refuse it.
            ReservationMoved: its reservation lies on a resource whose guard it did not name.
        """
        if self.stopping or len(self.waiting) >= QUEUE_LIMIT:
            raise overloaded("Too much is waiting already; nothing was done.")
        sending()
        return await asyncio.shield(self._enqueue(intent))

    def _enqueue(self, intent: Intent[T]) -> "asyncio.Future[T | Replay]":
        """Queue an intent; the future of its outcome, which `submit` must not hold.

        A refusal refers to the frames that it was raised through, so the two would wait for the garbage collector.
        """
        loop = asyncio.get_running_loop()
        seconds, now = within(intent.deadline_seconds), loop.time()
        deadline = now + seconds
        start_by = deadline - start_reserve_seconds(seconds, self.batch_seconds)
        ticket = Ticket(
            intent,
            lanes_of(intent),
            deadline,
            start_by,
            loop.create_future(),
            since=now,
            targets=intent.targets(),
            record=request_record.current(),
        )
        ticket.timer = call_at(start_by, self._on_deadline, ticket)
        self.waiting.append(ticket)
        self._schedule_pump()
        return ticket.future

    async def drain(self) -> None:
        """Refuse new intents, finish all that are queued, and close the driver."""
        self.stopping = True
        while self.waiting or self.batches:
            self._pump()
            pending: list[asyncio.Future[Any]] = [*self.batches, *(ticket.future for ticket in self.waiting)]
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        self.turns.close()
        await self.driver.close()

    def _on_deadline(self, ticket: AnyTicket) -> None:
        """Answer a ticket whose time to start, or whose deadline, has passed.

        A ticket in no batch is never run. A ticket in a batch waits for its deadline; its outcome is then unknown if
        the batch cannot be abandoned any more.
        """
        if not ticket.in_batch:
            self.waiting.remove(ticket)
            late = overloaded("It did not come to its turn in time; nothing was done.")
            self._answer((ticket, ticket.timeout_problem or late))
        elif asyncio.get_running_loop().time() < ticket.deadline:
            ticket.timer = call_at(ticket.deadline, self._on_deadline, ticket)
        elif ticket.batch is None or ticket.batch.abandon():
            late = overloaded("The database did not answer in time; nothing was done.")
            self._answer((ticket, ticket.timeout_problem or late))
        else:
            self._answer((ticket, outcome_unknown(ticket.intent)))

    def _answer(self, *answers: "tuple[AnyTicket, Outcome | BaseException]") -> None:
        """Answer the callers of tickets that have no answer yet; all are counted before a caller can have the first."""
        unanswered = [(ticket, outcome) for ticket, outcome in answers if not ticket.future.done()]
        self._meter.answered(unanswered, asyncio.get_running_loop().time())
        for ticket, outcome in answers:
            resolve(ticket, outcome)

    def _schedule_pump(self) -> None:
        """Start batches after this turn of the loop, so that all intents that arrive in it can share one."""
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump, context=Context())

    def _pump(self) -> None:
        """Start batches while there are a slot and tickets that may run."""
        self._pumping = False
        while self.waiting and self.slots.is_open and self.turns.begin():
            tickets = self._take()
            if not tickets:
                break
            slot = self.slots.take(awaited=self.driver.atomic and not tickets[0].intent.lengthy)
            lanes = frozenset[Lane]().union(*(ticket.lanes for ticket in tickets))
            self.busy_lanes |= lanes
            task = detached(self._run(slot, tickets, lanes))
            self.batches.add(task)
            task.add_done_callback(self.batches.discard)
        if self.slots.are_free:
            self.turns.end()

    def _take(self) -> list[AnyTicket]:
        """The next batch, in order of arrival; a ticket that cannot run yet keeps its lanes from those behind it."""
        blocked = self.busy_lanes | self.backoff.lanes
        batch = BatchBuilder(
            self.resources_max if self.driver.atomic else 1, INTENTS_LIMIT if self.driver.atomic else 1
        )
        remaining: deque[AnyTicket] = deque()
        while self.waiting and not batch.is_full:
            ticket = self.waiting.popleft()
            if blocked.isdisjoint(ticket.lanes) and batch.fits(ticket):
                batch.add(ticket)
            else:
                blocked |= ticket.lanes
                remaining.append(ticket)
        remaining.extend(self.waiting)
        self.waiting = remaining
        for ticket in batch.tickets:
            ticket.in_batch = True
        return batch.tickets

    async def _run(self, slot: int, tickets: list[AnyTicket], lanes: frozenset[Lane]) -> None:
        """Run one batch and answer its tickets."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            with self._meter.batch(tickets, began):
                outcomes = await self._runner.outcomes(slot, tickets)
        except BaseException as failure:  # every caller gets the failure, whatever it is
            log.exception("batch failed")
            self._answer(*((ticket, failure) for ticket in tickets))
            raise
        finally:
            if not tickets[0].intent.lengthy:
                self.batch_seconds = typical_batch_seconds(self.batch_seconds, loop.time() - began)
            self.busy_lanes -= lanes
            self.slots.give_back(slot)
            if self.slots.are_free:
                self.turns.end()
        conflicts = [(t, lost) for t, lost in zip(tickets, outcomes, strict=True) if isinstance(lost, WriteConflict)]
        self.turns.note(lost=bool(conflicts))
        if conflicts:
            self._retry(conflicts)
        else:
            self.resources_max = min(self.resources_max * 2, INTENTS_LIMIT)
        if any(isinstance(outcome, Accepted) and outcome.writes for outcome in outcomes):
            self._on_write()
        answers: list[tuple[AnyTicket, Outcome | BaseException]] = []
        for ticket, outcome in zip(tickets, outcomes, strict=True):
            if ticket.future.done():
                _log_late_outcome(ticket, outcome)
            elif not isinstance(outcome, WriteConflict):
                answers.append((ticket, outcome))
        self._answer(*answers)

    def _retry(self, conflicts: "list[tuple[AnyTicket, WriteConflict]]") -> None:
        """Queue the tickets again at the front in their order; back off on their lanes, and narrow the next batch.

        A narrower batch has fewer resources, never fewer intents of one: a hot resource then gets a batch of its own,
        with all the intents that wait for it.
        """
        self.write_conflicts += 1
        unanswered = [ticket for ticket, _ in conflicts if not ticket.future.done()]
        self._meter.lost(unanswered, asyncio.get_running_loop().time())
        lanes = frozenset[Lane]().union(*(ticket.lanes for ticket, _ in conflicts))
        self.resources_max = max(len(lanes) // 2, 1)
        attempts = max(ticket.conflicts for ticket, _ in conflicts)
        self.backoff.start(dict.fromkeys(lanes, backoff_seconds(attempts)))
        stuck = frozenset[Lane]().union(
            *(t.intent.lanes() for t, _ in conflicts if t.conflicts >= CONFLICTS_BEFORE_PRIORITY)
        )
        if stuck and self.request_priority is not None:
            self._send_priority_request(self.request_priority, stuck)
        for ticket, conflict in reversed(conflicts):
            ticket.batch = None
            ticket.conflicts += 1
            ticket.timeout_problem = conflict.problem
            self._requeue(ticket)

    def _send_priority_request(self, request_priority: RequestPriority, lanes: frozenset[Lane]) -> None:
        """Ask other processes to leave the guards alone for a moment; the back-off ends once the request is written."""
        task = detached(request_priority(lanes, self.owner))
        self.priority_requests.add(task)
        task.add_done_callback(self.priority_requests.discard)
        task.add_done_callback(lambda _: self.backoff.end(lanes))

    def _requeue(self, ticket: AnyTicket) -> None:
        """Put a ticket at the front of the queue again, unless its time is over."""
        ticket.in_batch = False
        if ticket.future.done():  # its caller has an `outcome-unknown`: the intent must not be run after that
            return
        if asyncio.get_running_loop().time() >= ticket.start_by and ticket.timeout_problem is not None:
            self._answer((ticket, ticket.timeout_problem))
            return
        self.waiting.appendleft(ticket)


def _log_late_outcome(ticket: AnyTicket, outcome: "Outcome | WriteConflict") -> None:
    """Log the outcome of an intent that was answered `outcome-unknown` before."""
    if isinstance(ticket.future.exception(), OutcomeUnknown) and not isinstance(outcome, OutcomeUnknown):
        ids = [str(identity) for identity in ticket.intent.reservations()]
        log.info("an unknown outcome is known", reservations=ids, done=isinstance(outcome, Accepted | Replay))
