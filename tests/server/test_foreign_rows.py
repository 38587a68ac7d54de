"""Rows that others wrote, in Reserva's own database: a run counts them as the audit does."""

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId
from pymongo.errors import PyMongoError
from structlog.testing import capture_logs

from app.audit import audit
from app.domain.instants import render
from app.domain.sweep import Window
from app.storage import raw_batches
from app.storage.client import Store
from app.storage.readonly import open_read_only
from app.storage.sweep_rows import OCCUPYING, ORDER, SWEPT_FIELDS
from tests.support.commands import run_reserva
from tests.support.data_files import payload_sample, payload_truth
from tests.support.foreign_checks import audit_of, reconcile_run
from tests.support.foreign_rows import hour_row, insert_rows
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("wire")

ROOM = ObjectId("6b045bb7d61c1aa0be9c5d04")


Found = tuple[str, str, str, int, int, tuple[str, ...]]


async def findings(store: Store) -> list[Found]:
    """The open findings: resource, start, end, peak, capacity, reservations."""
    rows = store.lenient("findings").find({"state": "open"})
    return sorted(
        [
            (
                row["resource"],
                render(row["from"]),
                render(row["to"]),
                row["peak"],
                row["capacity"],
                tuple(map(str, row["reservations"])),
            )
            async for row in rows
        ]
    )


def shown(windows: Iterable[Window]) -> list[Found]:
    """The windows of an audit, in the same form."""
    return sorted(
        (each.resource, render(each.start), render(each.end), each.peak, each.capacity, each.reservations)
        for each in windows
    )


async def test_the_sample_of_payload(store: Store, server: str) -> None:
    """What payload-reserve wrote, put into our database, gives the windows that the audit finds: the truth's."""
    for name, collection in payload_sample().items():
        if name in {"reservations", "resources"}:
            await store.database[name].insert_many(collection["documents"])
    truth = payload_truth()
    run = await reconcile_run(store)
    report = await audit_of(store, server)

    assert await findings(store) == shown(report.windows)
    assert (run.findings, run.conflicts) == (truth["totalWindows"], report.conflicts)
    assert run.findings == 5
    assert run.left_out == {"endTime is missing": 1}
    stored = [row["reservations"] async for row in store.database["findings"].find()]
    assert {type(each) for ids in stored for each in ids} == {ObjectId}


async def test_a_second_run_finds_the_same(store: Store) -> None:
    """One id as text at the start of others, windows of long ago and of far away: the next run changes nothing."""
    far = [datetime(year, 5, 1, tzinfo=UTC) for year in (1, 1853, 1969, 2201, 9999)]
    await insert_rows(
        store,
        hour_row("room", _id="text"),
        hour_row("room", _id=7),
        hour_row("room", _id={"a": 1}),
        hour_row("room"),
        *(hour_row("old", at, at + HOUR) for at in far for _ in range(2)),
    )
    first, before = await reconcile_run(store), await findings(store)
    second, after = await reconcile_run(store), await findings(store)

    assert (first.findings, first.new, second.findings, second.new) == (6, 6, 6, 0)
    assert before == after
    assert [each[1][:4] for each in after if each[0] == "old"] == ["0001", "1853", "1969", "2201", "9999"]


UNREADABLE: list[tuple[str, dict[str, Any]]] = [
    ("units is not a whole number from 1", {"units": -1}),
    ("units is not a whole number from 1", {"units": 1.5}),
    ("units is not a whole number from 1", {"units": Decimal128("NaN")}),
    ("startTime is not an instant", {"startTime": "soon"}),
    ("endTime is missing", {"endTime": None}),
    ("endTime is not after startTime", {"endTime": NINE - HOUR}),
    ("resource is missing", {"resource": None}),
    ("resource is not an id", {"resource": ["room"]}),
    ("status is missing", {"status": None}),
    ("status is not text", {"status": 3}),
    ("status is not a known one", {"status": "maybe"}),
    ("lies in the trash", {"deletedAt": NINE}),
]


async def test_what_cannot_be_read_is_counted(store: Store) -> None:
    """Unreadable rows are counted by reason, with up to three examples in the log, and hide no other overlap."""
    await insert_rows(
        store, hour_row("room"), hour_row("room"), *(hour_row("room") | fields for _, fields in UNREADABLE * 4)
    )
    with capture_logs() as logged:
        run = await reconcile_run(store)
    expected: dict[str, int] = {}
    for reason, _ in UNREADABLE:
        expected[reason] = expected.get(reason, 0) + 4
    (line,) = [each for each in logged if each["event"] == "what cannot be read was left out"]

    assert run.left_out == expected
    assert (run.scanned, run.findings) == (2 + 4 * len(UNREADABLE), 1)
    assert line["examples"].keys() == line["counts"].keys() == expected.keys() - {"lies in the trash"}
    assert {len(examples) for examples in line["examples"].values()} == {3}
    assert '("soon")' in line["examples"]["startTime is not an instant"][0]


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "Confirmed"},
        {"status": " PENDING "},
        {"units": 1.0},
        {"units": None},
        {"units": Int64(1)},
        {"units": Decimal128("1")},
        {"startTime": "2030-01-07T09:30:00Z"},
        {"startTime": NINE.timestamp()},
        {"startTime": NINE.timestamp() * 1000},
        {"resource": ROOM},
        {"resource": {"relationTo": "resources", "value": ROOM}},
        {"resource": {"relationTo": "resources", "value": str(ROOM)}},
        {"resource": "other", "items": [{"resource": ROOM}]},
        {"resource": "other", "items": [{"resource": {"id": str(ROOM)}}]},
        {"resource": None, "items": [{"resource": str(ROOM)}]},
        {"deletedAt": None, "isDeleted": False, "_status": "published", "items": []},
    ],
    ids=repr,
)
@pytest.mark.promise("foreign-rows")
async def test_every_form_of_a_row(store: Store, fields: dict[str, Any]) -> None:
    """A row in any stored form overlaps with its neighbour, in runs of every kind."""
    await insert_rows(store, hour_row(str(ROOM)), hour_row(str(ROOM)) | fields | {"updatedAt": store.clock.now()})
    whole = await reconcile_run(store)
    one = await reconcile_run(store, "resource", str(ROOM))
    changed = await reconcile_run(store, "incremental")

    assert [each.findings for each in (whole, one, changed)] == [1, 1, 1]
    assert [each.new for each in (whole, one, changed)] == [1, 0, 0]
    assert whole.left_out == {}


@pytest.mark.parametrize("other", [{"resource": ROOM}, {"resource": "z", "items": [{"resource": str(ROOM)}]}], ids=repr)
async def test_rows_that_lie_apart(store: Store, monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]) -> None:
    """Two past rows of one resource overlap although the cursor reads them far apart."""
    monkeypatch.setattr(raw_batches, "BATCH", 2)
    past = {"startTime": NINE.replace(year=2020), "endTime": NINE.replace(year=2020) + HOUR}
    await insert_rows(store, hour_row(str(ROOM)) | past, hour_row("z") | past | other)
    await insert_rows(store, *(hour_row(f"between-{number}") | past for number in range(9)))

    assert (await reconcile_run(store)).findings == 1


async def test_capacities_of_others(store: Store, server: str) -> None:
    """Payload's `quantity`, doubles, guests: the capacity is the one that the audit reads."""
    await store.database["resources"].insert_many(
        [
            {"_id": "two", "capacity": 2.0},
            {"_id": ROOM, "quantity": 3, "capacityMode": "per-guest"},
            {"_id": "none", "capacity": 0},
            {"_id": "odd", "capacity": "many"},
        ]
    )
    await insert_rows(store, *(hour_row(each) for each in ("two", "two", "odd", "none")))
    await insert_rows(store, hour_row(ROOM, guestCount=3), hour_row(str(ROOM), guestCount=2.0))
    await reconcile_run(store)

    assert await findings(store) == shown((await audit_of(store, server)).windows)
    assert {each[0] for each in await findings(store)} == {"none", str(ROOM)}


@pytest.mark.servers("wire", "or")
async def test_rows_in_odd_forms_are_found_from_indexes(store: Store) -> None:
    """A full pass sorts nothing, and the rows of one resource, also of items, come from an index."""
    await insert_rows(store, *(hour_row(f"r{number % 7}") for number in range(100)))
    for where, sort in [
        (OCCUPYING, dict(ORDER)),
        ({"resource": {"$in": [ROOM, str(ROOM)]}, **OCCUPYING}, None),
        ({"items.resource": {"$in": [ROOM, str(ROOM)]}}, None),
        ({"resource": {"$gte": {}}}, None),
        ({"items.resource": {"$gte": {}}}, None),
    ]:
        asked = {
            "find": "reservations",
            "filter": where,
            "projection": dict.fromkeys(SWEPT_FIELDS, 1),
            **({"sort": sort} if sort else {}),
        }
        plan = await store.database.command({"explain": asked, "verbosity": "queryPlanner"})
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
        assert "'SORT'" not in str(plan["queryPlanner"]["winningPlan"])


VALUES: list[Any] = [None, True, 0, -1, 2**40, 1.5, float("nan"), Decimal128("NaN"), "", "x", b"", b"x", ObjectId()]
VALUES += [{}, {"id": {}}, {"value": None}, {"$ref": "rooms", "$id": ObjectId()}]
VALUES += [[], [1], [{}], [{"resource": {}}], [{"resource": ROOM, "startTime": "?"}]]


async def test_nothing_in_a_row_ends_a_run(store: Store) -> None:
    """No BSON type in any field ends a run."""
    await insert_rows(store, hour_row("other"), hour_row("other"))
    for name in [*SWEPT_FIELDS, "_id"]:
        for value in VALUES:
            with suppress(PyMongoError):
                await store.database["reservations"].insert_one(hour_row("room") | {name: value})
    first, second = await reconcile_run(store), await reconcile_run(store)

    assert first.findings == second.findings >= 2
    assert second.new == 0


class TestTerminal:
    """`reserva reconcile`."""

    async def test_it_prints_unaccepted_findings(self, store: Store, database_url: str) -> None:
        """The output lists every open finding, also of earlier runs; without options a run is full."""
        await store.database["customers"].insert_one({"_id": "ann", "name": "Ann\nB."})
        await store.database["resources"].insert_one({"_id": "room", "name": "Room 1", "capacity": 1})
        await insert_rows(store, hour_row("room", customer="ann"), hour_row("room", customer=7))
        (loner,) = await insert_rows(store, hour_row("hall", items=[{"resource": "hall", "units": 2}]))
        first, second = (run_reserva("reconcile", MONGODB_URL=database_url) for _ in "12")
        (room,) = await store.database["findings"].find({"resource": "room"}).to_list(None)
        kinds = [each["kind"] async for each in store.database["reconciliations"].find()]

        assert first.returncode == second.returncode == 1, second.stderr
        assert kinds == ["full", "full"]
        assert f"{room['_id']}  room (Room 1)  {render(NINE)} to {render(NINE + HOUR)}  2 of 1  open  " in second.stdout
        assert "Ann\ufffdB., 7\n" in second.stdout
        assert f"2 of 1  open  {loner}\n" in second.stdout
        assert second.stdout.endswith("3 reservations of 2 resources: 2 findings, 1 conflicts\n")

    async def test_it_prints_the_first_of_many_findings(self, store: Store, database_url: str) -> None:
        """The output lists fifty findings, and the number of the others."""
        await insert_rows(store, *(hour_row(f"r{number:02}") for number in range(60) for _ in "12"))
        ended = run_reserva("reconcile", MONGODB_URL=database_url)

        assert len(ended.stdout.splitlines()) == 52
        assert "… and 10 findings more" in ended.stdout

    async def test_items_that_cannot_be_read_are_no_rows(self, store: Store, database_url: str) -> None:
        """Rows of which something could be read count as read, however many of their items could not be."""
        bad = [{"resource": "room", "units": "x"}, {"resource": "room", "units": "y"}]
        other = {"resource": "hall", "startTime": NINE, "endTime": NINE + HOUR}
        await insert_rows(store, *(hour_row("room", items=[other, *bad]) for _ in "12"))
        ended = run_reserva("reconcile", "--json", MONGODB_URL=database_url)

        assert (ended.returncode, json.loads(ended.stdout)["leftOut"]) == (
            1,
            {"item: units is not a whole number from 1": 4},
        )

    @pytest.mark.parametrize(("good", "code"), [(0, 2), (1, 2), (2, 0)])
    async def test_mostly_unreadable_rows_are_an_error(
        self, store: Store, database_url: str, good: int, code: int
    ) -> None:
        """With 99 of 100 rows unreadable the exit code is 2 with a reason; rows in the trash do not count."""
        await insert_rows(
            store, *(hour_row(f"r{number}") for number in range(good)), *(hour_row("room", units=-1) for _ in range(99))
        )
        await insert_rows(store, *(hour_row("room", deletedAt=NINE) for _ in range(10)))
        ended = run_reserva("reconcile", "--json", MONGODB_URL=database_url)
        output = json.loads(ended.stdout)

        assert ended.returncode == code, ended.stderr
        assert output["leftOut"] == {"units is not a whole number from 1": 99, "lies in the trash": 10}
        assert ("cannot be read (mostly: units" in ended.stderr) == (code == 2)


@pytest.mark.parametrize("ours_first", [True, False])
async def test_a_resource_in_two_forms_has_the_capacity_of_bookings(
    store: Store, database_url: str, *, ours_first: bool
) -> None:
    """The resource with the text id goes before the one with the same ObjectId, for runs and for the audit."""
    both: list[dict[str, Any]] = [{"_id": str(ROOM), "capacity": 1}, {"_id": ROOM, "quantity": 5, "name": "theirs"}]
    for row in both if ours_first else reversed(both):
        await store.database["resources"].insert_one(row)
    await insert_rows(store, hour_row(ROOM), hour_row(str(ROOM)))
    await reconcile_run(store)
    reading = await open_read_only(database_url, store.database.name)
    report = await audit(reading)
    await reading.close()

    assert [found[4] for found in await findings(store)] == [1]
    assert shown(report.windows) == await findings(store)
