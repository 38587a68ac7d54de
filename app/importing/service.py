"""Imports a file: many rows in flight, those of one resource in the order of the file, each judged like any booking.

A file is read in pages. The rows of a page are submitted resource by resource, so that a transaction of the committer
has many rows of few resources; those of one resource are submitted, and so judged, in the order of the file. Only two
pages are in memory, however long the file is.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from bson import ObjectId
from pymongo.errors import PyMongoError

from app.booking import ACTOR_IMPORT, BookingService, BookRow, ChangeRow, Refused, Replay
from app.domain.rules import LIFTED_BY_FORCE
from app.errors import Problem, invalid_field
from app.importing.catalogue_ids import CatalogueIds
from app.importing.imported import any_keyless, changed_by, described, find_imported, patch_to, references_of
from app.importing.pages import Entry, PendingOutcome, pages_of
from app.importing.records import Record
from app.importing.report import Outcome, Report, RowProblem, differing, invalid, refused
from app.importing.rows import Row, Zone, names_of
from app.importing.submission import ATTEMPTS_MAX, is_transient, submit
from app.retries import retry
from app.storage.client import Store
from app.storage.documents import Customer, Reservation, Resource
from app.storage.imported_reservations import ImportedReservation

LOOKUP_ROWS = 1_000
"""Rows whose references, resources and customers are looked up together."""
IN_FLIGHT_ROWS = 512
"""Rows that are submitted before the oldest of them is answered."""
DEADLINE_SECONDS = 60.0
"""How long a row may queue in the committer; no interactive caller is waiting."""


@dataclass(slots=True)
class Importer:
    """One import.

    Args:
        store: The database.
        booking: The write path.
        create: Create missing resources and customers.
        update: Change what is booked already where its row says otherwise.
        force: Lift for all rows what `?force=true` lifts for a request.
        timezone: The zone of local times; without it every time needs an offset.
        on_problem: Called with each refused, invalid or differing row, in the order of the file.
        on_progress: Called after each row that is done, with the report and how many rows were read.
    """

    store: Store
    booking: BookingService
    create: bool = False
    update: bool = False
    force: bool = False
    timezone: Zone = None
    on_problem: Callable[[RowProblem], None] = lambda _: None
    on_progress: Callable[[Report, int], None] = lambda _report, _read: None
    report: Report = field(default_factory=Report)
    _find_keyless: bool = True
    _writing: "dict[str, asyncio.Task[Outcome]]" = field(default_factory=dict)
    """The writes under way by the keys of their rows, in the order in which they were submitted."""
    _unreported: deque[Entry] = field(default_factory=deque)
    """The entries whose problems were not reported yet, in the order of the file."""
    _read_rows: int = 0
    _stopped: bool = False

    async def run(self, records: Iterable[Record]) -> Report:
        """Book all records. Reading them may block, so they are read in a thread.

        Raises:
            UnreadableError: the file ends in the middle.
            Problem: `overloaded`, `outcome-unknown` or `unavailable`, if the database keeps failing. In both cases
                the report says what was done until then, and is `unchanged` when the file is imported again.
        """
        ids = CatalogueIds(self.store, create=self.create)
        self._find_keyless = await any_keyless(self.store)
        pages = pages_of(records, self.timezone)
        try:
            while (page := await asyncio.to_thread(next, pages, None)) is not None:
                self._unreported += page
                self._read_rows += len(page)
                await self._submit_page(page, ids)
                await self._report_problems(len(page))
            await self._finish_writes(0)
            await self._report_problems(0)
        except BaseException:
            await self._drain()
            raise
        return self.report

    def stop(self) -> None:
        """Submit no more rows of the page that was read."""
        self._stopped = True

    async def _submit_page(self, page: list[Entry], ids: CatalogueIds) -> None:
        """Submit the rows of a page, resource by resource."""
        for entry in page:
            if isinstance(entry.outcome, Outcome):
                self._count(entry.outcome)
        rows = [(entry, entry.row) for entry in page if entry.row is not None]
        rows.sort(key=lambda each: each[1].wanted.resource)
        for first in range(0, len(rows), LOOKUP_ROWS):
            if self._stopped:
                return
            await self._submit_rows(rows[first : first + LOOKUP_ROWS], ids)

    async def _submit_rows(self, rows: Sequence[tuple[Entry, Row]], ids: CatalogueIds) -> None:
        """Look up what some rows name, and submit them."""
        submitted = set(self._writing)  # the lookup finds these in their state before they are written
        booked = await find_imported(self.store, [row for _, row in rows], keyless=self._find_keyless)
        fresh = [row.wanted for _, row in rows if row.key not in booked]
        await ids.resolve((each.resource for each in fresh), (each.customer for each in fresh if each.customer))
        for entry, row in rows:
            await self._finish_writes(IN_FLIGHT_ROWS)
            if row.key in submitted:
                # The file has the row twice, and the outcome of this one depends on that of the earlier one.
                await self._finish_writes(0)
                booked |= await find_imported(self.store, [row], keyless=self._find_keyless)
            submitted.add(row.key)
            entry.outcome = self._outcome_of(row, booked.get(row.key), ids)
            if isinstance(entry.outcome, Outcome):
                self._count(entry.outcome)

    def _outcome_of(self, row: Row, booked: ImportedReservation | None, ids: CatalogueIds) -> PendingOutcome:
        """The outcome of a row: at once where nothing is to be written, else as a task that writes."""
        if booked is not None and (not self.update or not patch_to(booked, row)):
            return _difference(row, booked)
        if booked is None and (missing := _missing_name(row, ids)) is not None:
            return invalid(missing)
        work = self._book(row) if booked is None else self._change(row, booked, ObjectId())
        self._writing[row.key] = task = asyncio.ensure_future(work)
        return task

    async def _finish_writes(self, left: int) -> None:
        """Wait for the oldest writes until at most `left` are under way."""
        while len(self._writing) > left:
            self._count(await self._writing.pop(next(iter(self._writing))))

    def _count(self, outcome: Outcome) -> None:
        self.report.count(outcome.result)
        self.on_progress(self.report, self._read_rows)

    async def _report_problems(self, left: int) -> None:
        """Report the entries that are done, in the order of the file; wait for them until at most `left` remain."""
        while len(self._unreported) > left or (self._unreported and self._unreported[0].is_done):
            entry = self._unreported.popleft()
            outcome = await entry.outcome if isinstance(entry.outcome, asyncio.Task) else entry.outcome
            if outcome is not None and outcome.problem:  # None: the import ended before its turn
                await self._report_problem(entry.record, entry.row, outcome)

    async def _report_problem(self, record: Record, row: Row | None, outcome: Outcome) -> None:
        problem: RowProblem = {"line": record.line, **names_of(record, row), "problem": outcome.problem}
        in_the_way = await references_of(self.store, outcome.conflicts)
        problem |= {"detail": outcome.detail, "inTheWay": in_the_way, **outcome.more}
        self.on_problem({name: value for name, value in problem.items() if value not in (None, [])})

    async def _drain(self) -> None:
        """Count and report the rows that were submitted; their failures are those of the one that ended the import."""
        while self._writing:
            with suppress(Problem, PyMongoError):
                await self._finish_writes(0)
        while self._unreported:
            with suppress(Problem, PyMongoError):
                await self._report_problems(0)

    async def _book(self, row: Row) -> Outcome:
        """Book a new row; another run, or an attempt whose answer was lost, may have booked it meanwhile."""
        intent = _intent(row, LIFTED_BY_FORCE if self.force else frozenset())
        try:
            made: Reservation | Replay = await submit(row, self.booking.book, intent)
        except (Refused, Problem) as refusal:
            return _outcome(refusal)
        if isinstance(made, Replay):  # pragma: no cover  # only requests with an Idempotency-Key are replayed
            raise TypeError("A row has no Idempotency-Key.")
        if made.id == intent.reservation:
            return Outcome("accepted")
        booked = ImportedReservation.of(made.to_mongo())
        return await self._change(row, booked, ObjectId()) if self.update else _difference(row, booked)

    async def _change(self, row: Row, booked: ImportedReservation, operation: ObjectId) -> Outcome:
        """Change the reservation of a row; if it was changed since it was read, read and compare it again."""

        async def change() -> Outcome:
            nonlocal booked
            patch = patch_to(booked, row)
            if not patch:
                return Outcome("updated" if changed_by(booked, operation) else "unchanged")
            try:
                await submit(row, self.booking.change_row, self._changing(row, booked, patch, operation))
            except Problem as refusal:
                if not _is_stale(refusal):
                    return _outcome(refusal, patch)
                again = (await find_imported(self.store, [row], keyless=self._find_keyless)).get(row.key)
                if again is None:
                    return _contended(row, booked)
                booked = again
                raise
            except Refused as refusal:
                return _outcome(refusal)
            return Outcome("updated")

        try:
            return await retry(change, ATTEMPTS_MAX, on=_is_stale)
        except Problem as problem:
            if not _is_stale(problem):
                raise
            return _contended(row, booked)

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


def _missing_name(row: Row, ids: CatalogueIds) -> Problem | None:
    if not ids.has(Resource, row.wanted.resource):
        return invalid_field("resource", f"There is no resource {row.wanted.resource!r}.")
    if row.wanted.customer and not ids.has(Customer, row.wanted.customer):
        return invalid_field("customer", f"There is no customer {row.wanted.customer!r}.")
    return None


def _difference(row: Row, booked: ImportedReservation) -> Outcome:
    """The outcome of a row whose reservation exists and is not changed."""
    patch = patch_to(booked, row)
    if not patch:
        return Outcome("unchanged")
    return differing("differs", f"It is booked as {described(booked, patch)}; --update changes it.", [*patch])


def _contended(row: Row, booked: ImportedReservation) -> Outcome:
    """The outcome of a row whose reservation others keep changing."""
    return differing("stale", "Others are changing it at this moment; nothing was done.", [*patch_to(booked, row)])


def _is_stale(error: BaseException) -> bool:
    """Whether the reservation was changed since it was read."""
    return isinstance(error, Problem) and error.name == "stale"


def _outcome(refusal: Refused | Problem, patch: Iterable[str] = ()) -> Outcome:
    """The outcome of a row that was refused.

    Raises:
        Problem: the database failed.
    """
    if isinstance(refusal, Refused):
        return refused(refusal)
    if is_transient(refusal):
        raise refusal
    return (
        differing(refusal.name, refusal.detail, [*patch])
        if refusal.name == "forbidden-transition"
        else invalid(refusal)
    )


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
