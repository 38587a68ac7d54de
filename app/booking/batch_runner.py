"""Runs the tickets of a batch as one transaction, or as several where an error cannot be attributed to one intent."""

import asyncio
from collections.abc import Callable

from bson import ObjectId

from app.booking.backoff import Backoff
from app.booking.batch import Batch, KeyUsed, Outcome, WriteConflict
from app.booking.driver import Driver
from app.booking.failures import intent_problem, transient_failure
from app.booking.meter import Meter
from app.booking.queue import AnyTicket
from app.booking.time_budget import budget_seconds
from app.booking.transaction import attempt
from app.domain.instants import Millis
from app.errors import Problem
from app.outages import codes_of
from app.storage.rule_cache import RuleCache

DUPLICATE_KEY = 11_000
KEY_LOOKUPS_MAX = 2  # pruning and another request can each make one useless


class BatchRunner:
    """The transactions of a committer.

    Args:
        driver: Runs them.
        rules: The process's cache of rules.
        branches_per_find: The branches of a read of occupants, at most.
        clock: The database's clock in milliseconds, as this process knows it.
        owner: The committer's id.
        backoff: Leaves guards alone on which other processes request priority.
        meter: Counts the transactions.
    """

    def __init__(
        self,
        driver: Driver,
        rules: RuleCache,
        branches_per_find: int,
        *,
        clock: Callable[[], Millis],
        owner: ObjectId,
        backoff: Backoff,
        meter: Meter,
    ) -> None:
        self._driver = driver
        self._rules = rules
        self._branches_per_find = branches_per_find
        self._clock = clock
        self._owner = owner
        self._backoff = backoff
        self._meter = meter

    async def outcomes(self, slot: int, tickets: list[AnyTicket], lookups: int = 0) -> "list[Outcome | WriteConflict]":
        """One outcome a ticket. An error that cannot be attributed to one intent bisects the batch.

        After a key that was used, or a duplicate, the batch looks the keys up first, which finds the replay, or the
        batch's own row if the driver had repeated the insert; neither if the key was pruned just then and used anew.
        An equal request that another process has committed, and a majority does not have yet, is a write conflict.
        """
        batch = self._batch(tickets, keys_first=lookups > 0)
        budget = budget_seconds(max(ticket.deadline for ticket in tickets) - asyncio.get_running_loop().time())
        try:
            with self._meter.transaction(batch) as ended:
                outcomes = await self._driver.run(slot, attempt(batch), budget)
                ended(outcomes)
            self._backoff.start(batch.yield_requests)
            return [*outcomes]  # noqa: TRY300  # try/else would separate the return from its call
        except (WriteConflict, Problem) as error:  # a Problem of the whole batch: this process must not book
            return [error] * len(tickets)
        except Exception as error:  # noqa: BLE001  # an error of one intent must not reach the others
            if (isinstance(error, KeyUsed) or DUPLICATE_KEY in codes_of(error)) and lookups < KEY_LOOKUPS_MAX:
                return await self.outcomes(slot, tickets, lookups + 1)
            if (failure := transient_failure(error)) is not None:
                return [failure] * len(tickets)
            if len(tickets) == 1:
                return [intent_problem(error)]
        half = len(tickets) // 2
        return [*await self.outcomes(slot, tickets[:half]), *await self.outcomes(slot, tickets[half:])]

    def _batch(self, tickets: list[AnyTicket], *, keys_first: bool) -> Batch:
        """A batch of these tickets; it is abandoned at once if one of them was answered already."""
        intents = [ticket.intent for ticket in tickets]
        batch = Batch(
            intents,
            self._rules,
            self._branches_per_find,
            self._clock(),
            self._owner,
            self._driver.atomic,
            keys_first,
        )
        for ticket in tickets:
            ticket.batch = batch
        batch.abandoned = any(ticket.future.done() for ticket in tickets)
        return batch
