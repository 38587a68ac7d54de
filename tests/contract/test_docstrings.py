"""What a reader can rely on: public names have docstrings, with errors and units."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.servers import ROOT

FILES = sorted(path for top in ("app", "worker") for path in (ROOT / top).rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef

HELP = re.compile(r"\.(command|group)\(|^(get|post|put|patch|delete|head|route)\(")
"""Decorators of what shows its docstring to others: a command as its help, a route as its description."""

LENGTHS = re.compile(
    r"(^|_)(delay|duration|length|timeout|pause|grace|budget|lifetime|interval|notice|horizon|ttl|age)"
)
UNITS = re.compile(r"\b(milli|micro)?seconds?\b|\b(minute|hour|day|week|byte|character|ms)s?\b", re.IGNORECASE)
NAMED_UNITS = re.compile(r"(^|_)(milli|micro)?(seconds|minutes|hours|days|bytes|characters|ms|millis)$")


class Public(NamedTuple):
    """A public definition, and where it stands."""

    name: str
    node: ast.Module | ast.ClassDef | Function

    @property
    def docstring(self) -> str:
        """What it says of itself; empty if nothing."""
        return ast.get_docstring(self.node) or ""

    @property
    def decorators(self) -> list[str]:
        """Its decorators, as text."""
        return [] if isinstance(self.node, ast.Module) else [ast.unparse(each) for each in self.node.decorator_list]


def public(path: Path) -> Iterator[Public]:
    """A module and all that is public in it. `Settings` inside a document is Beanie's word for its options."""
    where = path.relative_to(ROOT).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"), where)
    yield Public(where, tree)
    yield from below(tree, f"{where}:")


def below(node: ast.AST, prefix: str) -> Iterator[Public]:
    """The public classes, methods and functions of a module or class."""
    for each in ast.iter_child_nodes(node):
        if isinstance(each, ast.ClassDef | Function) and not each.name.startswith("_"):
            if isinstance(node, ast.ClassDef) and each.name == "Settings":
                continue
            yield Public(prefix + each.name, each)
            if isinstance(each, ast.ClassDef):
                yield from below(each, f"{prefix}{each.name}.")


EVERYTHING = [each for path in FILES for each in public(path)]


def raises(node: ast.AST) -> bool:
    """Whether the body raises an error by itself; `raise` alone, which lets one through, does not count."""
    for each in ast.iter_child_nodes(node):
        if isinstance(each, Function | ast.ClassDef | ast.Lambda):
            continue
        if (isinstance(each, ast.Raise) and each.exc is not None) or raises(each):
            return True
    return False


def lengths(node: Function) -> Iterator[str]:
    """The arguments that are numbers of something without saying of what: not `pause_seconds`, not a `timedelta`."""
    for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
        annotation = ast.unparse(argument.annotation) if argument.annotation else ""
        is_number = {"int", "float"} & set(re.findall(r"\w+", annotation))
        if is_number and LENGTHS.search(argument.arg) and not NAMED_UNITS.search(argument.arg):
            yield argument.arg


def silent_of_errors(names: list[Public]) -> list[str]:
    """The functions that raise and have no section `Raises:`; whose docstring is shown to others may leave it out."""
    return [
        each.name
        for each in names
        if isinstance(each.node, Function)
        and raises(each.node)
        and not re.search(r"^Raises:$", each.docstring, re.MULTILINE)
        and not any(HELP.search(decorator) for decorator in each.decorators)
    ]


def silent_of_units(names: list[Public]) -> list[str]:
    """The functions with an argument whose unit stands neither in its name, nor in its type, nor in the docstring."""
    return [
        f"{each.name}({argument})"
        for each in names
        if isinstance(each.node, Function) and not UNITS.search(each.docstring)
        for argument in lengths(each.node)
    ]


def test_everything_public_has_a_docstring() -> None:
    """A module, a class, a method or a function that others may use says what it is for."""
    assert [each.name for each in EVERYTHING if not each.docstring] == []


def test_errors_are_documented() -> None:
    """The docstring of a function that raises names what it raises."""
    assert silent_of_errors(EVERYTHING) == []


def test_units_are_documented() -> None:
    """A number that is a length of time or of anything else says in what it is counted."""
    assert silent_of_units(EVERYTHING) == []


@pytest.mark.parametrize(
    ("source", "errors", "units"),
    [
        ('def f(delay: float) -> None:\n    """Wait."""\n', False, True),
        ('def f(delay: float) -> None:\n    """Wait so many seconds."""\n', False, False),
        ('def f(delay_seconds: float) -> None:\n    """Wait."""\n', False, False),
        ('def f(delay: timedelta) -> None:\n    """Wait."""\n', False, False),
        ('def f() -> None:\n    """Fail."""\n    raise ValueError\n', True, False),
        (
            'def f() -> None:\n    """Fail.\n\n    Raises:\n        E: always.\n    """\n    raise E\n',
            False,
            False,
        ),
        (
            'def f() -> None:\n    """Let through."""\n    try:\n        g()\n    except ValueError:\n        raise\n',
            False,
            False,
        ),
        ('@main.command()\ndef f() -> None:\n    """Show help."""\n    raise ValueError\n', False, False),
        ("def _f(delay: int) -> None:\n    raise ValueError\n", False, False),
    ],
)
def test_the_judges_see(source: str, errors: bool, units: bool) -> None:  # noqa: FBT001 -- the columns of a table
    """What is silent is noticed, and what says it is not."""
    names = list(below(ast.parse(source), ""))

    assert bool(silent_of_errors(names)) is errors
    assert bool(silent_of_units(names)) is units
