"""CSV as spreadsheets and databases write it, with whichever separator."""

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from typing import TypeAlias

from app.errors import Problem
from app.importing.column_names import ColumnNames
from app.importing.formulas import without_guard
from app.importing.source import UnreadableError

ROW_LINES_MAX = 2_200
"""Lines of one row: notes of 2,000 characters may be as many lines, but an unclosed quote must not swallow the file."""

SEPARATORS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile(r'"?sep=([^\r\n])"?\s*', re.IGNORECASE)

Cells: TypeAlias = dict[str, str]
Lines: TypeAlias = Iterator[tuple[int, str | None]]


class Table:
    """A header and rows below it.

    The separator is that of a first line `sep=;`, else the one by which most cells of the header are columns.

    Args:
        lines: Numbered; one that is too long for a row is None.
        naming: The file's names of the columns.
    """

    def __init__(self, lines: Lines, naming: ColumnNames) -> None:
        self._lines = _PushbackLines(lines)
        self._naming = naming

    def rows(self) -> Iterator[tuple[int, Cells | Problem]]:
        """Each row with the number of its first line: its cells that are not blank, by the API's names of the columns.

        Raises:
            UnreadableError: the header lacks a column, or has a duplicate, unnamed or unknown one.
        """
        separator = self._separator()
        rows = self._rows(separator)
        header = self._header(next(rows, (0, [])), separator)
        for number, cells in rows:
            if isinstance(cells, Problem):
                yield number, cells
            elif any(cells[len(header) :]) or len(cells) < len(header):
                yield number, Problem("invalid", f"The row has {len(cells)} cells, the header {len(header)}.")
            else:
                yield number, {name: cell for name, cell in zip(header, cells, strict=False) if cell}

    def _separator(self) -> str:
        first = self._lines.next()
        if first is None:
            return SEPARATORS[0]
        declared = _SEPARATOR_LINE.fullmatch(first[1] or "")
        if declared is not None:
            return declared[1]
        self._lines.push_back([first])
        header = self._lines.skip_blank()
        found = {each: [self._naming.ours(name) for name in _cells(header, each)] for each in SEPARATORS}
        return max(SEPARATORS, key=lambda each: (sum(name is not None for name in found[each]), len(found[each])))

    def _header(self, row: tuple[int, list[str] | Problem], separator: str) -> list[str]:
        _, cells = row
        if isinstance(cells, Problem):
            raise UnreadableError(f"The header cannot be read: {cells.detail}")
        while cells and not cells[-1]:
            cells.pop()
        self._check(cells, separator)
        return [self._naming.ours(name) or name for name in cells]

    def _check(self, names: list[str], separator: str) -> None:
        missing = self._naming.missing(names)
        unknown = [name for name in names if self._naming.ours(name) is None]
        if missing:
            raise UnreadableError(
                f"The header lacks {', '.join(missing)}; separated by {_NAMES.get(separator, separator)} it has"
                f" {', '.join(name[:_SHOWN] for name in names[:_SHOWN]) or 'nothing'}. The columns are"
                f" {self._naming.known_names}; --columns startTime=from,resource=room names them otherwise."
            )
        if "" in unknown:
            raise UnreadableError(f"Column {names.index('') + 1} of the header has no name; name it or leave it out.")
        if unknown:
            raise UnreadableError(
                f"The header has unknown columns: {', '.join(unknown)}. There are {self._naming.known_names}; leave the"
                " others out, or say by --columns which they are."
            )
        ours = [self._naming.ours(name) for name in names]
        twice = next((name for name in names if ours.count(self._naming.ours(name)) > 1), None)
        if twice is not None:
            raise UnreadableError(f"The header names the column {twice!r} twice.")

    def _rows(self, separator: str) -> Iterator[tuple[int, list[str] | Problem]]:
        """Each row that is not blank with the number of its first line, cells trimmed."""
        while (found := self._lines.next()) is not None:
            number, line = found
            if line is None:
                yield number, Problem("invalid", "The line is longer than any row can be.")
            elif line.strip():
                cells = self._row(line, separator)
                if isinstance(cells, Problem):
                    yield number, cells
                elif any(trimmed := [without_guard(cell.lstrip()).strip() for cell in cells]):
                    yield number, trimmed

    def _row(self, line: str, separator: str) -> list[str] | Problem:
        ahead: list[tuple[int, str | None]] = []
        text = line
        while True:
            try:
                return next(csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator))
            except csv.Error as error:
                reason = str(error)
            more = self._lines_to_quote(ahead) if reason == _UNCLOSED else None
            if more is None:
                self._lines.push_back(ahead)
                return Problem("invalid", f"The row cannot be read: {reason}.")
            text += more

    def _lines_to_quote(self, ahead: list[tuple[int, str | None]]) -> str | None:
        """The lines up to the next with a quote, which alone can close a cell; they are added to those ahead.

        None where the row would be too long, or the lines end before.
        """
        parts: list[str] = []
        while len(ahead) < ROW_LINES_MAX and (more := self._lines.next()) is not None:
            ahead.append(more)
            if more[1] is None:
                return None
            parts.append(more[1])
            if '"' in more[1]:
                return "".join(parts)
        return None


_BLANK = " \r\n" + "".join(SEPARATORS)
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}
_SHOWN = 40


def _cells(line: str, separator: str) -> list[str]:
    """Roughly the cells of a header, to find out its separator."""
    return [cell.strip().strip('"').strip() for cell in line.split(separator)]


class _PushbackLines:
    """Lines that can be pushed back, so that a row may look ahead for the end of a quoted cell."""

    def __init__(self, lines: Lines) -> None:
        self._ahead: deque[tuple[int, str | None]] = deque()
        self._lines = lines

    def next(self) -> tuple[int, str | None] | None:
        """The next line; None at the end."""
        return self._ahead.popleft() if self._ahead else next(self._lines, None)

    def push_back(self, lines: list[tuple[int, str | None]]) -> None:
        """Let `next` return these lines again, in their order."""
        self._ahead.extendleft(reversed(lines))

    def skip_blank(self) -> str:
        """Skip lines without a cell, and return the next one without taking it; empty at the end."""
        while (found := self.next()) is not None:
            if found[1] is None or found[1].strip(_BLANK):
                self.push_back([found])
                return found[1] or ""
        return ""


def _unclosed() -> str:
    """The message of this Python's csv module for a quote that is never closed."""
    try:
        next(csv.reader(['"'], strict=True))
    except csv.Error as error:
        return str(error)
    raise AssertionError("An unclosed quote is an error in strict mode.")


_UNCLOSED = _unclosed()
