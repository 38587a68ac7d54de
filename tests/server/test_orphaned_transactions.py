"""Locks of a process that died while booking: free within seconds, and its booking never written."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import click
import pytest

from app.booking import BookingService
from app.booking.doubtful_sessions import LATE_PACKET_SECONDS, DoubtfulSessions
from app.booking.session_driver import SessionDriver
from app.cluster.reaper import SILENT_SECONDS, Reaper
from app.errors import Problem
from app.pids import PLACE, is_gone, started
from app.storage.client import Store
from app.storage.documents import Process
from app.storage.steps import BEGIN, KILL
from tests.support.commands import RunningCommand, running_command
from tests.support.process_rows import process_of_another_machine, process_rows
from tests.support.servers import ROOT
from tests.support.step_driver import add_resource, book_accepted, booking_of, running_booking_service

TRIES = 5
"""How often a booking is tried, three seconds each: far less than the minute that the server would keep the guard."""


@asynccontextmanager
async def booker(url: str, step: str, place: str, *more: str) -> AsyncIterator[RunningCommand]:
    """A process that has done that step of its booking and waits; see `booker`."""
    command = [sys.executable, "-m", "tests.support.booking_process", url, step, place, *more]
    with running_command(command, env={}, cwd=ROOT) as process:
        await asyncio.to_thread(process.wait_for_line, f"at {step}")
        yield process


async def booked_at_last(booking: BookingService, since: float) -> float:
    """Book the room as soon as it lets us; the seconds that it took."""
    for _ in range(TRIES):
        try:
            await booking.book(booking_of())
        except Problem as problem:
            if problem.name not in {"overloaded", "unavailable"}:
                raise
        else:
            return time.monotonic() - since
    raise AssertionError("the room stayed locked")


def tell(what: str, seconds: float, capsys: pytest.CaptureFixture[str]) -> None:
    """Print a measurement, whether or not output is captured."""
    with capsys.disabled():
        click.echo(f"\n  {what}: {seconds:.1f} s", nl=False)


async def bookers(store: Store) -> list[str]:
    """Who booked what is there, in order of its start."""
    booked = await store.database["reservations"].find().sort("startTime", 1).to_list(None)
    return [row["history"][0]["by"] for row in booked]


@pytest.mark.promise("dead-processes")
class TestKilled:
    """SIGKILL right after the guard was changed, inside the transaction."""

    @pytest.mark.servers("transactions")
    @pytest.mark.parametrize("place", ["here", "elsewhere"])
    async def test_the_resource_books_again_within_seconds(
        self, store: Store, database_url: str, place: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Another process frees the guard: at its next beat on the same machine, after five silent seconds else."""
        await add_resource(store)
        async with running_booking_service(store) as booking:
            async with booker(database_url, "guards.bump", place) as dead:
                await asyncio.to_thread(dead.end, signal.SIGKILL)
                seconds = await booked_at_last(booking, time.monotonic())
            left = await process_rows(store)

        tell(f"killed {place}, booked again after", seconds, capsys)
        assert [row["pid"] for row in left] == [os.getpid()]
        assert await bookers(store) == ["test"]

    @pytest.mark.servers("transactions")
    async def test_a_restart_on_the_same_machine_frees_at_once(
        self, store: Store, database_url: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Without other processes, the next one to start ends the dead one's transactions before it books anything."""
        await add_resource(store)
        async with booker(database_url, "guards.bump", "here") as dead:
            await asyncio.to_thread(dead.end, signal.SIGKILL)
        since = time.monotonic()

        async with running_booking_service(store) as booking:
            await booking.book(booking_of())

        tell("restarted, booked after", time.monotonic() - since, capsys)

    @pytest.mark.servers("transactions")
    async def test_a_closure_that_meets_the_dead_is_done_after_the_next_beat(
        self, store: Store, database_url: str
    ) -> None:
        """A cancellation of a reservation which a dead process was changing is tried until that process is reaped."""
        await add_resource(store)
        hold = await book_accepted(store, hold_seconds=3_600)
        async with running_booking_service(store) as booking:
            async with booker(database_url, "reservations.update", "here", str(hold.id)) as dead:
                await asyncio.to_thread(dead.end, signal.SIGKILL)
            cancelled = await booking.close(hold.id, "cancelled", by="test")

        assert cancelled.status == "cancelled"
        assert [entry.to for entry in cancelled.history] == ["pending", "cancelled"]


class TestSuspended:
    """SIGSTOP in the middle of a transaction, and SIGCONT when the other processes count it as dead."""

    @pytest.mark.servers("transactions")
    @pytest.mark.parametrize("step", ["guards.bump", "reservations.insert"])
    async def test_a_zombie_cannot_commit(
        self, store: Store, database_url: str, step: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Its time is booked by another; it loses what it had done, notices, and books on in another session."""
        await add_resource(store)
        async with running_booking_service(store) as booking, booker(database_url, step, "elsewhere") as zombie:
            (before,) = [row for row in await process_rows(store) if row["pid"] == zombie.process.pid]
            zombie.process.send_signal(signal.SIGSTOP)
            seconds = await booked_at_last(booking, time.monotonic())
            assert [row["pid"] for row in await process_rows(store)] == [os.getpid()]

            zombie.process.send_signal(signal.SIGCONT)
            first = await asyncio.to_thread(zombie.wait_for_line, "first:")
            second = await asyncio.to_thread(zombie.wait_for_line, "second:")
            (after,) = [row for row in await process_rows(store) if row["pid"] == zombie.process.pid]
            assert await asyncio.to_thread(zombie.end, signal.SIGTERM) == 0
            left = await process_rows(store)

        tell(f"suspended after {step}, booked again after", seconds, capsys)
        assert first == "first: refused after 1 losses"
        assert second == "second: booked"
        assert before["sessions"] != after["sessions"]
        assert [row["pid"] for row in left] == [os.getpid()]
        assert await bookers(store) == ["test", "booker"]


class Hands:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """What it shows."""
        return self.seconds


class TestWatch:
    """Which processes count as dead, by the clock of the process that watches."""

    @pytest.fixture
    async def other(self, mock_store: Store) -> Process:
        """The row of another process."""
        row = process_of_another_machine()
        await mock_store.database["processes"].insert_one(row.to_mongo())
        return row

    async def test_a_counter_that_stands_still_for_five_seconds_is_the_end(
        self, mock_store: Store, other: Process
    ) -> None:
        """A process is dead after five seconds of an unchanged counter, from its first read on, and not before."""
        clock = Hands()
        watch = Reaper(mock_store, clock=clock)
        living = []
        for seconds in (100.0, 100 + SILENT_SECONDS - 0.1, 100 + SILENT_SECONDS):
            clock.seconds = seconds
            living.append([row.id for row in await watch.find_dead()])

        assert living == [[other.id], [other.id], []]
        assert await process_rows(mock_store) == []

    async def test_who_beats_lives_however_slowly(self, mock_store: Store, other: Process) -> None:
        """Each beat starts the five seconds again."""
        clock = Hands()
        watch = Reaper(mock_store, clock=clock)
        for _ in range(5):
            await watch.find_dead()
            clock.seconds += SILENT_SECONDS - 0.1
            await mock_store.database["processes"].update_one({"_id": other.id}, {"$inc": {"beat": 1}})

        assert [row.id for row in await watch.find_dead()] == [other.id]

    async def test_a_watcher_that_paused_declares_none_dead(self, mock_store: Store, other: Process) -> None:
        """A watcher that was suspended, or cut off, begins to count anew."""
        clock = Hands()
        watch = Reaper(mock_store, clock=clock)
        await watch.find_dead()
        clock.seconds += 60
        watch.forget()

        assert [row.id for row in await watch.find_dead()] == [other.id]

    async def test_an_id_that_another_process_has_by_now_is_no_sign_of_life(self, mock_store: Store) -> None:
        """On one machine a row is known by the start time of its process too, and one of another machine by neither."""
        mine = {"place": PLACE, "pid": os.getpid()}
        alive = process_of_another_machine(**mine, started=started(os.getpid()))
        reused, far = process_of_another_machine(**mine, started="earlier"), process_of_another_machine(pid=2**22 + 1)
        for row in (alive, reused, far):
            await mock_store.database["processes"].insert_one(row.to_mongo())

        assert {row.id for row in await Reaper(mock_store).find_dead()} == {alive.id, far.id}

    def test_an_exited_process_is_gone_before_its_parent_asks(self) -> None:
        """A process of which only the exit status is left runs no more."""
        process = subprocess.Popen(["sleep", "60"])
        since = started(process.pid)
        assert since is not None
        assert not is_gone(process.pid, since)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        assert is_gone(process.pid, since)
        process.wait()
        assert is_gone(process.pid, since)


class TestRow:
    """What the others can read of a process."""

    @pytest.mark.servers("transactions")
    async def test_no_session_is_used_before_the_row_names_it(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The row names each session before its use, also after one was replaced, or all were after a false death."""
        drive, used, unnamed = SessionDriver.drive, list[bytes](), list[bytes]()

        def recording(self: SessionDriver, slot: int, *arguments: Any) -> Any:
            session = bytes(self.sessions[slot].session_id["id"])
            used.append(session)
            if self.database["processes"].find_one({"sessions": session}) is None:
                unnamed.append(session)
            return drive(self, slot, *arguments)

        monkeypatch.setattr(SessionDriver, "drive", recording)
        await add_resource(store, capacity=9)
        async with running_booking_service(store) as booking:
            driver = booking.committer.driver
            assert isinstance(driver, SessionDriver)
            await booking.book(booking_of())
            for slot in range(len(driver.sessions)):
                await asyncio.to_thread(driver.perform, KILL, slot, 0.0)
            await booking.book(booking_of())
            await store.database["processes"].delete_many({})
            await booking.heartbeat.check_others()
            await booking.book(booking_of())

        assert len(set(used)) == 3
        assert unnamed == []

    @pytest.mark.servers("transactions")
    async def test_a_session_that_the_server_did_not_end_stays_named(self, store: Store) -> None:
        """While a replaced session may still have locks it stays in the row, so that another process can end it too.

        That it was ended once is not enough: its first statement may still be in transit.
        """
        await add_resource(store)
        async with running_booking_service(store) as booking:
            driver, clock = booking.committer.driver, Hands()
            assert isinstance(driver, SessionDriver)
            driver.doubtful_sessions = DoubtfulSessions(driver.client, clock)
            old = bytes(driver.sessions[0].session_id["id"])
            with pytest.MonkeyPatch.context() as cut:
                cut.setattr(driver.doubtful_sessions, "end", lambda: None)
                driver.perform(BEGIN, 0, 0.0)
                driver._doubt_session(0)
            named = []
            for seconds in (0, LATE_PACKET_SECONDS - 1, LATE_PACKET_SECONDS):
                clock.seconds = seconds
                await booking.heartbeat.check_others()
                await booking.heartbeat.check_others()
                named += [row["sessions"] for row in await process_rows(store)]

        assert [old in sessions for sessions in named] == [True, True, False]

    @pytest.mark.servers("any")
    async def test_it_stands_from_start_to_stop(self, store: Store) -> None:
        """On every server, since also without transactions all must agree on the mode."""
        async with running_booking_service(store):
            (row,) = await process_rows(store)

        assert (row["pid"], row["mode"]) == (os.getpid(), store.mode)
        assert bool(row["sessions"]) == (store.mode == "strict")
        assert await process_rows(store) == []
