"""Backups: a database that was dumped and restored is complete, and a restore under running processes is noticed."""

import asyncio
from pathlib import Path

import pytest
from pymongo.errors import AutoReconnect

from app.booking import BookingService
from app.cluster import agreement
from app.cluster.restores import RestoreWatch
from app.errors import Problem
from app.http.shutdown import Shutdown
from app.job_queue import Queue
from app.operations.service import Operations
from app.storage.client import Store
from app.storage.documents import Deployment, Process
from app.storage.processes import DeploymentStore, ProcessStore
from tests.support.api_client import RESERVATIONS, ApiClient
from tests.support.backups import dump, restore
from tests.support.commands import run_reserva
from tests.support.http_client import serving
from tests.support.process_rows import process_of_another_machine
from tests.support.step_driver import add_resource, booking_of, running_booking_service
from tests.support.times import HOUR, NINE

ROOMS = ("room", "room-2", "room-3")


async def refusal(booking: BookingService, hour: int) -> str | None:
    """The name of the problem that a booking at that hour ends with; None if it is accepted."""
    try:
        await booking.book(booking_of(NINE + hour * HOUR))
    except Problem as problem:
        return problem.name
    return None


@pytest.mark.servers("wire")
async def test_a_restored_database_is_complete(store: Store, database_url: str, tmp_path: Path) -> None:
    """A dump that is restored lacks no guard and no index, holds no overlap, and answers a repeated key as before."""
    body = {"startTime": NINE.isoformat(), "endTime": (NINE + HOUR).isoformat(), "notes": "window"}
    keyed = {"Idempotency-Key": "once"}
    async with serving(store) as client:
        api = ApiClient(client, store)
        for room in ROOMS:
            await api.resource(room)
        first = await api.request("POST", RESERVATIONS, json=body | {"resource": "room"}, headers=keyed)
        for room in ROOMS[1:]:
            await api.book(resource=room)
        backup = await dump(store.database)

    await restore(store.database, backup)
    env = {"MONGODB_URL": database_url, "RESERVA_MODE": "auto"}
    commands = [["migrate", "--check"], ["migrate"], ["reconcile", "--full"], ["audit", "--mongodb", database_url]]
    ended = [await asyncio.to_thread(run_reserva, *command, cwd=tmp_path, **env) for command in commands]
    async with serving(store) as client:
        client.headers["Authorization"] = f"Bearer {api.token}"
        api = ApiClient(client, store)
        again = await api.request("POST", RESERVATIONS, json=body | {"resource": "room"}, headers=keyed)
        taken = await api.request("POST", RESERVATIONS, json=body | {"resource": "room-2"})

    assert [each.returncode for each in ended] == [0, 0, 0, 0], [each.stderr for each in ended]
    assert (again.status_code, again.content) == (201, first.content)
    assert taken.status_code == 409


@pytest.mark.servers("wire")
@pytest.mark.parametrize("started", ["before the dump", "after the dump"])
async def test_a_restore_under_a_running_process_is_noticed(store: Store, started: str) -> None:
    """A process whose database was restored to an earlier state books no more until it is started again."""
    await add_resource(store)
    async with running_booking_service(store) as other:
        await other.heartbeat.check_others()
        backup = await dump(store.database) if started == "after the dump" else None
        async with running_booking_service(store) as booking:
            backup = backup or await dump(store.database)
            for _ in range(3):
                await booking.heartbeat.check_others()
            before = await refusal(booking, 0)
            await restore(store.database, backup)
            await booking.heartbeat.check_others()
            after = [await refusal(booking, 1)]
            await booking.heartbeat.check_others()
            after.append(await refusal(booking, 1))
            told = booking.heartbeat.obstacle or ""
    async with running_booking_service(store) as booking:
        anew = await refusal(booking, 0)

    assert before is None
    assert after == ["unavailable", "unavailable"]
    assert "restored to an earlier state" in told
    assert "reserva migrate" in told
    assert anew is None


@pytest.mark.servers("wire")
async def test_a_removed_agreement_is_noticed(store: Store) -> None:
    """A process that finds the agreement of all processes gone takes it for a restore under way."""
    await add_resource(store)
    async with running_booking_service(store) as booking:
        await store.database.drop_collection("deployment")
        await booking.heartbeat.check_others()

        assert await refusal(booking, 0) == "unavailable"


@pytest.mark.servers("wire")
async def test_a_reaped_process_goes_on(store: Store) -> None:
    """A process whose row another one removed, taking it for dead, is not mistaken for one of a restored database."""
    await add_resource(store)
    async with running_booking_service(store) as booking:
        await store.database["processes"].delete_many({})
        await booking.heartbeat.check_others()

        assert await refusal(booking, 0) is None


@pytest.mark.servers("wire")
async def test_it_shows_in_readiness(store: Store) -> None:
    """The app of a restored database is not ready, and says so without naming anything of the database."""
    async with running_booking_service(store) as booking:
        operations = Operations(store, Queue(None), Shutdown(), lambda: booking.heartbeat.obstacle)
        before = await operations.readiness()
        await store.database.drop_collection("deployment")
        await booking.heartbeat.check_others()
        after = await operations.readiness()

    assert before.ready
    assert (after.ready, after.reason) == (False, "This process takes no bookings; its log says why.")


@pytest.mark.parametrize(
    ("beats", "found"),
    [
        ([("a", 10), ("a", 11), ("a", 14)], False),
        ([("a", 10), ("a", 10)], True),
        ([("a", 10), ("a", 4), ("a", 11)], True),
        ([("a", 10), ("b", 12)], True),
        ([(None, 10), (None, 11)], False),
        ([(None, 10), ("a", 11), ("b", 12)], True),
        ([(None, 10), ("a", 11), ("a", 12)], False),
        ([("a", 10), (None, 11)], True),
    ],
    ids=[
        "grows",
        "equal",
        "older, for good",
        "another",
        "of an older version",
        "another, once it has an id",
        "given an id",
        "an older version's in its place",
    ],
)
def test_counters(beats: list[tuple[str | None, int]], *, found: bool) -> None:
    """A counter that grows is no restore; one that does not, or another document, is one for good."""
    watch = RestoreWatch()
    for made, count in beats:
        watch.note(Deployment(mode="strict", lifecycle="x", made=made, beats=count))

    assert watch.found is found


@pytest.mark.servers("wire")
async def test_a_late_beat_is_no_restore(store: Store) -> None:
    """A beat that the database executes after a later one, as it may after it hung, stops no bookings."""
    await add_resource(store)
    async with running_booking_service(store) as booking:
        late = Process.model_validate(await store.database["processes"].find_one({}))
        for _ in range(2):
            await booking.heartbeat.check_others()
        await ProcessStore(store).put_process(late)
        await booking.heartbeat.check_others()

        assert await refusal(booking, 0) is None


async def test_a_late_beat_changes_nothing(store: Store) -> None:
    """It does not put back the sessions that the process had then: those that it has now must be found."""
    rows = ProcessStore(store)
    now = process_of_another_machine(beat=3, sessions=[b"new"])
    assert await rows.put_process(now)

    assert not await rows.put_process(now.model_copy(update={"beat": 2, "sessions": [b"old"]}))
    assert await rows.find_others(None) == [now]
    later = now.model_copy(update={"beat": 4, "sessions": [b"newer"]})
    assert not await rows.put_process(later)
    assert await rows.find_others(None) == [later]


@pytest.mark.servers("wire")
async def test_an_agreement_that_goes_during_a_beat(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat that finds no agreement to be counted in has failed, and says nothing about what was restored."""
    insert = DeploymentStore.insert_first

    async def insert_and_lose(self: DeploymentStore, deployment: Deployment) -> None:
        await insert(self, deployment)
        await self.store.database["deployment"].delete_many({})

    with monkeypatch.context() as patch:
        patch.setattr(DeploymentStore, "insert_first", insert_and_lose)
        with pytest.raises(AutoReconnect):
            await agreement.agree(store)
    await add_resource(store)
    async with running_booking_service(store) as booking:
        assert await refusal(booking, 0) is None
