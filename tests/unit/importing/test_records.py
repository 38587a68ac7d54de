"""Reading import files: whatever stands in a row, the rows around it are read."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Problem
from app.http.pointers import pointer_of
from app.importing.column_names import COLUMNS, REQUIRED
from app.importing.csv_table import ROW_LINES_MAX
from app.importing.records import Record, records_of
from app.importing.rows import Columns, Row, read_row
from app.importing.source import Source, UnreadableError

HEADER = "reference,resource,startTime,endTime,guests,notes\n"
GOOD = "a,room,2026-01-01T09:00:00Z,2026-01-01T10:00:00Z,2,héllo\n"


@contextmanager
def written(path: Path, content: str | bytes) -> Iterator[Source]:
    """A file with that content, opened."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    source = Source(path)
    try:
        yield source
    finally:
        source.close()


def read(path: Path, content: str | bytes) -> list[Record]:
    """All records of a file with that content."""
    with written(path, content) as source:
        return list(records_of(source))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where to write one."""
    return tmp_path / "rows"


def lines_of(records: list[Record]) -> list[tuple[int, bool]]:
    """The line of each record, and whether it could be read."""
    return [(record.line, not isinstance(record.values, Problem)) for record in records]


def test_csv(file: Path) -> None:
    """Cells under their columns, empty ones left out, the one number as a number."""
    (record, other) = read(file, HEADER + GOOD + "b,room,,x,,\n")

    assert record == Record(
        2,
        {
            "reference": "a",
            "resource": "room",
            "startTime": "2026-01-01T09:00:00Z",
            "endTime": "2026-01-01T10:00:00Z",
            "guests": 2,
            "notes": "héllo",
        },
    )
    assert other.values == {"reference": "b", "resource": "room", "endTime": "x"}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r\n", 1),
        lambda text: text.replace("\n", "\n\ufeff"),
    ],
)
def test_what_spreadsheets_write(file: Path, change: Any) -> None:
    """Byte order marks, also of files put together, and any line ends are no part of any cell."""
    assert read(file, change(HEADER + GOOD)) == read(file, HEADER + GOOD)


def test_gzip(file: Path) -> None:
    """A compressed file is known by its content, whatever it is called."""
    assert read(file, gzip.compress((HEADER + GOOD).encode())) == read(file, HEADER + GOOD)


def test_json_lines(file: Path) -> None:
    """One object a line, distinguished from CSV by how the file begins; empty lines count as lines only."""
    row = {"reference": "a", "resource": "room", "guests": 2}
    records = read(file, f"\n{json.dumps(row)}\n\n{json.dumps(row)}")

    assert records == [Record(2, row), Record(4, row)]


@pytest.mark.parametrize(
    "line",
    ["{", "[1]", "null", '{"reference": "a", "reference": "b"}', '{"colour": "red"}', '{"a": NaN}'],
)
def test_a_bad_line_spoils_itself_only(file: Path, line: str) -> None:
    """What is no JSON object, or has unknown or doubled columns, is one record's fault."""
    good = '{"reference": "a"}'

    assert lines_of(read(file, f"{good}\n{line}\n{good}\n")) == [(1, True), (2, False), (3, True)]


@pytest.mark.parametrize(
    "row",
    [
        b"a,room,x\n",
        b"a,room,x,y,1,z,more\n",
        b'a,room,x,y,1,"z"z\n',
        b'a,room,x,y,1,"never closed\n',
        b"a,room,x,y,1,\xff\xfe\n",
        b"a,room,x,y,1,\0\n",
    ],
)
def test_a_bad_row_spoils_itself_only(file: Path, row: bytes) -> None:
    """Too few or many cells, bad quotes and what is no UTF-8 are one record's fault; an open quote eats nothing."""
    content = (HEADER + GOOD).encode() + row + GOOD.encode() * 3

    assert lines_of(read(file, content)) == [(2, True), (3, False), (4, True), (5, True), (6, True)]


def test_quoted_cells(file: Path) -> None:
    """Commas, quotes and line ends in quotes belong to the cell; the record's line is its first one."""
    records = read(file, HEADER + 'a,room,x,y,,"one, ""two""\nthree"\n' + GOOD)

    assert isinstance(records[0].values, dict)
    assert records[0].values["notes"] == 'one, "two"\nthree'
    assert [record.line for record in records] == [2, 4]


def test_an_open_quote_looks_only_so_far(file: Path) -> None:
    """A quote that closes within the longest record is one; one that closes later was never open."""
    inside, outside = (HEADER + 'a,room,x,y,,"' + "\n" * length + '"\n' + GOOD for length in (9, ROW_LINES_MAX + 9))

    assert lines_of(read(file, inside))[0] == (2, True)
    assert lines_of(read(file, outside))[0] == (2, False)
    assert lines_of(read(file, outside))[-1] == (ROW_LINES_MAX + 12, True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("reference,resource,startTime\n", "endTime"),
        ("reference,resource,startTime,endTime,colour\n", "colour"),
        ("reference,resource,startTime,endTime,notes,notes\n", "twice"),
        ("reference,resource,startTime,endTime,,notes\n", "Column 5"),
        ('"reference\n', "header"),
        (gzip.compress((HEADER + GOOD * 9).encode(), mtime=0)[:-9], "end"),
    ],
)
def test_a_file_of_which_nothing_can_be_made(file: Path, content: str | bytes, words: str) -> None:
    """A header with missing or unknown fields, and a broken archive, are reported in a sentence."""
    with pytest.raises(UnreadableError, match=words):
        read(file, content)


def test_a_header_alone_has_no_records(file: Path) -> None:
    """Nothing but a header, or an array without elements, is nothing to import."""
    assert read(file, HEADER) == read(file, "[]") == read(file, f"{HEADER},,,,\n\n,\n") == []


VALUES = {"resource": "room", "startTime": "2026-01-01T09:00:00Z", "endTime": "2026-01-01T10:00:00Z"}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"reference": ""}, "/reference"),
        ({"reference": "x" * 201}, "/reference"),
        ({"reference": 5}, "/reference"),
        ({"status": "maybe"}, "/status"),
        ({"status": ["confirmed"]}, "/status"),
        ({"guests": "three"}, "/guests"),
        ({"guests": 0}, "/guests"),
        ({"resource": "no spaces"}, "/resource"),
        ({"startTime": "2026-01-01T09:00:00"}, "/startTime"),
        ({"endTime": "2026-01-01T09:00:00Z"}, "/endTime"),
        ({"endTime": "2027-06-01T09:00:00Z"}, "/endTime"),
    ],
)
def test_a_row_has_the_bounds_of_a_request(change: dict[str, Any], pointer: str) -> None:
    """The same shapes and bounds as over HTTP, with a pointer at the column that is to blame."""
    row = read_row(Record(2, VALUES | {"reference": "a"} | change))

    assert isinstance(row, Problem)
    assert [pointer_of(fault) for fault in row.faults] == [pointer]


def test_a_row_is_confirmed_unless_it_says_otherwise() -> None:
    """What a record leaves out is as in a request."""
    row = read_row(Record(2, VALUES | {"reference": "a"}))
    other = read_row(Record(3, VALUES | {"reference": "b", "status": "no-show", "guests": 3}))

    assert isinstance(row, Row)
    assert isinstance(other, Row)
    assert (row.line, row.reference, row.wanted.status, row.wanted.guests) == (2, "a", "confirmed", 1)
    assert (other.wanted.status, other.wanted.guests) == ("no-show", 3)


def test_the_columns_are_those_that_a_row_has() -> None:
    """The reader and the model know the same names, and need the same ones."""
    fields = Columns.model_fields

    assert {field.alias or name for name, field in fields.items()} == set(COLUMNS)
    required = {field.alias or name for name, field in fields.items() if field.is_required()}
    assert required | {"endTime", "reference"} == set(REQUIRED)


def test_a_row_of_an_export_is_known_by_its_id() -> None:
    """It needs no reference, and is no other row for having one; without an id the reference is what it is known by."""
    rows = [read_row(Record(2, VALUES | names)) for names in ({"id": "x"}, {"id": "x", "reference": "a"}, {"id": "a"})]
    known = [row.key for row in (*rows, read_row(Record(3, VALUES | {"reference": "a"}))) if isinstance(row, Row)]

    assert len(known) == 4
    assert known[0] == known[1]
    assert len({*known}) == 3


def test_a_file_needs_a_name_for_its_rows(file: Path) -> None:
    """A header has `reference` or `id`."""
    assert read(file, "id,resource,startTime,endTime\n") == []
    with pytest.raises(UnreadableError, match="lacks reference"):
        read(file, "resource,startTime,endTime\n")


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, rows: list[bytes]) -> None:
    """Whatever stands between two good rows, both are read, and every record is of a known shape."""
    path = tmp_path_factory.getbasetemp() / "bytes"
    records = read(path, (HEADER + GOOD).encode() + b"\n".join(rows) + b"\n" * (ROW_LINES_MAX + 1) + GOOD.encode())

    assert isinstance(records[0].values, dict)
    assert isinstance(records[-1].values, dict)
    assert records[-1].values["reference"] == "a"
    assert all(isinstance(record.values, Problem) or record.values.keys() <= set(COLUMNS) for record in records)
