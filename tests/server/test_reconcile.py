"""Reconciliation on real servers: what it finds, what it leaves alone, and which process carries it out."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from bson import ObjectId
from structlog.testing import capture_logs

from app.domain.ids import ResourceId
from app.domain.instants import parse, render
from app.domain.sweep import sweep
from app.reconciliation import engine, recheck, reconciler, scan, schedule
from app.reconciliation.recheck import ConfirmedWindows
from app.storage import raw_batches, sweep_rows
from app.storage.client import Store
from app.storage.documents import Run, RunKind
from app.storage.findings import FindingStore
from app.storage.leases import DEAD_SECONDS, OwnershipLost
from app.storage.runs import RunStore
from app.storage.sweep_rows import OCCUPYING, ORDER, SWEPT_FIELDS, OpaqueReferences
from tests.support.data_files import flights
from tests.support.foreign_rows import hour_row, insert_rows
from tests.support.ids import ROOM_ID
from tests.support.step_driver import add_resource, book_accepted
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("wire")


async def reconciled(store: Store, kind: RunKind = "full", resource: str | None = None) -> tuple[Run, list[Any]]:
    """Run one; with the warnings that it gave."""
    with capture_logs() as logged:
        run = await engine.reconcile_reservations(store, kind, None if resource is None else ResourceId(resource))
    assert run.state == "succeeded", run.error
    return run, [each for each in logged if each["event"].startswith("Conflict detected")]


@pytest.mark.servers("wire", "or")
async def test_a_month_of_flights(store: Store) -> None:
    """26,223 flights loaded past all checks: six aircraft have two flights at the same time."""
    await insert_rows(
        store, *(hour_row(row["resource"], parse(row["startTime"]), parse(row["endTime"])) for row in flights())
    )
    run, warnings = await reconciled(store)

    assert (run.scanned, run.resources, run.findings, run.conflicts) == (26_223, 3_139, 6, 6)
    assert {len(each["reservations"]) for each in warnings} == {2}
    assert await FindingStore(store).unresolved_resources() == {"N439UA", "N703TW", "N704X", "N713TW", "N727TW"}


def histories(seed: int) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Resources with their capacities, and what was put on them: buffers, holds, units, nonsense, all statuses."""
    chance = random.Random(seed)
    capacities = {f"r{number:02}": chance.choice([1, 1, 2, 5]) for number in range(30)}
    documents = []
    for resource in capacities:
        for _ in range(chance.randrange(14)):
            start = NINE + chance.randrange(40) * timedelta(minutes=15)
            end = start + chance.randrange(-1, 9) * timedelta(minutes=15)
            fields: dict[str, Any] = {"units": chance.randrange(1, 4), "_id": ObjectId()}
            fields["status"] = chance.choice(["pending", "pending", "confirmed", "confirmed", "cancelled", "no-show"])
            if chance.random() < 0.3:
                fields |= {"blockStart": start - timedelta(minutes=30), "blockEnd": max(start, end) + HOUR}
            if fields["status"] == "pending" and chance.random() < 0.5:
                fields["expiresAt"] = datetime(chance.choice([2020, 2199]), 1, 1, tzinfo=UTC)
            documents.append(hour_row(resource, start, end, **fields))
    documents.append({"_id": ObjectId(), "resource": "r00", "status": "confirmed", "startTime": NINE})
    documents.append({"_id": ObjectId(), "resource": 7, "status": "confirmed", "startTime": NINE, "endTime": NINE})
    chance.shuffle(documents)
    return capacities, documents


def expected(capacities: dict[str, int], documents: Sequence[dict[str, Any]]) -> set[tuple[Any, ...]]:
    """The windows by a check of every quarter of an hour: resource, start, end, peak, reservations."""
    blocking = []
    for each in documents:
        start: Any = each.get("blockStart", each.get("startTime"))
        end: Any = each.get("blockEnd", each.get("endTime"))
        live = "expiresAt" not in each or each["expiresAt"].year > 2030
        if each["status"] in ("pending", "confirmed") and live and end is not None and start < end:
            blocking.append((each["resource"], start, end, each.get("units", 1), str(each["_id"])))
    found = set()
    for resource, capacity in capacities.items():
        own = [each for each in blocking if each[0] == resource]
        instants = [NINE + number * timedelta(minutes=15) for number in range(-4, 80)]
        loads = [sum(each[3] for each in own if each[1] <= at < each[2]) for at in instants]
        edges = [at for at in range(1, len(loads)) if (loads[at] > capacity) != (loads[at - 1] > capacity)]
        for first, last in pairwise(edges):
            if loads[first] > capacity:
                start, end = instants[first], instants[last]
                who = frozenset(each[4] for each in own if each[1] < end and start < each[2])
                found.add((resource, render(start), render(end), max(loads[first:last]), who))
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_found_is_all_there_is(store: Store, seed: int) -> None:
    """Capacities, units, buffers, both statuses, holds that are over and rows without sense, against brute force."""
    capacities, documents = histories(seed)
    for resource, capacity in capacities.items():
        await add_resource(store, resource, capacity=capacity)
    await insert_rows(store, *documents)
    before = await store.database["reservations"].find().sort("_id").to_list(None)
    run, warnings = await reconciled(store)

    found = {
        (each["resource"], each["start"], each["end"], each["peak"], frozenset(each["reservations"]))
        for each in warnings
    }
    assert found == expected(capacities, documents)
    assert run.findings == len(warnings) == len(found)
    assert await store.database["reservations"].find().sort("_id").to_list(None) == before


async def test_small_batches_do_not_cut_a_resource(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resource that begins, goes on or ends in any batch of the cursor is swept whole."""
    monkeypatch.setattr(raw_batches, "BATCH", 3)
    documents = []
    for place in range(8):
        starts = [NINE + (hour - (hour == place + 1)) * HOUR for hour in range(9)]
        documents += [hour_row(f"r{place}", start, start + HOUR) for start in starts]
    await insert_rows(store, *documents)
    run, warnings = await reconciled(store)

    assert [each["resource"] for each in warnings] == [f"r{place}" for place in range(8)]
    assert (run.scanned, run.resources, run.findings) == (72, 8, 8)


async def test_a_booking_that_moves_under_the_cursor_is_no_finding(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An overlap that the cursor met is read again before it is reported; one that is gone is no finding."""
    await add_resource(store)
    _, second = await insert_rows(store, hour_row("room", NINE, NINE + HOUR), hour_row("room", NINE, NINE + HOUR))
    confirm = recheck.confirm_windows
    rescanned: list[str] = []

    async def after_a_move(store: Store, resources: Sequence[ResourceId], opaque: OpaqueReferences) -> ConfirmedWindows:
        rescanned.extend(resources)
        times = {"startTime": NINE + HOUR, "endTime": NINE + 2 * HOUR}
        await store.database["reservations"].update_one({"_id": second}, {"$set": times})
        return await confirm(store, resources, opaque)

    monkeypatch.setattr(reconciler, "confirm_windows", after_a_move)
    run, warnings = await reconciled(store)

    assert rescanned == ["room"]
    assert (run.findings, warnings) == (0, [])


async def test_the_log_counts_the_rest_of_many(store: Store) -> None:
    """A run that opens more than a hundred findings says in one line how many have none of their own."""
    await insert_rows(store, *(hour_row(f"room-{number // 2}", NINE, NINE + HOUR) for number in range(206)))
    with capture_logs() as logged:
        run = await engine.reconcile_reservations(store, "full")

    warnings = [each for each in logged if each["log_level"] == "warning"]
    assert (run.new, len(warnings), warnings[-1]["more"]) == (103, 101, 3)


@pytest.mark.servers("transactions")
async def test_the_second_scan_is_at_one_instant(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room that is made larger, and filled, between the two reads of the second scan was never above its capacity."""
    await add_resource(store)
    await insert_rows(store, hour_row("room", NINE, NINE + HOUR))
    batches = sweep_rows.reservation_batches

    async def after_it_grew(store: Store, *arguments: Any, **options: Any) -> Any:
        if await store.database["reservations"].count_documents({}) == 1:
            await store.database["resources"].update_one({"_id": "room"}, {"$set": {"capacity": 2}})
            await insert_rows(store, hour_row("room", NINE, NINE + HOUR))
        async for batch in batches(store, *arguments, **options):
            yield batch

    monkeypatch.setattr(scan, "reservation_batches", after_it_grew)

    assert (await recheck.confirm_windows(store, [ROOM_ID], {})).windows == []
    assert await store.database["reservations"].count_documents({}) == 2


async def test_bookings_that_move_all_the_time_are_no_findings(store: Store) -> None:
    """Two reservations change places over and over, each change atomic: no run finds them on top of each other."""
    await add_resource(store)
    ids = await insert_rows(store, hour_row("room", NINE, NINE + HOUR), hour_row("room", NINE + HOUR, NINE + 2 * HOUR))
    moves, stop = 0, asyncio.Event()

    async def turn() -> None:
        nonlocal moves
        while not stop.is_set():
            # Two hours earlier is always free, whichever reservation is there; one document a step, so atomic anywhere.
            back = NINE - (moves + 1) * HOUR
            change = {"$set": {"startTime": back, "endTime": back + HOUR}}
            await store.database["reservations"].update_one({"_id": ids[1 - moves % 2]}, change)
            moves += 1

    mover = asyncio.create_task(turn())
    found = [(await reconciled(store, kind))[0].findings for kind in ("full", "incremental") * 8]
    stop.set()
    await mover

    assert moves > 0
    assert found == [0] * 16


async def test_an_incremental_run_reads_what_has_changed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a full run it reads the changed resources whole, and resources with findings again."""
    monkeypatch.setattr(reconciler, "LATE_COMMITS", timedelta(0))
    for resource in ("quiet", "wrong", "busy"):
        await add_resource(store, resource)
    old = datetime(2026, 1, 1, tzinfo=UTC)
    await store.database["resources"].update_many({}, {"$set": {"updatedAt": old}})
    await insert_rows(
        store,
        *(hour_row("quiet", NINE + hours * HOUR, NINE + (hours + 1) * HOUR, updatedAt=old) for hours in range(5)),
        *(hour_row("wrong", NINE, NINE + HOUR, updatedAt=old) for _ in range(2)),
        hour_row("busy", NINE, NINE + HOUR, updatedAt=old),
    )
    first, _ = await reconciled(store, "incremental")
    now = store.clock.now()
    await insert_rows(
        store, hour_row("busy", NINE, NINE + HOUR, updatedAt=now), hour_row("busy", NINE, NINE + HOUR, updatedAt=now)
    )
    second, warnings = await reconciled(store, "incremental")
    only, _ = await reconciled(store, "resource", "wrong")

    assert (first.scanned, first.findings) == (8, 1)
    assert (second.scanned, second.resources, second.findings, second.conflicts) == (5, 2, 2, 4)
    assert {each["resource"] for each in warnings} == {"busy"}
    assert (first.new, second.new, only.new) == (1, 1, 0)
    assert (only.kind, only.resource, only.scanned, only.findings) == ("resource", "wrong", 2, 1)


@pytest.mark.servers("transactions")
async def test_bookings_are_no_conflicts(store: Store) -> None:
    """What the write path accepted is in order, with buffers or without; one row past it is found among them."""
    await add_resource(store, capacity=2)
    for hours in (0, 0, 1, 1, 2):
        await book_accepted(store, start=NINE + hours * HOUR)
    clean, _ = await reconciled(store)
    (intruder,) = await insert_rows(store, hour_row("room", NINE, NINE + 2 * HOUR))
    run, (warning,) = await reconciled(store)

    assert (clean.scanned, clean.findings) == (5, 0)
    assert (run.findings, run.conflicts, warning["peak"]) == (1, 2 + 2, 3)
    assert str(intruder) in warning["reservations"]
    assert warning["log_level"] == "warning"
    assert " overlaps " in warning["event"]


async def test_only_one_takes_a_run(store: Store) -> None:
    """However many workers reach for it."""
    run = await RunStore(store).enqueue("full")
    taken_by = await asyncio.gather(*(RunStore(store).claim(f"worker-{number}", run.id) for number in range(8)))

    assert sum(each is not None for each in taken_by) == 1


async def test_equal_requests_at_once_wait_as_one(store: Store) -> None:
    """However the requests interleave, one run waits, and every request gets it."""
    asked = await asyncio.gather(*(RunStore(store).enqueue("resource", ROOM_ID) for _ in range(12)))

    assert len({run.id for run in asked}) == 1


async def test_a_dead_run_is_given_up_and_asked_for_anew(store: Store) -> None:
    """The record says so, another run waits in its place, and the abandoned worker can write no more."""
    await RunStore(store).enqueue("resource", ROOM_ID)
    run = await RunStore(store).claim("the dead")
    assert run is not None
    assert await RunStore(store).abandon_dead() == []
    silent = store.clock.now() - timedelta(seconds=DEAD_SECONDS + 1)
    await store.database["reconciliations"].update_one({"_id": run.id}, {"$set": {"beatAt": silent}})
    (waiting,) = await RunStore(store).abandon_dead()
    given_up = await RunStore(store).get(str(run.id))

    assert (waiting.kind, waiting.resource, waiting.state) == ("resource", "room", "queued")
    assert given_up.state == "abandoned"
    assert "the dead" in (given_up.error or "")
    with pytest.raises(OwnershipLost):
        await RunStore(store).succeed(run)
    assert (await RunStore(store).get(str(run.id))).state == "abandoned"


async def test_a_stopped_run_waits_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that stops returns its run to the queue, and the next worker finds all overlaps."""
    await insert_rows(store, hour_row("room", NINE, NINE + HOUR), hour_row("room", NINE, NINE + HOUR))
    reached, never = asyncio.Event(), asyncio.Event()

    async def stuck(*arguments: Any) -> None:
        reached.set()
        await never.wait()

    with monkeypatch.context() as patch:
        patch.setattr(reconciler, "confirm_windows", stuck)
        task = asyncio.create_task(engine.reconcile_reservations(store, "full"))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    run = await engine.carry_out(store)

    assert run is not None
    assert (run.state, run.findings) == ("succeeded", 1)
    assert await store.database["reconciliations"].count_documents({}) == 1


async def test_a_run_that_fails_says_why(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record has the error, and the next run succeeds."""
    await insert_rows(store, hour_row("room", NINE, NINE + HOUR), hour_row("room", NINE, NINE + HOUR))

    async def broken(*arguments: Any) -> None:
        raise RuntimeError("no second scan")

    with monkeypatch.context() as patch, capture_logs():
        patch.setattr(reconciler, "confirm_windows", broken)
        failed = await engine.reconcile_reservations(store, "full")
    run, _ = await reconciled(store)

    assert (failed.state, failed.error) == ("failed", "RuntimeError: no second scan")
    assert failed.finished_at is not None
    assert run.findings == 1


@pytest.mark.servers("wire", "or")
async def test_the_server_sorts_nothing(store: Store) -> None:
    """The sweep's cursor goes along the conflict lookup: no sort in memory, whatever there is."""
    await insert_rows(store, *(hour_row(f"r{number % 7}", NINE, NINE + HOUR) for number in range(100)))
    explained = await store.database.command(
        {
            "explain": {
                "find": "reservations",
                "filter": OCCUPYING,
                "projection": {**dict.fromkeys(SWEPT_FIELDS, 1), "_id": 0},
                "sort": dict(ORDER),
            },
            "verbosity": "queryPlanner",
        }
    )
    plan = str(explained["queryPlanner"]["winningPlan"])

    assert "reservation_conflict_lookup" in plan
    assert "'SORT'" not in plan


async def test_the_first_run_of_a_day_is_full(store: Store) -> None:
    """Scheduled runs of a day are full until one succeeded, and then incremental."""
    now = store.clock.now()
    assert await schedule.kind_at(store, now) == "full"
    await reconciled(store, "incremental")
    assert await schedule.kind_at(store, now) == "full"
    await reconciled(store, "full")
    assert await schedule.kind_at(store, now) == "incremental"
    assert await schedule.kind_at(store, now + timedelta(days=1)) == "full"


async def test_rows_of_one_resource_are_as_in_the_sweep(store: Store) -> None:
    """One resource, read by itself, comes in the order that the sweep wants, with ids and capacity."""
    await add_resource(store, capacity=2)
    ids = await insert_rows(
        store,
        hour_row("room", NINE + HOUR, NINE + 3 * HOUR),
        hour_row("room", NINE, NINE + 2 * HOUR, status="pending"),
        hour_row("room", NINE + 2 * HOUR, NINE + 3 * HOUR, blockStart=NINE + HOUR, blockEnd=NINE + 4 * HOUR, units=2),
    )
    seen = await scan.scan_resources(store, [ROOM_ID], {})
    (window,) = sweep(seen.rows, seen.limits.capacities)
    names = (str(ids[1]), str(ids[0]), str(ids[2]))

    assert tuple(row[2] for row in seen.rows) == names
    assert (seen.limits.capacities[ROOM_ID], window.peak, window.reservations) == (2, 4, names)
    assert [seen.ids[name] for name in names] == [ids[1], ids[0], ids[2]]
