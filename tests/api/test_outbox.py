"""Every change of a reservation leaves one event, which says what has changed and which version that made."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.booking.expiry import complete_ended, expire_lapsed
from tests.support.api_client import ApiClient, created, ok
from tests.support.step_driver import running_booking_service
from tests.support.times import HOUR, NINE

Change = Callable[[ApiClient, dict[str, Any]], Awaitable[object]]
LATER = "2030-01-07T12:00:00Z"


async def left(api: ApiClient, reservation: dict[str, Any]) -> list[tuple[str, int]]:
    """The events of a reservation in the outbox: their types and versions, in the order of their ids."""
    rows = await api.store.database["outbox"].find().sort("_id", 1).to_list(None)
    return [(row["type"], row["version"]) for row in rows if str(row["subject"]) == reservation["id"]]


async def expire(api: ApiClient, reservation: dict[str, Any]) -> None:
    """By the worker."""
    await api.expire(reservation)
    async with running_booking_service(api.store) as booking:
        assert await expire_lapsed(api.store, booking.committer) == 1


async def book_over(api: ApiClient, reservation: dict[str, Any]) -> None:
    """By a booking that takes the place of the hold, which has expired."""
    await api.expire(reservation)
    created(await api.book())


async def complete(api: ApiClient, reservation: dict[str, Any]) -> None:
    """By the worker, long after it has ended."""
    now = api.store.clock.now()
    await api.overwrite(reservation, startTime=now - 6 * HOUR, endTime=now - 5 * HOUR)
    async with running_booking_service(api.store) as booking:
        assert await complete_ended(api.store, booking.committer, 1) == 1


async def attend(api: ApiClient, reservation: dict[str, Any]) -> None:
    """By a person, after its start."""
    await api.begin(reservation)
    ok(await api.verb(reservation, "complete"))


async def miss(api: ApiClient, reservation: dict[str, Any]) -> None:
    """By a person, after its start."""
    await api.begin(reservation)
    ok(await api.verb(reservation, "no-show"))


async def reopen(api: ApiClient, reservation: dict[str, Any]) -> None:
    """By a person, after somebody else has recorded a no-show."""
    await api.overwrite(reservation, status="no-show")
    ok(await api.verb(reservation, "reopen", reason="came"))


HOLD: dict[str, Any] = {"expiresInSeconds": 600}
CASES: dict[str, tuple[dict[str, Any], Change]] = {
    "reservation.confirmed": (HOLD, lambda api, it: api.verb(it, "confirm")),
    "reservation.changed": ({}, lambda api, it: api.change(it, notes="x")),
    "reservation.moved": ({}, lambda api, it: api.change(it, startTime=LATER)),
    "reservation.cancelled": ({}, lambda api, it: api.verb(it, "cancel")),
    "reservation.expired": (HOLD, expire),
    "reservation.completed": ({}, complete),
    "reservation.no-show": ({}, miss),
    "reservation.reopened": ({}, reopen),
}


@pytest.mark.parametrize("kind", CASES)
async def test_a_change_leaves_its_event(api: ApiClient, kind: str) -> None:
    """Of its type, with the version that it has made, behind the event of the booking."""
    fields, change = CASES[kind]
    await api.resource()
    reservation = await api.booked(**fields)
    await change(api, reservation)

    first = "reservation.held" if fields else "reservation.created"
    assert await left(api, reservation) == [(first, 1), (kind, 2)]


@pytest.mark.parametrize("change", [book_over, attend])
async def test_other_ways_leave_it_too(api: ApiClient, change: Change) -> None:
    """A hold that a booking expires, and an attendance that a person records."""
    await api.resource()
    reservation = await api.booked(**(HOLD if change is book_over else {}))
    await change(api, reservation)

    assert [version for _, version in await left(api, reservation)] == [1, 2]


async def test_a_longer_hold_is_changed_and_a_request_is_requested(api: ApiClient) -> None:
    """Both change nothing but the end of the hold: one has another, one has none any more."""
    await api.service(approval=True)
    await api.resource(services=["cut"])
    caller = await api.with_scopes("reservations:read", "reservations:write")
    held = await caller.booked(service="cut", **HOLD)
    ok(await caller.verb(held, "extend", expiresInSeconds=3_600))
    ok(await caller.verb(held, "confirm"))
    asked = await caller.booked(NINE + 2 * HOUR, service="cut")

    assert await left(api, held) == [
        ("reservation.held", 1),
        ("reservation.changed", 2),
        ("reservation.requested", 3),
    ]
    assert await left(api, asked) == [("reservation.requested", 1)]


async def test_an_event_names_both_resources_of_a_move(api: ApiClient) -> None:
    """Who follows the resource that it left must hear of it."""
    await api.resource()
    await api.resource("hall")
    reservation = await api.booked()
    ok(await api.change(reservation, resource="hall"))
    (event,) = await api.store.database["outbox"].find({"type": "reservation.moved"}).to_list(None)

    assert (event["resource"], event["formerResource"], event["changed"]) == ("hall", "room", ["resource"])
    assert event["by"] == api.prefix


async def test_what_is_refused_or_repeated_leaves_none(api: ApiClient) -> None:
    """A conflict, a replay and a repeated cancellation change nothing."""
    await api.resource()
    body = {"resource": "room", "startTime": "2030-01-07T09:00:00Z", "endTime": "2030-01-07T10:00:00Z"}
    made = created(await api.post(body, key="once"))
    assert (await api.post(body, key="once")).status_code == 201
    assert (await api.post(body)).status_code == 409
    ok(await api.verb(made, "cancel"))
    ok(await api.verb(made, "cancel"))

    assert await left(api, made) == [("reservation.created", 1), ("reservation.cancelled", 2)]
    assert await api.store.database["outbox"].count_documents({}) == 2


async def test_an_erasure_leaves_its_event(api: ApiClient) -> None:
    """The reservation has another version without its texts; one of which nothing was cleared has not."""
    await api.resource()
    await api.add("customers", id="leaver-1", name="Ann")
    noted = await api.booked(customer="leaver-1", notes="allergic")
    plain = await api.booked(NINE + HOUR, customer="leaver-1")
    ok(await api.request("POST", "/v1/customers/leaver-1/erase"))

    assert await left(api, noted) == [("reservation.created", 1), ("reservation.changed", 2)]
    assert await left(api, plain) == [("reservation.created", 1)]
