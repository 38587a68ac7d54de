"""The map of the code, and all other pages: the files and functions that they name exist, and every room is named."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.servers import ROOT

MAP = (ROOT / "app" / "README.md").read_text(encoding="utf-8")
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md")), ROOT / "app" / "README.md")
}
FILE = r"`((?:app|worker|tests|docs)/[\w/.-]*|worker)`"
NAMES = re.compile(rf"{FILE}\s*(?:\|\s*|\((?=`)|, )((?:`\w+`(?:, |; )?)+)")
"""A file, and names of it beside it: "`file` (`name`, `name`)", "`file`, `name`", or in the next cell of a table."""


def defined(file: str) -> set[str]:
    """The classes, functions and names that a module defines, at any depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"), file)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def rooms() -> set[str]:
    """All packages of the app and the worker, and the modules that lie beside the rooms."""
    packages = {path.parent for top in ("app", "worker") for path in (ROOT / top).rglob("__init__.py")} - {ROOT / "app"}
    beside = {path for path in (ROOT / "app").glob("*.py") if path.name != "__init__.py"}
    return {path.relative_to(ROOT).as_posix() for path in packages | beside}


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    """Every file that a page names exists."""
    named = set(re.findall(FILE, PAGES[page]))

    assert [file for file in sorted(named) if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_names_are_in_the_files_beside_them(page: str) -> None:
    """A function or class that is named beside a file is defined in it."""
    beside = [(file, re.findall(r"`(\w+)`", names)) for file, names in NAMES.findall(PAGES[page])]
    ours = [(file, names) for file, names in beside if Path(file).suffix == ".py"]

    assert [(file, name) for file, names in ours for name in names if name not in defined(file)] == []


def test_every_room_is_on_the_map() -> None:
    """Each package, and each module beside the rooms, has a line that says what is in it."""
    rows = [line for line in MAP.splitlines() if line.startswith("|")]
    on_map = {name.rstrip("/") for line in rows for name in re.findall(FILE, line)}

    assert rooms() - on_map == set()


def test_questions_lead_to_a_file() -> None:
    """The index has the questions of a newcomer, each with one file and nearly each with a name in it."""
    index = MAP.partition("## Where do I find")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in index.splitlines() if line.startswith("| …")]

    assert len(rows) > 20
    assert [question for question, file, _ in rows if len(re.findall(FILE, file)) != 1] == []


def test_the_reader_of_names_sees() -> None:
    """Each form in which a name may stand beside a file is read."""
    text = "`app/a.py` (`one`, `two`) and `app/b.py`, `three`.\n| x | `app/c.py` | `four`, `five` |\n`app/d.py` (more)"

    assert [(file, re.findall(r"`(\w+)`", names)) for file, names in NAMES.findall(text)] == [
        ("app/a.py", ["one", "two"]),
        ("app/b.py", ["three"]),
        ("app/c.py", ["four", "five"]),
    ]
