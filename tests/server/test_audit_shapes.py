"""The audit of databases in other shapes: the page's documents, commands and results, and databases of chance."""

import json
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import pytest
from bson import json_util

from app.audit import Shape, audit, read_pipeline
from app.cli.audit import audit_
from app.reconciliation import engine
from app.storage.client import Store
from app.storage.readonly import ReadOnlyDatabase, open_read_only
from tests.support.audit_rows import audit_arguments, database_contents, foreign_row, insert_into
from tests.support.booking_shapes import SHAPES, Database, database
from tests.support.commands import run_reserva
from tests.support.servers import ROOT
from tests.support.times import NINE, QUARTER

pytestmark = pytest.mark.servers("wire")

PAGE = (ROOT / "docs" / "audit.md").read_text()
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Section(NamedTuple):
    """What the page has of a shape: its first document, a pipeline if it needs one, the command, and what it prints."""

    document: str
    pipeline: str | None
    command: list[str]
    result: str

    @property
    def options(self) -> list[str]:
        """The command without the server, which is another one here."""
        at = self.command.index("--mongodb")
        return self.command[2:at] + self.command[at + 2 :]


def sections() -> dict[str, Section]:
    """The page's shapes, by the name of the database in the command."""
    found = {}
    for text in PAGE.split("\n## ")[1:]:
        blocks = _BLOCK.findall(text)
        documents = [body for language, body in blocks if language == "json"]
        commands = [shlex.split(body.replace("\\\n", " ")) for language, body in blocks if language == "sh"]
        results = [body for language, body in blocks if language == "text"]
        if documents:
            name = commands[0][commands[0].index("--mongodb") + 1].rsplit("/", 1)[1]
            pipeline = documents[1] if documents[1:] else None
            found[name] = Section(documents[0], pipeline, commands[0], results[0])
    return found


SECTIONS = sections()


@pytest.fixture
async def reading(bare_store: Store, database_url: str) -> AsyncIterator[ReadOnlyDatabase]:
    """The database of `bare_store`, open for reading."""
    opened = await open_read_only(database_url, bare_store.database.name)
    yield opened
    await opened.close()


async def fill(store: Store, made: Database) -> None:
    """Write a foreign database into a store."""
    for name, documents in made.collections.items():
        await store.database[name].insert_many([dict(each) for each in documents])


def audit_of(server: str, store: Store, section: Section, folder: Path) -> list[str]:
    """The page's command, for the database of a store."""
    options = list(section.options)
    if section.pipeline is not None:
        at = options.index("--pipeline") + 1
        options[at] = str(folder / options[at])
        Path(options[at]).write_text(section.pipeline)
    return ["audit", "--mongodb", server, "--database", store.database.name, *options]


def test_the_page_has_them_all() -> None:
    """Each shape has its section, with the database's first document in it."""
    assert list(SECTIONS) == list(SHAPES)
    for name in SHAPES:
        written = json_util.dumps(database(name).first, json_options=json_util.RELAXED_JSON_OPTIONS)
        assert json.loads(SECTIONS[name].document) == json.loads(written), name


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.promise("audit")
async def test_as_the_page_says(bare_store: Store, server: str, name: str, tmp_path: Path) -> None:
    """The page's command prints what the page says, finds what counting finds, and leaves the database as it was."""
    made, section = database(name), SECTIONS[name]
    await fill(bare_store, made)
    before = await database_contents(bare_store)
    ended = run_reserva(*audit_of(server, bare_store, section, tmp_path), "--json")
    output = json.loads(ended.stdout)

    assert ended.stderr == section.result
    assert output["findings"] == made.findings()
    assert output["findings"]
    assert (output["conflicts"], ended.returncode) == (made.conflicts(), 1)
    assert await database_contents(bare_store) == before


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.promise("audit")
async def test_by_chance(bare_store: Store, server: str, name: str, tmp_path: Path) -> None:
    """Other databases of the same shape are judged as counting judges them."""
    context = audit_.make_context("audit", audit_of(server, bare_store, SECTIONS[name], tmp_path)[1:])
    given = context.params
    shape = Shape(**{each.name: given[each.name] for each in fields(Shape)})
    stages = read_pipeline(given["pipeline"]) if given["pipeline"] else []
    reading = await open_read_only(given["mongodb"], given["database"])
    for seed in range(2, 12):
        made = database(name, seed)
        for collection in made.collections:
            await bare_store.database[collection].delete_many({})
        await fill(bare_store, made)
        report = await audit(reading, given["collection"], given["blocking"], shape=shape, pipeline=stages)
        output = report.as_json()

        assert (output["findings"], output["conflicts"]) == (made.findings(), made.conflicts()), seed
    await reading.close()


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "slots"])
@pytest.mark.servers("wire", once=True)
async def test_the_guess(bare_store: Store, server: str, name: str) -> None:
    """Without any option each is unreadable, and the guessed command reads it, but for what is in no document."""
    made, section = database(name), SECTIONS[name]
    await fill(bare_store, made)
    options = section.options
    there = name in {"restaurant", "calendars"}  # `reservations` is the default, and `rooms` has no bookings
    blind = run_reserva(*audit_arguments(server, bare_store), *(["--collection", made.bookings] if there else []))
    guessed = next(shlex.split(line)[1:] for line in blind.stderr.splitlines() if line.startswith("  reserva audit "))
    for option in ("--timezone", "--minutes"):
        if option in options:
            value = options[options.index(option) + 1]
            guessed += [option, value]  # of an option that is given twice the last one counts
            assert f"{option}." in blind.stderr or "only a guess" in blind.stderr or "date" in made.first
    ended = run_reserva(*guessed, "--json")
    output = json.loads(ended.stdout)

    assert blind.returncode == 2
    assert (output["findings"], output["conflicts"]) == (made.findings(), made.conflicts()), guessed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--end", "a", "--minutes", "5"], "--end and --minutes both say when one ends; give one of them."),
        (["--no-status", "--blocking", "booked"], "--no-status says that there is no status, --blocking which ones"),
        (["--pipeline", "/nowhere.json"], "does not exist"),
        (["--minutes", "0"], "0 is not in the range"),
    ],
    ids=str,
)
@pytest.mark.servers("wire", once=True)
async def test_options_that_contradict(bare_store: Store, server: str, options: list[str], words: str) -> None:
    """Options that make no sense are exit code 2 with a sentence, before anything is asked."""
    ended = run_reserva(*audit_arguments(server, bare_store), *options)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in " ".join(ended.stderr.split())


async def test_a_shape_that_cannot_be_guessed(bare_store: Store, server: str) -> None:
    """Without a likely resource field the output shows each field with two examples, and names what is missing."""
    made = database("slots")
    await fill(bare_store, made)
    ended = run_reserva(*audit_arguments(server, bare_store), "--collection", made.bookings)

    assert ended.returncode == 2
    assert '\n  status: "confirmed", "cancelled"\n' in ended.stderr
    assert "No field looks like what is booked (--resource-field)" in ended.stderr


async def test_a_field_that_is_not_there(bare_store: Store, server: str) -> None:
    """A misspelt field is exit code 2 with the names of the existing fields, and nothing on standard output."""
    made = database("hotel")
    await fill(bare_store, made)
    options = ("--collection", "bookings", "--resource-field", "room", "--start", "chekIn", "--end", "checkOut")
    ended = run_reserva(*audit_arguments(server, bare_store), *options)
    free = run_reserva(*audit_arguments(server, bare_store), *options[:4], "--free-if", "cancelled=true")

    assert (ended.returncode, ended.stdout, free.returncode, free.stdout) == (2, "", 2, "")
    assert "No document of 'bookings' has a field 'chekIn'; there are:\n" in ended.stderr
    assert "\n  checkIn: 2026-" in ended.stderr
    assert "has a field 'cancelled'" in free.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("rooms.quantity", "there is no collection 'rooms'; there are: bookings, roomtypes."),
        ("roomtypes.quantity", "no document of 'roomtypes' has a field 'quantity'"),
    ],
)
@pytest.mark.servers("wire", once=True)
async def test_capacities_that_are_not_there(bare_store: Store, server: str, given: str, words: str) -> None:
    """A collection or field that should say what a resource holds and is not there is exit code 2, not a 1."""
    await fill(bare_store, database("room-types"))
    options = ("--collection", "bookings", "--resource-field", "roomType", "--capacity-from", given)
    ended = run_reserva(*audit_arguments(server, bare_store), *options)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr


@pytest.mark.servers("wire", once=True)
async def test_one_capacity_for_all(bare_store: Store, reading: ReadOnlyDatabase) -> None:
    """`--capacity` holds for every resource, whatever the collection of resources says."""
    rooms = [{"room": "a", "startTime": NINE, "endTime": NINE + QUARTER, "status": "confirmed"} for _ in range(3)]
    await bare_store.database["reservations"].insert_many(rooms)
    await bare_store.database["resources"].insert_one({"_id": "a", "quantity": 9})
    peaks = [
        [(each.peak, each.capacity) for each in report.windows]
        for capacity in (None, 2, 3)
        for report in [await audit(reading, shape=Shape(resource="room", capacity=capacity))]
    ]

    assert peaks == [[], [(3, 2)], []]


@pytest.mark.servers("wire", once=True)
async def test_former_capacities(store: Store, database_url: str) -> None:
    """What was in order when a capacity was lowered is no finding, as in a reconciliation; `--capacity` is for all."""
    lowered = {"until": NINE + 3 * QUARTER, "capacity": 2}
    await insert_into(store, "resources", [{"_id": "a", "name": "A", "capacity": 1, "formerCapacities": [lowered]}])
    await insert_into(
        store,
        "reservations",
        [foreign_row("a", 0, 2), foreign_row("a", 1, 2), foreign_row("a", 4, 6), foreign_row("a", 5, 7)],
    )
    ran = await engine.reconcile_reservations(store, "full", None)
    opened = await open_read_only(database_url, store.database.name)
    report, for_all = await audit(opened), await audit(opened, shape=Shape(capacity=1))
    await opened.close()

    assert (len(report.windows), len(for_all.windows), ran.findings) == (1, 2, 1)


@pytest.mark.servers("wire", once=True)
class TestReadable:
    """When an audit may say that all is well."""

    @pytest.mark.parametrize(("good", "code"), [(1, 2), (10, 2), (11, 0)])
    async def test_a_hundredth(self, bare_store: Store, server: str, good: int, code: int) -> None:
        """Less than a hundredth of what may occupy something is exit code 2, however clean it is; trash is no part."""
        rows = [foreign_row(f"r{number}", 0, 4) for number in range(good)] + [
            foreign_row("a", 0, None) for _ in range(1_000)
        ]
        rows += [foreign_row("a", 0, 4, isDeleted=True) for _ in range(500)]
        rows += [foreign_row("a", 0, 4, status="cancelled") for _ in range(500)]
        await insert_into(bare_store, "reservations", rows)
        ended = run_reserva(*audit_arguments(server, bare_store), "--json")

        assert ended.returncode == code, ended.stderr
        assert ("less than a hundredth could be read" in ended.stderr) is (code == 2)

    @pytest.mark.promise("audit")
    async def test_an_unknown_status_is_not_clean(self, bare_store: Store, server: str) -> None:
        """An unknown status is exit code 1 even without a conflict; another spelling of a known one is known."""
        await insert_into(
            bare_store, "reservations", [foreign_row("a", 0, 4), foreign_row("b", 0, 4, status="Waitlisted")]
        )
        unknown = run_reserva(*audit_arguments(server, bare_store), "--json")
        known = run_reserva(*audit_arguments(server, bare_store), "--json", "--free-if", "status=waitlisted")
        await insert_into(bare_store, "reservations", [foreign_row("a", 2, 6, status=" CONFIRMED")])
        both = run_reserva(*audit_arguments(server, bare_store), "--json")

        assert (unknown.returncode, known.returncode, both.returncode) == (1, 0, 1)
        assert json.loads(unknown.stdout)["unknownStatuses"] == {"Waitlisted": 1}
        assert "Not blocking: status=waitlisted 1." in known.stderr
        assert (json.loads(both.stdout)["conflicts"], json.loads(known.stdout)["unknownStatuses"]) == (1, {})

    async def test_many_unknown_statuses(self, bare_store: Store, reading: ReadOnlyDatabase) -> None:
        """Of very many different ones the later ones are counted together, and long ones are cut."""
        await insert_into(
            bare_store, "reservations", [foreign_row("a", 0, 4, status=f"state {number}") for number in range(300)]
        )
        await insert_into(bare_store, "reservations", [foreign_row("a", 0, 4, status="x" * 100_000)])
        counts = (await audit(reading)).unknown_statuses.counts

        assert (len(counts), counts["others"], sum(counts.values())) == (101, 201, 301)


@pytest.mark.parametrize(
    "pipeline",
    [
        '[{"$facet": {"a": [{"$unionWith": {"coll": "slots", "pipeline": [{"$out": "stolen"}]}}]}}]',
        '[{"$match": {"$where": "sleep(1000)"}}]',
    ],
)
@pytest.mark.servers("wire", once=True)
async def test_a_pipeline_that_does_more(bare_store: Store, server: str, pipeline: str, tmp_path: Path) -> None:
    """A pipeline that writes or runs code, wherever that stands, is exit code 2 before anything is asked."""
    await fill(bare_store, database("slots"))
    before = await database_contents(bare_store)
    (tmp_path / "stages.json").write_text(pipeline)
    ended = run_reserva(*audit_arguments(server, bare_store), "--pipeline", str(tmp_path / "stages.json"))

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "an audit only reads" in ended.stderr
    assert await database_contents(bare_store) == before


async def test_a_pipeline_that_the_server_refuses(bare_store: Store, server: str, tmp_path: Path) -> None:
    """What the server does not take is a sentence and exit code 2."""
    await fill(bare_store, database("slots"))
    (tmp_path / "stages.json").write_text('[{"$project": {"a": {"$nonsense": 1}}}]')
    ended = run_reserva(
        *audit_arguments(server, bare_store), "--collection", "bookings", "--pipeline", str(tmp_path / "stages.json")
    )

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "The server refuses the pipeline" in ended.stderr
    assert "Traceback" not in ended.stderr
