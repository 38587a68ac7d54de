"""Lists of reservations: filters, order, pages, and a customer's history."""

import base64
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import pytest
from httpx import Response

from app.domain.instants import render
from app.domain.lifecycle import STATUSES
from tests.support.api_client import HOUR, MINUTE, NINE, RESERVATIONS, Visitor, good, made, problem

DAY = timedelta(days=1)


BAD_PARAMETERS: list[tuple[str, Any]] = [
    ("from", "2030-01-07"),
    ("to", "2030-01-07T09:00:00"),
    ("updatedSince", "yesterday"),
    ("from", ""),
    ("from", "2201-01-01T00:00:00Z"),
    ("status", "gone"),
    ("status", ["confirmed", "Pending"]),
    ("status", "pending,confirmed"),
    ("resource", ["a", "b"]),
    ("group", "0" * 24),
    ("sort", "id"),
    ("limit", 0),
    ("limit", 201),
    ("limit", -1),
    ("limit", "abc"),
    ("limit", ""),
    ("limit", "9" * 40),
    ("limit", ["1", "2"]),
]


def packed(marks: Any) -> str:
    """A cursor as somebody might make it."""
    return base64.urlsafe_b64encode(json.dumps(marks, separators=(",", ":")).encode()).rstrip(b"=").decode()


NO_CURSORS = [
    "",
    "x",
    "0",
    "%%%",
    "é",
    "x" * 5_000,
    packed([1]),
    packed([1, 2]),
    packed(["2030", "0" * 24]),
    packed([1, "x"]),
    packed([10**30, "0" * 24]),
    packed([-(10**15), "0" * 24]),
    packed([True, "0" * 24]),
    packed([1.5, "0" * 24]),
    packed({"a": 1}),
    packed(None),
    packed([{"$gt": 0}, "0" * 24]),
]


@pytest.fixture
async def shop(visitor: Visitor) -> Visitor:
    """Two rooms that take many, two customers."""
    for name in ("room", "hall"):
        await visitor.resource(name, capacity=1_000)
    for name in ("ann", "bob"):
        await visitor.add("customers", id=name)
    return visitor


async def pages(shop: Visitor, limit: int, path: str = RESERVATIONS, **filters: Any) -> list[list[str]]:
    """The ids of all pages, which must all but the last be full."""
    found: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        page = good(await shop.get(path, limit=limit, **filters, **cursor))
        assert set(page) <= {"items", "next"}
        found.append([item["id"] for item in page["items"]])
        if "next" not in page:
            assert len(found[-1]) <= limit
            return found
        assert len(found[-1]) == limit
        cursor = {"cursor": page["next"]}


async def status_of_each(shop: Visitor) -> dict[str, str]:
    """A reservation in each status, and two more: a hold whose time is over, and a live one."""
    soon = [await shop.booked(NINE + day * DAY) for day in range(4)]
    for reservation, verb in zip(soon, ("cancel", "complete", "no-show"), strict=False):
        start = (await shop.stored(reservation))["startTime"]
        await shop.begin(reservation)
        good(await shop.verb(reservation, verb))
        await shop.put(reservation, startTime=start, blockStart=start)
    written, live, lapsed = [await shop.booked(NINE + day * DAY, expiresInSeconds=60) for day in range(4, 7)]
    await shop.put(written, status="expired")
    await shop.lapse(lapsed)
    names = ("cancelled", "completed", "no-show", "confirmed", "expired", "pending", "lapsed")
    everyone = [*soon, written, live, lapsed]
    return dict(zip(names, (reservation["id"] for reservation in everyone), strict=True))


class TestFilters:
    """What a list is narrowed to."""

    async def test_nothing_is_an_empty_page(self, shop: Visitor) -> None:
        """With items and without a next."""
        assert good(await shop.get(RESERVATIONS)) == {"items": []}

    async def test_items_are_whole(self, shop: Visitor) -> None:
        """Each as it reads by itself."""
        made_one = await shop.booked(customer="ann", notes="x", metadata={"a": 1}, expiresInSeconds=60)

        assert good(await shop.get(RESERVATIONS))["items"] == [made_one]
        assert good(await shop.get("/v1/customers/ann/reservations"))["items"] == [made_one]

    async def test_by_resource_and_customer(self, shop: Visitor) -> None:
        """Alone and together; of nobody there is nothing."""
        for resource, customer in (("room", "ann"), ("room", "bob"), ("hall", "ann")):
            await shop.booked(resource=resource, customer=customer)
        await shop.booked()

        assert len(await shop.ids(resource="room")) == 3
        assert len(await shop.ids(customer="ann")) == 2
        assert len(await shop.ids(resource="room", customer="ann")) == 1
        assert await shop.ids(resource="hall", customer="bob") == []
        assert await shop.ids(resource="nowhere") == []

    async def test_by_status(self, shop: Visitor) -> None:
        """A hold whose time is over is expired in every list, whoever has written that down, and pending in none."""
        ids = await status_of_each(shop)

        for status in STATUSES:
            expected = {ids[status]} | ({ids["lapsed"]} if status == "expired" else set())
            items = good(await shop.get(RESERVATIONS, status=status))["items"]
            assert {item["id"] for item in items} == expected, status
            assert {item["status"] for item in items} == {status}

    async def test_several_statuses(self, shop: Visitor) -> None:
        """Repeated, any of them."""
        ids = await status_of_each(shop)

        assert set(await shop.ids(status=["expired", "cancelled"])) == {
            ids["expired"],
            ids["lapsed"],
            ids["cancelled"],
        }
        assert set(await shop.ids(status=["pending", "confirmed"])) == {ids["pending"], ids["confirmed"]}
        assert len(await shop.ids(status=[*STATUSES])) == len(ids)

    async def test_a_request_without_an_end_is_pending(self, shop: Visitor) -> None:
        """What waits for approval never expires."""
        await shop.service(approval=True)
        await shop.resource("salon", services=["cut"])
        request = await shop.booked(resource="salon", service="cut")

        assert await shop.ids(status="pending") == [request["id"]]
        assert await shop.ids(status="expired") == []

    async def test_by_a_span_that_they_overlap(self, shop: Visitor) -> None:
        """Half-open on both sides; either bound may be left out."""
        taken = [(await shop.booked())["id"]]
        instant = timedelta(milliseconds=1)

        async def found(**bounds: datetime) -> list[str]:
            return await shop.ids(**{name.rstrip("_"): render(at) for name, at in bounds.items()})

        assert await found(from_=NINE, to=NINE + HOUR) == taken
        assert await found(from_=NINE - HOUR, to=NINE) == []
        assert await found(from_=NINE + HOUR, to=NINE + 2 * HOUR) == []
        assert await found(from_=NINE - HOUR, to=NINE + instant) == taken
        assert await found(from_=NINE + HOUR - instant, to=NINE + 2 * HOUR) == taken
        assert await found(from_=NINE + 10 * MINUTE, to=NINE + 11 * MINUTE) == taken
        assert await found(from_=NINE) == taken
        assert await found(from_=NINE + HOUR) == []
        assert await found(to=NINE) == []
        assert await found(to=NINE + instant) == taken

    async def test_what_began_long_before_a_span_overlaps_it(self, shop: Visitor) -> None:
        """The longest reservation is found by its last millisecond."""
        long = await shop.booked(length=366 * DAY)
        end = NINE + 366 * DAY

        assert await shop.ids(**{"from": render(end - timedelta(milliseconds=1)), "to": render(end + DAY)}) == [
            long["id"]
        ]
        assert await shop.ids(**{"from": render(end)}) == []

    async def test_a_span_is_of_the_times_not_the_blocks(self, shop: Visitor) -> None:
        """Buffers do not count here."""
        await shop.service(bufferBeforeMinutes=30, bufferAfterMinutes=30)
        await shop.resource("salon", services=["cut"])
        await shop.booked(resource="salon", service="cut")

        assert await shop.ids(**{"from": render(NINE - HOUR), "to": render(NINE)}) == []
        assert await shop.ids(**{"from": render(NINE + HOUR), "to": render(NINE + 2 * HOUR)}) == []

    async def test_updated_since(self, shop: Visitor) -> None:
        """What changed since an instant, that instant included, by when it changed."""
        first, second, third = [await shop.booked(NINE + day * DAY) for day in range(3)]
        base = shop.store.clock.now() - HOUR
        for seconds, reservation in ((3, first), (1, second), (2, third)):
            await shop.put(reservation, updatedAt=base + timedelta(seconds=seconds))

        assert await shop.ids(updatedSince=render(base)) == [second["id"], third["id"], first["id"]]
        assert await shop.ids(updatedSince=render(base + timedelta(seconds=2))) == [third["id"], first["id"]]
        assert await shop.ids(updatedSince=render(base + timedelta(seconds=3, milliseconds=1))) == []
        assert await shop.ids(updatedSince=render(base), resource="hall") == []

    async def test_every_change_is_an_update(self, shop: Visitor) -> None:
        """Whatever is done to it, and by which way: the change is stamped with the moment at which it was made."""
        reservation = await shop.booked(expiresInSeconds=60)
        changes: list[Callable[[], Awaitable[Response]]] = [
            lambda: shop.verb(reservation, "extend", expiresInSeconds=120),
            lambda: shop.change(reservation, notes="x"),
            lambda: shop.verb(reservation, "confirm"),
            lambda: shop.change(reservation, guests=2),
            lambda: shop.verb(reservation, "cancel"),
        ]
        for change in changes:
            await shop.put(reservation, updatedAt=NINE - 10_000 * DAY)
            before = render(shop.store.clock.now())
            changed = good(await change())["updatedAt"]

            assert before <= changed <= render(shop.store.clock.now())

    async def test_bad_parameters_are_refused(self, shop: Visitor) -> None:
        """Each at its name."""
        for name, value in BAD_PARAMETERS:
            problem(await shop.get(RESERVATIONS, **{name: value}), "invalid", f"?{name}")
        for end in (NINE, NINE - HOUR):
            span = {"from": render(NINE), "to": render(end)}
            problem(await shop.get(RESERVATIONS, **span), "invalid", "?to")


class TestPages:
    """Order, cursors, limits."""

    async def test_by_start_then_id(self, shop: Visitor) -> None:
        """Whatever the order in which they were made, and whatever the page's size."""
        reservations = [await shop.booked(NINE + (index * 7 % 5) * HOUR) for index in range(12)]
        expected = [each["id"] for each in sorted(reservations, key=lambda each: (each["startTime"], each["id"]))]

        for limit in (1, 4, 5, 12, 200):
            found = await pages(shop, limit)
            assert [*chain(*found)] == expected

    async def test_a_full_last_page_has_no_next(self, shop: Visitor) -> None:
        """The end is told with the last item, not by an empty page after it."""
        for index in range(4):
            await shop.booked(NINE + index * HOUR)

        assert [len(page) for page in await pages(shop, 2)] == [2, 2]

    async def test_fifty_if_nobody_says(self, shop: Visitor) -> None:
        """The default of a page; 200 is the most."""
        first = await shop.stored(await shop.booked())
        copies = [first | {"_id": type(first["_id"])()} for _ in range(201)]
        await shop.store.database["reservations"].insert_many(copies)

        assert len(await shop.ids()) == 50
        assert len(await shop.ids(limit=200)) == 200
        assert [len(page) for page in await pages(shop, 200)] == [200, 2]

    async def test_by_update_then_id(self, shop: Visitor) -> None:
        """With `updatedSince` the pages go by change."""
        reservations = [await shop.booked(NINE - index * HOUR) for index in range(7)]
        base = shop.store.clock.now() - HOUR
        for index, reservation in enumerate(reservations):
            await shop.put(reservation, updatedAt=base + timedelta(seconds=index // 3))
        found: list[str] = []
        cursor: dict[str, str] = {}
        for _ in range(4):
            page = good(await shop.get(RESERVATIONS, limit=2, updatedSince=render(base), **cursor))
            found += [item["id"] for item in page["items"]]
            cursor = {"cursor": page["next"]}

        assert found == [each["id"] for each in reservations]

    async def test_what_comes_between_moves_nothing(self, shop: Visitor) -> None:
        """Made, cancelled or filled in before and behind the cursor: nobody who was there is skipped or repeated."""
        there = [await shop.booked(NINE + index * HOUR) for index in range(6)]
        page = good(await shop.get(RESERVATIONS, limit=3))
        await shop.booked(NINE - HOUR)
        await shop.booked(NINE + HOUR)
        behind = await shop.booked(NINE + 10 * HOUR)
        good(await shop.verb(there[1], "cancel"))
        rest = await shop.ids(cursor=page["next"])

        seen = [item["id"] for item in page["items"]] + rest
        assert [identity for identity in seen if identity != behind["id"]] == [each["id"] for each in there]
        assert behind["id"] in rest

    async def test_filters_hold_on_every_page(self, shop: Visitor) -> None:
        """The cursor says where to go on, the filters what counts."""
        for index in range(6):
            await shop.booked(NINE + index * HOUR, resource="room" if index % 2 else "hall", customer="ann")
        found = await pages(shop, 2, resource="room", customer="ann", status="confirmed")

        assert [len(page) for page in found] == [2, 1]

    async def test_a_cursor_that_is_none_is_refused(self, shop: Visitor) -> None:
        """Whatever somebody made of it; on both lists."""
        for _ in range(2):
            await shop.booked(customer="ann")
        cursor = good(await shop.get(RESERVATIONS, limit=1))["next"]

        for path in (RESERVATIONS, "/v1/customers/ann/reservations"):
            for bent in (cursor[:-1], cursor + "A", cursor + "=", cursor[1:], *NO_CURSORS):
                problem(await shop.get(path, cursor=bent), "invalid", "?cursor")

    async def test_a_cursor_of_another_list_is_refused(self, shop: Visitor) -> None:
        """Resources go by id, so their cursor leads nowhere here."""
        cursor = good(await shop.get("/v1/resources", limit=1))["next"]

        problem(await shop.get(RESERVATIONS, cursor=cursor), "invalid", "?cursor")


class TestHistory:
    """`/v1/customers/{id}/reservations`."""

    PATH = "/v1/customers/ann/reservations"

    async def test_newest_start_first(self, shop: Visitor) -> None:
        """All of that customer's, in every status, and nobody else's; over pages too."""
        reservations = [await shop.booked(NINE + (index * 3 % 4) * HOUR, customer="ann") for index in range(7)]
        await shop.booked(customer="bob")
        await shop.booked()
        good(await shop.verb(reservations[2], "cancel"))
        expected = sorted(reservations, key=lambda each: (each["startTime"], each["id"]), reverse=True)

        for limit in (2, 7, 50):
            assert [*chain(*await pages(shop, limit, self.PATH))] == [each["id"] for each in expected]

    async def test_who_does_not_exist_has_none(self, shop: Visitor) -> None:
        """404, where one without reservations has an empty list."""
        problem(await shop.get("/v1/customers/nobody/reservations"), "not-found")
        assert good(await shop.get("/v1/customers/bob/reservations")) == {"items": []}

    @pytest.mark.parametrize("name", ["status", "from", "resource", "updatedSince"])
    async def test_it_takes_no_filters(self, shop: Visitor, name: str) -> None:
        """What is not promised is refused, never ignored."""
        problem(await shop.get(self.PATH, **{name: "x"}), "invalid", f"?{name}")

    async def test_a_moved_booking_is_in_its_new_customers_history(self, shop: Visitor) -> None:
        """And in no other."""
        reservation = made(await shop.book(customer="ann"))
        good(await shop.change(reservation, customer="bob"))

        assert await shop.ids(self.PATH) == []
        assert await shop.ids("/v1/customers/bob/reservations") == [reservation["id"]]
