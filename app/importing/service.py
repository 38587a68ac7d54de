"""Imports a file: many rows in flight, those of one resource in the order of the file, each judged like any booking.

The order is the committer's: what arrives first for a resource is judged first. So rows are handed to it in the order
of the file, and it shares transactions out among them.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, TypeAlias

import structlog
from bson import ObjectId

from app.booking import Book, Booking, Refused
from app.errors import Problem, invalid
from app.importing.known import Known
from app.importing.records import Record
from app.importing.rows import Row, read_row, reference_of
from app.storage.client import Store
from app.storage.documents import Customer, Resource

BY = "import"
"""Who the history says it was."""

CHUNK = 200
"""Rows whose references, resources and customers are looked up together."""
IN_FLIGHT = 512
"""Rows that are handed to the committer before the oldest of them is answered."""
DEADLINE_SECONDS = 60.0
"""How long a row may wait for its turn; nobody stands at a counter."""
TRIES = 6
"""How often a row is handed in while the database has trouble; then the import ends."""

log = structlog.get_logger()

Fate: TypeAlias = Literal["accepted", "unchanged", "refused", "invalid"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row, and who was in its way."""

    fate: Fate
    problem: Problem | None = None
    in_the_way: tuple[ObjectId, ...] = ()


@dataclass(slots=True)
class Report:
    """How many rows there were, and what became of them."""

    rows: int = 0
    accepted: int = 0
    unchanged: int = 0
    refused: int = 0
    invalid: int = 0

    @property
    def clean(self) -> bool:
        """Whether every row is booked."""
        return not self.refused and not self.invalid


Complaint: TypeAlias = dict[str, Any]
"""A refused or invalid row: `line`, `reference`, `problem`, `detail`, `inTheWay`, and `errors` where there are any."""


@dataclass(slots=True)
class Importer:
    """One import.

    Args:
        store: The database.
        booking: The write path.
        create: Make unknown resources and customers.
        complain: Told of each refused or invalid row, in the order of the file.
        watch: Called as rows are done.
    """

    store: Store
    booking: Booking
    create: bool = False
    complain: Callable[[Complaint], None] = lambda _: None
    watch: Callable[[Report], None] = lambda _: None
    report: Report = field(default_factory=Report)
    _accepted: set[str] = field(default_factory=set)
    _pending: dict[str, "asyncio.Task[Outcome]"] = field(default_factory=dict)
    _window: "deque[tuple[Record, Outcome | asyncio.Task[Outcome]]]" = field(default_factory=deque)

    async def run(self, records: Iterable[Record]) -> Report:
        """Book all records.

        Raises:
            Problem: `overloaded`, `outcome-unknown` or `unavailable`, if the database stays in trouble; what was
                booked until then is `unchanged` when the file is imported again.
        """
        known = Known(self.store, create=self.create)
        try:
            for chunk in _chunks(records):
                rows = [read_row(record) for record in chunk]
                valid = [row for row in rows if isinstance(row, Row)]
                booked = await self._booked({row.reference for row in valid})
                await known.look(
                    (row.wanted.resource for row in valid if row.reference not in booked),
                    (row.wanted.customer for row in valid if row.wanted.customer and row.reference not in booked),
                )
                for record, row in zip(chunk, rows, strict=True):
                    await self._take(record, row, booked, known)
            await self._settle(0)
        finally:
            await asyncio.gather(*self._pending.values(), return_exceptions=True)
        return self.report

    async def _take(self, record: Record, row: Row | Problem, booked: set[str], known: Known) -> None:
        """Hand in a row, behind all that came before it."""
        await self._settle(IN_FLIGHT)
        if isinstance(row, Row) and row.reference in self._pending:
            # The file has it twice, and what becomes of this one depends on what becomes of that one.
            await self._settle(0)
        if isinstance(row, Problem):
            outcome: Outcome | asyncio.Task[Outcome] = Outcome("invalid", row)
        elif row.reference in booked or row.reference in self._accepted:
            outcome = Outcome("unchanged")
        elif (unknown := _unknown(row, known)) is not None:
            outcome = Outcome("invalid", unknown)
        else:
            outcome = asyncio.create_task(self._book(row))
            self._pending[row.reference] = outcome
        self._window.append((record, outcome))

    async def _settle(self, left: int) -> None:
        """Wait for the oldest rows until no more than so many are left, and count them in the order of the file."""
        while len(self._window) > left:
            record, outcome = self._window.popleft()
            reference = reference_of(record)
            if isinstance(outcome, asyncio.Task):
                outcome = await outcome
                if reference is not None:
                    del self._pending[reference]
                    if outcome.fate == "accepted":
                        self._accepted.add(reference)
            await self._count(record, reference, outcome)

    async def _count(self, record: Record, reference: str | None, outcome: Outcome) -> None:
        self.report.rows += 1
        setattr(self.report, outcome.fate, getattr(self.report, outcome.fate) + 1)
        if outcome.problem is not None:
            complaint: Complaint = {"line": record.line, "reference": reference, "problem": outcome.problem.name}
            complaint |= {
                "detail": outcome.problem.detail,
                "inTheWay": await self._references(outcome.in_the_way),
                "errors": [{"pointer": fault.pointer, "detail": fault.detail} for fault in outcome.problem.faults],
            }
            self.complain({name: value for name, value in complaint.items() if value not in (None, [])})
        self.watch(self.report)

    async def _book(self, row: Row) -> Outcome:
        """Book one row, as often as it takes while the database has trouble."""
        intent = _intent(row)
        for left in reversed(range(TRIES)):
            try:
                await self.booking.book(intent)
            except Refused as refused:
                failed = " ".join(check.detail for check in refused.verdict.failed)
                taken = tuple(taken.id for taken in refused.verdict.conflicts if isinstance(taken.id, ObjectId))
                if refused.verdict.only_taken:
                    return Outcome("refused", Problem("conflict", failed), taken)
                return Outcome("refused", Problem("rule", failed), taken)
            except Problem as problem:
                if problem.kind.retry_after_seconds is None:
                    return Outcome("invalid", problem)
                if not left:
                    raise
                log.info("a row is handed in again", line=row.line, reason=problem.detail)
                await asyncio.sleep(problem.kind.retry_after_seconds * random.uniform(0.5, 1.5))  # noqa: S311 -- jitter
                if await self._is_there(intent.reservation):
                    return Outcome("accepted")
            else:
                return Outcome("accepted")
        raise AssertionError("The last try returns or raises.")

    async def _is_there(self, identity: ObjectId) -> bool:
        return await self.store.database["reservations"].find_one({"_id": identity}, {"_id": 1}) is not None

    async def _booked(self, references: set[str]) -> set[str]:
        """Those that a reservation has, whatever became of it: what was cancelled here is not booked again."""
        found = self.store.database["reservations"].find(
            {"metadata.reference": {"$in": sorted(references)}}, {"metadata.reference": 1}
        )
        return {reservation["metadata"]["reference"] async for reservation in found}

    async def _references(self, identities: tuple[ObjectId, ...]) -> list[str]:
        """How the file knows reservations; those that did not come from a file by their ids."""
        if not identities:
            return []
        found = self.store.database["reservations"].find({"_id": {"$in": list(identities)}}, {"metadata.reference": 1})
        known = {each["_id"]: each.get("metadata", {}).get("reference") async for each in found}
        return [str(known.get(identity) or identity) for identity in identities]


def _chunks(records: Iterable[Record]) -> Iterator[list[Record]]:
    each = iter(records)
    while chunk := list(islice(each, CHUNK)):
        yield chunk


def _unknown(row: Row, known: Known) -> Problem | None:
    if not known.has(Resource, row.wanted.resource):
        return invalid("/resource", f"There is no resource {row.wanted.resource!r}.")
    if row.wanted.customer and not known.has(Customer, row.wanted.customer):
        return invalid("/customer", f"There is no customer {row.wanted.customer!r}.")
    return None


def _intent(row: Row) -> Book:
    return Book(
        by=BY,
        deadline_seconds=DEADLINE_SECONDS,
        resource=row.wanted.resource,
        start=row.wanted.start_time,
        end=row.wanted.end_time,
        service=row.wanted.service,
        customer=row.wanted.customer,
        guests=row.wanted.guests,
        notes=row.wanted.notes,
        metadata={"reference": row.reference},
        status=row.wanted.status,
        lifted=frozenset({"notice"}),
    )
