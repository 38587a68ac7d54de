"""Edits of a resource with bookings: the stranded ones are listed, and left as they are only with `force`."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.support.api_client import ApiClient, booking_body, ok, problem
from tests.support.times import HOUR, MINUTE, NINE

ROOM = "/v1/resources/room"


async def edit(api: ApiClient, *, force: bool = False, **patch: Any) -> httpx.Response:
    """Merge a patch into the room."""
    parameters = {"force": "true"} if force else {}
    return await api.request("PATCH", ROOM, json=patch, headers={"If-Match": "*"}, params=parameters)


def listed(reservation: dict[str, Any]) -> dict[str, Any]:
    """The entry of a reservation in the list of the stranded."""
    names = ("id", "version", "customer", "startTime", "endTime", "status")
    return {name: reservation[name] for name in names if name in reservation}


@pytest.fixture
async def api(api: ApiClient) -> ApiClient:
    """A room for three with two services; a customer."""
    await api.service("cut", bufferAfterMinutes=60)
    await api.service("dye")
    await api.resource(capacity=3, services=["cut", "dye"])
    await api.add("customers", id="ann")
    return api


async def assert_strands(api: ApiClient, reservations: list[dict[str, Any]], **patch: Any) -> None:
    """The edit is refused with these, by start, and changes nothing; by force it is done and leaves them."""
    before = await api.contents()
    body = problem(await edit(api, **patch), "stranded-bookings")

    assert body["total"] == len(reservations)
    assert body["reservations"] == [listed(each) for each in reservations]
    assert await api.contents() == before
    room = ok(await edit(api, force=True, **patch))
    assert {name: room[name] for name in patch} == patch
    after = await api.contents()
    assert after["reservations"] == before["reservations"]


async def test_less_capacity_strands_those_who_share_an_instant(api: ApiClient) -> None:
    """Bookings, holds and requests alike, with their versions; not the bookings that still have room."""
    first = await api.booked(customer="ann")
    hold = await api.booked(NINE + 30 * MINUTE, expiresInSeconds=60)
    await api.booked(NINE + 3 * HOUR)
    first = ok(await api.change(first, notes="x"))

    await assert_strands(api, [first, hold], capacity=1)


async def test_touching_bookings_have_room_for_one(api: ApiClient) -> None:
    """It is the peak that counts, not the number; a capacity as low as the peak strands no booking."""
    for hour in range(3):
        await api.booked(NINE + hour * HOUR)

    ok(await edit(api, capacity=1))


async def test_buffers_take_room_too(api: ApiClient) -> None:
    """Two that touch only by their blocks share an instant."""
    first = await api.booked(service="cut")
    second = await api.booked(NINE + HOUR + 30 * MINUTE)

    await assert_strands(api, [first, second], capacity=1)


async def test_guests_are_counted_where_units_are_guests(api: ApiClient) -> None:
    """One party alone can be too large."""
    ok(await edit(api, capacityMode="guests", capacity=6))
    party = await api.booked(guests=5)
    await api.booked(NINE + 3 * HOUR, guests=3)

    ok(await edit(api, capacity=5))
    await assert_strands(api, [party], capacity=4)


async def test_deactivation_strands_all_that_is_to_come(api: ApiClient) -> None:
    """What is over, was given up or lies in the past has nothing to lose."""
    coming = [await api.booked(service="cut"), await api.booked(NINE + 5 * HOUR)]
    for verb in ("cancel", "complete", "no-show"):
        given_up = await api.booked(NINE + 9 * HOUR)
        await api.begin(given_up)
        ok(await api.verb(given_up, verb))
    await api.expire(await api.booked(NINE + 9 * HOUR, expiresInSeconds=60))
    await api.booked(api.store.clock.now() - 3 * HOUR)

    await assert_strands(api, coming, active=False)


async def test_what_takes_place_now_is_stranded(api: ApiClient) -> None:
    """It has not ended."""
    present = await api.booked(api.store.clock.now() - HOUR, 2 * HOUR)

    await assert_strands(api, [present], active=False)


async def test_what_has_ended_has_nothing_to_lose(api: ApiClient) -> None:
    """Though its buffer still runs."""
    reservation = await api.booked(service="cut")
    end = api.store.clock.now() - 10 * MINUTE
    await api.overwrite(
        reservation, startTime=end - HOUR, endTime=end, blockStart=end - HOUR, blockEnd=end + timedelta(hours=1)
    )

    ok(await edit(api, active=False))


async def test_fewer_guests_strand_larger_parties(api: ApiClient) -> None:
    """Also where guests take no capacity; what is left above the limit can shrink, and neither grow nor move."""
    small, large = await api.booked(guests=4), await api.booked(guests=7)
    ok(await edit(api, maxGuests=9))
    ok(await edit(api, maxGuests=7))

    await assert_strands(api, [large], maxGuests=5)
    problem(await api.change(large, guests=8), "rule", "/guests")
    problem(await api.change(large, **booking_body(NINE + HOUR)), "rule", "/guests")
    problem(await api.change(small, guests=6), "rule", "/guests")
    ok(await api.change(small, guests=5))
    ok(await api.change(large, guests=6, notes="x"))
    ok(await edit(api, maxGuests=None))
    ok(await api.change(large, guests=60))


async def test_a_resource_for_services_alone_strands_what_has_none(api: ApiClient) -> None:
    """After that no new booking comes without a service, and none gives its service up."""
    cut, plain = await api.booked(service="cut"), await api.booked()

    await assert_strands(api, [plain], serviceOnly=True)
    problem(await api.book(), "rule", "/service")
    problem(await api.change(cut, service=None), "rule", "/service")
    ok(await api.change(plain, notes="x"))


async def test_a_service_that_goes_strands_those_who_booked_it(api: ApiClient) -> None:
    """A service that goes strands its bookings alone; one that comes strands none."""
    await api.service("wash")
    cut = await api.booked(service="cut")
    await api.booked(NINE + 3 * HOUR, service="dye")
    await api.booked(NINE + 6 * HOUR)

    ok(await edit(api, services=["dye", "cut", "wash"]))
    await assert_strands(api, [cut], services=["dye"])


async def test_what_was_wrong_before_is_not_listed_again(api: ApiClient) -> None:
    """Once forced, further edits are not about the same bookings."""
    for _ in range(3):
        await api.booked()
    ok(await edit(api, force=True, capacity=2))

    ok(await edit(api, name="another"))
    ok(await edit(api, capacity=3))
    assert problem(await edit(api, capacity=1), "stranded-bookings")["total"] == 3


async def test_a_switch_of_what_units_mean_is_refused_by_force_too(api: ApiClient) -> None:
    """As long as a booking is to come; with its list, and both ways."""
    coming = await api.booked()
    for force in (False, True):
        body = problem(await edit(api, force=force, capacityMode="guests"), "stranded-bookings")
        assert body["reservations"] == [listed(coming)]
    ok(await edit(api, capacityMode="reservations", name="same mode"))

    ok(await api.verb(coming, "cancel"))
    assert ok(await edit(api, capacityMode="guests"))["capacityMode"] == "guests"
    assert (await api.booked(guests=3))["units"] == 3
    problem(await edit(api, force=True, capacityMode="reservations"), "stranded-bookings")


async def test_the_past_does_not_keep_units_as_they_are(api: ApiClient) -> None:
    """Only what still blocks does."""
    await api.booked(api.store.clock.now() - 3 * HOUR)

    ok(await edit(api, capacityMode="guests"))


async def test_a_hundred_are_listed_and_all_are_counted(api: ApiClient) -> None:
    """`total` tells how many there are; the list holds the first hundred."""
    row = await api.stored(await api.booked())
    copies = [row | {"_id": type(row["_id"])()} for _ in range(100)]
    await api.store.database["reservations"].insert_many(copies)
    body = problem(await edit(api, active=False), "stranded-bookings")

    assert (body["total"], len(body["reservations"])) == (101, 100)
    assert "101" in body["detail"]


async def test_who_may_not_read_reservations_gets_a_number(api: ApiClient) -> None:
    """And may force what it cannot see."""
    clerk = await api.with_scopes("catalogue:write")
    await api.booked(customer="ann")
    answer = await edit(clerk, active=False)

    assert problem(answer, "stranded-bookings")["total"] == 1
    assert "reservations" not in answer.json()
    assert "ann" not in answer.text
    ok(await edit(clerk, force=True, active=False))


async def test_those_left_can_be_confirmed_cancelled_and_moved_away(api: ApiClient) -> None:
    """What a forced edit leaves is no dead end."""
    await api.resource("hall", services=["cut"])
    hold, gone, moved = [
        await api.booked(NINE + hour * HOUR, service="dye", expiresInSeconds=600) for hour in (0, 3, 6)
    ]
    ok(await edit(api, force=True, active=False, capacity=1, services=["cut"]))

    assert ok(await api.verb(hold, "confirm"))["status"] == "confirmed"
    assert ok(await api.verb(gone, "cancel"))["status"] == "cancelled"
    assert ok(await api.change(moved, resource="hall", service="cut"))["resource"] == "hall"


async def test_stale_comes_before_stranding(api: ApiClient) -> None:
    """A stale version is reported before stranded bookings."""
    await api.booked()
    answer = await api.request("PATCH", ROOM, json={"active": False}, headers={"If-Match": '"7"'})

    problem(answer, "stale")
