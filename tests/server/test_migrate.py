"""`reserva migrate`: what it builds, what it only reports, and what waits for `--apply`."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import HOUR, MINUTE
from app.migration.migrate import migrate, verify
from app.migration.report import MigrationReport
from app.storage.client import Store, connect
from app.storage.documents import DOCUMENTS, service_row
from app.storage.errors import StorageError
from app.storage.event_log import EventLog
from app.storage.guards import make_guard, make_service_row
from app.storage.pools import members_of, pool_row
from tests.support.ids import CUT_ID
from tests.support.migration_rows import FIRST, database_documents, ids_by_kind, room_row
from tests.support.servers import ROOT

pytestmark = pytest.mark.servers("any")

INDEXES = {model.document["name"] for document in DOCUMENTS for model in document.Settings.indexes}
PLANNER_INDEXES = {model.document["name"] for document in DOCUMENTS for model in document.Settings.planner_indexes}


def expected_indexes(store: Store) -> set[str]:
    """The indexes of a database; some of them only where the server plans reads."""
    return INDEXES | (PLANNER_INDEXES if store.shape == "or" else set())


async def test_an_empty_database_is_built_and_then_left_alone(bare_store: Store) -> None:
    """The first run builds everything, the second finds nothing to do."""
    first = await migrate(bare_store)
    second = await migrate(bare_store)

    assert first.clean
    assert {each.removeprefix("index ") for each in first.built if "index " in each} == expected_indexes(bare_store)
    assert second == MigrationReport()
    await verify(bare_store)


async def test_check_reports_what_would_be_built_and_builds_nothing(bare_store: Store) -> None:
    """`--check` names every index and changes nothing."""
    await bare_store.database["resources"].insert_one({"_id": "room-1"})
    before = await database_documents(bare_store)

    report = await migrate(bare_store, check=True)

    assert {identity for ids in ids_by_kind(report)["index-missing"] for identity in ids} == expected_indexes(
        bare_store
    )
    assert ids_by_kind(report)["guard-missing"] == [("room-1",)]
    assert report.built == report.changed == []
    assert before == await database_documents(bare_store)


@pytest.mark.servers("wire")
async def test_two_at_once_do_not_disturb_each_other(bare_store: Store) -> None:
    """Two processes that migrate one database at the same time both succeed."""
    await bare_store.database["resources"].insert_many([{"_id": f"room-{number}"} for number in range(5)])

    both = await asyncio.gather(migrate(bare_store), migrate(bare_store))

    assert all(report.clean for report in both)
    assert await bare_store.database["guards"].count_documents({}) == 5
    assert (await migrate(bare_store)) == MigrationReport()


async def test_processes_refuse_to_start_without_an_index(store: Store) -> None:
    """A missing index is named, with the command that helps."""
    await store.database["reservations"].drop_index("reservation_conflict_lookup")

    with pytest.raises(StorageError, match=r"reservation_conflict_lookup\. Run `reserva migrate`"):
        await verify(store)


class TestIdempotencyKeys:
    """A database made before `reservation_idempotency`, with keys that a unique sparse index cannot take."""

    @pytest.fixture
    async def old(self, bare_store: Store) -> Store:
        """Two nulls, a key on three and a key on two; the oldest of the three was not inserted first."""
        await bare_store.database["reservations"].insert_many(
            [
                room_row(_id=1, idempotencyKey=None),
                room_row(_id=2, idempotencyKey=None),
                room_row(_id=3, idempotencyKey="a", createdAt=FIRST + timedelta(days=2)),
                room_row(_id=4, idempotencyKey="a", createdAt=FIRST),
                room_row(_id=5, idempotencyKey="a", createdAt=FIRST + timedelta(days=1)),
                room_row(_id=ObjectId("65f000000000000000000002"), idempotencyKey="b"),
                room_row(_id=ObjectId("65f000000000000000000001"), idempotencyKey="b"),
                room_row(_id=8, idempotencyKey="c"),
                room_row(_id=9),
            ]
        )
        await bare_store.database["resources"].insert_one({"_id": "room-1"})
        return bare_store

    @pytest.mark.parametrize("check", [True, False])
    async def test_they_are_listed_and_nothing_is_done(self, old: Store, *, check: bool) -> None:
        """Without `--apply` every id is listed, oldest first, and nothing at all is changed."""
        before = await database_documents(old)

        report = await migrate(old, check=check)

        found = ids_by_kind(report)
        assert found["null-key"] == [("1", "2")]
        assert found["duplicate-key"] == [
            ("4", "5", "3"),
            ("65f000000000000000000001", "65f000000000000000000002"),
        ]
        assert ("reservation_idempotency",) in found["index-missing"]
        assert report.built == report.changed == []
        assert before == await database_documents(old)

    async def test_apply_takes_them_off_and_builds_the_index(self, old: Store) -> None:
        """`--apply` keeps a key on the oldest, unsets the others and the nulls, says so and removes nothing."""
        reservations = old.database["reservations"]
        before = {row["_id"]: row async for row in reservations.find({})}

        report = await migrate(old, apply=True)

        oldest, other = ObjectId("65f000000000000000000001"), ObjectId("65f000000000000000000002")
        after = {row["_id"]: row async for row in reservations.find({})}
        assert report.clean
        assert after.keys() == before.keys()
        assert {identity: row["idempotencyKey"] for identity, row in after.items() if "idempotencyKey" in row} == {
            4: "a",
            oldest: "b",
            8: "c",
        }
        assert report.changed == [
            "unset the null idempotencyKey on 1, 2",
            'unset idempotencyKey "a" on 5, 3; the oldest, 4, keeps it',
            f'unset idempotencyKey "b" on {other}; the oldest, {oldest}, keeps it',
        ]
        assert "index reservation_idempotency" in report.built
        for identity, row in after.items():
            assert {**before[identity], "idempotencyKey": None} == {**row, "idempotencyKey": None}
        await verify(old)

    async def test_check_wins_over_apply(self, old: Store) -> None:
        """Asked to only report, it only reports."""
        before = await database_documents(old)

        await migrate(old, check=True, apply=True)

        assert before == await database_documents(old)


class TestIndexesThatDiffer:
    """Indexes made with other keys or options are reported and stay as they are."""

    @pytest.mark.parametrize(
        ("name", "keys", "options"),
        [
            ("reservation_conflict_lookup", [("resource", 1), ("startTime", 1)], {}),
            ("reservation_conflict_lookup", [("status", 1), ("resource", 1), ("startTime", 1), ("endTime", 1)], {}),
            ("reservation_customer_history", [("customer", 1), ("startTime", 1)], {}),
            ("reservation_idempotency", [("idempotencyKey", 1)], {"sparse": True}),
            ("reservation_idempotency", [("idempotencyKey", 1)], {"unique": True}),
            ("reservation_start", [("startTime", 1)], {"expireAfterSeconds": 0}),
        ],
    )
    async def test_the_right_name_with_something_else_is_reported(
        self, bare_store: Store, name: str, keys: list[tuple[str, int]], options: dict[str, Any]
    ) -> None:
        """It is reported with the command that drops it, beside all that is missing, and nothing is built."""
        reservations = bare_store.database["reservations"]
        await reservations.create_index(keys, name=name, **options)
        before = await database_documents(bare_store)

        report = await migrate(bare_store)

        assert ids_by_kind(report)["index-differs"] == [(name,)]
        assert f'dropIndex("{name}")' in report.obstacles[0].detail
        assert {ids[0] for ids in ids_by_kind(report)["index-missing"]} == expected_indexes(bare_store) - {name}
        assert report.built == []
        assert before == await database_documents(bare_store)
        with pytest.raises(StorageError, match=name):
            await verify(bare_store)

    async def test_the_right_keys_under_another_name_are_ours(self, bare_store: Store) -> None:
        """An index with the keys and options of one of ours is taken for it, which is noted and refused nowhere."""
        reservations = bare_store.database["reservations"]
        await reservations.create_index([("customer", 1), ("startTime", -1)], name="mine")

        report = await migrate(bare_store)

        assert report.clean
        assert [note.ids for note in report.notes] == [("reservation_customer_history", "mine")]
        assert "index reservation_customer_history" not in report.built
        assert (await migrate(bare_store, check=True)).clean
        await verify(bare_store)

    @pytest.mark.parametrize("options", [{"sparse": True}, {"unique": True}, {}])
    async def test_the_right_keys_with_other_options_are_reported(
        self, bare_store: Store, options: dict[str, Any]
    ) -> None:
        """Such an index is reported with the command that drops it; once it is dropped, ours is built."""
        reservations = bare_store.database["reservations"]
        await reservations.create_index([("idempotencyKey", 1)], name="idempotencyKey_1", **options)
        before = await database_documents(bare_store)

        report = await migrate(bare_store)

        assert [finding.ids for finding in report.obstacles] == [("reservation_idempotency",)]
        assert 'db.reservations.dropIndex("idempotencyKey_1")' in report.obstacles[0].detail
        assert before == await database_documents(bare_store)
        with pytest.raises(StorageError, match="reservation_idempotency"):
            await verify(bare_store)
        await reservations.drop_index("idempotencyKey_1")
        assert (await migrate(bare_store)).clean

    @pytest.mark.servers("wire")
    async def test_what_servers_add_by_themselves_is_no_difference(self, bare_store: Store) -> None:
        """Made by hand in an old shell, with doubles for directions and in the background, they are the same."""
        keys = {"resource": 1.0, "status": 1.0, "startTime": 1.0, "endTime": 1.0}
        indexes = [
            {"key": keys, "name": "reservation_conflict_lookup", "background": True},
            {"key": {"idempotencyKey": 1.0}, "name": "reservation_idempotency", "unique": True, "sparse": True, "v": 2},
        ]
        await bare_store.database.command({"createIndexes": "reservations", "indexes": indexes})

        assert (await migrate(bare_store)).clean


class TestGuards:
    """Guards of what was there before, and their reach."""

    async def test_missing_ones_are_made_and_others_left(self, store: Store) -> None:
        """Each resource and service gets its guard once."""
        await store.database["resources"].insert_many([{"_id": "room-1"}, {"_id": "room-2"}])
        await store.database["services"].insert_many([{"_id": "cut"}, {"_id": "shave"}])
        assert await make_guard(store, ResourceId("room-2"))
        assert await make_service_row(store, ServiceId("shave"))
        guards = store.database["guards"]
        before = await guards.find({}).sort("_id", 1).to_list(None)

        report = await migrate(store)

        assert report.built == ["2 guards: room-1, service:cut", "1 pool: cut"]
        there = ["room-2", "service:shave", "pool:shave"]
        assert before == await guards.find({"_id": {"$in": there}}).sort("_id", 1).to_list(None)
        assert not await make_guard(store, ResourceId("room-1"))

    async def test_pools_are_completed(self, store: Store) -> None:
        """A database of an earlier version, one with resources loaded past the API, and one whose making broke off."""
        await make_service_row(store, ServiceId("shave"))
        await store.database["services"].insert_many([{"_id": "cut"}, {"_id": "shave"}, {"_id": "dye"}])
        resources: list[dict[str, Any]] = [
            {"_id": "a", "services": ["cut", "shave"]},
            {"_id": "b", "services": ["cut", "dye"]},
            {"_id": "c"},
        ]
        await store.database["resources"].insert_many(resources)
        services = [{"_id": service_row(name), "rules": "1"} for name in (CUT_ID, ServiceId("dye"))]
        await store.database["guards"].insert_many([*services, {"_id": pool_row(ServiceId("dye")), "members": ["b"]}])
        assert await members_of(store, CUT_ID) == ["a", "b"]

        found = ids_by_kind(await migrate(store, check=True))
        report = await migrate(store)

        assert found["pool-incomplete"] == [("cut", "dye", "shave")]
        assert report.built[-1] == "3 pools: cut, dye, shave"
        members = {name: await members_of(store, name) for name in (CUT_ID, ServiceId("dye"), ServiceId("shave"))}
        assert members == {"cut": ["a", "b"], "dye": ["b"], "shave": ["a"]}
        assert (await migrate(store, check=True)).clean

    async def test_their_reach_covers_what_is_booked(self, store: Store) -> None:
        """It is computed before the guard is made: to the end of a block, back to its beginning, by doubling."""
        minutes = timedelta(minutes=1)
        end = FIRST + 60 * minutes
        await store.database["reservations"].insert_many(
            [
                room_row(blockStart=FIRST - 20 * minutes, blockEnd=end + 15 * minutes),
                room_row(status="pending", endTime=FIRST + 200 * minutes),
                room_row(status="cancelled", endTime=FIRST + 4000 * minutes),
                room_row(resource="room-2", endTime=FIRST + 4000 * minutes),
                room_row(blockStart=FIRST, blockEnd=FIRST + 30_000 * minutes, long=True),
                {"_id": 1, "resource": "room-1", "status": "confirmed"},
            ]
        )
        await store.database["resources"].insert_one({"_id": "room-1"})

        await migrate(store)

        guard = await store.database["guards"].find_one({"_id": "room-1"})
        assert guard is not None
        assert guard["reachBack"] >= 200 * MINUTE
        assert guard["reachBack"] <= 4 * HOUR
        assert guard["reachAhead"] >= 20 * MINUTE
        assert guard["reachAhead"] <= HOUR
        assert guard["long"] is True
        assert guard["seq"] == 0

    async def test_rows_without_block_times_count_by_their_times(self, store: Store) -> None:
        """A row loaded straight into the database, a month long, is reached."""
        await store.database["reservations"].insert_one(room_row(endTime=FIRST + timedelta(days=30)))

        await make_guard(store, ResourceId("room-1"))

        guard = await store.database["guards"].find_one({"_id": "room-1"})
        assert guard is not None
        assert guard["reachBack"] >= 30 * 24 * HOUR


@pytest.mark.servers("transactions", once=True)
class TestCommand:
    """The command around it: its exit codes and what it prints where."""

    def run(self, url: str, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run `reserva migrate` in a process of its own."""
        return subprocess.run(
            [sys.executable, "-c", "from app.cli.main import main; main()", "migrate", *options],
            cwd=ROOT,
            env={"MONGODB_URL": url, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    async def test_exit_codes_tell_found_from_done(self, database_url: str) -> None:
        """1 where something is found, 0 when it is built, and stray keys wait for `--apply`."""
        store = await connect(database_url)
        await store.database["reservations"].insert_many(
            [room_row(_id="old", idempotencyKey=None), room_row(_id="new", idempotencyKey=None)]
        )

        checked = self.run(database_url, "--check")
        refused = self.run(database_url)
        applied = self.run(database_url, "--apply")
        again = self.run(database_url, "--check")

        assert [ran.returncode for ran in (checked, refused, applied, again)] == [1, 1, 0, 0]
        assert "Reservations: new, old" in refused.stdout
        assert "changed  unset the null idempotencyKey on new, old" in applied.stdout
        assert "built    index reservation_idempotency" in applied.stdout
        assert again.stdout == ""
        await store.refresh_capabilities()  # asked before there were indexes
        await verify(store)
        await store.close()

    def test_an_unreachable_server_is_reported_in_a_sentence(self) -> None:
        """A wrong address ends with exit code 2 and what to check, without a traceback and without the password."""
        ran = self.run("mongodb://me:secret@127.0.0.1:1/reserva")

        assert ran.returncode == 2
        assert "Check MONGODB_URL" in ran.stderr
        assert "Traceback" not in ran.stderr
        assert "secret" not in ran.stderr
        assert ran.stdout == ""

    def test_contradicting_options_are_refused(self) -> None:
        """`--check --apply` is a bad option."""
        assert self.run("mongodb://127.0.0.1:1/reserva", "--check", "--apply").returncode == 2


@pytest.mark.parametrize(("missing", "beginning"), [([3], 3), ([1, 4], 4), ([6], 6), ([], None)])
async def test_a_log_of_events_with_gaps_begins_after_the_last(
    store: Store, missing: list[int], beginning: int | None
) -> None:
    """A backup of a database in use can lack events: readers behind the gap go on, those before it begin anew."""
    event = {"type": "reservation.created", "subject": ObjectId(), "version": 1, "at": store.clock.now(), "by": "test"}
    rows = [{"_id": place, "key": str(place), **event} for place in range(1, 7) if place not in missing]
    await store.database["events"].insert_many(rows)
    await store.database["leases"].insert_one({"_id": "events", "epoch": 1, "place": 6})

    checked = ids_by_kind(await migrate(store, check=True))
    report = await migrate(store)
    log = EventLog(store)
    floor, last = await log.bounds()

    assert ("events-missing" in checked) is (beginning is not None)
    assert [line for line in report.built if "events" in line] == (
        [] if beginning is None else [f"beginning of the log of events after place {beginning}"]
    )
    assert (floor, last) == (beginning or 0, 6)
    assert [each.id async for each in log.read(floor, last, 10)] == [*range(floor + 1, 7)]
    assert await migrate(store) == MigrationReport()
