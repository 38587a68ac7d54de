"""How runs write findings: in batches, interrupted, in any year, and of very many reservations."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId, encode

from app.domain.finding_identity import Matching
from app.reconciliation import engine, findings_batches
from app.reconciliation.engine import reconcile_reservations
from app.reconciliation.findings.transitions import FindingTransition, transition
from app.reconciliation.findings_batches import BatchWriter
from app.storage.client import Store
from app.storage.runs import RunStore
from app.storage.stored_findings import LISTED_IDS_MAX
from tests.support.foreign_checks import reconcile_run
from tests.support.reservation_rows import reservation_row
from tests.support.times import HOUR, MINUTE, NINE


async def book(store: Store, *times: tuple[datetime, datetime], resource: str = "room") -> list[ObjectId]:
    """Put reservations into the database past all checks."""
    now = store.clock.now()
    rows = [reservation_row(resource, start, end, updatedAt=now) for start, end in times]
    await store.database["reservations"].insert_many(rows)
    return [ObjectId(row["_id"]) for row in rows]


async def cancel(store: Store, *reservations: ObjectId) -> None:
    """Cancel reservations in the database."""
    change = {"$set": {"status": "cancelled", "updatedAt": store.clock.now()}}
    await store.database["reservations"].update_many({"_id": {"$in": list(reservations)}}, change)


async def stored(store: Store, **where: Any) -> list[dict[str, Any]]:
    """Findings as they are in the database, by their start."""
    rows: list[dict[str, Any]] = await store.database["findings"].find(where).sort("from", 1).to_list(None)
    return rows


@pytest.mark.servers("any")
async def test_a_window_of_any_year_is_the_same_finding(store: Store) -> None:
    """Windows from the first year to the last are stored as they are, and a second run finds nothing new."""
    days = ((1, 1, 2), (1950, 5, 1), (2030, 1, 7), (2201, 1, 1), (9999, 12, 30))
    starts = [datetime(*day, tzinfo=UTC) for day in days]
    await book(store, *[(start, start + HOUR) for start in starts for _ in range(2)])
    first, second = await reconcile_run(store), await reconcile_run(store)

    assert [row["from"] for row in await stored(store)] == starts
    assert (first.new, second.new, second.findings) == (5, 0, 5)


@pytest.mark.servers("any")
async def test_an_acceptance_runs_out_by_itself(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an acceptance ends, the next run, also an incremental one, reopens the finding and has it sent again."""
    await book(store, (NINE, NINE + HOUR), (NINE, NINE + HOUR))
    await reconcile_run(store)
    (finding,) = await stored(store)
    await store.database["findings"].update_one({}, {"$set": {"toldAt": store.clock.now()}})
    await transition(store, str(finding["_id"]), FindingTransition("accepted", "ann", until=store.clock.now() + HOUR))
    in_time = await reconcile_run(store, "incremental")
    later = store.clock.millis() + int((2 * HOUR).total_seconds() * 1000)
    monkeypatch.setattr(store.clock, "millis", lambda: later)
    late = await reconcile_run(store, "incremental")
    (after,) = await stored(store)

    assert (in_time.unaccepted, late.unaccepted, late.new) == (0, 1, 1)
    assert (after["state"], after["history"][-1]["note"]) == ("open", "the acceptance ran out")
    assert after.keys().isdisjoint({"acceptance", "toldAt"})


@pytest.mark.servers("any")
@pytest.mark.parametrize("written", range(4))
async def test_a_run_that_ends_between_two_batches_is_repeated(
    store: Store, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """Wherever a run ends, the next one restores each part's origin and acceptance."""
    monkeypatch.setattr(findings_batches, "BATCH_WEIGHT_MAX", 1)
    day = await book(store, (NINE, NINE + 6 * HOUR))
    hours = await book(store, *[(NINE + at * HOUR, NINE + (at + 1) * HOUR) for at in range(6)])
    await book(store, (NINE, NINE + HOUR), (NINE, NINE + HOUR), resource="desk")
    await reconcile_run(store)
    for row in await stored(store):
        await transition(store, str(row["_id"]), FindingTransition("accepted", "ann"))
    (whole,) = await stored(store, resource="room")
    await cancel(store, hours[1], hours[3])
    await store.database["reservations"].update_many({"resource": "desk"}, {"$set": {"status": "cancelled"}})
    change, left = BatchWriter._write_batch, [written]

    async def ending(writer: BatchWriter, batch: Any) -> None:
        if not left[0]:
            raise OSError("the process ends here")
        left[0] -= 1
        await change(writer, batch)

    monkeypatch.setattr(BatchWriter, "_write_batch", ending)
    assert (await reconcile_reservations(store, "full")).state == "failed"
    monkeypatch.setattr(BatchWriter, "_write_batch", change)
    run = await reconcile_run(store)
    first, *others = await stored(store, resource="room", state="accepted")

    assert (run.findings, run.unaccepted, run.new) == (3, 0, 0)
    assert first["_id"] == whole["_id"]
    assert [row["splitFrom"] for row in others] == [whole["_id"]] * 2
    assert all(day[0] in row["reservations"] for row in (first, *others))
    assert [row["state"] for row in await stored(store, resource="desk")] == ["resolved"]


@pytest.mark.servers("or")
async def test_a_run_is_ended_while_it_matches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled process stops after one step of the matching, and its run returns to the queue."""
    times = [(NINE + at * HOUR, NINE + at * HOUR + HOUR / 2) for at in range(2_500) for _ in range(2)]
    await book(store, *times)
    original, taken = Matching.steps, []
    asked = await RunStore(store).enqueue("full")

    def steps(matching: Matching) -> Iterator[None]:
        for _ in original(matching):
            taken.append(1)
            carrying_out.cancel()
            yield

    monkeypatch.setattr(Matching, "steps", steps)
    carrying_out = asyncio.create_task(engine.carry_out(store, asked.id))
    with pytest.raises(asyncio.CancelledError):
        await carrying_out

    assert taken == [1]
    assert (await RunStore(store).get(str(asked.id))).state == "queued"
    assert await stored(store) == []


@pytest.mark.servers("or")
async def test_a_finding_of_very_many_reservations_is_bounded(store: Store) -> None:
    """A huge finding lists a sample, keeps its id when halved, and its acceptance ends with any change."""
    count = LISTED_IDS_MAX + 1_000
    chain = await book(store, *[(NINE + at * MINUTE, NINE + (at + 3) * MINUTE) for at in range(count)])
    await reconcile_run(store)
    (finding,) = await stored(store)
    await transition(store, str(finding["_id"]), FindingTransition("accepted", "ann"))
    same = await reconcile_run(store)
    await cancel(store, chain[-1])
    fewer = await reconcile_run(store)
    await cancel(store, *chain[: count - 500])
    await reconcile_run(store)
    (half,) = await stored(store)

    assert finding["reservationCount"] == count
    assert LISTED_IDS_MAX / 2 < len(finding["reservations"]) <= LISTED_IDS_MAX
    assert len(encode(finding)) < 2**18
    assert (same.new, same.unaccepted, fewer.new, fewer.unaccepted) == (0, 0, 1, 1)
    assert (half["_id"], half["reservationCount"], "digest" in half) == (finding["_id"], 499, False)
    assert half["from"] == NINE + timedelta(minutes=count - 500 + 1)
