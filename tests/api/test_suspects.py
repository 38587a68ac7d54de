"""Optimistic mode: what was written is looked at again, without anybody waiting for it."""

import pytest

from app.reconciliation import service, suspects
from app.storage.client import Store
from tests.visitor import HOUR, NINE, Visitor, good

TURNS = 10_000


async def looked_at(store: Store) -> list[str]:
    """The kinds of the runs that wait, once there is one; none if there never is."""
    for _ in range(TURNS):
        rows = await store.database["reconciliations"].find({"state": "queued"}).to_list(None)
        if rows:
            return [row["kind"] for row in rows]
    return []


async def test_each_write_is_looked_at(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A booking, a change and a move each ask for a run of what has changed; refusals and cancellations do not."""
    monkeypatch.setattr(suspects, "PAUSE_SECONDS", 0)
    await visitor.resource()
    reservation = await visitor.booked()
    assert await looked_at(visitor.store) == ["incremental"]
    run = await service.carry_out(visitor.store)
    assert run is not None
    assert (run.kind, run.resource, run.scanned) == ("incremental", None, 1)

    assert (await visitor.book()).status_code == 409
    other = await visitor.read(reservation)
    good(await visitor.change(other, startTime="2030-01-07T10:00:00Z", endTime="2030-01-07T11:00:00Z"))
    assert await looked_at(visitor.store) == ["incremental"]
    await service.carry_out(visitor.store)
    move = {"reservation": other["id"], "version": 2, "startTime": "2030-01-07T12:00:00Z"}
    good(await visitor.ask("POST", "/v1/moves", json={"moves": [move]}))
    assert await looked_at(visitor.store) == ["incremental"]
    await service.carry_out(visitor.store)
    assert await service.carry_out(visitor.store) is None


async def test_a_double_booking_is_found_without_being_asked_for(visitor: Visitor) -> None:
    """A row that slipped past the check is a finding as soon as the run of its resource is carried out."""
    await visitor.resource()
    row = await visitor.stored(await visitor.booked())
    del row["_id"]
    await visitor.store.database["reservations"].insert_one(row)
    await visitor.booked(NINE + 2 * HOUR)
    assert await looked_at(visitor.store) == ["incremental"]
    run = await service.carry_out(visitor.store)

    assert run is not None
    assert (run.findings, run.new) == (1, 1)
    (finding,) = good(await visitor.get("/v1/findings"))["items"]
    assert (finding["resource"], finding["peak"]) == ("room", 2)


async def test_many_writes_ask_for_few_runs(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of them asks at once, and no other one until a pause is over."""
    monkeypatch.setattr(suspects, "PAUSE_SECONDS", 3_600)
    await visitor.resource()
    booked = [await visitor.booked(NINE + hours * HOUR) for hours in range(8)]
    assert await looked_at(visitor.store) == ["incremental"]
    run = await service.carry_out(visitor.store)
    more = [await visitor.booked(NINE + hours * HOUR) for hours in range(8, 16)]

    assert len(booked) + len(more) == 16
    assert run is not None
    assert await visitor.store.database["reconciliations"].count_documents({}) == 1
