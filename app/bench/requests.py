"""The requests of a load, in an order that its plan decides; their bytes are put together from parts made before."""

import random
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from app.bench.loads import CONFLICT, CREATED, WANTED, LoadPlan
from app.os_process import LOOPBACK

FIRST = datetime(2030, 1, 1, tzinfo=UTC)
LENGTH = timedelta(minutes=45)
"""Slots of one resource touch, so that a lookup reads the neighbour as well."""


class BookingRequest(NamedTuple):
    """One request: the slot that it wants, as a number that no other slot of the load has, and its bytes."""

    slot: int
    content: bytes


class Requests:
    """The requests of one load, one after the other; every second one carries an Idempotency-Key."""

    def __init__(self, plan: LoadPlan) -> None:
        self._dice = random.Random(plan.seed)  # noqa: S311  # an order, no secret
        self._made = 0
        self.next_slot = plan.first_slot
        """The first slot that no request has asked for on any resource."""
        self._taken = [plan.first_slot] * len(plan.resources)
        self._times: dict[int, bytes] = {}
        self._heads = _heads(plan)
        self._key = f"{plan.resources[0]}-{plan.seed}-"
        self._resources = [b'{"resource":"%s",' % resource.encode() for resource in plan.resources]
        self._open: list[int] = []
        """The slots of the hot resource that are wanted."""
        if plan.workload == "hot":
            self.next_slot += WANTED
            self._open = [*range(plan.first_slot, self.next_slot)]

    def next(self) -> BookingRequest:
        """The next request."""
        number = self._made
        slot, body = self._hot() if self._open else self._spread()
        self._made = number + 1
        if number % 2:
            return BookingRequest(slot, self._heads[1] % (f"{self._key}{number}".encode(), len(body), body))
        return BookingRequest(slot, self._heads[0] % (len(body), body))

    def learn(self, slot: int, status: int) -> None:
        """Take note of an answer: a slot of the hot resource that is taken is not asked for again."""
        if slot in self._open and status in {CREATED, CONFLICT}:
            self._open[self._open.index(slot)] = self.next_slot
            self.next_slot += 1

    def _spread(self) -> tuple[int, bytes]:
        """A resource at random, so that what is done at one moment meets as it does in life; there the next slot."""
        number = int(self._dice.random() * len(self._taken))
        slot = self._taken[number]
        self._taken[number] = slot + 1
        self.next_slot = max(self.next_slot, slot + 1)
        return self._made, self._resources[number] + self._time(slot)

    def _hot(self) -> tuple[int, bytes]:
        """One of the first slots that are not known to be taken, at random."""
        slot = self._open[int(self._dice.random() * len(self._open))]
        return slot, self._resources[0] + self._time(slot)

    def _time(self, slot: int) -> bytes:
        """The rest of the body, with the times of a slot."""
        known = self._times.get(slot)
        if known is None:
            start, end = (f"{FIRST + each * LENGTH:%Y-%m-%dT%H:%M:%SZ}" for each in (slot, slot + 1))
            known = self._times[slot] = f'"startTime":"{start}","endTime":"{end}"}}'.encode()
        return known


def _heads(plan: LoadPlan) -> tuple[bytes, bytes]:
    """The heads without and with a key, as formats of the length (and before it the key) and the body."""
    lines = [
        "POST /v1/reservations HTTP/1.1",
        f"Host: {LOOPBACK}:{plan.port}",
        f"Authorization: Bearer {plan.token}",
        "Content-Type: application/json",
    ]
    head, end = "\r\n".join(lines), "\r\nContent-Length: %d\r\n\r\n%b"
    return (head + end).encode(), (head + "\r\nIdempotency-Key: %b" + end).encode()
