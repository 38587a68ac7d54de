"""Guards and their reach, many at a time: what `reserva migrate` makes and raises over all that is stored."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from bson import DatetimeMS, Decimal128, ObjectId
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.monitoring import CommandListener
from typing_extensions import override

from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import DAY, HOUR, MINUTE
from app.migration.coverage import complete_coverage, survey_coverage
from app.migration.migrate import migrate
from app.migration.report import MigrationReport, ignore_progress
from app.storage.bulk_inserts import insert_new
from app.storage.client import Store
from app.storage.guards import make_guard
from app.storage.pools import members_of
from tests.support.migration_rows import SOON, database_documents, ids_by_kind, insert_catalogue, long_row
from tests.support.step_driver import stored_guard

pytestmark = pytest.mark.servers("any")

AGES = {"endTime": SOON.replace(year=9999)}
HEX = "6b045bb9d61c1aa0be9c5d21"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"units": 2.0},
        {"blockStart": SOON - timedelta(hours=1), "blockEnd": SOON + timedelta(hours=6)},
        {"units": Decimal128("1")},
        {"endTime": (SOON + timedelta(hours=6)).isoformat()},
        {"endTime": int((SOON + timedelta(hours=6)).timestamp())},
        {"createdAt": DatetimeMS(2**52)},
    ],
)
async def test_rows_that_came_after_the_guard_are_reached(
    store: Store, server_name: str, fields: dict[str, Any]
) -> None:
    """`--check` reports a guard that does not cover the loaded rows, and migrate raises it, whatever their form."""
    if "createdAt" in fields and server_name == "trial":
        pytest.skip("the trial's server takes no such date")
    if server_name == "mock" and isinstance(fields.get("units"), Decimal128):
        pytest.skip("mongomock cannot store it")
    await store.database["resources"].insert_one({"_id": "room-1"})
    await make_guard(store, ResourceId("room-1"))
    await store.database["reservations"].insert_one(long_row(6) | fields)

    checked = await migrate(store, check=True)
    report = await migrate(store)

    assert ids_by_kind(checked)["reach-low"] == [("room-1",)]
    assert report.built[0] == "a greater reach of 1 guard: room-1"
    guard = await stored_guard(store, "room-1")
    assert 6 * HOUR <= guard["reachBack"] <= DAY
    assert guard["reachAhead"] >= (HOUR if "blockStart" in fields else 0)
    assert (await migrate(store, check=True)).clean


async def test_one_row_for_ages_stretches_no_guard(store: Store) -> None:
    """It is listed instead, for a guard that is there and for one that is missing."""
    await store.database["resources"].insert_many([{"_id": "room-1"}, {"_id": "room-2"}])
    await make_guard(store, ResourceId("room-1"))
    for resource in ("room-1", "room-2"):
        await store.database["reservations"].insert_one(long_row(1) | {"resource": resource} | AGES)
    await migrate(store)

    for resource in ("room-1", "room-2"):
        guard = await stored_guard(store, resource)
        assert (guard["reachBack"], guard["reachAhead"], guard["long"], guard["foreign"]) == (0, 0, True, True)
    assert await store.database["occupancies"].count_documents({"long": True}) == 2
    assert (await migrate(store, check=True)).clean


async def test_a_resource_that_comes_while_migrate_lists_is_reached(store: Store) -> None:
    """Occupancies listed for it count for its guard, though it was created after the catalogue was read."""
    await store.database["reservations"].insert_one(long_row(6) | {"resource": "x", "items": [{"resource": "room-1"}]})
    coverage = await survey_coverage(store, ignore_progress)
    await store.database["resources"].insert_one({"_id": "room-1"})
    await make_guard(store, ResourceId("room-1"))
    await complete_coverage(store, coverage, MigrationReport(), ignore_progress)
    guard = await stored_guard(store, "room-1")

    assert guard["foreign"] is True
    assert guard["reachBack"] >= 6 * HOUR


async def test_a_reach_is_never_lowered(store: Store) -> None:
    """A guard that knows more than what is stored stays as it is."""
    await store.database["resources"].insert_one({"_id": "room-1"})
    await store.database["guards"].insert_one(
        {"_id": "room-1", "seq": 7, "rules": "1", "reachBack": DAY, "reachAhead": 0}
    )
    before = await stored_guard(store, "room-1")
    await store.database["reservations"].insert_one(long_row(6))

    assert (await migrate(store)).built == []
    assert await stored_guard(store, "room-1") == before
    await store.database["reservations"].insert_one(long_row(6, blockStart=SOON - timedelta(minutes=20), blockEnd=SOON))
    await migrate(store)

    guard = await stored_guard(store, "room-1")
    assert (guard["reachBack"], guard["rules"]) == (DAY, "1")
    assert guard["reachAhead"] >= 20 * MINUTE


async def test_what_was_loaded_after_the_catalogue_is_not_booked_over(
    store: Store, app_client: httpx.AsyncClient
) -> None:
    """A booking in the middle of a loaded row of six hours is refused, once the database was migrated."""
    assert (await app_client.post("/v1/resources", json={"id": "room-1", "name": "Room"})).status_code == 201
    await store.database["reservations"].insert_one(long_row(6))
    await migrate(store)

    times = {"startTime": "2090-05-01T13:00:00Z", "endTime": "2090-05-01T14:00:00Z"}
    answer = await app_client.post("/v1/reservations", json={"resource": "room-1", **times})

    assert answer.status_code == 409


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "Confirmed"},
        {"startTime": SOON.isoformat()},
        {"resource": "elsewhere", "items": [{"resource": "room-1"}]},
        {"resource": {"relationTo": "resources", "value": "room-1"}},
    ],
)
async def test_what_the_lookup_does_not_find_is_listed(store: Store, fields: dict[str, Any]) -> None:
    """A row that names its resource in another form is listed as an occupancy, and the guard is marked."""
    await store.database["resources"].insert_one({"_id": "room-1"})
    await make_guard(store, ResourceId("room-1"))
    booked = long_row(6) | fields
    await store.database["reservations"].insert_one(booked)

    checked = await migrate(store, check=True)
    report = await migrate(store)

    assert ids_by_kind(checked)["occupancy-missing"] == [("room-1",)]
    assert report.clean
    listed = await store.database["occupancies"].find({"resource": "room-1"}).to_list(None)
    assert [(each["reservation"], each["startTime"]) for each in listed] == [(booked["_id"], SOON)]
    assert (await stored_guard(store, "room-1"))["foreign"] is True
    assert (await migrate(store)).built == []


async def test_a_guard_that_is_made_knows_all_of_it(store: Store) -> None:
    """A new guard covers the reach, long rows and rows in another form; ids in both forms count."""
    await store.database["resources"].insert_many([{"_id": HEX}, {"_id": "room-1"}])
    await store.database["reservations"].insert_many(
        [
            long_row(6, resource=ObjectId(HEX)),
            long_row(600, resource=HEX, long=True),
            long_row(1, resource=HEX, status="CONFIRMED"),
        ]
    )

    report = await migrate(store)

    guard = await stored_guard(store, HEX)
    assert (guard["long"], guard["foreign"]) == (True, True)
    assert 6 * HOUR <= guard["reachBack"] <= DAY
    assert await stored_guard(store, "room-1") | {"rules": ""} == {
        "_id": "room-1",
        "seq": 0,
        "rules": "",
        "reachBack": 0,
        "reachAhead": 0,
    }
    assert report.clean


class Counter(CommandListener):
    """Counts the commands that are sent, by name."""

    def __init__(self) -> None:
        self.names: list[str] = []

    @override
    def started(self, event: Any) -> None:
        """One more."""
        self.names.append(event.command_name)

    @override
    def succeeded(self, event: Any) -> None:
        """Nothing."""

    @override
    def failed(self, event: Any) -> None:
        """Nothing."""


@pytest.mark.servers("wire")
@pytest.mark.promise("migration")
async def test_guards_are_made_many_at_a_time(database_url: str) -> None:
    """Twenty times as many resources need hardly more commands, and the report has one line for all of them."""
    sent = []
    for size in (50, 1_000):
        listener = Counter()
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
            database_url, tz_aware=True, event_listeners=[listener]
        )
        store = await Store.over(client, f"{client.get_default_database().name}_{size}")
        try:
            await migrate(store)
            await insert_catalogue(store, size)
            listener.names.clear()
            checked = await migrate(store, check=True)
            report = await migrate(store)
            sent.append(len(listener.names))
            missing = ids_by_kind(checked)["guard-missing"]
            assert await store.database["guards"].count_documents({"reachBack": {"$exists": True}}) == size
            assert (await migrate(store, check=True)).clean
        finally:
            await store.client.drop_database(store.database.name)
            await store.close()
        assert [len(ids) for ids in missing] == [size + 10]
        assert all(len(finding.detail) < 300 for finding in checked.findings)
        assert report.built[0] == f"{size + 10:,} guards: room-00000, room-00001, room-00002, …"
    assert sent[1] <= sent[0] + 10


async def test_a_guard_made_meanwhile_is_left_as_it_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that another process makes between the survey and the insert stays as it is."""
    await store.database["resources"].insert_many([{"_id": "room-1"}, {"_id": "room-2"}])
    theirs = {"_id": "room-1", "seq": 9, "rules": "theirs", "reachBack": DAY, "reachAhead": HOUR}

    async def late(store: Store, collection: str, documents: list[dict[str, Any]]) -> int:
        await store.database["guards"].insert_one(theirs)
        monkeypatch.undo()
        return await insert_new(store, collection, documents)

    monkeypatch.setattr("app.migration.coverage.insert_new", late)

    report = await migrate(store)

    assert report.built == ["1 guard of 2; another process made the others"]
    assert await stored_guard(store, "room-1") == theirs
    assert (await stored_guard(store, "room-2"))["reachBack"] == 0


@pytest.mark.servers("transactions")
async def test_resources_made_while_it_runs_are_whole(store: Store, app_client: httpx.AsyncClient) -> None:
    """A catalogue that grows during a migration ends with one guard a resource and complete pools."""
    await app_client.post(
        "/v1/services", json={"id": "cut", "name": "Cut", "durationType": "fixed", "durationMinutes": 30}
    )
    await store.database["resources"].insert_many([{"_id": f"old-{place}", "services": ["cut"]} for place in range(30)])

    async def grow() -> None:
        for place in range(10):
            made = {"id": f"new-{place}", "name": "Room", "services": ["cut"]}
            assert (await app_client.post("/v1/resources", json=made)).status_code == 201

    _, *reports = await asyncio.gather(grow(), migrate(store), migrate(store))

    assert all(report.clean for report in reports)
    assert (await migrate(store, check=True)).clean
    assert await store.database["guards"].count_documents({"seq": {"$exists": True}}) == 40
    pool = await stored_guard(store, "pool:cut")
    assert len(pool["members"]) == 40


@pytest.mark.parametrize("after", ["collection", "index", "guards"])
@pytest.mark.servers("wire")
@pytest.mark.promise("migration")
async def test_what_was_interrupted_is_completed_by_the_next(bare_store: Store, after: str) -> None:
    """Ended at any of its steps, a migration leaves what the next one completes; nothing else is different then."""
    await insert_catalogue(bare_store, 30)
    seen: list[str] = []

    def watch(what: str, _done: int, _total: int | None) -> None:
        seen.append(what)
        if what.startswith({"collection": "building", "index": "making", "guards": "completing"}[after]):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await migrate(bare_store, on_progress=watch)
    report = await migrate(bare_store)

    assert report.clean
    assert (await migrate(bare_store)).built == []
    assert await bare_store.database["guards"].count_documents({"seq": 0}) == 30
    assert seen


@pytest.mark.servers("wire")
async def test_check_changes_nothing_whatever_it_finds(store: Store) -> None:
    """With guards missing, reaches too small and odd rows, `--check` leaves every document as it is."""
    await insert_catalogue(store, 5)
    await store.database["resources"].insert_many(
        [{"_id": ObjectId(HEX)}, {"_id": 5}, {"_id": "a b"}, {"_id": HEX + "x:"}]
    )
    await store.database["guards"].insert_one(
        {"_id": "room-00002", "seq": 1, "rules": "1", "reachBack": 0, "reachAhead": 0}
    )
    await store.database["reservations"].insert_many([long_row(1, status=5), {"_id": 1}, long_row(1, resource=None)])
    before = await contents_of(store)

    report = await migrate(store, check=True)

    assert ids_by_kind(report).keys() == {"guard-missing", "reach-low", "pool-incomplete"}
    assert [(note.kind, len(note.ids)) for note in report.notes] == [("resource-foreign", 4)]
    assert before == await contents_of(store)


async def contents_of(store: Store) -> str:
    """All documents; ids of several types do not sort in Python, but they do in the database."""
    return repr(await database_documents(store))


@pytest.mark.servers("any")
async def test_a_pool_counts_only_when_it_is_complete(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that ends between making pools and filling them leaves no pool without a member that offers it."""
    await insert_catalogue(store, 20)
    offering = await members_of(store, ServiceId("cut-3"))

    async def ended(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.migration.coverage.complete_pools", ended)
    with pytest.raises(KeyboardInterrupt):
        await migrate(store)

    assert await members_of(store, ServiceId("cut-3")) == offering == ["room-00003", "room-00013"]
    monkeypatch.undo()
    assert (await migrate(store)).clean
    assert await members_of(store, ServiceId("cut-3")) == offering
