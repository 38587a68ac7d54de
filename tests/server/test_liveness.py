"""Which processes count as dead, also when the database's answers are late or lost."""

import asyncio
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from app.booking import BookingService
from app.cluster import heartbeat, reaper
from app.cluster.reaper import SILENT_SECONDS, Reaper
from app.pids import PLACE
from app.storage.client import Store
from app.storage.documents import Process
from tests.support.process_rows import process_of_another_machine, process_rows


async def put(store: Store, **fields: Any) -> Process:
    """The row of another process."""
    row = process_of_another_machine(**fields)
    await store.database["processes"].insert_one(row.to_mongo())
    return row


async def beaten(store: Store, row: Process) -> None:
    """One more beat of another process."""
    await store.database["processes"].update_one({"_id": row.id}, {"$inc": {"beat": 1}})


async def test_who_beats_while_it_is_ended_keeps_its_row(mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sessions are ended, but its row stays, since it still beats and goes on with new ones."""
    other = await put(mock_store, sessions=[b"0" * 16])
    killed: list[bytes] = []

    async def kill(store: Store, sessions: list[bytes]) -> None:
        killed.extend(sessions)
        await beaten(store, other)

    monkeypatch.setattr(reaper, "kill_sessions", kill)
    await reaper.reap(mock_store, other, "silent")

    assert killed == other.sessions
    assert [row["_id"] for row in await process_rows(mock_store)] == [other.id]


async def test_an_answer_that_came_late_proves_no_silence(mock_store: Store) -> None:
    """Silence is counted from the end of one read to the beginning of another: beats between them are unknown."""
    other = await put(mock_store)
    begun_and_ended = iter([0, 5, 5.1, 15, 15, 15])
    watch = Reaper(mock_store, clock=lambda: next(begun_and_ended) / 5 * SILENT_SECONDS)
    living = [[row.id for row in await watch.find_dead()] for _ in "123"]

    assert living == [[other.id], [other.id], []]


async def test_only_who_beats_before_our_eyes_is_running(mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process counts as running once its row was seen to change; a row alone is not enough."""
    monkeypatch.setattr(reaper, "_POLL_SECONDS", 0.0)
    first, second = await put(mock_store), await put(mock_store)
    running = asyncio.create_task(reaper.running(mock_store))
    for row in (first, second):
        for _ in range(20):
            await asyncio.sleep(0)
        assert not running.done()
        await beaten(mock_store, row)

    assert {row.id for row in await running} == {first.id, second.id}


async def test_a_process_ends_dead_neighbours_at_its_start(mock_store: Store) -> None:
    """Processes of its own machine that no longer run are ended before it books anything."""
    await put(mock_store, place=PLACE, pid=2**22 + 1, started="earlier")
    booking = BookingService(mock_store)
    await booking.start()
    left = await process_rows(mock_store)
    await booking.stop()

    assert [row["_id"] for row in left] == [booking.heartbeat._row.id]


async def test_a_stopped_process_beats_no_more(mock_store: Store) -> None:
    """A check that was still running when its process stopped writes no row afterwards."""
    booking = BookingService(mock_store)
    await booking.start()
    await booking.stop()
    await booking.heartbeat.check_others()

    assert await process_rows(mock_store) == []


@pytest.mark.parametrize("why", ["cut off", "away"])
async def test_a_process_that_could_not_watch_declares_none_dead(
    mock_store: Store, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """After a failed read, or a pause of its own, a process forgets since when the others have been silent."""
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 3_600.0)
    booking = BookingService(mock_store)
    await booking.start()
    await put(mock_store)
    await booking.heartbeat.check_others()
    watch = booking.heartbeat._reaper
    known = len(watch._seen)
    if why == "away":
        booking.heartbeat._last_beat -= heartbeat.GAP_SECONDS + 1
        monkeypatch.setattr(watch, "find_dead", _nothing)
    else:
        monkeypatch.setattr(watch, "find_dead", _cut_off)
    await booking.heartbeat.check_others()
    left = len(watch._seen)
    await booking.stop()

    assert (known, left) == (1, 0)


async def _nothing() -> None:
    """Find no process."""


async def _cut_off() -> None:
    raise AutoReconnect("connection closed")


async def test_a_process_beats_before_it_books_after_a_pause(
    mock_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pause its row may have been removed; while its beats are recent a batch needs no further beat."""
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 3_600.0)
    booking = BookingService(mock_store)
    await booking.start()
    beats = [row["beat"] for row in await process_rows(mock_store)]
    await booking.heartbeat.ensure_registered()
    beats += [row["beat"] for row in await process_rows(mock_store)]
    booking.heartbeat._last_beat -= heartbeat.GAP_SECONDS + 1
    await booking.heartbeat.ensure_registered()
    beats += [row["beat"] for row in await process_rows(mock_store)]
    await booking.stop()

    assert beats == [1, 1, 2]
