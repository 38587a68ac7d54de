"""Promises and their tests, both ways: each promise has a test that is marked with it, each mark has its promise.

A promise is an anchor `<a id="promise-…"></a>` in the README or in docs/concepts.md; a test that proves it, or a class
of such tests, carries `@pytest.mark.promise("…")`. The README's table names the files of its tests.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.servers import ROOT

PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/concepts.md")}
ANCHOR = re.compile(r'<a id="promise-([a-z-]+)"></a>')
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))


def marks_of(source: str) -> Iterator[str]:
    """The promises with which the tests of a module are marked."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.promise":
            (argument,) = node.args
            assert isinstance(argument, ast.Constant), "a promise is named by a text"
            yield str(argument.value)


def files_by_promise() -> dict[str, set[Path]]:
    """The test files that bear the mark of each promise."""
    files: dict[str, set[Path]] = {}
    for path in TESTS:
        for promise in marks_of(path.read_text(encoding="utf-8")):
            files.setdefault(promise, set()).add(path)
    return files


def named_files(text: str) -> set[Path]:
    """The test files that a text names, with their folder or, where only one has the name, without."""
    found: set[Path] = set()
    for name in re.findall(r"(?:tests/[\w/]+/)?test_\w+\.py\b", text):
        (path,) = [path for path in TESTS if path.relative_to(ROOT).as_posix() == name or path.name == name]
        found.add(path)
    return found


def test_each_promise_has_a_test_and_each_mark_a_promise() -> None:
    """By their ids, each of which stands once."""
    promised = [promise for page in PAGES.values() for promise in ANCHOR.findall(page)]

    assert sorted(promised) == sorted(set(promised))
    assert set(promised) == files_by_promise().keys()


def test_the_table_names_the_files_that_bear_the_marks() -> None:
    """No more and no fewer, and each row of the table is a promise."""
    _, _, section = PAGES["README.md"].partition("\n## Promises and their limits\n")
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table
    marked = files_by_promise()

    for row in table[0].splitlines()[2:]:
        (promise,) = ANCHOR.findall(row)
        assert named_files(row) == marked[promise], promise


def test_a_mark_is_found_wherever_it_stands() -> None:
    """On a function, on a class, and on all tests of a module."""
    function = '@pytest.mark.promise("a")\ndef test_it(): ...\n'
    in_a_class = '@pytest.mark.promise("b")\nclass TestIt:\n    @pytest.mark.promise("c")\n    def test_it(self): ...\n'
    of_all = 'pytestmark = [pytest.mark.servers("any"), pytest.mark.promise("d")]\n'

    assert sorted(marks_of(function + in_a_class + of_all)) == ["a", "b", "c", "d"]
