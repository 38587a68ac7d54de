"""Optimistic mode: what was written is looked at again, without anybody waiting for it."""

from app.reconciliation import service
from app.storage.client import Store
from tests.visitor import HOUR, NINE, Visitor, good

TURNS = 10_000


async def looked_at(store: Store) -> list[str]:
    """The resources for which a run waits, once there is one; none if there never is."""
    for _ in range(TURNS):
        rows = await store.database["reconciliations"].find({"state": "queued"}).to_list(None)
        if rows:
            return [row["resource"] for row in rows]
    return []


async def test_each_write_has_its_resource_looked_at(visitor: Visitor) -> None:
    """A booking, a change, a group and a move each ask for a run of the resource; refusals and cancellations do not."""
    await visitor.resource()
    reservation = await visitor.booked()
    assert await looked_at(visitor.store) == ["room"]
    run = await service.carry_out(visitor.store)
    assert run is not None
    assert (run.kind, run.resource, run.scanned) == ("resource", "room", 1)

    assert (await visitor.book()).status_code == 409
    other = await visitor.read(reservation)
    good(await visitor.change(other, startTime="2030-01-07T10:00:00Z", endTime="2030-01-07T11:00:00Z"))
    assert await looked_at(visitor.store) == ["room"]
    await service.carry_out(visitor.store)
    move = {"reservation": other["id"], "version": 2, "startTime": "2030-01-07T12:00:00Z"}
    good(await visitor.ask("POST", "/v1/moves", json={"moves": [move]}))
    assert await looked_at(visitor.store) == ["room"]
    await service.carry_out(visitor.store)
    assert await service.carry_out(visitor.store) is None


async def test_a_double_booking_is_found_without_being_asked_for(visitor: Visitor) -> None:
    """A row that slipped past the check is a finding as soon as the run of its resource is carried out."""
    await visitor.resource()
    row = await visitor.stored(await visitor.booked())
    del row["_id"]
    await visitor.store.database["reservations"].insert_one(row)
    await visitor.booked(NINE + 2 * HOUR)
    assert await looked_at(visitor.store) == ["room"]
    run = await service.carry_out(visitor.store)

    assert run is not None
    assert (run.findings, run.new) == (1, 1)
    (finding,) = good(await visitor.get("/v1/findings"))["items"]
    assert (finding["resource"], finding["peak"]) == ("room", 2)
