"""What callers want of the write path, as data, and what may come of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from bson import ObjectId

from app.domain.instants import Millis
from app.domain.load import Calendar, Occupancy
from app.domain.rules import ResourceRules, ServiceRules, Verdict
from app.errors import Problem
from app.storage.documents import Reservation, StoredAnswer
from app.storage.span import Span

DEADLINE_SECONDS = 3.0
TYPICAL_BYTES = 2_048


@dataclass(frozen=True, slots=True)
class Update:
    """A change of one document; matching none means that somebody was there first."""

    collection: str
    query: dict[str, Any]
    change: dict[str, Any]


@dataclass(slots=True)
class Accepted:
    """What an intent writes, and what its caller gets once that is committed.

    `proof` finds something that only this intent wrote: a collection and a query. `blocks` are the reservations whose
    block is new or moved, which the reach must cover; `taken` are their spans, from which expired holds must go;
    `documents` go into other collections.
    """

    value: Any
    proof: tuple[str, dict[str, Any]]
    inserts: list[Reservation] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    blocks: list[Reservation] = field(default_factory=list)
    taken: list[Span] = field(default_factory=list)
    documents: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.inserts or self.updates or self.documents)


@dataclass(frozen=True, slots=True)
class Token:
    """A request with an Idempotency-Key: the key's hash, the body's hash, and how its success is answered.

    `apart`: the answer is about several reservations, so it is kept in a document of its own.
    """

    key: str
    request_hash: str
    render: Callable[[Any], StoredAnswer]
    apart: bool = False

    def keep(self, accepted: Accepted) -> StoredAnswer:
        """Put the answer where it commits together with what it answers: on the one reservation, or beside many."""
        answer = self.render(accepted.value)
        if self.apart:
            if not accepted.writes:  # all of it was so already: the answer alone is new
                accepted.proof = ("answers", {"_id": self.key})
            accepted.documents.append(("answers", {"_id": self.key, **answer.model_dump(by_alias=True)}))
        else:
            accepted.value.idempotency_key, accepted.value.idempotency = self.key, answer
        return answer


class View(Protocol):
    """What a transaction shows an intent: everything in one snapshot, and what earlier intents of it did."""

    def resource_rules(self, resource: str) -> ResourceRules | None:
        """The resource's facts; None if there is no such resource."""

    def replace(self, room: ResourceRules) -> None:
        """From here on the resource is like this, for the intents that follow in the same transaction."""

    def undoing(self, *failures: type[Exception]) -> AbstractContextManager[None]:
        """What is entered into calendars inside is taken back if one of these failures leaves the block."""

    def service_rules(self, service: str) -> ServiceRules | None:
        """The service's facts; None if there is no such service."""

    def calendar(self, resource: str) -> Calendar:
        """Who occupies the resource in the spans that were asked for."""

    def now(self, resource: str) -> Millis:
        """The database's clock, as the resource's guard has it in this transaction."""

    def seq(self, resource: str) -> int:
        """How many transactions have changed the resource's guard, with this one."""

    def target(self, collection: str, identity: Hashable) -> dict[str, Any] | None:
        """A document that the intent named as its target; of a resource its version is enough."""


@dataclass(slots=True, kw_only=True)
class Intent(ABC):
    """One wish, with its identity over every attempt. `by` is who is written into the history.

    Subclasses say which guards they need (`lanes`), which documents they change (`targets`), which occupants they
    must see (`spans`) and, with all that in view, what comes of it (`judge`).
    """

    by: str
    operation: ObjectId = field(default_factory=ObjectId)
    token: Token | None = None
    deadline_seconds: float = DEADLINE_SECONDS

    @property
    def writes(self) -> int:
        """How many documents it may write, guards apart."""
        return 1

    @property
    def size(self) -> int:
        """About how many bytes it may write."""
        return TYPICAL_BYTES

    @abstractmethod
    def lanes(self) -> frozenset[str]:
        """The ids of the guards that this intent may change; two batches of a process never share one."""

    def guards(self) -> frozenset[str]:
        """Those that it changes before anything is read. The others it only reads, and changes the one it chose."""
        return self.lanes()

    def services(self) -> frozenset[str]:
        """The services whose facts it needs."""
        return frozenset()

    @property
    def lengthy(self) -> bool:
        """Whether it may have to look at so many others that it shares no batch; see `LENGTHY`."""
        return False

    def targets(self) -> frozenset[tuple[str, Hashable]]:
        """Documents to read; one intent at a time changes each.

        As (collection, id), or as (collection.field, value) where a unique field names it.
        """
        return frozenset()

    def reservations(self) -> list[ObjectId]:
        """The ids of those that it makes or changes, for a caller that nobody can tell what came of it."""
        return []

    @abstractmethod
    def spans(self, view: View) -> list[Span]:
        """The occupants it must see, known once facts and targets are."""

    @abstractmethod
    def judge(self, view: View) -> Accepted:
        """Decide. Raises Problem, or Refused with the verdict, and has then changed nothing."""


class Refused(Exception):  # noqa: N818  # a verdict, not an error
    """The rules say no. Who may see what of it is decided where the caller is known."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__("; ".join(check.detail for check in verdict.failed))
        self.verdict = verdict


class Stranded(Exception):  # noqa: N818  # a verdict, not an error
    """An edit of the catalogue would leave these bookings without room or against a rule."""

    def __init__(self, stranded: list[Occupancy], *, forcible: bool) -> None:
        super().__init__(f"{len(stranded)} bookings would be stranded")
        self.stranded = stranded
        self.forcible = forcible


def overloaded(detail: str) -> Problem:
    """Surely nothing was done."""
    return Problem("overloaded", detail)


def unreachable() -> Problem:
    """Surely nothing was done, because nobody was there."""
    return Problem("unavailable", "The database cannot be reached; nothing was done.")
