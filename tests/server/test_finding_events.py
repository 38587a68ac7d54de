"""Every version of every finding leaves one event, which is there exactly if the version is."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo.errors import OperationFailure

from app.reconciliation.findings.transitions import FindingTransition, transition
from app.storage import findings as stored_findings
from app.storage import missing_events, transactions
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.findings import FindingStore
from app.storage.missing_events import MissingEvents
from app.storage.outbox import add_events
from tests.support.findings import insert_finding
from tests.support.foreign_checks import reconcile_run
from tests.support.reservation_rows import reservation_row
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("any")


async def overlap(store: Store, *hours: int, most: int = 2) -> list[ObjectId]:
    """Put reservations of these hours into the database past all checks, so many of each."""
    now = store.clock.now()
    times = [NINE + hour * HOUR for hour in hours for _ in range(most)]
    rows = [reservation_row("room", start, start + HOUR, updatedAt=now) for start in times]
    await store.database["reservations"].insert_many(rows)
    return [ObjectId(row["_id"]) for row in rows]


async def cancel(store: Store, *reservations: ObjectId) -> None:
    """Cancel reservations in the database."""
    change = {"$set": {"status": "cancelled", "updatedAt": store.clock.now()}}
    await store.database["reservations"].update_many({"_id": {"$in": [*reservations]}}, change)


async def decide(store: Store, finding: ObjectId, to: Any, **fields: Any) -> None:
    """Let a person decide about a finding."""
    await transition(store, str(finding), FindingTransition(to, "ann", **fields))


async def left(store: Store) -> list[BsonDocument]:
    """The events of findings in the outbox, in the order of their ids."""
    rows: list[BsonDocument] = await store.database["outbox"].find().sort("_id", 1).to_list(None)
    return rows


async def all_have_events(store: Store) -> bool:
    """Whether there is one event of each version of each finding, and no other."""
    rows = await store.database["findings"].find().to_list(None)
    versions = Counter((row["_id"], number + 1) for row in rows for number in range(row["version"]))
    return versions == Counter((event["subject"], event["version"]) for event in await left(store))


async def test_each_version_has_its_event(store: Store) -> None:
    """Of runs and of people: what opens or reopens it, what resolves it, and what else changes it."""
    reservations = await overlap(store, 0, most=3)
    await reconcile_run(store)
    (finding,) = await store.database["findings"].distinct("_id", {})
    await decide(store, finding, "acknowledged", note="calling them")
    await decide(store, finding, "acknowledged", note="nobody answers")
    await decide(store, finding, "assigned", assignee="bob")
    await decide(store, finding, "accepted")
    await cancel(store, reservations[0])
    await reconcile_run(store)
    await decide(store, finding, "open")
    await cancel(store, *reservations)
    await reconcile_run(store)
    await overlap(store, 0, most=1)
    events = await left(store)

    assert await all_have_events(store)
    shown = [(each["type"].removeprefix("finding."), each["by"], each.get("changed")) for each in events]
    assert shown == [
        ("opened", "worker", None),
        ("changed", "ann", ["state"]),
        ("changed", "ann", ["history"]),
        ("changed", "ann", ["assignee"]),
        ("changed", "ann", ["state"]),
        ("changed", "worker", ["peak", "reservations", "reservationCount"]),
        ("opened", "ann", ["state"]),
        ("resolved", "worker", ["state"]),
    ]
    assert {each["resource"] for each in events} == {"room"}
    row = await store.database["findings"].find_one({"_id": finding})
    assert row is not None
    assert events[-1]["at"] == row["updatedAt"]


async def test_what_changes_nothing_leaves_none(store: Store) -> None:
    """A run that sees the same windows again, a repeated decision, and the mark that an alert was told."""
    await overlap(store, 0, 2)
    await reconcile_run(store)
    first, second = await store.database["findings"].distinct("_id", {})
    await decide(store, first, "accepted")
    before = await left(store)
    await reconcile_run(store)
    await decide(store, first, "accepted")
    await FindingStore(store).assign_alert([second], "alert")
    await FindingStore(store).mark_alerted([second], "alert")

    assert await left(store) == before


async def test_a_merge_and_its_end(store: Store) -> None:
    """The finding that is swallowed is resolved; once the windows part it is opened or changed again."""
    await overlap(store, 0, 2)
    await reconcile_run(store)
    bridge = [reservation_row("room", NINE, NINE + 3 * HOUR, updatedAt=store.clock.now()) for _ in "12"]
    await store.database["reservations"].insert_many(bridge)
    await reconcile_run(store)
    merged = Counter(each["type"] for each in await left(store))
    await cancel(store, *(row["_id"] for row in bridge))
    await reconcile_run(store)

    assert merged == {"finding.opened": 2, "finding.changed": 1, "finding.resolved": 1}
    assert Counter(each["type"] for each in await left(store))["finding.opened"] == 3
    assert await all_have_events(store)


@pytest.mark.parametrize("first", [True, False], ids=["a person first", "a run first"])
async def test_a_person_and_a_run(store: Store, monkeypatch: pytest.MonkeyPatch, *, first: bool) -> None:
    """Where both change findings at the same moment, each version still has one event."""
    reservations = await overlap(store, 0, 2, 4, most=3)
    await reconcile_run(store)
    ids = await store.database["findings"].distinct("_id", {})
    await cancel(store, *reservations[::3])
    change_many = FindingStore.change_many
    waiting = iter([ids[1]])

    async def overtaken(self: FindingStore, *arguments: Any) -> Any:
        for finding in waiting:
            if first:
                await decide(store, finding, "acknowledged")
        return await change_many(self, *arguments)

    monkeypatch.setattr(FindingStore, "change_many", overtaken)
    await reconcile_run(store)
    if not first:
        await decide(store, ids[1], "acknowledged")

    assert await all_have_events(store)
    assert len(await left(store)) == 7


async def test_what_a_crash_left_out_is_written_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a transaction a process can die before the event; the next look writes the same, and only that."""
    monkeypatch.setattr(missing_events, "SETTLED_SECONDS", -60)
    reservations = await overlap(store, 0, 2)
    await reconcile_run(store)
    for finding in await store.database["findings"].distinct("_id", {}):
        await decide(store, finding, "acknowledged", note="x")
        await decide(store, finding, "open")
    await cancel(store, *reservations)
    await reconcile_run(store)
    before = await left(store)
    await store.database["outbox"].delete_many({"version": {"$ne": 2}})

    assert [await MissingEvents(store).write_missing() for _ in "12"] == [6, 0]
    after = await left(store)
    assert [{**each, "changed": None} for each in after] == [{**each, "changed": None} for each in before]


@pytest.mark.servers("transactions")
@pytest.mark.parametrize("by_run", [True, False], ids=["run", "person"])
async def test_a_failed_event_undoes_its_change(store: Store, monkeypatch: pytest.MonkeyPatch, *, by_run: bool) -> None:
    """A version whose event cannot be written is not made; before that nobody has seen it."""
    finding = await insert_finding(store, 0)
    await overlap(store, 5)
    before = await store.database["findings"].find().to_list(None)
    unseen = []

    async def failing(store: Store, events: Sequence[BsonDocument], session: Any) -> None:
        assert session is not None
        unseen.append(await store.database["findings"].find().to_list(None) == before)
        raise OperationFailure("no space")

    monkeypatch.setattr(stored_findings, "add_events", failing)
    with pytest.raises((OperationFailure, AssertionError)):  # a run is noted as failed, and the helper tells
        await (reconcile_run(store) if by_run else decide(store, finding, "acknowledged"))

    assert unseen == [True]
    assert await store.database["findings"].find().to_list(None) == before
    assert await left(store) == []


@pytest.mark.servers("transactions")
@pytest.mark.parametrize("commits", [True, False])
async def test_a_decision_waits_for_a_run(store: Store, monkeypatch: pytest.MonkeyPatch, *, commits: bool) -> None:
    """A transaction that has the finding locked delays it; then it is made on what that one has left."""
    finding = await insert_finding(store, 0)
    begin = transactions.transaction
    begun = []

    async with await store.client.start_session() as run:
        run.start_transaction()
        change = {"$set": {"lastSeen": NINE}, "$inc": {"version": 1}}
        await store.database["findings"].update_one({"_id": finding}, change, session=run)

        @asynccontextmanager
        async def counted(store: Store) -> AsyncGenerator[AsyncIOMotorClientSession]:
            begun.append(1)
            if len(begun) == 3:
                await (run.commit_transaction() if commits else run.abort_transaction())
            async with begin(store) as session:
                yield session

        monkeypatch.setattr(transactions, "transaction", counted)
        await decide(store, finding, "acknowledged")

    row = await store.database["findings"].find_one({"_id": finding})
    assert row is not None
    assert (row["state"], row["version"], len(begun) >= 3) == ("acknowledged", 2 + commits, True)
    assert [each["version"] for each in await left(store)] == [2 + commits]


@pytest.mark.servers("transactions")
async def test_one_statement_leaves_the_events_of_a_batch(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many findings a run opens and changes."""
    await overlap(store, 0, 2, 4, most=3)
    sizes = []

    async def counting(store: Store, events: Sequence[BsonDocument], session: Any) -> None:
        sizes.append(len(events))
        await add_events(store, events, session)

    monkeypatch.setattr(stored_findings, "add_events", counting)
    await reconcile_run(store)

    assert sizes == [3]
