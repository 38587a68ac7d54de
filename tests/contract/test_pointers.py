"""Who writes JSON pointers: what is below HTTP names fields."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parents[2] / "app"
ROOMS = ["domain", "storage", "cluster", "booking", "migration", "refusals.py", "access", "catalogue"]
ROOMS += ["reservations", "availability", "reconciliation", "importing", "audit"]
FILES = sorted(
    path
    for room in ROOMS
    for path in ([APP / room] if room.endswith(".py") else (APP / room).rglob("*.py"))
    if not path.stem.endswith("routes")
)

_POINTER = re.compile(r"[/?](?!v1/)[A-Za-z]\w*(/.*)?")
_BEGINNING = re.compile(r"[/?](?!v1/)(\w+/)*\w*")


def pointers_in(tree: ast.AST) -> Iterator[str]:
    """Literals that read like `/endTime` or `?to`, also those that are put together."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            if isinstance(first := node.values[0], ast.Constant) and _BEGINNING.fullmatch(str(first.value)):
                yield ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _POINTER.fullmatch(node.value):
            yield node.value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(APP).as_posix())
def test_pointers_are_written_by_http_alone(path: Path) -> None:
    """The rooms name fields by their paths; `app.http.pointers` makes pointers of them. Routes have paths of URLs."""
    assert [*pointers_in(ast.parse(path.read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize(
    "code", ["invalid('/endTime', '')", "f'/{name}'", "f'/local{which}'", "f'/moves/{n}'", "'?to'"]
)
def test_a_pointer_is_known_when_it_is_seen(code: str) -> None:
    """The test above finds the literals that it is about."""
    assert any(pointers_in(ast.parse(code)))
