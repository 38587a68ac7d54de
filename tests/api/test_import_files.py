"""The files that people bring: each is read as what it is, or refused with what it is and how to save it.

The files lie in `tests/files/import`, one for each way in which spreadsheets, databases and scripts write a table. Most
of them hold the same two rows, `a1` and `a2`, of an hour each.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.booking import BookingService
from app.domain.zones import zone
from app.importing.column_names import parse_column_names
from app.importing.records import records_of
from app.importing.report import RowProblem
from app.importing.service import Importer
from app.importing.source import Source, UnreadableError
from app.storage.client import Store
from app.storage.documents import Schedule, Service
from app.storage.guards import make_service_row
from tests.support.ids import CUT_ID
from tests.support.servers import ROOT
from tests.support.step_driver import add_resource

FILES = ROOT / "tests" / "files" / "import"


class Expected(NamedTuple):
    """What becomes of a file: rows by their fate, and the line and problem of each that is not as it says.

    `refusal` are words of the sentence that ends the import; `columns` and `timezone` are the options.
    """

    fates: dict[str, int] = {}  # noqa: RUF012  # read only, like the class
    complaints: tuple[tuple[int, str], ...] = ()
    refusal: str = ""
    columns: str | None = None
    timezone: str | None = None


BOTH = Expected({"accepted": 2})
THREE_AND_A_FAULT = Expected({"accepted": 3, "invalid": 1}, ((4, "invalid"),))


def refused(words: str, **fates: int) -> Expected:
    """A file that is refused, after so many rows."""
    return Expected(fates, refusal=words)


TABLE: dict[str, Expected] = {
    "commas.csv": BOTH,
    "crlf.csv": BOTH,
    "cr-only.csv": BOTH,
    "semicolons.csv": BOTH,
    "tabs.tsv": BOTH,
    "sep-line.csv": BOTH,
    "sep-pipe.csv": BOTH,
    "utf8.csv": BOTH,
    "utf8-mark.csv": BOTH,
    "utf16-le.txt": BOTH,
    "utf16-be.txt": BOTH,
    "utf16-no-mark.csv": refused("UTF-16 or UTF-32 without its mark; save it as UTF-8"),
    "utf16-cut.txt": refused("not the text that it begins as", accepted=1),
    "latin-1.csv": refused("not UTF-8 (line 2); it looks like Latin-1"),
    "latin-1-late.csv": refused("not UTF-8 (line 32); it looks like Latin-1"),
    "one-bad-row.csv": THREE_AND_A_FAULT,
    "trailing.csv": BOTH,
    "trailing-semicolons.csv": BOTH,
    "blank-first-rows.csv": BOTH,
    "blanks.csv": BOTH,
    "quoted-newlines.csv": Expected({"accepted": 4}),
    "open-quote.csv": THREE_AND_A_FAULT,
    "commas.csv.gz": BOTH,
    "cut.csv.gz": refused("cannot be read to its end"),
    "twice-zipped.csv.gz": refused("gzipped twice"),
    "lines.jsonl": BOTH,
    "lines.jsonl.gz": BOTH,
    "array.json": BOTH,
    "array-on-one-line.json": BOTH,
    "array-of-lines.json": BOTH,
    "array-empty.json": Expected(),
    "array-utf16.json": BOTH,
    "array-bad-rows.json": Expected(
        {"accepted": 2, "invalid": 4}, ((3, "malformed"), (4, "invalid"), (5, "malformed"), (6, "malformed"))
    ),
    "array-cut.json": refused("does not end: from line 11", accepted=1),
    "array-and-more.json": refused("Behind the end of the array, on line 2", accepted=2),
    "nulls.jsonl": BOTH,
    "blanks.jsonl": BOTH,
    "workbook.xlsx": refused("a workbook (.xlsx, .ods)"),
    "workbook.xls": refused("an old workbook (.xls)"),
    "html.xls": refused("HTML or XML"),
    "document.pdf": refused("a PDF"),
    "commas.csv.bz2": refused("compressed by bzip2"),
    "binary.bin": refused("binary"),
    "empty.csv": refused("empty"),
    "blank-lines.csv": refused("empty"),
    "mark-alone.csv": refused("empty"),
    "utf16-mark-alone.txt": refused("empty"),
    "empty.csv.gz": refused("empty"),
    "header-only.csv": Expected(),
    "no-header.csv": refused("The header lacks reference, resource, startTime, endTime"),
    "missing-columns.csv": refused(
        "The header lacks startTime, endTime; separated by commas it has reference, resource, begin."
    ),
    "doubled-column.csv": refused("names the column 'notes' twice"),
    "unknown-column.csv": refused("unknown columns: colour"),
    "nameless-column.csv": refused("Column 5 of the header has no name"),
    "other-names.csv": Expected(
        {"accepted": 1}, columns="reference=No.,resource=Room,startTime=From,endTime=To,customer=Guest"
    ),
    "other-names.jsonl": Expected(
        {"accepted": 1, "invalid": 1},
        ((2, "invalid"),),
        columns="reference=No.,resource=Room,startTime=From,endTime=To,customer=Guest",
    ),
    "local-times.csv": Expected(
        {"accepted": 4, "invalid": 4},
        ((5, "local-time"), (6, "local-time"), (8, "invalid"), (9, "invalid")),
        timezone="Europe/Berlin",
    ),
    "history.csv": Expected({"accepted": 5, "refused": 2}, ((3, "conflict"), (6, "rule"))),
    "statuses.csv": Expected(
        {"accepted": 5, "refused": 1, "invalid": 2}, ((7, "conflict"), (8, "invalid"), (9, "invalid"))
    ),
    "one-number-two-rooms.csv": Expected({"accepted": 2}),
    "rows-twice.csv": Expected(
        {"accepted": 1, "unchanged": 1, "differs": 3}, ((4, "differs"), (5, "differs"), (6, "differs"))
    ),
    "bad-rows.csv": Expected({"accepted": 3, "invalid": 12}, tuple((line, "invalid") for line in range(3, 15))),
}


@pytest.fixture
async def booking(mock_store: Store) -> Any:
    """A write path over a catalogue with a resource that is never open, and a service that no resource offers."""
    await add_resource(mock_store, "shut", active=False, schedule=Schedule(weekly=[]))
    now = mock_store.clock.now()
    cut = Service(id="cut", name="Cut", duration_type="fixed", duration_minutes=60, created_at=now, updated_at=now)
    await make_service_row(mock_store, CUT_ID)
    await mock_store.database["services"].insert_one(cut.to_mongo())
    booking = BookingService(mock_store)
    await booking.start()
    yield booking
    await booking.stop()


async def imported(
    booking: BookingService, path: Path, expected: Expected
) -> tuple[dict[str, int], list[RowProblem], str]:
    """Import a file: rows by their fate, complaints, and why it was refused, if it was."""
    complaints: list[RowProblem] = []
    refusal = ""
    timezone = None if expected.timezone is None else zone(expected.timezone)
    naming = None if expected.columns is None else parse_column_names(expected.columns)
    importer = Importer(booking.store, booking, create=True, timezone=timezone, on_problem=complaints.append)
    try:
        source = Source(path)
        try:
            await importer.run(records_of(source, naming))
        finally:
            source.close()
    except UnreadableError as error:
        refusal = str(error)
    counts = {name: count for name, count in asdict(importer.report).items() if count}
    assert counts.pop("rows", 0) == sum(counts.values())
    return counts, complaints, refusal


@pytest.mark.parametrize("name", TABLE)
async def test_a_file(booking: BookingService, name: str) -> None:
    """It is imported row by row, or refused with a sentence that says what it is and what to do."""
    expected = TABLE[name]
    counts, complaints, refusal = await imported(booking, FILES / name, expected)

    assert counts == expected.fates, (complaints, refusal)
    assert tuple((each["line"], each["problem"]) for each in complaints) == expected.complaints
    assert expected.refusal in refusal
    assert bool(refusal) == bool(expected.refusal), refusal


def test_every_file_is_in_the_table() -> None:
    """Every file in the folder has its expected result in the table."""
    assert {path.name for path in FILES.iterdir()} == TABLE.keys()


@pytest.mark.parametrize(
    "name", ["commas.csv", "semicolons.csv", "utf16-le.txt", "array.json", "nulls.jsonl", "blanks.jsonl"]
)
async def test_what_is_in_the_rows(booking: BookingService, name: str) -> None:
    """However it is written, both rows say the same."""
    await imported(booking, FILES / name, BOTH)
    found = await booking.store.database["reservations"].find().sort("reference", 1).to_list(None)

    assert [(each["reference"], each["guests"], each["startTime"].hour) for each in found] == [
        ("a1", 2, 9),
        ("a2", 1, 10),
    ]
    assert found[0]["customer"] == "ann"
    assert "notes" not in found[1]


async def test_local_times(booking: BookingService) -> None:
    """Of a zone, in winter an hour before UTC; a time that the clocks show twice or never comes with its choices."""
    _, complaints, _ = await imported(booking, FILES / "local-times.csv", TABLE["local-times.csv"])
    rows = await booking.store.database["reservations"].find().to_list(None)
    found = {each["reference"]: each for each in rows}

    assert [found[name]["startTime"].hour for name in ("plain", "blank", "offset")] == [8, 9, 10]
    assert (found["around"]["endTime"] - found["around"]["startTime"]).total_seconds() == 3.5 * 3600
    assert [(each["reference"], each["choices"]) for each in complaints[:2]] == [
        ("gap", ["2030-03-31T01:30:00.000Z", "2030-03-31T00:30:00.000Z"]),
        ("fold", ["2030-10-27T00:30:00.000Z", "2030-10-27T01:30:00.000Z"]),
    ]
