"""Closing a day while others book it, on real servers: no booking is stranded without saying so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import httpx
import pytest

from app.booking.batch import Outcome, WriteConflict
from app.booking.edit import EditResource, PlanOutdated
from app.booking.intents import AnyIntent
from app.booking.outcomes import Accepted, Refused, Stranded
from app.errors import KINDS
from app.storage.catalogue_updates import Changes
from app.storage.client import Store
from tests.support.api_client import booking_body, created, ok, problem
from tests.support.http_client import serving
from tests.support.step_driver import StepDriver, add_resource, booking_of, planned_edit, run_batch
from tests.support.step_driver import book_accepted as accepted
from tests.support.times import HOUR, NINE
from tests.support.unguarded import without_the_bump

ROOM = "/v1/resources/room"
DAY = {"from": "2030-01-07", "to": "2030-01-08"}
CLOSED = {"overrides": [{"date": "2030-01-07", "windows": []}]}
BOOKERS = 24


async def close_the_day(store: Store) -> EditResource:
    """The resource is away all day."""
    return await planned_edit(store, Changes(added={"id": "sick", **DAY}))


async def race(store: Store, paused: AnyIntent, other: AnyIntent) -> list[Outcome | None]:
    """One driver pauses after its read, the other finishes, then the first one; None stands for a lost guard."""
    first, second = StepDriver(store, [paused]), StepDriver(store, [other])
    outcomes: list[Outcome | None] = [None, None]
    try:
        await first.until("targets.read" if isinstance(paused, EditResource) else "occupants.read")
        for place, driver in ((1, second), (0, first)):
            try:
                (outcomes[place],) = await driver.finish()
            except WriteConflict:
                continue
    finally:
        await first.close()
        await second.close()
    return outcomes


@pytest.mark.servers("transactions")
@pytest.mark.promise("stranding")
async def test_a_day_is_not_closed_behind_a_booking(store: Store) -> None:
    """Who has read an open day books it; the edit comes too late for silence, and lists the booking."""
    await add_resource(store)
    edit = await close_the_day(store)
    booked, closed = await race(store, booking_of(), edit)

    assert isinstance(booked, Accepted)
    assert closed is None
    (again,) = await run_batch(store, edit)
    assert isinstance(again, PlanOutdated)
    with pytest.raises(Stranded) as refused:
        await close_the_day(store)
    assert [taken.id for taken in refused.value.stranded] == [booked.value.id]


@pytest.mark.servers("transactions")
@pytest.mark.promise("stranding")
async def test_a_day_that_is_being_closed_takes_no_booking(store: Store) -> None:
    """A booking after the edit has read the empty day loses the guard to the edit, and is then refused."""
    await add_resource(store)
    wish = booking_of()
    closed, booked = await race(store, await close_the_day(store), wish)

    assert isinstance(closed, Accepted)
    assert booked is None
    (again,) = await run_batch(store, wish)
    assert isinstance(again, Refused)
    assert [check.time_off for check in again.verdict.failed] == ["sick"]


@pytest.mark.servers("transactions")
@pytest.mark.parametrize("edit_first", [True, False])
async def test_the_race_notices_an_edit_without_its_guard(
    store: Store, monkeypatch: pytest.MonkeyPatch, *, edit_first: bool
) -> None:
    """With the guard only read, the very same race closes the day over a booking that is not reported."""
    await add_resource(store)
    await accepted(store, start=NINE - 50 * HOUR)  # raises the reach, which would be a write of the guard as well
    without_the_bump(monkeypatch)
    intents: list[AnyIntent] = [await close_the_day(store), booking_of()]
    outcomes = await race(store, *(intents if edit_first else intents[::-1]))

    assert [type(outcome) for outcome in outcomes] == [Accepted, Accepted]


@pytest.fixture
async def clients(store: Store) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Two apps over one database: each remembers for itself what it has read."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(serving(store)) for _ in range(2)]


async def book(client: httpx.AsyncClient, hours: float = 0) -> httpx.Response:
    """Try to book an hour, some hours after nine on the Monday."""
    return await client.post("/v1/reservations", json=booking_body(NINE + timedelta(hours=hours), HOUR))


@pytest.mark.servers
async def test_an_edit_is_known_everywhere_at_once(clients: list[httpx.AsyncClient]) -> None:
    """The booking right after it obeys, in a process that had the old hours in its memory as well."""
    one, other = clients
    created(await one.post("/v1/resources", json={"id": "room", "name": "Room"}))
    for client in clients:
        assert ok(await client.get(f"{ROOM}/schedule")) == {}
        cancelled = created(await book(client))
        ok(await client.post(f"/v1/reservations/{cancelled['id']}/cancel"))

    ok(await one.put(f"{ROOM}/schedule", json=CLOSED, headers={"If-Match": '"1"'}))
    assert ok(await other.get(f"{ROOM}/schedule")) == CLOSED
    for client in clients:
        failed = [check for check in problem(await book(client), "rule")["checks"] if not check["ok"]]
        assert [(check["rule"], check["override"]) for check in failed] == [("schedule", "2030-01-07")]
    ok(await other.put(f"{ROOM}/schedule", json={}, headers={"If-Match": '"2"'}))
    off = created(await other.post(f"{ROOM}/time-off", json=DAY))
    problem(await book(one), "rule")
    assert (await one.delete(f"{ROOM}/time-off/{off['id']}", headers={"If-Match": '"4"'})).status_code == 204
    created(await book(other))


async def close(client: httpx.AsyncClient) -> list[str]:
    """Close the day, cancelling each reservation that is reported as stranded; returns their ids."""
    listed: list[str] = []
    for _ in range(BOOKERS):
        answer = await client.post(f"{ROOM}/time-off", json=DAY)
        if answer.status_code == 201:
            return listed
        for each in problem(answer, "stranded-bookings")["reservations"]:
            listed.append(each["id"])
            ok(await client.post(f"/v1/reservations/{each['id']}/cancel"))
    raise AssertionError("the day was never closed")


@pytest.mark.servers("transactions")
@pytest.mark.promise("stranding")
async def test_a_booking_made_while_a_day_is_closed_is_reported(clients: list[httpx.AsyncClient]) -> None:
    """Each accepted booking was listed before the day was closed, and afterwards none is left on it."""
    created(await clients[0].post("/v1/resources", json={"id": "room", "name": "Room", "capacity": BOOKERS}))
    early = await asyncio.gather(*[book(clients[n % 2], n % 8) for n in range(BOOKERS // 2)])
    closing = asyncio.create_task(close(clients[0]))
    late = await asyncio.gather(*[book(clients[n % 2], n % 8) for n in range(BOOKERS // 2)])
    listed = await closing

    booked = [created(answer)["id"] for answer in (*early, *late) if answer.status_code != KINDS["rule"].status]
    assert len(booked) >= len(early)
    assert sorted(listed) == sorted(booked)
    left = await clients[0].get("/v1/reservations", params={"status": "confirmed"})
    assert ok(left)["items"] == []
    problem(await book(clients[1]), "rule")
