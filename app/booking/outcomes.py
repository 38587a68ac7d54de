"""The outcomes of an intent: accepted with its writes, refused by the rules, or not done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from app.domain.load import Occupancy
from app.domain.rules import Verdict
from app.errors import Problem
from app.storage.bson_types import BsonDocument, Filter, UpdateDocument
from app.storage.documents import Reservation, Series
from app.storage.reservations import RESERVATIONS
from app.storage.span import Span

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Update:
    """A change of one document, with the event that it leaves, if it leaves one.

    If no document matches `query`, another writer was first.
    """

    collection: str
    query: Filter
    change: UpdateDocument
    event: BsonDocument | None = None


@dataclass(slots=True)
class Accepted(Generic[T_co]):
    """What an intent writes, and the `value` that its caller gets once that is committed.

    Args:
        value: What the caller gets.
        proof: A collection and a query that finds only what this intent wrote.
        inserts: New reservations.
        updates: Changes of stored documents.
        blocks: The reservations whose block is new or moved, which the reach must cover.
        taken: The spans of those blocks, in which no expired hold may stay unmarked.
        documents: New documents of other collections.
        stamped_late: The changed reservations, by their ids as they are stored, that the database stamps as it writes
            them, to be given its stamp.
    """

    value: T_co
    proof: tuple[str, Filter]
    inserts: list[Reservation] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    blocks: list[Reservation] = field(default_factory=list)
    taken: list[Span] = field(default_factory=list)
    documents: list[tuple[str, BsonDocument]] = field(default_factory=list)
    stamped_late: list[tuple[object, Reservation]] = field(default_factory=list)

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.inserts or self.updates or self.documents)

    @property
    def reservation_ids(self) -> list[object]:
        """The ids of the reservations that it makes or changes."""
        made: list[object] = [reservation.id for reservation in self.inserts]
        return made + [change.query["_id"] for change in self.updates if change.collection == RESERVATIONS]


class Refused(Exception):  # noqa: N818  # a verdict, not an error
    """The rules refuse the booking. The room that knows the caller decides how much of the verdict it may see."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__("; ".join(check.detail for check in verdict.failed))
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class BookedSeries:
    """A new series, its reservations, and the occurrences that were left out, by their indexes, with the reasons.

    `advice` has starts that are free instead, by the indexes of occurrences, whether they were left out or not.
    """

    series: Series
    reservations: Sequence[Reservation]
    skipped: Sequence[tuple[int, Refused]]
    advice: Mapping[int, Sequence[str]]


class Stranded(Exception):  # noqa: N818  # a verdict, not an error
    """An edit of the catalogue would leave these bookings without capacity or against a rule.

    `forcible`: the edit may be done nevertheless if its caller forces it.
    """

    def __init__(self, stranded: list[Occupancy], *, forcible: bool) -> None:
        super().__init__(f"{len(stranded)} bookings would be stranded")
        self.stranded = stranded
        self.forcible = forcible


def overloaded(detail: str) -> Problem:
    """The problem of an intent that was not done."""
    return Problem("overloaded", detail)


def unreachable() -> Problem:
    """The problem of an intent that was not done because the database could not be reached."""
    return Problem("unavailable", "The database cannot be reached; nothing was done.")
