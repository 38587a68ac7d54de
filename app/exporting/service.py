"""Writes reservations to files, page by page: nothing in the database or in memory waits for a slow reader.

Each page is a read of its own that goes on after the last reservation of the page before, so no cursor, session or
snapshot is held. The first page is read within the deadline of the request; the pages after it have their own.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from typing import TypeAlias

import pymongo
from pymongo.errors import PyMongoError

from app.caller import Caller
from app.deadline import detached
from app.errors import Problem
from app.exporting.rows import FileFormat, export_row
from app.http.file_stream import BrokenOffError
from app.storage.bson_types import BsonDocument
from app.storage.capabilities import Shape
from app.storage.client import Store
from app.storage.reservation_filters import ReservationFilters, StartPosition
from app.storage.reservations import ReservationStore
from app.storage.stored_reservations import BRIEF_WITHOUT

EXPORTS_MAX = 8
EXPORTS_PER_KEY_MAX = 2
"""Files that are being written by one process, and for one key."""
PAGE_ROWS: Mapping[Shape, int] = {"or": 2_000, "single": 20_000}
"""Reservations that are read at once. A server of the second shape reads and sorts all that there are for each page."""
PART_ROWS = 100
"""Reservations that are written at a stretch, in some milliseconds; others get their turn in between."""
PAGE_SECONDS = 10.0
"""How long the database may take for a page after the first."""
EXPORT_SECONDS_MAX = 1_800.0
"""How long a file may take, whoever reads it how slowly."""
KEY_SECONDS = 3.0
"""How often the key is looked at, so that the file of one that was revoked breaks off."""
LAST_SECONDS = 5.0
"""How long a file goes on once the process has announced its end."""

IsAdmitted: TypeAlias = Callable[[], Coroutine[object, object, bool]]
"""Whether a reader may still read."""


class Exports:
    """The files that one process writes.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._writing: Counter[str] = Counter()
        self._ends_at: float | None = None

    def end(self) -> None:
        """Break off soon what is being written: the process ends."""
        self._ends_at = time.monotonic() + LAST_SECONDS

    async def file(
        self, filters: ReservationFilters, caller: Caller, form: FileFormat, is_admitted: IsAdmitted
    ) -> AsyncGenerator[bytes]:
        """The parts of a file with the reservations that pass the filters, by start, then id.

        Raises:
            Problem: `overloaded` where too many files are being written.
        """
        if self._writing.total() >= EXPORTS_MAX or self._writing[caller.key_id] >= EXPORTS_PER_KEY_MAX:
            raise Problem("overloaded", "Too many exports are being written; try again when one of them is done.")
        parts = self._parts(filters, form, caller.key_id, is_admitted)
        await anext(parts)
        return parts

    async def _parts(
        self, filters: ReservationFilters, form: FileFormat, key: str, is_admitted: IsAdmitted
    ) -> AsyncGenerator[bytes]:
        """The parts of a file, after a first one that is empty and tells that the first page was read."""
        self._writing[key] += 1
        try:
            rows = await self._page(filters, None)
            yield b""
            looked = began = time.monotonic()
            if form.header:
                yield form.header
            while True:
                now = self.store.clock.now()
                for first in range(0, len(rows), PART_ROWS):
                    written = [export_row(row, now) for row in rows[first : first + PART_ROWS]]
                    if part := form.write(row for row in written if row is not None):
                        yield part
                    await asyncio.sleep(0)
                if len(rows) < PAGE_ROWS[self.store.shape]:
                    return
                if time.monotonic() - looked >= KEY_SECONDS:
                    looked = time.monotonic()
                    if not await detached(is_admitted()):
                        raise BrokenOffError("Its key may no longer read.")
                self._check_time(began)
                rows = await detached(self._next_page(filters, StartPosition.of(rows[-1])))
        finally:
            self._writing -= Counter({key: 1})

    async def _next_page(self, filters: ReservationFilters, after: StartPosition) -> Sequence[BsonDocument]:
        try:
            with pymongo.timeout(PAGE_SECONDS):
                return await self._page(filters, after)
        except PyMongoError as error:
            raise BrokenOffError(f"{type(error).__name__}: {error}") from error

    async def _page(self, filters: ReservationFilters, after: StartPosition | None) -> Sequence[BsonDocument]:
        rows_max = PAGE_ROWS[self.store.shape]
        return await ReservationStore(self.store).list_by_start(
            filters, after, rows_max=rows_max, without=BRIEF_WITHOUT
        )

    def _check_time(self, began: float) -> None:
        """Break off what takes too long, or longer than the process has.

        Raises:
            BrokenOffError: with the reason.
        """
        if time.monotonic() - began >= EXPORT_SECONDS_MAX:
            raise BrokenOffError(f"It takes longer than {EXPORT_SECONDS_MAX / 60:.0f} minutes.")
        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            raise BrokenOffError("The process ends.")
