"""Who may import whom among the tests: what is shared lies in `tests.support`, and nothing is taken out of a test."""

import ast
from pathlib import Path

import pytest

from tests.support.servers import ROOT

FILES = sorted((ROOT / "tests").rglob("*.py"))
ALLOWED = {
    "support": ("app", "worker", "tests.support"),
    "bench": ("app", "worker", "tests.support", "tests.bench"),
}
"""What of ours the folders that are no tests may import."""


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
