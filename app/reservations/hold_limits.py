"""The limits of live holds: of a visitor whom a key names, of a customer, and of what else a key has made.

Counting and booking are two steps, so requests for holds of one owner queue. The first of the queue counts, and goes
on to book when its holds fit with those in flight: admitted, and not yet known to be booked or not. Near the limit
only one request is in flight, so several processes, which do not know of each other's requests, exceed the limit by
one request each at most.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.booking import DEADLINE_SECONDS, Book, overloaded
from app.domain.instants import Millis, to_millis
from app.domain.lifecycle import status_at
from app.errors import Problem, invalid_field
from app.storage.client import Store
from app.storage.documents import Reservation
from app.storage.reservations import ReservationStore

WAIT_SECONDS = 2.0
"""How long a request queues before it is answered that nothing was done; the rest of its time is for booking."""
IN_FLIGHT_DIVISOR = 64
"""This fraction of what is left of a limit may be in flight at once; other processes may book the rest meanwhile."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HoldOwner:
    """The owner whose live holds are counted together: a holder as a key names it, a customer, or a key.

    A customer's holds may be made with several keys; two keys may mean different visitors by one name.
    """

    customer: str | None = None
    key: str | None = None
    holder: str | None = None

    @classmethod
    def of(cls, holder: str | None, customer: str | None, key: str) -> "HoldOwner":
        """The holder, else the customer, else the key."""
        if holder:
            return cls(key=key, holder=holder)
        return cls(customer=customer) if customer else cls(key=key)

    @property
    def anonymous(self) -> bool:
        """Whether nobody is named."""
        return not (self.holder or self.customer)

    def limit_problem(self, live: int, wanted: int, limit: int) -> Problem:
        """The refusal, which says whose limit it is."""
        named = f"The holder {self.holder!r}" if self.holder else f"The customer {self.customer!r}"
        who = f"The API key {self.key}" if self.anonymous else named
        kind = "live holds without a holder or customer" if self.anonymous else "live holds"
        if wanted > limit:
            detail = f"{who} may have {limit:,} {kind} at once, and {wanted} are wanted; hold fewer."
            return Problem("hold-limit", detail)
        more = "" if wanted == 1 else f" and {wanted} more are wanted"
        detail = (
            f"{who} has {live:,} {kind}{more}, of {limit:,} that it may have at once; confirm or cancel some first."
        )
        return Problem("hold-limit", detail)


def check_holder(holder: str | None, *, is_hold: bool, bound: bool) -> None:
    """Refuse a holder where there is no hold, or where the customer of a `bound` key is the one who holds.

    Raises:
        Problem: `invalid`.
    """
    if holder is not None and not is_hold:
        raise invalid_field("holder", "Only a hold has a `holder`: say how long with `expiresInSeconds`.")
    if holder is not None and bound:
        raise invalid_field("holder", "A key that is bound to a customer holds for that customer; leave it out.")


def holds_of(intents: Iterable[Book]) -> Counter[HoldOwner]:
    """How many holds of each owner are among these."""
    return Counter(HoldOwner.of(intent.holder, intent.customer, intent.by) for intent in intents if intent.hold_seconds)


def transferred_holds(stored: Reservation, patch: Mapping[str, Any], now: Millis) -> Counter[HoldOwner]:
    """The owner that a live hold gets by a patch, if it was another's."""
    expires = None if stored.expires_at is None else to_millis(stored.expires_at)
    if expires is None or "customer" not in patch or status_at(stored.status, expires, now) != "pending":
        return Counter()
    before, after = (HoldOwner.of(stored.holder, each, stored.key) for each in (stored.customer, patch["customer"]))
    return Counter() if after == before else Counter((after,))


@dataclass(slots=True)
class _Queue:
    """The requests for holds of one owner.

    `waiting` counts all of them; `in_flight` has the holds of each that was admitted. At `full_at`, of the loop's
    clock, a count that reached the limit began, and `live_count` is what it found.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    in_flight: "dict[asyncio.Future[None], int]" = field(default_factory=dict)
    full_at: float = 0.0
    live_count: int = 0


class HoldLimits:
    """The limits of one process, in live holds; 0 is none."""

    def __init__(self, store: Store, *, of_a_customer: int, of_a_key: int) -> None:
        self._reservations = ReservationStore(store)
        self._of_a_customer = of_a_customer
        self._of_a_key = of_a_key
        self._queues: dict[HoldOwner, _Queue] = {}
        self._running: set[asyncio.Task[object]] = set()

    async def book_within(self, wanted: Mapping[HoldOwner, int], book: Callable[[float], Awaitable[T]]) -> T:
        """Book, in the seconds that are left, if so many more holds of each owner are within the limit.

        A request whose client disconnects stays in flight until it is known whether its holds were booked.

        Raises:
            Problem: `hold-limit`; `overloaded` where too many ask at the same moment; what `book` raises.
        """
        limited = {owner: count for owner, count in wanted.items() if count and self._limit(owner)}
        if not limited:
            return await book(DEADLINE_SECONDS)
        return await asyncio.shield(self._start(self._queue_and_book(limited, book)))

    def _start(self, work: Coroutine[object, object, T]) -> "asyncio.Task[T]":
        """Start work that goes on if its caller is cancelled.

        The caller's frame must not refer to the task: a refusal refers to the frames that it was raised through, so the
        two would wait for the garbage collector.
        """
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _limit(self, owner: HoldOwner) -> int:
        return self._of_a_key if owner.anonymous else self._of_a_customer

    async def _queue_and_book(self, wanted: Mapping[HoldOwner, int], book: Callable[[float], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        since, outcome_known = loop.time(), loop.create_future()
        queues = {owner: self._queues.setdefault(owner, _Queue()) for owner in wanted}
        for queue in queues.values():
            queue.waiting += 1
        try:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    for owner in sorted(wanted, key=repr):  # in one order, so that no two wait for each other
                        await self._admit(owner, wanted[owner], queues[owner], outcome_known, since)
            except TimeoutError:
                raise overloaded("Too many holds of one owner are asked for at once; nothing was done.") from None
            return await book(DEADLINE_SECONDS - (loop.time() - since))
        finally:
            outcome_known.set_result(None)
            for owner, queue in queues.items():
                queue.waiting -= 1
                queue.in_flight.pop(outcome_known, None)
                if not queue.waiting:
                    del self._queues[owner]

    async def _admit(
        self, owner: HoldOwner, count: int, queue: _Queue, outcome_known: "asyncio.Future[None]", since: float
    ) -> None:
        """Wait until the holds fit with all that is in flight, and put them in flight.

        Raises:
            Problem: `hold-limit`, by a count that began after `since`: one count refuses all that were waiting then.
        """
        limit = self._limit(owner)
        async with queue.lock:
            if queue.full_at >= since and queue.live_count + count > limit:
                raise owner.limit_problem(queue.live_count, count, limit)
            while True:
                in_flight, counted_at = dict(queue.in_flight), asyncio.get_running_loop().time()
                live = await self._reservations.count_live_holds(
                    key=owner.key, holder=owner.holder, customer=owner.customer, count_max=limit
                )
                if live + count > limit:
                    queue.full_at, queue.live_count = counted_at, live
                    raise owner.limit_problem(live, count, limit)
                wanted = sum(in_flight.values()) + count
                if not in_flight or (live + wanted <= limit and wanted <= (limit - live) // IN_FLIGHT_DIVISOR):
                    queue.in_flight[outcome_known] = count
                    return
                await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
