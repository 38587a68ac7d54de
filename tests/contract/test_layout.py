"""The layout of the tests: imports among them, the folders of unit tests, and the variables that they read."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import ROOT

FILES = sorted((ROOT / "tests").rglob("*.py"))
ALLOWED = {
    "support": ("app", "worker", "tests.support"),
    "bench": ("app", "worker", "tests.support", "tests.bench"),
}
"""What of ours the folders that are no tests may import."""
UNITS = sorted((ROOT / "tests" / "unit").rglob("test_*.py"))
NOT_OF_TESTERS = {"PATH", "TEST_MONGODB_URL"}
"""Variables that every program reads, or that pytest hands to its own further processes."""


def imported(path: Path) -> set[str]:
    """The modules of ours that a file imports, `import_module("…")` included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found |= {str(each.value) for each in node.args[:1] if isinstance(each, ast.Constant)}
    return {name for name in found if name.partition(".")[0] in {"app", "worker", "tests"} and name != "tests"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_test_is_imported(path: Path) -> None:
    """A module of tests, or a conftest, is imported by pytest alone."""
    parts = [part for name in imported(path) if name.startswith("tests.") for part in name.split(".")[1:3]]

    assert [part for part in parts if part == "conftest" or part.startswith("test_")] == []


@pytest.mark.parametrize("folder", ALLOWED)
def test_what_is_no_test_needs_none(folder: str) -> None:
    """Helpers know the app and each other, and benchmarks the helpers and each other."""
    strangers = {
        f"{path.name}: {name}"
        for path in (ROOT / "tests" / folder).glob("*.py")
        for name in imported(path)
        if not any(name == known or name.startswith(f"{known}.") for known in ALLOWED[folder])
    }

    assert strangers == set()


def home_of(path: Path) -> str:
    """What a unit test tests by its place: `app.<room>`, a module beside the rooms, or the helpers."""
    folders = path.relative_to(ROOT / "tests" / "unit").parts[:-1]
    match folders:
        case ():
            return f"app.{path.stem.removeprefix('test_')}"
        case ("support",):
            return "tests.support"
        case _:
            return ".".join(("app", *folders))


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.relative_to(ROOT / "tests" / "unit").as_posix())
def test_a_unit_test_lies_in_the_room_that_it_tests(path: Path) -> None:
    """`tests/unit/<room>` has the tests of `app/<room>`, `tests/unit` those of the modules beside the rooms."""
    home = home_of(path)
    place = ROOT / home.replace(".", "/")

    assert place.is_dir() or place.with_suffix(".py").exists(), home
    assert [name for name in imported(path) if name == home or name.startswith(f"{home}.")], home


def variables(source: str) -> Iterator[tuple[str, str | None]]:
    """The variables of the environment that a module reads by name, each with its default where that is a text."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=function, args=[ast.Constant(value=str(name)), *rest]):
                if ast.unparse(function) in {"os.environ.get", "os.getenv"}:
                    default = rest[0].value if rest and isinstance(rest[0], ast.Constant) else None
                    yield name, default if isinstance(default, str) else None
            case ast.Subscript(value=mapping, slice=ast.Constant(value=str(name)), ctx=ast.Load()):
                if ast.unparse(mapping) == "os.environ":
                    yield name, None


def test_variables_of_the_tests_are_documented() -> None:
    """CONTRIBUTING.md lists all that tests read, and no others; a default that is a text is the one in the table."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", page, re.MULTILINE))
    read = {name: default for path in FILES for name, default in variables(path.read_text(encoding="utf-8"))}

    assert documented.keys() == read.keys() - NOT_OF_TESTERS
    assert {
        name: f"`{each}`" for name, each in read.items() if each and name in documented
    }.items() <= documented.items()


def test_variables_are_found_however_they_are_read() -> None:
    """By `get`, with and without a default, and by subscript; one that is set is none."""
    source = 'os.environ.get("A"); os.environ.get("B", "7"); os.environ["C"]; os.getenv("D", x)\nos.environ["E"] = "1"'

    assert dict(variables(source)) == {"A": None, "B": "7", "C": None, "D": None}
