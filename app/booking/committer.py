"""Who shares a transaction with whom: one queue a process, batches that never meet, answers after the outcome.

An intent waits until none of its lanes is held by a running batch and nobody older waits for one of them. Until its
batch sends what cannot be taken back, an intent whose time ends is `overloaded`, and the batch goes again without it;
from then on only the batch knows what comes of it, and at the end of its time nobody does.
"""

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

import structlog
from bson import ObjectId
from bson.errors import BSONError
from pymongo.errors import ConnectionFailure, DocumentTooLarge, NetworkTimeout

from app.booking.drivers import Driver
from app.booking.idempotency import Replay
from app.booking.intents import AnyIntent, Intent, Lane
from app.booking.outcomes import Accepted, overloaded, unreachable
from app.booking.priority import RequestPriority
from app.booking.queue import INTENTS_LIMIT, AnyTicket, BatchBuilder, Ticket, lanes_of, resolve
from app.booking.timestamps import COMMIT_SECONDS
from app.booking.transaction import Batch, Outcome, WriteConflict, attempt
from app.deadline import detached, sending, within
from app.domain.instants import Millis
from app.errors import OutcomeUnknown, Problem
from app.outages import codes_of, is_breakdown, is_outage
from app.storage.rule_cache import RuleCache

log = structlog.get_logger()

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

QUEUE_LIMIT = 8_192
SLOTS = 2
DUPLICATE_KEY = 11_000
BUDGET_MIN_SECONDS = 0.5
"""What a batch gets even if its youngest intent is nearly out of time: it was taken, so it is run for real."""
START_RESERVE_SECONDS = 0.6
"""With less time than that left (or a quarter of all its time) an intent is not taken any more: it would leave its
caller without knowing what came of it."""
PACES, PACE_KEPT = 1.5, 0.8
"""As many times what a batch takes must be left as well, or half of all the time: who runs out of it in a batch makes
all go again. A slow batch is remembered for some that are not."""
COMMIT_RESERVE_SECONDS = 0.4
"""What a batch leaves of its youngest intent's time, for the commit and the question whether it came through."""
CONFLICTS_BEFORE_PRIORITY = 3
BACKOFF_SECONDS, BACKOFF_GROWTH, BACKOFF_LIMIT_SECONDS = 0.005, 1.5, 0.5
"""The drivers' own values (mongo-java-driver, PR 1852), with full jitter."""


class Committer:
    """The queue and its batches. One a process; everything but the transaction itself happens on the event loop."""

    def __init__(
        self,
        driver: Driver,
        branches_per_find: int,
        *,
        clock: Callable[[], Millis],
        request_priority: RequestPriority | None = None,
        rules: RuleCache | None = None,
    ) -> None:
        self.driver = driver
        self.clock = clock
        self.request_priority = request_priority
        self.owner = ObjectId()
        self.rules = rules or RuleCache(atomic=driver.atomic)
        self.branches_per_find = branches_per_find
        self.waiting: deque[AnyTicket] = deque()
        self.busy_lanes: set[Lane] = set()
        self.backoff_until: dict[Lane, float] = {}
        self.resources_max = INTENTS_LIMIT
        """How many resources the next batch may span; conflicts narrow it, success widens it."""
        self.free_slots = list(range(SLOTS))
        self.batches: set[asyncio.Task[None]] = set()
        self.priority_requests: set[asyncio.Task[None]] = set()
        self.stopping = False
        self.batch_seconds = 0.0
        """The seconds that a batch takes at the moment."""
        self.write_conflicts = 0
        """Transactions that somebody else's came before."""
        self._pumping = False

    async def submit(self, intent: Intent[T]) -> T | Replay:
        """What came of the intent.

        A caller that goes away loses its answer and nothing else.

        Raises:
            Problem: it was refused, or not done; `overloaded` says surely not, `outcome-unknown` perhaps.
            Refused, Stranded: the rules say no.
        """
        if self.stopping or len(self.waiting) >= QUEUE_LIMIT:
            raise overloaded("Too much is waiting already; nothing was done.")
        sending()
        loop = asyncio.get_running_loop()
        seconds = within(intent.deadline_seconds)
        until = loop.time() + seconds
        last_call = until - max(min(START_RESERVE_SECONDS, seconds / 4), min(PACES * self.batch_seconds, seconds / 2))
        ticket = Ticket(intent, lanes_of(intent), until, last_call, loop.create_future(), targets=intent.targets())
        ticket.timer = _call_at(last_call, self._on_deadline, ticket)
        self.waiting.append(ticket)
        self._schedule_pump()
        return await asyncio.shield(ticket.future)

    async def drain(self) -> None:
        """Take nothing new, finish everything that was taken in, end."""
        self.stopping = True
        while self.waiting or self.batches:
            self._pump()
            pending: list[asyncio.Future[Any]] = [*self.batches, *(ticket.future for ticket in self.waiting)]
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        await self.driver.close()

    def _on_deadline(self, ticket: AnyTicket) -> None:
        """Nobody took it in time, so it is never run; or its batch runs on, and nobody knows yet what comes of it."""
        if not ticket.in_batch:
            self.waiting.remove(ticket)
            resolve(
                ticket, ticket.timeout_problem or overloaded("It did not come to its turn in time; nothing was done.")
            )
        elif asyncio.get_running_loop().time() < ticket.deadline:
            ticket.timer = _call_at(ticket.deadline, self._on_deadline, ticket)
        elif ticket.batch is None or ticket.batch.abandon():
            resolve(
                ticket, ticket.timeout_problem or overloaded("The database did not answer in time; nothing was done.")
            )
        else:
            resolve(ticket, _outcome_unknown(ticket.intent))

    def _schedule_pump(self) -> None:
        """Let everybody arrive who is about to, in this turn of the loop, before a batch is closed."""
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump, context=Context())

    def _pump(self) -> None:
        """Start batches while there is a slot and somebody who may go."""
        self._pumping = False
        while self.free_slots:
            tickets = self._take()
            if not tickets:
                return
            slot = self.free_slots.pop()
            lanes = frozenset[Lane]().union(*(ticket.lanes for ticket in tickets))
            self.busy_lanes |= lanes
            task = detached(self._run(slot, tickets, lanes))
            self.batches.add(task)
            task.add_done_callback(self.batches.discard)

    def _take(self) -> list[AnyTicket]:
        """The next batch, in order of arrival; whoever cannot go yet keeps its lanes from those behind it."""
        blocked = self.busy_lanes | self.backoff_until.keys()
        chosen = BatchBuilder(
            self.resources_max if self.driver.atomic else 1, INTENTS_LIMIT if self.driver.atomic else 1
        )
        left: deque[AnyTicket] = deque()
        while self.waiting and not chosen.is_full:
            ticket = self.waiting.popleft()
            if blocked.isdisjoint(ticket.lanes) and chosen.fits(ticket):
                chosen.add(ticket)
            else:
                blocked |= ticket.lanes
                left.append(ticket)
        left.extend(self.waiting)
        self.waiting = left
        for ticket in chosen.tickets:
            ticket.in_batch = True
        return chosen.tickets

    async def _run(self, slot: int, tickets: list[AnyTicket], lanes: frozenset[Lane]) -> None:
        """Run one batch and answer everybody in it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            outcomes = await self._outcomes(slot, tickets)
        except BaseException as failure:  # every caller must hear of it, whatever it was
            log.exception("batch failed")
            for ticket in tickets:
                resolve(ticket, failure)
            raise
        finally:
            if not tickets[0].intent.lengthy:
                self.batch_seconds = max(loop.time() - began, self.batch_seconds * PACE_KEPT)
            self.busy_lanes -= lanes
            self.free_slots.append(slot)
            self._schedule_pump()
        lost = [
            (ticket, outcome)
            for ticket, outcome in zip(tickets, outcomes, strict=True)
            if isinstance(outcome, WriteConflict)
        ]
        if lost:
            self._retry(lost)
        else:
            self.resources_max = min(self.resources_max * 2, INTENTS_LIMIT)
        for ticket, outcome in zip(tickets, outcomes, strict=True):
            if ticket.future.done():
                _log_late_outcome(ticket, outcome)
            elif not isinstance(outcome, WriteConflict):
                resolve(ticket, outcome)

    async def _outcomes(
        self, slot: int, tickets: list[AnyTicket], *, duplicate: bool = False
    ) -> "list[Outcome | WriteConflict]":
        """One outcome a ticket. A failure that names nobody halves the batch until its cause is alone with it.

        A duplicate key is met by going again from the first step, which finds its replays and its own rows.
        """
        loop = asyncio.get_running_loop()
        intents = [ticket.intent for ticket in tickets]
        batch = Batch(intents, self.rules, self.branches_per_find, self.clock(), self.owner, self.driver.atomic)
        for ticket in tickets:
            ticket.batch = batch
        batch.abandoned = any(ticket.future.done() for ticket in tickets)
        left = max(ticket.deadline for ticket in tickets) - loop.time() - COMMIT_RESERVE_SECONDS
        budget = max(left, BUDGET_MIN_SECONDS)
        budget = min(budget, COMMIT_SECONDS)  # later it would not commit, however long its intents may wait
        try:
            outcomes: list[Outcome | WriteConflict] = [*await self.driver.run(slot, attempt(batch), budget)]
            self._back_off(batch.yield_requests)
            return outcomes  # noqa: TRY300  # an else would be far away
        except (WriteConflict, Problem) as same:  # a problem of all: this process must not book
            return [same] * len(tickets)
        except Exception as error:  # noqa: BLE001  # whatever it was, it must not reach the neighbours
            if DUPLICATE_KEY in codes_of(error) and not duplicate:
                return await self._outcomes(slot, tickets, duplicate=True)
            if (passing := _transient_failure(error)) is not None:
                return [passing] * len(tickets)
            if len(tickets) == 1:
                return [_intent_problem(error)]
        half = len(tickets) // 2
        return [*await self._outcomes(slot, tickets[:half]), *await self._outcomes(slot, tickets[half:])]

    def _retry(self, lost: "list[tuple[AnyTicket, WriteConflict]]") -> None:
        """Back to the front in their order; their resources rest a moment, and fewer of them share a batch.

        Fewer resources, never fewer intents of one: a hot resource then goes alone, with all who want it.
        """
        self.write_conflicts += 1
        lanes = frozenset[Lane]().union(*(ticket.lanes for ticket, _ in lost))
        self.resources_max = max(len(lanes) // 2, 1)
        losses = max(ticket.conflicts for ticket, _ in lost)
        rest = min(BACKOFF_SECONDS * BACKOFF_GROWTH**losses, BACKOFF_LIMIT_SECONDS) * random.random()  # noqa: S311  # jitter
        self._back_off(dict.fromkeys(lanes, rest))
        stuck = frozenset[Lane]().union(
            *(t.intent.lanes() for t, _ in lost if t.conflicts >= CONFLICTS_BEFORE_PRIORITY)
        )
        if stuck and self.request_priority is not None:
            self._send_priority_request(self.request_priority, stuck)
        for ticket, why in reversed(lost):
            ticket.batch = None
            ticket.conflicts += 1
            ticket.timeout_problem = why.problem
            self._requeue(ticket)

    def _send_priority_request(self, way: RequestPriority, lanes: frozenset[Lane]) -> None:
        """Mark the guards, so that the other processes leave them alone for a moment, and go as soon as that stands."""
        task = detached(way(lanes, self.owner))
        self.priority_requests.add(task)
        task.add_done_callback(self.priority_requests.discard)
        task.add_done_callback(lambda _: self._end_backoff(lanes, math.inf))

    def _back_off(self, seconds: Mapping[Lane, float]) -> None:
        """Start nothing on these lanes for so long."""
        loop = asyncio.get_running_loop()
        for lane, rest in seconds.items():
            self.backoff_until[lane] = until = loop.time() + rest
            _call_at(until, self._end_backoff, (lane,), until)

    def _end_backoff(self, lanes: Collection[Lane], until: float) -> None:
        """They may go again, but for those that rest for longer by now.

        Compared with the time that was set, not with the clock: the loop calls a little early, and nobody else would.
        """
        for lane in lanes:
            if self.backoff_until.get(lane, until) <= until:
                self.backoff_until.pop(lane, None)
        self._schedule_pump()

    def _requeue(self, ticket: AnyTicket) -> None:
        """To the front of the line again, unless its time is over."""
        ticket.in_batch = False
        if ticket.future.done():  # it was told that nobody knows: it is not tried again behind its caller's back
            return
        if asyncio.get_running_loop().time() >= ticket.start_by and ticket.timeout_problem is not None:
            resolve(ticket, ticket.timeout_problem)
            return
        self.waiting.appendleft(ticket)


def _call_at(when: float, call: Callable[[*Ts], None], *arguments: *Ts) -> asyncio.TimerHandle:
    """A timer that is not bound to the deadline of whoever sets it."""
    return asyncio.get_running_loop().call_at(when, call, *arguments, context=Context())


def _outcome_unknown(intent: AnyIntent) -> OutcomeUnknown:
    """What is told of an intent that is on its way when its time ends."""
    return OutcomeUnknown([str(identity) for identity in intent.reservations()], keyed=intent.token is not None)


def _log_late_outcome(ticket: AnyTicket, outcome: "Outcome | WriteConflict") -> None:
    """Say what became of an intent whose caller was told that nobody knows."""
    if isinstance(ticket.future.exception(), OutcomeUnknown) and not isinstance(outcome, OutcomeUnknown):
        ids = [str(identity) for identity in ticket.intent.reservations()]
        log.info("an unknown outcome is known", reservations=ids, done=isinstance(outcome, Accepted | Replay))


def _transient_failure(error: Exception) -> WriteConflict | Problem | None:
    """A failure of the moment, after which the same batch may go again; None for one that it brought upon itself.

    A server that answers that it cannot write is believed at once: its disk is not emptied within a deadline.
    """
    if isinstance(error, ConnectionFailure) and not isinstance(error, NetworkTimeout):
        problem = unreachable()
        problem.__cause__ = error
        return WriteConflict(problem)
    if getattr(error, "timeout", False):
        return WriteConflict(overloaded("The database did not answer in time; nothing was done."))
    return _database_unusable(error) if is_outage(error) else None


def _database_unusable(error: Exception) -> Problem:
    """What is told where the database answers that it cannot work, because its disk is full for example."""
    problem = Problem("unavailable", "The database cannot work at the moment; nothing was done.")
    problem.__cause__ = error
    return problem


def _intent_problem(error: Exception) -> Problem:
    """What a single intent is told whose own data the database would not take."""
    if isinstance(error, BSONError | OverflowError | DocumentTooLarge):
        return Problem("invalid", f"The database cannot keep this: {error}.")
    if is_breakdown(error):
        return _database_unusable(error)
    log.error("transaction failed", exc_info=error)
    return Problem("internal", "The database refused this for a reason that is not yours; nothing was done.")
