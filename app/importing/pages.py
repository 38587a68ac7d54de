"""The pages of a file: entries that are read, and then submitted resource by resource, together."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from app.errors import Problem
from app.importing.records import Record
from app.importing.report import Outcome, invalid
from app.importing.rows import Row, Zone, read_row
from app.importing.source import UnreadableError

PAGE_ROWS = 32_768
"""Rows of a page, which takes about 75 MB: the more of them, the more rows of a resource are booked together."""
FIRST_PAGE_ROWS = 128
"""Rows of the first page, whose results are to be seen soon: each of its resources is looked up again with the next."""
PAGE_SECONDS = 5.0
"""How long a page is read from a slow pipe."""

PendingOutcome: TypeAlias = "Outcome | asyncio.Task[Outcome]"


@dataclass(slots=True)
class Entry:
    """A record that was read: its row, if it is one, and its outcome, once it was submitted or if it is no row."""

    record: Record
    row: Row | None
    outcome: "PendingOutcome | None" = None

    @property
    def is_done(self) -> bool:
        """Whether its outcome is known."""
        return self.outcome is not None and not (isinstance(self.outcome, asyncio.Task) and not self.outcome.done())


def pages_of(records: Iterable[Record], timezone: Zone) -> Iterator[list[Entry]]:
    """The records in pages, in the order of the file.

    Raises:
        UnreadableError: the file ends in the middle; what was read before is in the last page.
    """
    page: list[Entry] = []
    rows, until = FIRST_PAGE_ROWS, time.monotonic() + PAGE_SECONDS
    try:
        for record in records:
            page.append(_entry_of(record, timezone))
            if len(page) >= rows or time.monotonic() >= until:
                yield page
                page, rows, until = [], PAGE_ROWS, time.monotonic() + PAGE_SECONDS
    except UnreadableError:
        yield page
        raise
    if page:
        yield page


def _entry_of(record: Record, timezone: Zone) -> Entry:
    row = read_row(record, timezone)
    return Entry(record, None, invalid(row)) if isinstance(row, Problem) else Entry(record, row)
