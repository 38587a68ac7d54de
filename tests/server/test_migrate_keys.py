"""Keys of any type that a unique index cannot take: found before anything is built, and settled by `--apply` alone."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Code, DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.dbref import DBRef
from pymongo.errors import DuplicateKeyError

from app.migration import duplicate_keys
from app.migration.duplicate_keys import comparable, find_duplicate_keys
from app.migration.migrate import migrate, verify
from app.storage.client import Store, connect
from tests.support.migration_rows import FIRST, ids_by_kind, room_row
from tests.support.servers import ROOT

pytestmark = pytest.mark.servers("wire")

DATE = datetime(2026, 1, 1, tzinfo=UTC)
SOME_ID = ObjectId("65f000000000000000000001")
BEYOND = (DatetimeMS(2**52), DatetimeMS(2**52))
REFERENCES = (DBRef("keys", 1), DBRef("keys", 1))
UNKNOWN_TO_TRIAL = (BEYOND, REFERENCES)
"""The trial's server cannot store the first nor index the second."""

EQUAL: dict[str, tuple[Any, ...]] = {
    "an int and a double": (1, 1.0),
    "a text thrice": ("a", "a", "a"),
    "an empty text": ("", ""),
    "a long and a decimal": (Int64(7), Decimal128("7.00")),
    "zeros": (0.0, -0.0, 0),
    "not a number": (float("nan"), float("nan"), Decimal128("NaN")),
    "infinities": (float("inf"), Decimal128("Infinity")),
    "truth values": (True, True),
    "dates": (DATE, DATE),
    "dates outside of Python's calendar": BEYOND,
    "timestamps": (Timestamp(1, 1), Timestamp(1, 1)),
    "ids": (SOME_ID, SOME_ID),
    "bytes": (b"a", b"a"),
    "patterns": (Regex("^a", "i"), Regex("^a", "i")),
    "code": (Code("a"), Code("a")),
    "ends of the order": (MinKey(), MinKey()),
    "the other end": (MaxKey(), MaxKey()),
    "documents": ({"a": 1, "b": [2]}, {"a": 1.0, "b": [2]}),
    "empty documents": ({}, {}),
    "references": REFERENCES,
    "lists": (["a", "b"], ["a", "b"]),
    "lists that share one": (["a", "b"], ["b", "c"]),
    "a list and its element": (["a", "b"], "b"),
    "empty lists": ([], []),
    "lists with a null": ([None], [None, "a"]),
    "a very long text": ("x" * 900, "x" * 900),
    "text that would disturb a terminal": ("\x1b[31m", "\x1b[31m"),
}
"""Values that are one key for the database, the first of which is the oldest."""

APART: dict[str, tuple[Any, ...]] = {
    "a number and its text": (1, "1"),
    "a number and a truth value": (1, True),
    "a pattern and what it matches": (Regex("^a"), "abc"),
    "code and its text": (Code("a"), "a"),
    "an id and its digits": (SOME_ID, str(SOME_ID)),
    "neighbours above the doubles": (2**53 + 1, float(2**53)),
    "texts that differ in case": ("a", "A"),
    "accents in two forms": ("\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}"),
    "a list twice the same within itself": (["a", "a"], "b"),
    "a date and a timestamp": (DATE, Timestamp(int(DATE.timestamp()), 0)),
}
"""Values that are keys of their own."""


def made(position: int) -> dict[str, Any]:
    """The fields of a row that was made as the nth."""
    return {"createdAt": FIRST + timedelta(minutes=position)}


async def stored(store: Store, values: tuple[Any, ...], field: str = "idempotencyKey") -> dict[Any, Any]:
    """Insert a row a value, the youngest first, and one without any; what they are, by id."""
    rows = [room_row(_id=place, **{field: value}, **made(place)) for place, value in enumerate(values)]
    await store.database["reservations"].insert_many([*reversed(rows), room_row(_id="none")])
    return await having(store)


async def having(store: Store) -> dict[Any, Any]:
    """All rows by id, decoded whatever is in them."""
    return {each["_id"]: each async for each in store.lenient("reservations").find({})}


async def indexed(store: Store) -> bool:
    """Whether the database takes the index, and so agrees that no two keys are one."""
    try:
        await store.database["reservations"].create_index("idempotencyKey", unique=True, sparse=True)
    except DuplicateKeyError:
        return False
    return True


@pytest.mark.parametrize("values", EQUAL.values(), ids=EQUAL)
@pytest.mark.promise("migration")
async def test_equal_ones_are_found_and_settled(bare_store: Store, server_name: str, values: tuple[Any, ...]) -> None:
    """They are found where the index refuses them; then the oldest keeps its key, the others lose it."""
    if values in UNKNOWN_TO_TRIAL and server_name == "trial":
        pytest.skip("the trial's server takes no such value")
    before = await stored(bare_store, values)

    (found,) = await find_duplicate_keys(bare_store, "reservations", "idempotencyKey")
    refused = not await indexed(bare_store)
    await duplicate_keys.unset_duplicates(bare_store, [found])

    after = await having(bare_store)
    assert refused
    assert found.ids == tuple(map(str, range(len(values))))
    assert len(found.detail) < 300
    assert [identity for identity, row in after.items() if "idempotencyKey" in row] == [0]
    unkeyed = {"idempotencyKey": 0}
    assert all(row | unkeyed == before[identity] | unkeyed for identity, row in after.items())
    assert await indexed(bare_store)


@pytest.mark.parametrize(
    ("field", "values"), [("idempotencyKey", EQUAL["a list and its element"]), ("importKey", EQUAL["a text thrice"])]
)
@pytest.mark.promise("migration")
async def test_only_apply_settles(bare_store: Store, field: str, values: tuple[Any, ...]) -> None:
    """Without it they are listed with their ids, the oldest first, and nothing is changed or built."""
    before = await stored(bare_store, values, field)

    found = await migrate(bare_store)
    nothing = await having(bare_store)
    applied = await migrate(bare_store, apply=True)

    assert ids_by_kind(found)["duplicate-key"] == [tuple(map(str, range(len(values))))]
    assert field in found.obstacles[0].detail
    assert found.built == []
    assert repr(nothing) == repr(before)
    assert applied.clean, applied.findings
    assert [identity for identity, row in (await having(bare_store)).items() if field in row] == [0]
    await verify(bare_store)


@pytest.mark.parametrize("values", APART.values(), ids=APART)
@pytest.mark.promise("migration")
async def test_different_ones_are_left_alone(bare_store: Store, values: tuple[Any, ...]) -> None:
    """They are not found, and the index takes them."""
    await stored(bare_store, values)

    assert await find_duplicate_keys(bare_store, "reservations", "idempotencyKey") == []
    assert await indexed(bare_store)


async def test_nulls_never_stay(bare_store: Store) -> None:
    """An explicit null is found even where it is the only one, since the next one would be refused."""
    await stored(bare_store, (None,))

    found = await migrate(bare_store)
    applied = await migrate(bare_store, apply=True)

    assert ids_by_kind(found)["null-key"] == [("0",)]
    assert applied.changed == ["unset the null idempotencyKey on 0"]
    assert "idempotencyKey" not in (await having(bare_store))[0]


async def test_a_list_that_loses_frees_what_it_had(bare_store: Store) -> None:
    """The oldest keeps its key; a list that meets it loses all of its own, so that a younger one keeps the other."""
    await stored(bare_store, ("a", ["a", "b"], "b"))

    report = await migrate(bare_store, apply=True)

    rows = await having(bare_store)
    assert report.clean
    assert [rows[each].get("idempotencyKey") for each in range(3)] == ["a", None, "b"]


@pytest.mark.promise("migration")
async def test_external_ids_of_several_customers_are_settled(bare_store: Store) -> None:
    """As keys of reservations are: named with the customers, and taken off all but the oldest by `--apply` alone."""
    customers = bare_store.database["customers"]
    rows = [{"_id": f"c{place}", "name": "Ann", "externalId": "crm-1", **made(place)} for place in range(3)]
    await customers.insert_many([*reversed(rows), {"_id": "none", "name": "Bob"}])

    found = await migrate(bare_store)
    applied = await migrate(bare_store, apply=True)

    assert ids_by_kind(found)["duplicate-key"] == [("c0", "c1", "c2")]
    assert 'externalId "crm-1" is on 3 customers' in found.obstacles[0].detail
    assert found.built == []
    assert applied.changed == ['unset externalId "crm-1" on c1, c2; the oldest, c0, keeps it']
    assert [row["_id"] async for row in customers.find({"externalId": "crm-1"})] == ["c0"]
    assert await customers.count_documents({}) == 4
    await verify(bare_store)


@pytest.mark.parametrize("identity", [0, "", False, None])
async def test_an_id_can_be_anything(bare_store: Store, identity: Any) -> None:
    """The oldest keeps its key whatever its id is, also one that Python takes for nothing."""
    await bare_store.database["reservations"].insert_many(
        [room_row(_id=identity, idempotencyKey="a", **made(1)), room_row(_id="b", idempotencyKey="a", **made(2))]
    )

    report = await migrate(bare_store, apply=True)

    rows = await having(bare_store)
    assert report.clean
    assert rows[identity]["idempotencyKey"] == "a"
    assert "idempotencyKey" not in rows["b"]


async def test_many_keys_are_read_part_by_part(bare_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more keys than are remembered at a time the same ones are found, by reading them several times."""
    keys = [f"key {number % 40}" for number in range(60)]
    await stored(bare_store, tuple(keys))
    at_once = await find_duplicate_keys(bare_store, "reservations", "idempotencyKey")
    monkeypatch.setattr(duplicate_keys, "AT_ONCE", 7)

    assert await find_duplicate_keys(bare_store, "reservations", "idempotencyKey") == at_once
    assert len(at_once) == 20


async def test_what_changes_meanwhile_is_left_alone(bare_store: Store) -> None:
    """A key that is another one by the time it would be taken off stays."""
    await stored(bare_store, (Regex("^a"), Regex("^a")))
    found = await find_duplicate_keys(bare_store, "reservations", "idempotencyKey")
    await bare_store.database["reservations"].update_one({"_id": 1}, {"$set": {"idempotencyKey": "abc"}})

    await duplicate_keys.unset_duplicates(bare_store, found)

    assert (await having(bare_store))[1]["idempotencyKey"] == "abc"


@pytest.mark.servers("wire", once=True)
async def test_the_command_never_fails(database_url: str) -> None:
    """With all of them at once: exit code 1 while they are found, 0 once they are settled, and no control character."""
    store = await connect(database_url)
    try:
        everything = [*EQUAL.values(), *APART.values(), (None, None)]
        await stored(store, tuple(each for values in everything if values not in UNKNOWN_TO_TRIAL for each in values))
        before = await contents_leniently(store)

        found = command(database_url)
        unchanged = await contents_leniently(store)
        applied = command(database_url, "--apply")

        assert (found.returncode, applied.returncode) == (1, 0), (found.stderr, applied.stderr)
        assert before == unchanged
        for ran in (found, applied):
            assert "Traceback" not in ran.stderr
            assert all(letter.isprintable() or letter == "\n" for letter in ran.stdout)
    finally:
        await store.close()


async def contents_leniently(store: Store) -> str:
    """All rows and the names of all collections."""
    return repr((await having(store), sorted(await store.database.list_collection_names())))


def command(url: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run `reserva migrate` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from app.cli.main import main; main()", "migrate", *options],
        cwd=ROOT,
        env={"MONGODB_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("values", [*EQUAL.values(), *APART.values()], ids=[*EQUAL, *APART])
def test_equality_is_no_accident_of_python(values: tuple[Any, ...]) -> None:
    """Every value has a form that can be hashed, and is equal to itself in it."""
    for value in values:
        assert comparable(value) == comparable(value)
        assert isinstance(hash(comparable(value)), int)
