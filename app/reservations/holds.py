"""How many holds may live at once: of a customer, and of a key those without a customer.

Counting and booking are two steps, so whoever asks for holds of one owner at the same moment stands in a line. Who is
first counts, and goes on to book when its holds fit with those that still fly: are let through, and not yet known to
be booked or not. Near the limit only one request flies at a time, so several processes, which know nothing of each
other's, exceed the limit by one request each at most.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.booking import DEADLINE_SECONDS, Book, overloaded
from app.domain.instants import Millis, to_millis
from app.domain.lifecycle import status_at
from app.errors import Problem
from app.storage.client import Store
from app.storage.documents import Reservation
from app.storage.reservations import ReservationStore

WAIT_SECONDS = 2.0
"""How long a request stands in lines before it is told that nothing was done; the rest of its time is for booking."""
SPARE = 64
"""Of what is left of a limit this part may fly at once: the rest would have to be booked by others meanwhile."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose live holds are counted together: a customer's, or those without one that the key `key` made."""

    customer: str | None
    key: str | None = None

    @classmethod
    def of(cls, customer: str | None, key: str) -> "Owner":
        """The customer, or where there is none the key."""
        return cls(customer) if customer else cls(None, key)

    def too_many(self, held: int, wanted: int, limit: int) -> Problem:
        """The refusal, which says whose limit it is."""
        who = f"The customer {self.customer!r}" if self.customer else f"The API key {self.key}"
        kind = "live holds" if self.customer else "live holds without a customer"
        if wanted > limit:
            detail = f"{who} may have {limit:,} {kind} at once, and {wanted} are wanted; hold fewer."
            return Problem("hold-limit", detail)
        more = "" if wanted == 1 else f" and {wanted} more are wanted"
        detail = (
            f"{who} has {held:,} {kind}{more}, of {limit:,} that it may have at once; confirm or cancel some first."
        )
        return Problem("hold-limit", detail)


def holds_of(intents: Iterable[Book]) -> Counter[Owner]:
    """How many holds of each owner are among these."""
    return Counter(Owner.of(intent.customer, intent.by) for intent in intents if intent.hold_seconds)


def handed_on(stored: Reservation, patch: Mapping[str, Any], now: Millis) -> Counter[Owner]:
    """Whose a live hold becomes by a patch, if it was somebody else's."""
    expires = None if stored.expires_at is None else to_millis(stored.expires_at)
    if expires is None or "customer" not in patch or status_at(stored.status, expires, now) != "pending":
        return Counter()
    before, after = Owner.of(stored.customer, stored.key), Owner.of(patch["customer"], stored.key)
    return Counter() if after == before else Counter((after,))


@dataclass(slots=True)
class _Line:
    """Who wants holds of one owner: how many are in the line, who flies with how many, and when it was last full."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    asking: int = 0
    flying: "dict[asyncio.Future[None], int]" = field(default_factory=dict)
    full_at: float = 0.0
    held: int = 0


class HoldLimits:
    """The limits of one process, each 0 for none."""

    def __init__(self, store: Store, *, of_a_customer: int, of_a_key: int) -> None:
        self._reservations = ReservationStore(store)
        self._of_a_customer = of_a_customer
        self._of_a_key = of_a_key
        self._lines: dict[Owner, _Line] = {}
        self._running: set[asyncio.Task[Any]] = set()

    async def within(self, wanted: Mapping[Owner, int], book: Callable[[float], Awaitable[T]]) -> T:
        """Book, in the seconds that are left, if so many more holds of each owner are within the limit.

        A caller that goes away keeps its place until it is known what became of its holds.

        Raises:
            Problem: `hold-limit`; `overloaded` where too many ask at the same moment; what `book` raises.
        """
        limited = {owner: count for owner, count in wanted.items() if count and self._limit(owner)}
        if not limited:
            return await book(DEADLINE_SECONDS)
        task = asyncio.create_task(self._in_line(limited, book))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    def _limit(self, owner: Owner) -> int:
        return self._of_a_customer if owner.customer else self._of_a_key

    async def _in_line(self, wanted: Mapping[Owner, int], book: Callable[[float], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        since, settled = loop.time(), loop.create_future()
        lines = {owner: self._lines.setdefault(owner, _Line()) for owner in wanted}
        for line in lines.values():
            line.asking += 1
        try:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    for owner in sorted(wanted, key=repr):  # in one order, so that no two wait for each other
                        await self._let_through(owner, wanted[owner], lines[owner], settled, since)
            except TimeoutError:
                raise overloaded("Too many holds of one owner are asked for at once; nothing was done.") from None
            return await book(DEADLINE_SECONDS - (loop.time() - since))
        finally:
            settled.set_result(None)
            for owner, line in lines.items():
                line.asking -= 1
                line.flying.pop(settled, None)
                if not line.asking:
                    del self._lines[owner]

    async def _let_through(
        self, owner: Owner, count: int, line: _Line, settled: "asyncio.Future[None]", since: float
    ) -> None:
        """Wait until what became of the others leaves no doubt, and fly.

        Raises:
            Problem: `hold-limit`, by a count that was begun after `since`: one for all who wait in a line.
        """
        limit = self._limit(owner)
        async with line.lock:
            if line.full_at >= since and line.held + count > limit:
                raise owner.too_many(line.held, count, limit)
            while True:
                flying, counted_at = dict(line.flying), asyncio.get_running_loop().time()
                held = await self._reservations.count_live_holds(
                    customer=owner.customer, key=owner.key, count_max=limit
                )
                if held + count > limit:
                    line.full_at, line.held = counted_at, held
                    raise owner.too_many(held, count, limit)
                together = sum(flying.values()) + count
                if not flying or (held + together <= limit and together <= (limit - held) // SPARE):
                    line.flying[settled] = count
                    return
                await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
