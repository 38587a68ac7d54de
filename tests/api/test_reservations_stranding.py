"""Edits of a resource under its bookings: who would be stranded is told, and left alone only by force."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.support.api_client import HOUR, MINUTE, NINE, Visitor, good, problem

ROOM = "/v1/resources/room"


async def edit(visitor: Visitor, *, force: bool = False, **patch: Any) -> httpx.Response:
    """Merge a patch into the room."""
    parameters = {"force": "true"} if force else {}
    return await visitor.ask("PATCH", ROOM, json=patch, headers={"If-Match": "*"}, params=parameters)


def told(reservation: dict[str, Any]) -> dict[str, Any]:
    """What the list of the stranded says of one."""
    names = ("id", "version", "customer", "startTime", "endTime", "status")
    return {name: reservation[name] for name in names if name in reservation}


@pytest.fixture
async def shop(visitor: Visitor) -> Visitor:
    """A room for three with two services; a customer."""
    await visitor.service("cut", bufferAfterMinutes=60)
    await visitor.service("dye")
    await visitor.resource(capacity=3, services=["cut", "dye"])
    await visitor.add("customers", id="ann")
    return visitor


async def assert_strands(shop: Visitor, reservations: list[dict[str, Any]], **patch: Any) -> None:
    """The edit is refused with these, by start, and changes nothing; by force it is done and leaves them."""
    before = await shop.everything()
    body = problem(await edit(shop, **patch), "stranded-bookings")

    assert body["total"] == len(reservations)
    assert body["reservations"] == [told(each) for each in reservations]
    assert await shop.everything() == before
    room = good(await edit(shop, force=True, **patch))
    assert {name: room[name] for name in patch} == patch
    after = await shop.everything()
    assert after["reservations"] == before["reservations"]


async def test_less_capacity_strands_those_who_share_an_instant(shop: Visitor) -> None:
    """Bookings, holds and requests alike, with their versions; not those that have room for themselves."""
    first = await shop.booked(customer="ann")
    hold = await shop.booked(NINE + 30 * MINUTE, expiresInSeconds=60)
    await shop.booked(NINE + 3 * HOUR)
    first = good(await shop.change(first, notes="x"))

    await assert_strands(shop, [first, hold], capacity=1)


async def test_touching_bookings_have_room_for_one(shop: Visitor) -> None:
    """It is the peak that counts, not the number; as low as the peak nobody is stranded."""
    for hour in range(3):
        await shop.booked(NINE + hour * HOUR)

    good(await edit(shop, capacity=1))


async def test_buffers_take_room_too(shop: Visitor) -> None:
    """Two that touch only by their blocks share an instant."""
    first = await shop.booked(service="cut")
    second = await shop.booked(NINE + HOUR + 30 * MINUTE)

    await assert_strands(shop, [first, second], capacity=1)


async def test_guests_are_counted_where_units_are_guests(shop: Visitor) -> None:
    """One party alone can be too large."""
    good(await edit(shop, capacityMode="guests", capacity=6))
    party = await shop.booked(guests=5)
    await shop.booked(NINE + 3 * HOUR, guests=3)

    good(await edit(shop, capacity=5))
    await assert_strands(shop, [party], capacity=4)


async def test_deactivation_strands_all_that_is_to_come(shop: Visitor) -> None:
    """What is over, was given up or lies in the past has nothing to lose."""
    coming = [await shop.booked(service="cut"), await shop.booked(NINE + 5 * HOUR)]
    for verb in ("cancel", "complete", "no-show"):
        given_up = await shop.booked(NINE + 9 * HOUR)
        await shop.begin(given_up)
        good(await shop.verb(given_up, verb))
    await shop.lapse(await shop.booked(NINE + 9 * HOUR, expiresInSeconds=60))
    await shop.booked(shop.store.clock.now() - 3 * HOUR)

    await assert_strands(shop, coming, active=False)


async def test_what_takes_place_now_is_stranded(shop: Visitor) -> None:
    """It has not ended."""
    present = await shop.booked(shop.store.clock.now() - HOUR, 2 * HOUR)

    await assert_strands(shop, [present], active=False)


async def test_what_has_ended_has_nothing_to_lose(shop: Visitor) -> None:
    """Though its buffer still runs."""
    reservation = await shop.booked(service="cut")
    end = shop.store.clock.now() - 10 * MINUTE
    await shop.put(
        reservation, startTime=end - HOUR, endTime=end, blockStart=end - HOUR, blockEnd=end + timedelta(hours=1)
    )

    good(await edit(shop, active=False))


async def test_a_service_that_goes_strands_those_who_booked_it(shop: Visitor) -> None:
    """And nobody else; one that comes strands nobody."""
    await shop.service("wash")
    cut = await shop.booked(service="cut")
    await shop.booked(NINE + 3 * HOUR, service="dye")
    await shop.booked(NINE + 6 * HOUR)

    good(await edit(shop, services=["dye", "cut", "wash"]))
    await assert_strands(shop, [cut], services=["dye"])


async def test_what_was_wrong_before_is_not_told_again(shop: Visitor) -> None:
    """Once forced, further edits are not about the same bookings."""
    for _ in range(3):
        await shop.booked()
    good(await edit(shop, force=True, capacity=2))

    good(await edit(shop, name="another"))
    good(await edit(shop, capacity=3))
    assert problem(await edit(shop, capacity=1), "stranded-bookings")["total"] == 3


async def test_a_switch_of_what_units_mean_is_refused_by_force_too(shop: Visitor) -> None:
    """As long as a booking is to come; with its list, and both ways."""
    coming = await shop.booked()
    for force in (False, True):
        body = problem(await edit(shop, force=force, capacityMode="guests"), "stranded-bookings")
        assert body["reservations"] == [told(coming)]
    good(await edit(shop, capacityMode="reservations", name="same mode"))

    good(await shop.verb(coming, "cancel"))
    assert good(await edit(shop, capacityMode="guests"))["capacityMode"] == "guests"
    assert (await shop.booked(guests=3))["units"] == 3
    problem(await edit(shop, force=True, capacityMode="reservations"), "stranded-bookings")


async def test_the_past_does_not_keep_units_as_they_are(shop: Visitor) -> None:
    """Only what still blocks does."""
    await shop.booked(shop.store.clock.now() - 3 * HOUR)

    good(await edit(shop, capacityMode="guests"))


async def test_a_hundred_are_listed_and_all_are_counted(shop: Visitor) -> None:
    """`total` tells how many there are; the list holds the first hundred."""
    row = await shop.stored(await shop.booked())
    copies = [row | {"_id": type(row["_id"])()} for _ in range(100)]
    await shop.store.database["reservations"].insert_many(copies)
    body = problem(await edit(shop, active=False), "stranded-bookings")

    assert (body["total"], len(body["reservations"])) == (101, 100)
    assert "101" in body["detail"]


async def test_who_may_not_read_reservations_gets_a_number(shop: Visitor) -> None:
    """And may force what it cannot see."""
    clerk = await shop.other("catalogue:write")
    await shop.booked(customer="ann")
    answer = await edit(clerk, active=False)

    assert problem(answer, "stranded-bookings")["total"] == 1
    assert "reservations" not in answer.json()
    assert "ann" not in answer.text
    good(await edit(clerk, force=True, active=False))


async def test_those_left_can_be_confirmed_cancelled_and_moved_away(shop: Visitor) -> None:
    """What a forced edit leaves is no dead end."""
    await shop.resource("hall", services=["cut"])
    hold, gone, moved = [
        await shop.booked(NINE + hour * HOUR, service="dye", expiresInSeconds=600) for hour in (0, 3, 6)
    ]
    good(await edit(shop, force=True, active=False, capacity=1, services=["cut"]))

    assert good(await shop.verb(hold, "confirm"))["status"] == "confirmed"
    assert good(await shop.verb(gone, "cancel"))["status"] == "cancelled"
    assert good(await shop.change(moved, resource="hall", service="cut"))["resource"] == "hall"


async def test_stale_comes_before_stranding(shop: Visitor) -> None:
    """Who edits what it has not seen is told so first."""
    await shop.booked()
    answer = await shop.ask("PATCH", ROOM, json={"active": False}, headers={"If-Match": '"7"'})

    problem(answer, "stale")
