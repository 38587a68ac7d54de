"""The load of one round as data: what is asked of a server, and what it answered. Both cross a pipe as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Workload = Literal["spread", "hot"]


WANTED = 8
"""So many slots of the hot resource are wanted at a time."""

CREATED, CONFLICT = 201, 409


@dataclass(frozen=True, slots=True)
class Case:
    """A workload on so many connections."""

    workload: Workload
    connections: int


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What one load asks.

    Args:
        port: The server's port on this machine.
        token: The API key that is sent.
        workload: `spread`: every request asks for a free slot of one of the resources. `hot`: every request asks for
            one of the next slots of the first resource, until an answer tells that it is taken.
        resources: The ids of the resources.
        connections: So many requests are under way at a time.
        seconds: How long new requests are sent.
        first_slot: The first slot of each resource that nobody has asked for.
        seed: Chooses the order of the resources.
    """

    port: int
    token: str
    workload: Workload
    resources: Sequence[str]
    connections: int
    seconds: float
    first_slot: int
    seed: int


@dataclass(frozen=True, slots=True)
class Load:
    """What one load was answered. Requests under way at the end of its time are waited for.

    Args:
        seconds: The time in which requests were sent.
        booked: Different slots of which a booking was answered within that time.
        accepted: All bookings that were answered.
        refused: Requests answered with 409.
        failed: Requests answered with anything else.
        broken: Requests whose connection was lost.
        unanswered: Requests without an answer ten seconds after the end.
        statuses: How many answers of each status.
        p50_ms: The median time to an answer, in milliseconds.
        p99_ms: The time in which 99 of 100 requests were answered, in milliseconds.
        longest_ms: The longest time to an answer, in milliseconds.
        generator_share: The share of one core that the load generator itself used.
        generator_us: The processor time of the load generator for one request, in microseconds.
        next_slot: The first slot of each resource that nobody has asked for afterwards.
    """

    seconds: float
    booked: int
    accepted: int
    refused: int
    failed: int
    broken: int
    unanswered: int
    statuses: dict[str, int]
    p50_ms: float
    p99_ms: float
    longest_ms: float
    generator_share: float
    generator_us: float
    next_slot: int

    @property
    def rate(self) -> float:
        """Slots booked a second."""
        return self.booked / self.seconds

    @property
    def decision_rate(self) -> float:
        """Requests decided a second: booked, or refused because the slot is taken."""
        return (self.accepted + self.refused) / self.seconds

    @property
    def asked(self) -> int:
        """All requests."""
        return self.accepted + self.refused + self.failed + self.broken + self.unanswered
