"""The records of a file: CSV with a header, JSON lines or a JSON array, distinguished by how they begin.

A record that cannot be read has a problem in place of its values, and the reader continues after it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from app.errors import Problem
from app.http.strict_json import read_json
from app.importing.column_names import ColumnNames
from app.importing.csv_table import Table
from app.importing.json_text import elements
from app.importing.source import Source, empty_file, is_text, whole_lines

_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file, with the number of its first line (from 1).

    `values` has the cells that are not empty, by the API's names of the columns; or the problem why there are none.
    """

    line: int
    values: Mapping[str, object] | Problem


def records_of(source: Source, naming: ColumnNames | None = None) -> Iterator[Record]:
    """The records, empty lines and rows left out.

    Raises:
        UnreadableError: for a file without text, a header that lacks a column or has an unknown one, a broken archive,
            and an array that does not end.
    """
    naming = naming or ColumnNames()
    pieces = source.pieces()
    first = next(((number, piece) for number, piece in pieces if piece.strip()), None)
    if first is None:
        raise empty_file()
    pieces = chain([first], pieces)
    start = first[1].lstrip()[:1]
    if start == "[":
        for number, text in elements(pieces):
            yield Record(number, _json(text, naming))
    elif start == "{":
        for number, line in whole_lines(pieces):
            if line is None or line.strip():
                yield Record(number, _TOO_LONG if line is None else _json(line, naming))
    else:
        table = Table(whole_lines(pieces), naming)
        for number, cells in table.rows():
            yield Record(number, cells if isinstance(cells, Problem) else _typed(cells))


_TOO_LONG = Problem("invalid", "The line is longer than any row can be.")


def _json(text: str, naming: ColumnNames) -> dict[str, object] | Problem:
    try:
        value = read_json(text.encode("utf-8", "surrogateescape"), nulls=True)
    except UnicodeEncodeError:
        return Problem("invalid", "The row has half of a surrogate pair, which is no text.")
    except Problem as problem:
        return Problem(problem.name, problem.detail.replace("The body", "The row"), faults=problem.faults)
    if not isinstance(value, dict):
        return Problem("invalid", "A row must be a JSON object.")
    values: dict[str, object] = {}
    for name, cell in value.items():
        ours = naming.ours(name)
        if ours is None:
            return Problem("invalid", f"There is no column {name!r}; there are {naming.known_names}.")
        values[ours] = cell.strip() if isinstance(cell, str) else cell
    return {name: cell for name, cell in values.items() if cell is not None and cell != ""}


def _typed(cells: Mapping[str, str]) -> dict[str, object] | Problem:
    """The values of a row of text cells: `guests` as a number, if it is one."""
    text = "".join(cells.values())
    if "\0" in text or not (text.isascii() or is_text(text)):
        return Problem("invalid", "The row is not UTF-8 text.")
    values: dict[str, object] = dict(cells)
    guests = cells.get("guests")
    if guests is not None and guests.isascii() and guests.isdigit() and len(guests) <= _DIGITS:
        values["guests"] = int(guests)
    return values
