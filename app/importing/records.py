"""The records of a file: CSV with a header or JSON lines, gzipped or not, told apart by how they begin.

A record that cannot be read is one record's fault. The reader goes on behind it.
"""

import csv
import gzip
import io
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from app.errors import Problem
from app.wire.strict_json import read_json

NEEDED = ("reference", "resource", "startTime", "endTime")
COLUMNS = (*NEEDED, "customer", "service", "guests", "status", "notes")

LONGEST_RECORD_LINES = 100
"""A quoted cell may contain line ends, but not more than that: an unclosed quote does not eat the file."""

_GZIP = b"\x1f\x8b"
_DIGITS = 9


class UnreadableError(Exception):
    """Nothing can be made of the file; the message says what to check."""


@dataclass(frozen=True, slots=True)
class Record:
    """What stands on a line (the first one is 1) and those that a quoted cell continues it on.

    `values` has what is not empty, under the column's name; a problem says why there are none.
    """

    line: int
    values: dict[str, Any] | Problem


Lines: TypeAlias = Iterator[tuple[int, str]]


class Source:
    """A file being read; `read_bytes` of `size` are done, both as they lie on the disk."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("rb")
        self.size = path.stat().st_size
        zipped = self._raw.read(len(_GZIP)) == _GZIP
        self._raw.seek(0)
        # What is no UTF-8 stays visible as lone surrogates, so that it spoils its own record only.
        self._text = io.TextIOWrapper(
            gzip.GzipFile(fileobj=self._raw) if zipped else self._raw, "utf-8-sig", "surrogateescape", newline=""
        )

    @property
    def read_bytes(self) -> int:
        """How far the reader is."""
        return self._raw.tell()

    def close(self) -> None:
        """Close the file."""
        self._text.close()
        self._raw.close()

    def records(self) -> Iterator[Record]:
        """The records, empty lines left out.

        Raises:
            UnreadableError: for a header that lacks a column or has an unknown one, and for a broken archive.
        """
        try:
            numbered = enumerate(self._text, start=1)
            first = next(((number, line) for number, line in numbered if line.strip()), None)
            if first is None:
                return
            if first[1].lstrip().startswith("{"):
                yield from _json_lines(first, numbered)
            else:
                yield from _csv(first, numbered)
        except (OSError, EOFError, zlib.error) as error:
            raise UnreadableError(f"The file cannot be read to its end: {error}") from error


def _json_lines(first: tuple[int, str], rest: Lines) -> Iterator[Record]:
    yield Record(first[0], _json(first[1]))
    for number, line in rest:
        if line.strip():
            yield Record(number, _json(line))


def _json(line: str) -> dict[str, Any] | Problem:
    try:
        value = read_json(line.encode("utf-8", "surrogateescape"), nulls=False)
    except Problem as problem:
        return Problem(problem.name, problem.detail.replace("The body", "The line"), faults=problem.faults)
    if not isinstance(value, dict):
        return Problem("invalid", "A line must be a JSON object.")
    unknown = sorted(value.keys() - set(COLUMNS))
    if unknown:
        return Problem("invalid", f"There is no column {unknown[0]!r}; there are {', '.join(COLUMNS)}.")
    return value


def _csv(first: tuple[int, str], rest: Lines) -> Iterator[Record]:
    lines = _Lines(first, rest)
    header = _header(next(lines.rows()))
    for number, cells in lines.rows():
        if isinstance(cells, Problem):
            yield Record(number, cells)
        elif len(cells) != len(header):
            yield Record(number, Problem("invalid", f"The row has {len(cells)} cells, the header {len(header)}."))
        else:
            yield Record(number, _typed({name: cell for name, cell in zip(header, cells, strict=True) if cell}))


def _header(row: tuple[int, list[str] | Problem]) -> list[str]:
    _, cells = row
    if isinstance(cells, Problem):
        raise UnreadableError(f"The header cannot be read: {cells.detail}")
    header = [cell.strip() for cell in cells]
    lacking = [name for name in NEEDED if name not in header]
    unknown = [name for name in header if name not in COLUMNS]
    if lacking:
        raise UnreadableError(f"The header lacks {', '.join(lacking)}. The columns are {', '.join(COLUMNS)}.")
    if unknown:
        raise UnreadableError(f"The header has unknown columns: {', '.join(unknown)}. There are {', '.join(COLUMNS)}.")
    if len(set(header)) != len(header):
        raise UnreadableError("The header names a column twice.")
    return header


def _typed(cells: dict[str, Any]) -> dict[str, Any] | Problem:
    """Cells are text; the one that is a number becomes it, if it is one."""
    if any("\0" in cell or not _is_text(cell) for cell in cells.values()):
        return Problem("invalid", "The row is not UTF-8 text.")
    guests = cells.get("guests")
    if guests is not None and guests.isascii() and guests.isdigit() and len(guests) <= _DIGITS:
        cells["guests"] = int(guests)
    return cells


def _is_text(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Lines:
    """Lines that can be put back, so that a row may look ahead for the end of a quoted cell."""

    def __init__(self, first: tuple[int, str], rest: Lines) -> None:
        self._back: deque[tuple[int, str]] = deque([first])
        self._rest = rest

    def _next(self) -> tuple[int, str] | None:
        return self._back.popleft() if self._back else next(self._rest, None)

    def rows(self) -> Iterator[tuple[int, list[str] | Problem]]:
        """Each row with the number of its first line."""
        while (found := self._next()) is not None:
            number, line = found
            if line.strip():
                yield number, self._row(line)

    def _row(self, line: str) -> list[str] | Problem:
        taken: list[tuple[int, str]] = []
        text = line
        while True:
            try:
                return next(csv.reader(io.StringIO(text, newline=""), strict=True))
            except csv.Error as error:
                said = str(error)
            more = self._next() if said == _UNCLOSED and len(taken) < LONGEST_RECORD_LINES else None
            if more is None:
                self._back.extendleft(reversed(taken))
                return Problem("invalid", f"The row cannot be read: {said}.")
            taken.append(more)
            text += more[1]


def _unclosed() -> str:
    """What this Python's csv module says of a quote that nobody closes."""
    try:
        next(csv.reader(['"'], strict=True))
    except csv.Error as error:
        return str(error)
    raise AssertionError("An unclosed quote is an error in strict mode.")


_UNCLOSED = _unclosed()
