"""Imports a file: many rows in flight, those of one resource in the order of the file, each judged like any booking.

The order is the committer's: what arrives first for a resource is judged first. So rows are handed to it in the order
of the file, and it shares transactions out among them. What is kept in memory is what is in flight, however long the
file is.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random

from app.booking import ACTOR_IMPORT, BookingService, BookRow, ChangeRow, Refused, Replay
from app.domain.rules import LIFTED_BY_FORCE
from app.errors import Problem
from app.errors import invalid as invalid_field
from app.importing.imported import any_keyless, changed_by, described, find_imported, patch_to, references_of
from app.importing.known import Known
from app.importing.records import Record
from app.importing.report import Complaint, Outcome, Report, differing, invalid, refused
from app.importing.rows import Row, Zone, names_of, read_row
from app.importing.source import UnreadableError
from app.storage.client import Store
from app.storage.documents import Customer, Reservation, Resource
from app.storage.imported_reservations import ImportedReservation

CHUNK = 200
"""Rows whose references, resources and customers are looked up together."""
IN_FLIGHT = 512
"""Rows that are handed to the committer before the oldest of them is answered."""
DEADLINE_SECONDS = 60.0
"""How long a row may wait for its turn; nobody stands at a counter."""
TRIES = 6
"""How often a row is handed in while the database has trouble; then the import ends."""

log = structlog.get_logger()

W = TypeVar("W")
R = TypeVar("R")

Fated: TypeAlias = "Outcome | asyncio.Task[Outcome]"


@dataclass(slots=True)
class Importer:
    """One import.

    Args:
        store: The database.
        booking: The write path.
        create: Make unknown resources and customers.
        update: Change what is booked already where its row says otherwise.
        force: Lift for all rows what `?force=true` lifts for a request.
        timezone: Whose local times are meant; without it every time needs an offset.
        complain: Told of each refused, invalid or differing row, in the order of the file.
        watch: Called as rows are done.
    """

    store: Store
    booking: BookingService
    create: bool = False
    update: bool = False
    force: bool = False
    timezone: Zone = None
    complain: Callable[[Complaint], None] = lambda _: None
    watch: Callable[[Report], None] = lambda _: None
    report: Report = field(default_factory=Report)
    _keyless: bool = True
    _pending: "dict[str, asyncio.Task[Outcome]]" = field(default_factory=dict)
    _window: "deque[tuple[Record, Row | None, Fated]]" = field(default_factory=deque)

    async def run(self, records: Iterable[Record]) -> Report:
        """Book all records. What they are read from may make us wait, so they are read in a thread.

        Raises:
            UnreadableError: the file ends in the middle.
            Problem: `overloaded`, `outcome-unknown` or `unavailable`, if the database stays in trouble. In both cases
                the report says what was done until then, and is `unchanged` when the file is imported again.
        """
        known = Known(self.store, create=self.create)
        self._keyless = await any_keyless(self.store)
        chunks = _chunks(records)
        try:
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                await self._take_all(chunk, known)
            await self._settle(0)
        except BaseException:
            await self._end()
            raise
        return self.report

    async def _take_all(self, chunk: list[Record], known: Known) -> None:
        """Look up what these rows name, and hand them in."""
        rows = [read_row(record, self.timezone) for record in chunk]
        valid = [row for row in rows if isinstance(row, Row)]
        before = set(self._pending)  # what is looked up of these is what they were before
        booked = await find_imported(self.store, valid, keyless=self._keyless)
        fresh = [row for row in valid if row.key not in booked]
        await known.look(
            (row.wanted.resource for row in fresh), (row.wanted.customer for row in fresh if row.wanted.customer)
        )
        for record, row in zip(chunk, rows, strict=True):
            await self._settle(IN_FLIGHT)
            if isinstance(row, Problem):
                self._window.append((record, None, invalid(row)))
                continue
            if row.key in before:
                # The file has it twice, and what becomes of this one depends on what became of that one.
                await self._settle(0)
                booked |= await find_imported(self.store, [row], keyless=self._keyless)
            before.add(row.key)
            self._window.append((record, row, self._fate(row, booked.get(row.key), known)))

    def _fate(self, row: Row, booked: ImportedReservation | None, known: Known) -> Fated:
        """What becomes of a row: told at once where nothing is to be written, else as a task that writes."""
        if booked is not None and (not self.update or not patch_to(booked, row)):
            return _compared(row, booked)
        if booked is None and (unknown := _unknown(row, known)) is not None:
            return invalid(unknown)
        writing = self._book(row) if booked is None else self._change(row, booked, ObjectId())
        self._pending[row.key] = task = asyncio.ensure_future(writing)
        return task

    async def _settle(self, left: int) -> None:
        """Wait for the oldest rows until no more than so many are left, and count them in the order of the file."""
        while len(self._window) > left:
            record, row, outcome = self._window.popleft()
            if isinstance(outcome, asyncio.Task):
                if row is not None:
                    del self._pending[row.key]
                outcome = await outcome
            await self._count(record, row, outcome)

    async def _end(self) -> None:
        """Count what is still to be counted; what fails now is told by the failure that ended the import."""
        while self._window:
            with suppress(Problem, PyMongoError):
                await self._settle(0)

    async def _count(self, record: Record, row: Row | None, outcome: Outcome) -> None:
        self.report.count(outcome.fate)
        if outcome.problem:
            complaint: Complaint = {"line": record.line, **names_of(record, row), "problem": outcome.problem}
            in_the_way = await references_of(self.store, outcome.in_the_way)
            complaint |= {"detail": outcome.detail, "inTheWay": in_the_way, **outcome.more}
            self.complain({name: value for name, value in complaint.items() if value not in (None, [])})
        self.watch(self.report)

    async def _book(self, row: Row) -> Outcome:
        """Book a row that was unknown; another run, or a try whose answer was lost, may have booked it meanwhile."""
        intent = _intent(row, LIFTED_BY_FORCE if self.force else frozenset())
        try:
            made: Reservation | Replay = await _insist(row, self.booking.book, intent)
        except (Refused, Problem) as no:
            return _refusal(no)
        if isinstance(made, Replay):  # pragma: no cover  # only requests with an Idempotency-Key are told again
            raise TypeError("A row has no Idempotency-Key.")
        if made.id == intent.reservation:
            return Outcome("accepted")
        booked = ImportedReservation.of(made.to_mongo())
        return await self._change(row, booked, ObjectId()) if self.update else _compared(row, booked)

    async def _change(self, row: Row, booked: ImportedReservation, operation: ObjectId) -> Outcome:
        """Change a known row; whoever changed it since it was read is looked at again."""
        for _ in range(TRIES):
            patch = patch_to(booked, row)
            if not patch:
                return Outcome("updated" if changed_by(booked, operation) else "unchanged")
            try:
                await _insist(row, self.booking.change_row, self._changing(row, booked, patch, operation))
            except Problem as no:
                if no.name != "stale":
                    return _refusal(no, patch)
            except Refused as no:
                return _refusal(no)
            else:
                return Outcome("updated")
            again = (await find_imported(self.store, [row], keyless=self._keyless)).get(row.key)
            if again is None:
                break
            booked = again
        return differing("stale", "Others are changing it at this moment; nothing was done.", [*patch_to(booked, row)])

    def _changing(
        self, row: Row, booked: ImportedReservation, patch: dict[str, object], operation: ObjectId
    ) -> ChangeRow:
        if "startTime" in patch and row.wanted.end_time is not None:
            patch = {**patch, "endTime": row.wanted.end_time}  # else a new start keeps the length
        if booked.import_key is None:
            patch = {**patch, "importKey": row.key, "reference": row.reference}
        return ChangeRow(
            by=ACTOR_IMPORT,
            operation=operation,
            deadline_seconds=DEADLINE_SECONDS,
            reservation=booked.id,
            resource=booked.resource,
            service=booked.service,
            version=booked.version,
            patch={name: value for name, value in patch.items() if name != "status"},
            status=row.wanted.status if "status" in patch else booked.status,
            lifted_rules=LIFTED_BY_FORCE if self.force else frozenset(),
        )


def _chunks(records: Iterable[Record]) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    try:
        for record in records:
            chunk.append(record)
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
    except UnreadableError:
        yield chunk
        raise
    if chunk:
        yield chunk


def _unknown(row: Row, known: Known) -> Problem | None:
    if not known.has(Resource, row.wanted.resource):
        return invalid_field("/resource", f"There is no resource {row.wanted.resource!r}.")
    if row.wanted.customer and not known.has(Customer, row.wanted.customer):
        return invalid_field("/customer", f"There is no customer {row.wanted.customer!r}.")
    return None


def _compared(row: Row, booked: ImportedReservation) -> Outcome:
    """A known row to which nothing is done."""
    patch = patch_to(booked, row)
    if not patch:
        return Outcome("unchanged")
    return differing("differs", f"It is booked as {described(booked, patch)}; --update changes it.", [*patch])


def _refusal(no: Refused | Problem, patch: Iterable[str] = ()) -> Outcome:
    """What a row is told that was not done.

    Raises:
        Problem: the database has trouble.
    """
    if isinstance(no, Refused):
        return refused(no)
    if _passes(no):
        raise no
    return differing(no.name, no.detail, [*patch]) if no.name == "forbidden-transition" else invalid(no)


def _passes(error: BaseException) -> bool:
    """Whether it is trouble of the database, which passes."""
    return isinstance(error, Problem) and error.kind.retry_after_seconds is not None


async def _insist(row: Row, step: Callable[[W], Awaitable[R]], intent: W) -> R:
    """Hand an intent in, and again as long as the database has trouble, though not for ever."""
    try:
        return await step(intent)
    except Problem as trouble:
        if not _passes(trouble):
            raise
        log.info("a row is handed in again", line=row.line, reason=trouble.detail)
        pause = trouble.kind.retry_after_seconds or 1
    again = AsyncRetrying(
        retry=retry_if_exception(_passes),
        wait=wait_random(0.5 * pause, 1.5 * pause),
        stop=stop_after_attempt(TRIES - 1),
        reraise=True,
    )
    await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
    return await again(step, intent)


def _intent(row: Row, lifted: frozenset[str]) -> BookRow:
    return BookRow(
        by=ACTOR_IMPORT,
        deadline_seconds=DEADLINE_SECONDS,
        import_key=row.key,
        resource=row.wanted.resource,
        start=row.wanted.start_time,
        end=row.wanted.end_time,
        service=row.wanted.service,
        customer=row.wanted.customer,
        guests=row.wanted.guests,
        notes=row.wanted.notes,
        reference=row.reference,
        status=row.wanted.status,
        lifted_rules=lifted,
    )
