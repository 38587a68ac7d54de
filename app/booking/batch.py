"""A batch: intents that share one transaction, and what the event loop and the sending thread tell each other of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bson import ObjectId

from app.booking.existing import ReservationMoved
from app.booking.idempotency import Replay
from app.booking.intents import AnyIntent, Lane
from app.booking.outcomes import Accepted, Refused, Stranded, overloaded
from app.booking.several import MembersRefused
from app.booking.timestamps import Age
from app.domain.instants import Millis
from app.errors import Problem
from app.storage.rule_cache import RuleCache

Outcome: TypeAlias = Accepted[Any] | Replay | Problem | Refused | MembersRefused | Stranded | ReservationMoved


class WriteConflict(Exception):  # noqa: N818  # expected of the second of two writers
    """Nothing was written and the batch can run again, most often because another transaction changed a guard first.

    `problem` is the answer of its intents if their time is over.
    """

    def __init__(self, problem: Problem | None = None) -> None:
        super().__init__("write conflict")
        self.problem = problem or overloaded("Too many others wanted the same resource; nothing was done.")


class KeyUsed(Exception):  # noqa: N818  # expected of a repeated request
    """Nothing was written, because an Idempotency-Key was used before: the batch runs again with `keys_first`."""


@dataclass(slots=True)
class Batch:
    """Intents that share a transaction, in order of arrival; no two of them change the same document.

    Args:
        intents: The intents.
        rules: The process's cache of rules.
        branches_per_find: The branches of a read of occupants, at most.
        clock: The database's clock as this process knows it.
        owner: The committer's id, by which it knows its own priority requests.
        atomic: Whether it is a transaction; else it has one intent, whose writes happen one after the other.
        keys_first: Whether Idempotency-Keys are looked up before anything else, also in a transaction.
        yield_requests: Set by the attempt: the guards on which another process requests priority, with the seconds
            for which it does.
        age: Counts from before the batch's first stamp.
        written_ids: Set by the attempt: the reservations that bear a stamp.
        sent: Something was sent, or is about to be, that takes effect whether or not its answer arrives.
        abandoned: The batch must not send anything more.
        commit_seconds: Set by the attempt: how long the commit took.
    """

    intents: Sequence[AnyIntent]
    rules: RuleCache
    branches_per_find: int
    clock: Millis
    owner: ObjectId
    atomic: bool = True
    keys_first: bool = False
    yield_requests: dict[Lane, float] = field(default_factory=dict)
    age: Age = field(default_factory=Age)
    written_ids: list[Any] = field(default_factory=list)
    sent: bool = False
    abandoned: bool = False
    commit_seconds: float | None = None

    def abandon(self) -> bool:
        """Keep the batch from changing anything; whether that was in time.

        The event loop sets `abandoned` and then reads `sent`; the sending thread sets `sent` and then reads
        `abandoned`. So at least one of the two sees the other's flag.
        """
        self.abandoned = True
        return not self.sent

    def begin_sending(self) -> None:
        """Declare that what follows cannot be taken back.

        Raises:
            WriteConflict: the batch was abandoned; a caller may have been answered that nothing was done.
        """
        self.sent = True
        if self.abandoned:
            self.sent = False
            raise WriteConflict

    def check_abandoned(self) -> None:
        """Stop a batch that was abandoned.

        Raises:
            WriteConflict: it was.
        """
        if self.abandoned:
            raise WriteConflict
