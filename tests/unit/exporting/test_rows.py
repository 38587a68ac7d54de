"""Rows of a file as an import reads them again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from app.exporting.rows import COLUMNS, FORMATS, Format, export_row
from app.importing.column_names import COLUMNS as IMPORTED
from app.importing.records import Record, records_of
from app.importing.rows import Row, read_row
from app.importing.source import Source
from tests.support.times import HOUR, NINE

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from("\r\n\",;='"))


def stored(**fields: Any) -> dict[str, Any]:
    """A reservation as it is stored, read without what no column shows."""
    times = {"startTime": NINE, "endTime": NINE + HOUR, "blockStart": NINE, "blockEnd": NINE + HOUR}
    made = {"createdAt": NOW, "updatedAt": NOW, "key": "k3yprefx", "version": 1, "timezone": "UTC"}
    return (
        {"_id": ObjectId(), "resource": "room", "status": "confirmed", "guests": 1, "units": 1} | times | made | fields
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where to write one."""
    return tmp_path_factory.mktemp("exports") / "rows"


def read(file: Path, form: Format, rows: list[dict[str, Any]]) -> list[Record]:
    """What an import makes of some stored reservations in a file."""
    written = [row for each in rows if (row := export_row(each, NOW)) is not None]
    file.write_bytes(FORMATS[form].header + FORMATS[form].write(written))
    source = Source(file)
    try:
        return [*records_of(source)]
    finally:
        source.close()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@given(notes=st.lists(TEXTS, min_size=1, max_size=3), references=st.data())
def test_every_text_comes_back(form: Format, notes: list[str], references: st.DataObject, file: Path) -> None:
    """Separators, quotes, line ends and formulas in it change nothing; only blanks at its ends are trimmed."""
    names = [references.draw(TEXTS.map(str.strip)) for _ in notes]
    rows = [stored(notes=note, reference=name or None) for note, name in zip(notes, names, strict=True)]

    records = read(file, form, rows)

    texts = [dict(each.values) for each in records if isinstance(each.values, dict)]
    assert [each.get("notes", "") for each in texts] == [note.strip() for note in notes]
    assert [each.get("reference", "") for each in texts] == names
    assert [each["id"] for each in texts] == [str(row["_id"]) for row in rows]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("notes", ["\n", "\t", "'\n", "\n'", "'", " = "])
def test_what_a_spreadsheet_must_not_take_for_a_formula(form: Format, notes: str, file: Path) -> None:
    """Its guard is no part of the text, also where nothing but blanks follows it."""
    (row,) = read(file, form, [stored(notes=notes)])

    assert isinstance(row.values, dict)
    assert row.values.get("notes", "") == notes.strip()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_the_longest_notes(form: Format, file: Path) -> None:
    """Notes of 2,000 line ends are one row, in either format."""
    (row,) = (read_row(each) for each in read(file, form, [stored(notes="a" + "\n" * 1_998 + "b")]))

    assert isinstance(row, Row)
    assert row.wanted.notes == "a" + "\n" * 1_998 + "b"


def test_the_columns_are_those_of_an_import() -> None:
    """An import knows every column of a file, and a file has every column that an import knows."""
    assert sorted(COLUMNS) == sorted(IMPORTED)


def test_holds() -> None:
    """A hold that is not over is no booking and left out; one whose time is over has expired."""
    hold = stored(status="pending", expiresAt=NOW + HOUR)

    over = export_row(hold | {"expiresAt": NOW}, NOW)

    assert export_row(hold, NOW) is None
    assert over is not None
    assert over["status"] == "expired"
    assert export_row(stored(status="pending"), NOW) is not None


@given(st.fixed_dictionaries({}, optional={name: st.none() | st.integers() | st.text() for name in COLUMNS[1:]}))
def test_values_of_other_programs(values: dict[str, Any]) -> None:
    """Whatever a row of another program has, it is written, and a line is a row."""
    row = export_row(stored() | values, NOW)

    assert row is not None
    assert FORMATS["jsonl"].write([row]).count(b"\n") == 1
    assert FORMATS["csv"].write([row])
