"""The audit of databases in other shapes: the page's documents, commands and results, and databases of chance."""

import json
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import pytest
from bson import json_util

from app.audit import Shape, audit, read_pipeline
from app.cli.audit import audit_
from app.storage.client import Store
from app.storage.reading import open_for_reading
from tests.contract.processes import run
from tests.server.test_audit import everything
from tests.servers import ROOT
from tests.shapes import SHAPES, Database, database

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


async def fill(store: Store, made: Database) -> None:
    """Write a database as somebody else has."""
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
async def test_as_the_page_says(bare_store: Store, server: str, name: str, tmp_path: Path) -> None:
    """The page's command prints what the page says, finds what counting finds, and leaves the database as it was."""
    made, section = database(name), SECTIONS[name]
    await fill(bare_store, made)
    before = await everything(bare_store)
    ended = run(*audit_of(server, bare_store, section, tmp_path), "--json")
    said = json.loads(ended.stdout)

    assert ended.stderr == section.result
    assert said["findings"] == made.findings()
    assert said["findings"]
    assert (said["conflicts"], ended.returncode) == (made.conflicts(), 1)
    assert await everything(bare_store) == before


@pytest.mark.parametrize("name", SHAPES)
async def test_by_chance(bare_store: Store, server: str, name: str, tmp_path: Path) -> None:
    """Other databases of the same shape are judged as counting judges them."""
    context = audit_.make_context("audit", audit_of(server, bare_store, SECTIONS[name], tmp_path)[1:])
    given = context.params
    shape = Shape(**{each.name: given[each.name] for each in fields(Shape)})
    stages = read_pipeline(given["pipeline"]) if given["pipeline"] else []
    reading = await open_for_reading(given["mongodb"], given["database"])
    for seed in range(2, 12):
        made = database(name, seed)
        for collection in made.collections:
            await bare_store.database[collection].delete_many({})
        await fill(bare_store, made)
        report = await audit(reading, given["collection"], given["blocking"], shape=shape, pipeline=stages)
        said = report.as_json()

        assert (said["findings"], said["conflicts"]) == (made.findings(), made.conflicts()), seed
    await reading.close()
