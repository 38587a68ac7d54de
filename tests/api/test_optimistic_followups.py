"""Optimistic mode: each write is reconciled afterwards, and no request waits for that."""

import asyncio

import pytest

from app.domain.ids import ResourceId
from app.job_queue import Queue
from app.reconciliation import engine, optimistic_followups
from app.reconciliation.optimistic_followups import OptimisticFollowups
from app.storage.client import Store
from tests.support.api_client import ApiClient, ok
from tests.support.times import HOUR, NINE

SECONDS = 30.0


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app lives on from test to test, and no test waits for the pause of the one before."""
    monkeypatch.setattr(optimistic_followups, "PAUSE_SECONDS", 0)


async def looked_at(store: Store) -> list[str]:
    """The kinds of the runs that wait, once there is one.

    The app may still pause after what another test wrote, before it reads again.
    """
    waiting = store.database["reconciliations"].find
    async with asyncio.timeout(SECONDS):
        while not (rows := await waiting({"state": "queued"}).to_list(None)):  # noqa: ASYNC110 -- a database has no event
            await asyncio.sleep(0.01)
    return [row["kind"] for row in rows]


async def test_each_write_is_looked_at(api: ApiClient) -> None:
    """A booking, a change and a move each ask for a run of what has changed; refusals and cancellations do not."""
    await api.resource()
    reservation = await api.booked()
    assert await looked_at(api.store) == ["incremental"]
    run = await engine.carry_out(api.store)
    assert run is not None
    assert (run.kind, run.resource, run.scanned) == ("incremental", None, 1)

    assert (await api.book()).status_code == 409
    other = await api.read(reservation)
    ok(await api.change(other, startTime="2030-01-07T10:00:00Z", endTime="2030-01-07T11:00:00Z"))
    assert await looked_at(api.store) == ["incremental"]
    await engine.carry_out(api.store)
    move = {"reservation": other["id"], "version": 2, "startTime": "2030-01-07T12:00:00Z"}
    ok(await api.request("POST", "/v1/moves", json={"moves": [move]}))
    assert await looked_at(api.store) == ["incremental"]
    await engine.carry_out(api.store)
    assert await engine.carry_out(api.store) is None


async def test_a_double_booking_is_found_without_being_asked_for(api: ApiClient) -> None:
    """A row that slipped past the check is a finding as soon as the run of its resource is carried out."""
    await api.resource()
    row = await api.stored(await api.booked())
    del row["_id"]
    await api.store.database["reservations"].insert_one(row)
    await api.booked(NINE + 2 * HOUR)
    assert await looked_at(api.store) == ["incremental"]
    run = await engine.carry_out(api.store)

    assert run is not None
    assert (run.findings, run.new) == (1, 1)
    (finding,) = ok(await api.get("/v1/findings"))["items"]
    assert (finding["resource"], finding["peak"]) == ("room", 2)


async def test_many_writes_ask_for_few_runs(mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of them asks at once, and no other one until a pause is over or the process ends; nothing is lost."""
    monkeypatch.setattr(optimistic_followups, "PAUSE_SECONDS", 3_600)
    written = OptimisticFollowups(mock_store, Queue(None))
    for number in range(100):
        written(ResourceId(f"room-{number}"))
    assert await looked_at(mock_store) == ["incremental"]
    await engine.carry_out(mock_store)
    for number in range(100):
        written(ResourceId(f"room-{number}"))
        await mock_store.database["reconciliations"].find_one()
    assert await mock_store.database["reconciliations"].count_documents({}) == 1
    await written.close()

    assert await looked_at(mock_store) == ["incremental"]
