"""Which servers a test runs on: on a replica set every test that needs a server can run."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.support.servers import KINDS, NOT_OF_A_URL, ROOT, TRAITS, fitting, new_database, with_options

URL = "mongodb://db1,db2,db3/?replicaSet=rs0"


@cache
def markers() -> list[tuple[str, tuple[str, ...], bool]]:
    """Every `servers(…)` of the tests: where it stands, its traits, and whether one server will do."""
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.servers":
                traits = tuple(ast.literal_eval(each) for each in node.args)
                found.append((f"{path.relative_to(ROOT)}:{node.lineno}", traits, bool(node.keywords)))
    return found


def test_every_trait_is_one_of_a_server() -> None:
    """The table of traits lists what the servers have, all of it and nothing else."""
    assert frozenset.union(*(kind.traits for kind in KINDS.values())) == set(TRAITS)
    assert KINDS["url"].traits == set(TRAITS) - NOT_OF_A_URL
    assert not set(KINDS) & set(TRAITS)


@pytest.mark.parametrize("traits", [("any",), ("fast",), ("fast", "transactions"), ("mongod", "transactions"), ()])
def test_the_readers_server_is_one_more(traits: tuple[str, ...]) -> None:
    """With MONGODB_URL set a test runs there as well, also where one of ours will do; without it, only on ours."""
    assert fitting(traits, URL) == [*fitting(traits, None), "url"]
    assert fitting(traits, URL, once=True) == [*fitting(traits, None)[:1], "url"]


def test_the_readers_server_gets_every_test_that_is_not_about_ours() -> None:
    """Each marker fits a replica set, unless its traits say that it is about a server that only the tests start."""
    assert markers()
    assert [
        (place, traits)
        for place, traits, once in markers()
        if ("url" in fitting(traits, URL, once=once)) is not set(traits).isdisjoint(NOT_OF_A_URL)
    ] == []


def test_no_marker_fits_nothing() -> None:
    """There is no test that would run nowhere without a replica set, but for plans of transactions on MongoDB."""
    nowhere = {traits for _, traits, _ in markers() if not fitting(traits, None)}

    assert nowhere <= {("mongod", "transactions")}


def test_an_unknown_trait_is_refused() -> None:
    """A trait that no server has, or the name of a server, is an error and no test that never runs."""
    with pytest.raises(ValueError, match="no server has rust"):
        fitting(("rust",), URL)


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("mongodb://db1,db2/?replicaSet=rs0", "mongodb://db1,db2/scratch_ID?replicaSet=rs0"),
        ("mongodb://me:pw@db1/", "mongodb://me:pw@db1/scratch_ID?authSource=admin"),
        ("mongodb://me:pw@db1/mine?w=1", "mongodb://me:pw@db1/scratch_ID?w=1&authSource=mine"),
        ("mongodb://me:pw@db1/?authSource=x", "mongodb://me:pw@db1/scratch_ID?authSource=x"),
    ],
)
def test_databases_are_new_ones(server: str, expected: str) -> None:
    """Tests use databases of their own, log in as the address says, and keep its options."""
    head, tail = expected.split("ID")
    made = new_database(server, "scratch")

    assert made.startswith(head)
    assert made.endswith(tail)
    assert with_options(made, "w=2").endswith(f"{tail}&w=2" if tail else "?w=2")


@pytest.mark.parametrize("path", [*(ROOT / "tests").rglob("*.py"), ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_nothing_outside_is_named(path: Path) -> None:
    """What lies outside the repository is named by an environment variable, whose default the Makefile sets."""
    text = path.read_text(encoding="utf-8")
    outside = [words for words in ("ROOT." + "parent", "parents[" + "3]", ".." + "/shared") if words in text]

    assert outside == []
