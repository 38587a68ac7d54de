"""The mode and lifecycle that all processes of a database share: another does not start; `migrate` changes them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from bson import ObjectId

from app.booking import BookingService
from app.cluster import agreement
from app.errors import Problem
from app.migration.migrate import migrate, verify
from app.settings import Mode, Settings
from app.storage.client import Store, connect
from app.storage.documents import Process
from app.storage.errors import StorageError
from app.storage.processes import DeploymentStore
from tests.support.commands import run_reserva
from tests.support.step_driver import add_resource, book_accepted, booking_of

pytestmark = pytest.mark.servers("transactions")


@asynccontextmanager
async def opened(url: str, mode: Mode) -> AsyncIterator[Store]:
    """The same database in that mode."""
    store = await connect(Settings(mongodb_url=url, mode=mode))
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def running(store: Store) -> AsyncIterator[BookingService]:
    """A process that books."""
    booking = BookingService(store)
    try:
        await booking.start()
        yield booking
    finally:
        await booking.stop()


async def agreed(store: Store) -> tuple[str, str] | None:
    """The stored mode and lifecycle."""
    row = await store.database["deployment"].find_one({})
    return None if row is None else (row["mode"], row["lifecycle"])


async def say_another_lifecycle(store: Store) -> None:
    """Store a lifecycle as another version of Reserva would."""
    await agreement.agree(store)
    await store.database["deployment"].update_one({}, {"$set": {"lifecycle": "another"}})


async def refusal(call: Callable[[], Awaitable[Any]]) -> str:
    """The name of the problem that a call ends with."""
    with pytest.raises(Problem) as refused:
        await call()
    return refused.value.name


@pytest.mark.servers("any")
async def test_the_first_process_settles_it(store: Store) -> None:
    """The first process settles the mode and lifecycle for all others, also after every process has stopped."""
    assert await agreed(store) is None
    settled = await asyncio.gather(*(agreement.agree(store) for _ in range(5)))
    assert {(each.mode, each.lifecycle) for each in settled} == {(store.mode, agreement.LIFECYCLE)}
    async with running(store), running(store):
        pass

    assert await agreed(store) == (store.mode, agreement.LIFECYCLE)
    assert await store.database["deployment"].count_documents({}) == 1


async def test_another_mode_does_not_start(store: Store, database_url: str) -> None:
    """A process in another mode is refused with a sentence that says what to do, and leaves no row."""
    await agreement.agree(store)
    async with opened(database_url, "optimistic") as other:
        with pytest.raises(StorageError, match=r"in strict mode, .* optimistic mode\. .* run `reserva migrate`"):
            async with running(other):
                pass
        with pytest.raises(StorageError, match="strict mode"):
            await verify(other)

    assert await store.database["processes"].count_documents({}) == 0
    await verify(store)


async def test_another_lifecycle_does_not_start(store: Store) -> None:
    """A process in which other statuses follow or block does not start, whatever its mode."""
    await say_another_lifecycle(store)

    with pytest.raises(StorageError, match=r"another version of Reserva.* run `reserva migrate`"):
        async with running(store):
            pass


async def test_one_that_finds_it_changed_takes_no_more_bookings(store: Store, app_client: httpx.AsyncClient) -> None:
    """After a disagreement every change is `unavailable` and the process not ready, until all agree again."""
    await add_resource(store)
    hold = await book_accepted(store, hold_seconds=3_600)
    async with running(store) as booking:
        await booking.book(booking_of(hold.start_time + 5 * (hold.end_time - hold.start_time)))
        await say_another_lifecycle(store)
        await booking.heartbeat.check_others()
        refusals = [
            await refusal(lambda: booking.book(booking_of())),
            await refusal(lambda: booking.close(hold.id, "cancelled", by="test")),
        ]
        ready = [(await app_client.get("/readyz")).status_code]
        await agreement.change(store)
        await booking.heartbeat.check_others()
        ready.append((await app_client.get("/readyz")).status_code)
        cancelled = await booking.close(hold.id, "cancelled", by="test")

    assert refusals == ["unavailable", "unavailable"]
    assert ready == [503, 200]
    assert cancelled.status == "cancelled"


async def test_a_suspended_process_checks_before_it_books(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was suspended while others migrated refuses at once, not only with its next beat."""
    await add_resource(store)
    async with running(store) as booking:
        await say_another_lifecycle(store)
        monkeypatch.setattr(booking.heartbeat, "_last_beat", time.monotonic() - 60)

        assert await refusal(lambda: booking.book(booking_of())) == "unavailable"
    assert await store.database["reservations"].count_documents({}) == 0


class TestJoin:
    """A command without a configured mode books as the processes of its database do."""

    async def test_it_takes_what_is_agreed_on(self, store: Store, database_url: str) -> None:
        """Optimistic beside optimistic ones, although the server has transactions."""
        async with opened(database_url, "optimistic") as other:
            await agreement.agree(other)

        await agreement.join(store)

        assert store.mode == "optimistic"

    async def test_migrate_takes_what_the_server_has(self, store: Store, database_url: str) -> None:
        """It is the one that changes what is agreed on, to what `serve` wants by default."""
        async with opened(database_url, "optimistic") as other:
            await agreement.agree(other)

        migrated = await asyncio.to_thread(run_reserva, "migrate", MONGODB_URL=database_url)

        assert migrated.stdout == "built    deployment in strict mode\n"
        assert await agreed(store) == ("strict", agreement.LIFECYCLE)

    @pytest.mark.servers("standalone")
    async def test_it_does_not_take_less(self, store: Store, database_url: str) -> None:
        """Where the others rely on transactions, a server without them is refused, by `migrate` as well."""
        await store.database["deployment"].insert_one(
            {"_id": "deployment", "mode": "strict", "lifecycle": agreement.LIFECYCLE}
        )

        with pytest.raises(StorageError, match="no transactions"):
            await agreement.join(store)
        migrated = await asyncio.to_thread(run_reserva, "migrate", MONGODB_URL=database_url)

        assert migrated.returncode == 2
        assert await agreed(store) == ("strict", agreement.LIFECYCLE)


class TestMigrate:
    """Only `reserva migrate` changes the agreed mode and lifecycle."""

    async def test_it_changes_the_mode_without_processes(self, store: Store, database_url: str) -> None:
        """Without a running process the mode changes, and the next process starts in it."""
        await agreement.agree(store)

        checked = run_reserva("migrate", "--check", MONGODB_URL=database_url, RESERVA_MODE="optimistic")
        migrated = run_reserva("migrate", MONGODB_URL=database_url, RESERVA_MODE="optimistic")

        assert (checked.returncode, migrated.returncode) == (1, 0)
        assert checked.stdout.startswith("found    deployment-differs: ")
        assert migrated.stdout == "built    deployment in optimistic mode\n"
        async with opened(database_url, "optimistic") as other, running(other):
            pass

    async def test_it_says_who_runs_and_changes_nothing(self, store: Store, database_url: str) -> None:
        """As long as a process lives, the answer names it and the exit code is 1."""
        async with running(store):
            (row,) = await store.database["processes"].find().to_list(None)
            answer = await asyncio.to_thread(
                run_reserva, "migrate", MONGODB_URL=database_url, RESERVA_MODE="optimistic"
            )

        assert answer.returncode == 1
        assert f"{row['host']}, process {row['pid']} (strict)" in answer.stdout
        assert await agreed(store) == ("strict", agreement.LIFECYCLE)

    async def test_the_dead_do_not_count(self, store: Store, database_url: str) -> None:
        """A process row without heartbeats is watched for five seconds, and then removed."""
        await agreement.agree(store)
        dead = Process(
            id=ObjectId(), host="far", place="far", pid=1, started="", sessions=[], beat=7, mode="strict", lifecycle=""
        )
        await store.database["processes"].insert_one(dead.to_mongo())
        async with opened(database_url, "optimistic") as other:
            report = await migrate(other)

        assert report.built == ["deployment in optimistic mode"]
        assert await store.database["processes"].count_documents({}) == 0

    @pytest.mark.parametrize("lifecycle", ["another", agreement.LIFECYCLE], ids=["upgraded", "of this version"])
    async def test_it_gives_an_old_agreement_an_id(self, store: Store, lifecycle: str) -> None:
        """One that is older than the watch over restores gets the id by which that knows it; a second time nothing."""
        old = {"_id": "deployment", "mode": store.mode, "lifecycle": lifecycle, "beats": 7}
        await store.database["deployment"].insert_one(old)
        checked = await migrate(store, check=True)
        await migrate(store)
        given = await DeploymentStore(store).find()
        again = await migrate(store)

        assert "deployment-differs" in {finding.kind for finding in checked.findings}
        assert given is not None
        assert given.made
        assert (given.lifecycle, given.beats) == (agreement.LIFECYCLE, 7)
        assert (again.clean, again.built) == (True, [])
        assert await DeploymentStore(store).find() == given

    async def test_a_running_process_goes_on_when_it_gets_an_id(self, store: Store) -> None:
        """An id that `migrate` gives the agreement under a running process is no restore."""
        old = {"_id": "deployment", "mode": store.mode, "lifecycle": agreement.LIFECYCLE}
        await store.database["deployment"].insert_one(old)
        await add_resource(store)
        async with running(store) as booking:
            report = await migrate(store)
            await booking.heartbeat.check_others()
            await booking.book(booking_of())

        assert report.built == ["id of the deployment"]
