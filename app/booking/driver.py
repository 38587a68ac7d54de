"""Drivers run the steps of a transaction: in a session of the synchronous client, or call by call without one.

Time-outs are `pymongo.timeout`, never a cancelled task: a thread inside the driver cannot be stopped, and would send
its write later, outside the transaction.
"""

from abc import abstractmethod
from typing import Protocol, TypeVar

from app.storage.steps import Steps

T = TypeVar("T")

GRACE_SECONDS = 1.0
"""The time that a commit, and the read that finds out whether it was applied, have beyond the budget of their batch."""
GRACE_STEPS = frozenset({"commit", "kill", "commit.fence", "commit.prove", "plain.prove", "reservations.stamp"})
"""The steps that have `GRACE_SECONDS`."""


class Driver(Protocol):
    """Runs a body to its end; `atomic`: either all of its writes are applied or none."""

    atomic: bool

    @abstractmethod
    async def run(self, slot: int, body: Steps[T], budget_seconds: float) -> T:
        """Run a body in one of the driver's slots, which runs one body at a time."""

    @abstractmethod
    async def close(self) -> None:
        """Release sessions and threads."""


async def no_registration() -> None:
    """Require no registration before a batch."""
