"""After a run: no booking is accepted over a row that it has seen, and a lowered capacity judges later rows."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId

from app.domain.ids import ResourceId
from app.domain.instants import Millis, to_millis
from app.importing.catalogue_ids import CatalogueIds
from app.migration.migrate import migrate
from app.reconciliation import engine, reconciler, scan
from app.reconciliation.guard_updates import replace_foreign_occupancies
from app.storage.client import Store
from app.storage.foreign_occupancies import ForeignOccupancy, compare, steps
from app.storage.leases import LeaseStore
from app.storage.sweep_rows import is_known_resource
from tests.support.api_client import ApiClient, created, ok, problem
from tests.support.foreign_checks import reconcile_run
from tests.support.ids import ROOM_ID
from tests.support.migration_rows import ids_by_kind
from tests.support.step_driver import stored_guard
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("any")

ROOM = ResourceId("6b045bb7d61c1aa0be9c5d04")


@pytest.fixture
async def api(app_client: httpx.AsyncClient, store: Store) -> ApiClient:
    """A client with every scope, and a room."""
    api = ApiClient(app_client, store)
    await api.resource()
    return api


async def put(store: Store, resource: Any = "room", **fields: Any) -> Any:
    """A reservation of five hours that was inserted past the API."""
    row = {"resource": resource, "status": "confirmed", "startTime": NINE, "endTime": NINE + 5 * HOUR}
    return (await store.database["reservations"].insert_one({"_id": ObjectId()} | row | fields)).inserted_id


@pytest.mark.servers("transactions")
async def test_a_run_outlasts_a_stream_of_bookings(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where others have the guard whenever it is tried, fifty times, the run goes on trying and does not fail."""
    store = api.store
    await put(store, resource={"value": "room"})
    far = {"reachBack": 10**9, "reachAhead": 10**9}  # raised by a plain write, which would wait for ours
    await store.database["guards"].update_one({"_id": "room"}, {"$set": far})
    async with await store.client.start_session() as session:
        session.start_transaction()
        await store.database["guards"].update_one({"_id": "room"}, {"$inc": {"seq": 1}}, session=session)
        tried = 0

        async def under(*args: Any) -> None:
            nonlocal tried
            tried += 1
            if tried == 50:
                await session.abort_transaction()
            await leases_under(*args)

        leases_under = LeaseStore.under
        monkeypatch.setattr(LeaseStore, "under", under)
        await reconcile_run(store)

    assert tried > 50
    problem(await api.book(NINE), "conflict")


@pytest.mark.servers("transactions")
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.promise("foreign-rows")
async def test_no_booking_is_accepted_over_what_a_run_has_read(api: ApiClient, *, twice: bool) -> None:
    """Rows that came after their resource, doubled or alone: the run lets the guard reach over them, and only up."""
    for _ in range(1 + twice):
        await put(api.store)
    await put(api.store, startTime=NINE + 30 * HOUR, endTime=NINE + 31 * HOUR, blockStart=NINE + 28 * HOUR)
    before = await stored_guard(api.store)
    run = await reconcile_run(api.store)
    after = await stored_guard(api.store)
    await reconcile_run(api.store)

    assert run.findings == twice
    assert before["reachBack"] == 0
    assert after["reachBack"] >= 5 * HOUR / timedelta(milliseconds=1)
    assert after["seq"] > before["seq"]
    assert await stored_guard(api.store) == after
    problem(await api.book(NINE + 4 * HOUR), "conflict")


@pytest.mark.servers("transactions")
async def test_long_rows_are_read_as_well(api: ApiClient) -> None:
    """A row that is marked `long` does not stretch the reach; the guard only learns that there is one."""
    await put(api.store, endTime=NINE + 24 * 30 * HOUR, long=True)
    await reconcile_run(api.store)
    guard = await stored_guard(api.store)

    assert (guard["reachBack"], guard["long"]) == (0, True)
    problem(await api.book(NINE + 24 * 20 * HOUR), "conflict")


AGES = {"startTime": NINE - HOUR, "endTime": NINE.replace(year=9999)}
SPELLED = {"status": "Confirmed"}


@pytest.mark.servers("transactions")
@pytest.mark.parametrize("fields", [{}, {"long": True}, SPELLED, {"blockStart": NINE.replace(year=1900)} | AGES])
async def test_a_very_long_row_makes_no_booking_read_the_history(api: ApiClient, fields: dict[str, Any]) -> None:
    """A very long row is listed and conflicts, and the guard's reach is the same before, with and after it."""
    row = await put(api.store, **AGES | fields)
    await reconcile_run(api.store)
    guard = await stored_guard(api.store)
    (listed,) = await api.store.database["occupancies"].find().to_list(None)

    assert (guard["reachBack"], guard["reachAhead"], guard["foreign"], guard["long"]) == (0, 0, True, True)
    assert (listed["reservation"], listed["long"]) == (row, True)
    problem(await api.book(NINE + 24 * 4000 * HOUR), "conflict")

    await api.store.database["reservations"].delete_one({"_id": row})
    await reconcile_run(api.store)
    guard = await stored_guard(api.store)

    assert (guard["reachBack"], guard["reachAhead"], "foreign" in guard) == (0, 0, False)
    created(await api.book())


@pytest.mark.servers("transactions")
async def test_a_resource_that_comes_after_a_row_for_ages_is_not_booked_over(api: ApiClient) -> None:
    """No run has seen the row: who makes the guard lists it."""
    await put(api.store, "late", **AGES)
    await api.resource("late")
    guard = await stored_guard(api.store, "late")

    assert (guard["reachBack"], guard["foreign"]) == (0, True)
    problem(await api.book(NINE + 24 * 400 * HOUR, resource="late"), "conflict")


@pytest.mark.servers("transactions")
async def test_a_guard_that_is_made_while_a_run_lists_is_marked(api: ApiClient) -> None:
    """It came after the run compared and before it had listed: it is marked when all of it is there."""
    store = api.store
    start = to_millis(NINE)
    difference = await compare(
        store,
        [ResourceId("late")],
        [ForeignOccupancy(ResourceId("late"), start, Millis(start + 5 * 3_600_000), ObjectId())],
    )
    await api.resource("late")
    for step in steps(difference):
        await step(store)

    assert (await stored_guard(store, "late"))["foreign"] is True


@pytest.mark.servers("transactions")
async def test_a_run_lets_guards_reach_what_it_has_listed(api: ApiClient) -> None:
    """Whatever was raised before: a guard that was made meanwhile knew nothing of it."""
    store = api.store
    start = to_millis(NINE)
    lease = await LeaseStore(store).acquire("worker")
    assert lease is not None
    await replace_foreign_occupancies(
        store,
        lease,
        ObjectId(),
        [ROOM_ID],
        [ForeignOccupancy(ROOM_ID, start, Millis(start + 5 * 3_600_000), ObjectId())],
    )
    guard = await stored_guard(store)

    assert guard["foreign"] is True
    assert guard["reachBack"] >= 5 * HOUR / timedelta(milliseconds=1)


@pytest.mark.servers("transactions")
async def test_a_run_reads_few_large_resources_at_once(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many changed, the rows in memory are bounded; one resource alone is read whole."""
    monkeypatch.setattr(reconciler, "SUSPECT_ROWS_MAX", 20)
    store, sizes, scan_resources = api.store, list[tuple[int, int]](), scan.scan_resources

    async def counted(store: Store, resources: Any, *more: Any, **options: Any) -> scan.ResourceScan:
        seen = await scan_resources(store, resources, *more, **options)
        sizes.append((len(resources), len(seen.rows)))
        return seen

    monkeypatch.setattr(scan, "scan_resources", counted)
    await reconcile_run(store)
    for number in range(40):
        for _ in range(30 if number == 3 else 1 if number > 9 else 8):
            await put(store, f"r{number:02}", updatedAt=store.clock.now())
    run = await engine.reconcile_reservations(store, "incremental")

    assert (run.state, run.scanned, run.findings) == ("succeeded", 9 * 8 + 30 + 30, 10)
    assert max(rows for resources, rows in sizes if resources > 1) <= 20
    assert max(resources for resources, _ in sizes) >= 8


async def test_what_no_lookup_finds_is_listed(api: ApiClient) -> None:
    """Items, other spellings and times that are no dates; not what is over, and not what a lookup finds."""
    store = api.store
    await api.resource(ROOM)
    found = [
        await put(store, status="Confirmed"),
        await put(store, startTime="2030-01-07T09:00:00Z"),
        await put(store, {"relationTo": "resources", "value": "room"}),
        await put(store, "other", items=[{"resource": "room"}]),
    ]
    await put(store)
    await put(store, ObjectId(ROOM))
    old = {"startTime": NINE.replace(year=2020), "endTime": NINE.replace(year=2020) + HOUR}
    await put(store, status="Confirmed", **old)
    await reconcile_run(store)
    listed = await store.database["occupancies"].find().to_list(None)
    guard = await stored_guard(store)
    await reconcile_run(store)

    assert {(row["resource"], row["reservation"], row["startTime"], row["endTime"]) for row in listed} == {
        ("room", each, NINE, NINE + 5 * HOUR) for each in found
    }
    assert guard["foreign"] is True
    assert "foreign" not in await stored_guard(store, ROOM)
    assert await store.database["occupancies"].find().to_list(None) == listed
    assert await stored_guard(store) == guard

    await store.database["reservations"].delete_many({"_id": {"$in": found}})
    await reconcile_run(store)
    assert await store.database["occupancies"].count_documents({}) == 0
    assert "foreign" not in await stored_guard(store)


async def test_what_others_keep_among_occupancies_is_left_alone(api: ApiClient) -> None:
    """A row there that Reserva cannot have written ends no run and no booking, hides nothing, and is not removed."""
    store = api.store
    times = {"startTime": NINE, "endTime": NINE + HOUR}
    theirs = [{"_id": 1, "resource": "room", **times}, {"_id": 2, "resource": "room", "startTime": "nine"}]
    await store.database["occupancies"].insert_many([dict(row) for row in theirs])
    odd = await put(store, status="Confirmed")
    await reconcile_run(store)
    rows = await store.database["occupancies"].find({"_id": {"$nin": [1, 2]}}).to_list(None)

    assert [row["reservation"] for row in rows] == [odd]
    problem(await api.book(), "conflict")
    await store.database["reservations"].delete_many({})
    created(await api.book())
    await reconcile_run(store)
    assert await store.database["occupancies"].find().to_list(None) == theirs


async def test_a_run_knows_the_resources_of_objects(api: ApiClient) -> None:
    """A resource that rows name by objects alone can be asked for once a run has listed them."""
    await put(api.store, {"relationTo": "resources", "value": "late"})
    await reconcile_run(api.store)

    assert await is_known_resource(api.store, ResourceId("late"))
    assert not await is_known_resource(api.store, ResourceId("later"))


async def test_migrate_lists_what_a_run_would(api: ApiClient) -> None:
    """Before any run, `migrate` lists the occupancies that a run would list."""
    await put(api.store, status="Confirmed")
    await put(api.store, "other", items=[{"resource": "room", "startTime": NINE + HOUR}])

    async def listed() -> list[Any]:
        rows = await api.store.database["occupancies"].find().to_list(None)
        return sorted((row["resource"], row["startTime"], row["endTime"], row["reservation"]) for row in rows)

    await migrate(api.store)
    filled, guard = await listed(), await stored_guard(api.store)
    await reconcile_run(api.store)

    assert len(filled) == 2
    assert filled == await listed()
    assert guard["foreign"] is True


async def test_migrate_knows_no_better_than_a_run(api: ApiClient) -> None:
    """Where a run has raised a guard, `--check` finds nothing to raise."""
    await put(api.store)
    await reconcile_run(api.store)

    report = await migrate(api.store, check=True)

    assert "reach-low" not in ids_by_kind(report)


@pytest.mark.servers("transactions")
@pytest.mark.parametrize("imported", [False, True])
async def test_a_resource_is_not_booked_over_what_was_reported_before_it_was_made(
    api: ApiClient, *, imported: bool
) -> None:
    """A resource made for an id that a run has listed rows of, by the API or an import, reaches those rows."""
    for _ in "12":
        await put(api.store, "other", items=[{"resource": "late"}])
    await put(api.store, ObjectId(ROOM))
    await put(api.store, {"relationTo": "resources", "value": "late"})
    await reconcile_run(api.store)
    if imported:
        await CatalogueIds(api.store, create=True).resolve([ResourceId("late"), ROOM], [])
    else:
        await api.resource("late")
        await api.resource(ROOM)

    for resource in ("late", ROOM):
        problem(await api.book(NINE + 4 * HOUR, resource=resource), "conflict")


async def test_a_lowered_capacity_makes_no_finding_of_the_past(api: ApiClient) -> None:
    """What took place in a larger room was in order; what is to come is judged by the room as it is now."""
    store = api.store
    await api.resource("hall", capacity=3)
    past = store.clock.now() - timedelta(days=3)
    for _ in range(3):
        await put(store, "hall", startTime=past, endTime=past + HOUR)
    for _ in range(2):
        await put(store, "hall")
    ok(await api.edit("/v1/resources/hall?force=true", capacity=1))
    lowered = await reconcile_run(store)
    (finding,) = await store.database["findings"].find().to_list(None)
    shown = ok(await api.get("/v1/resources/hall"))

    assert (lowered.findings, finding["from"], finding["peak"], finding["capacity"]) == (1, NINE, 2, 1)
    assert (shown["capacity"], "formerCapacities" in shown) == (1, False)
    (former,) = (await store.database["resources"].find_one({"_id": "hall"}) or {})["formerCapacities"]
    assert former["capacity"] == 3

    ok(await api.edit("/v1/resources/hall", name="Hall"))
    ok(await api.edit("/v1/resources/hall", capacity=3))
    assert (await reconcile_run(store)).findings == 0
    assert "formerCapacities" not in (await store.database["resources"].find_one({"_id": "hall"}) or {})
