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
from tests.support.api_client import RESERVATIONS, ApiClient, booking_body, created, ok, problem
from tests.support.times import DAY, HOUR, MINUTE, NINE

BAD_PARAMETERS: list[tuple[str, Any]] = [
    ("from", "2030-01-07"),
    ("to", "2030-01-07T09:00:00"),
    ("updatedSince", "yesterday"),
    ("from", ""),
    ("from", "2201-01-01T00:00:00Z"),
    ("status", "gone"),
    ("status", ["confirmed", "Pending"]),
    ("status", "pending,confirmed"),
    ("startFrom", "2030-01-07"),
    ("startTo", ""),
    ("startTo", "\0"),
    ("order", "up"),
    ("order", "null"),
    ("status", "null"),
    ("order", ["asc", "desc"]),
    ("expand", "group"),
    ("expand", ""),
    ("expand", "resource,"),
    ("expand", "resource\n"),
    ("expand", ["resource", "customer"]),
    *((name, ["x"] * 201) for name in ("resource", "customer", "id", "group", "reference")),
    ("service", "cut"),
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
    """A forged cursor."""
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
async def api(api: ApiClient) -> ApiClient:
    """Two rooms that take many, two customers."""
    for name in ("room", "hall"):
        await api.resource(name, capacity=1_000)
    for name in ("ann", "bob"):
        await api.add("customers", id=name)
    return api


async def pages(api: ApiClient, limit: int, path: str = RESERVATIONS, **filters: Any) -> list[list[str]]:
    """The ids of all pages, which must all but the last be full."""
    found: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        page = ok(await api.get(path, limit=limit, **filters, **cursor))
        assert set(page) <= {"items", "next"}
        found.append([item["id"] for item in page["items"]])
        if "next" not in page:
            assert len(found[-1]) <= limit
            return found
        assert len(found[-1]) == limit
        cursor = {"cursor": page["next"]}


async def status_of_each(api: ApiClient) -> dict[str, str]:
    """A reservation in each status, and two more: a hold whose time is over, and a live one."""
    soon = [await api.booked(NINE + day * DAY) for day in range(4)]
    for reservation, verb in zip(soon, ("cancel", "complete", "no-show"), strict=False):
        start = (await api.stored(reservation))["startTime"]
        await api.begin(reservation)
        ok(await api.verb(reservation, verb))
        await api.overwrite(reservation, startTime=start, blockStart=start)
    written, live, lapsed = [await api.booked(NINE + day * DAY, expiresInSeconds=60) for day in range(4, 7)]
    await api.overwrite(written, status="expired")
    await api.expire(lapsed)
    names = ("cancelled", "completed", "no-show", "confirmed", "expired", "pending", "lapsed")
    everyone = [*soon, written, live, lapsed]
    return dict(zip(names, (reservation["id"] for reservation in everyone), strict=True))


class TestFilters:
    """What a list is narrowed to."""

    async def test_nothing_is_an_empty_page(self, api: ApiClient) -> None:
        """With items and without a next."""
        assert ok(await api.get(RESERVATIONS)) == {"items": []}

    async def test_items_are_whole(self, api: ApiClient) -> None:
        """Each as it reads by itself."""
        made_one = await api.booked(customer="ann", notes="x", metadata={"a": 1}, expiresInSeconds=60)

        assert ok(await api.get(RESERVATIONS))["items"] == [made_one]
        assert ok(await api.get("/v1/customers/ann/reservations"))["items"] == [made_one]

    async def test_by_resource_and_customer(self, api: ApiClient) -> None:
        """Filters work alone and together; an unknown customer has no reservations."""
        for resource, customer in (("room", "ann"), ("room", "bob"), ("hall", "ann")):
            await api.booked(resource=resource, customer=customer)
        await api.booked()

        assert len(await api.ids(resource="room")) == 3
        assert len(await api.ids(customer="ann")) == 2
        assert len(await api.ids(resource="room", customer="ann")) == 1
        assert await api.ids(resource="hall", customer="bob") == []
        assert await api.ids(resource="nowhere") == []

    async def test_by_several_of_each(self, api: ApiClient) -> None:
        """Any of the values of one filter, and all of the filters; ids and groups in whatever form are harmless."""
        await api.service()
        await api.service("dye")
        await api.resource("salon", services=["cut", "dye"], capacity=9)
        made = [
            await api.booked(NINE, resource="room", customer="ann", reference="WEB 1"),
            await api.booked(NINE + HOUR, resource="hall", customer="bob", reference="WEB 2"),
            await api.booked(NINE + 2 * HOUR, resource="salon", service="cut"),
            await api.booked(NINE + 3 * HOUR, resource="salon", service="dye", customer="ann"),
        ]
        body = {"reservations": [booking_body(NINE + 4 * HOUR, reference="WEB 1")]}
        group = created(await api.request("POST", "/v1/groups", json=body))
        one, two, cut, dye, member = [*(each["id"] for each in made), group["reservations"][0]["id"]]

        for filters, expected in (
            ({"resource": ["room", "hall"]}, [one, two, member]),
            ({"customer": ["ann", "bob", "nobody"]}, [one, two, dye]),
            ({"customer": ["ann", "bob"], "resource": ["salon", "room"]}, [one, dye]),
            ({"service": ["cut", "dye"], "resource": "salon"}, [cut, dye]),
            ({"service": "dye", "customer": "ann"}, [dye]),
            ({"service": "cut", "startFrom": render(NINE), "startTo": render(NINE + DAY)}, [cut]),
            ({"service": ["cut", "dye"], "from": render(NINE), "to": render(NINE + DAY)}, [cut, dye]),
            ({"id": [dye, one, "x", "0" * 24, "\N{SNOWMAN}"]}, [one, dye]),
            ({"id": [one, two], "resource": "hall"}, [two]),
            ({"group": [group["id"], "x", "0" * 24]}, [member]),
            ({"group": "x"}, []),
            ({"reference": "WEB 1"}, [one, member]),
            ({"reference": ["WEB 2", "WEB 1"], "resource": ["hall", "room"]}, [one, two, member]),
            ({"reference": "web 1"}, []),
        ):
            assert list(chain(*await pages(api, 1, **filters))) == expected, filters
            assert list(chain(*await pages(api, 2, order="desc", **filters))) == expected[::-1], filters
        bound = await api.with_scopes("reservations:read", customer="ann")
        assert await bound.ids(service=["cut", "dye"]) == [dye]
        assert await bound.ids(customer=["bob", "ann"], id=[one, two, dye]) == [one, dye]
        assert await bound.ids(customer="bob") == []

    async def test_by_when_they_start(self, api: ApiClient) -> None:
        """From an instant on and before another, whatever goes on at that time; with a span that they overlap too."""
        long, first, second, third = [
            (await api.booked(start, length))["id"]
            for start, length in ((NINE - 40 * DAY, 50 * DAY), (NINE, HOUR), (NINE + HOUR, HOUR), (NINE + DAY, HOUR))
        ]

        assert await api.ids(startFrom=render(NINE)) == [first, second, third]
        assert await api.ids(startTo=render(NINE + HOUR)) == [long, first]
        assert await api.ids(startFrom=render(NINE), startTo=render(NINE + DAY)) == [first, second]
        assert await api.ids(startFrom=render(NINE), startTo=render(NINE + DAY), order="desc") == [second, first]
        overlapping = {"from": render(NINE + 90 * MINUTE), "to": render(NINE + 2 * HOUR)}
        assert await api.ids(**overlapping) == [long, second]
        assert await api.ids(**overlapping, order="desc") == [second, long]
        assert await api.ids(**overlapping, startFrom=render(NINE)) == [second]
        backwards = {"startFrom": render(NINE + HOUR), "startTo": render(NINE)}
        problem(await api.get(RESERVATIONS, **backwards), "invalid", "?startTo")

    async def test_a_service_alone_needs_a_span(self, api: ApiClient) -> None:
        """Of at most 92 days, since no index finds it; so does nothing else."""
        for span in (
            {},
            {"from": render(NINE)},
            {"startTo": render(NINE)},
            {"from": render(NINE), "startTo": render(NINE + DAY)},
            {"startFrom": render(NINE), "startTo": render(NINE + 92 * DAY + MINUTE)},
            {"status": "confirmed"},
        ):
            body = problem(await api.get(RESERVATIONS, service="cut", **span), "invalid", "?service")
            assert "92 days" in body["detail"]
        assert await api.ids(service="cut", startFrom=render(NINE), startTo=render(NINE + 92 * DAY)) == []
        assert await api.ids(service="cut", updatedSince=render(NINE - 9_999 * DAY)) == []

    async def test_changes_are_not_listed_backwards(self, api: ApiClient) -> None:
        """Neither with `updatedSince` nor by a cursor of such a list."""
        since = {"updatedSince": "2026-01-01T00:00:00Z"}
        cursor = ok(await api.get(RESERVATIONS, **since))["next"]
        for asked in (since, {"cursor": cursor}):
            problem(await api.get(RESERVATIONS, order="desc", **asked), "invalid", "?order")

    async def test_objects_take_the_place_of_ids(self, api: ApiClient) -> None:
        """Those that are named, as they are shown by themselves but for their histories; of others the id stays."""
        await api.service()
        ok(await api.edit("/v1/resources/room", services=["cut"], description="Left", metadata={"floor": 1}))
        whole = await api.booked(customer="ann", service="cut")
        bare = await api.booked(NINE + HOUR, resource="hall")
        lost = await api.booked(NINE + 2 * HOUR, customer="bob")
        await api.store.database["customers"].delete_one({"_id": "bob"})
        shown = {
            name: {key: value for key, value in ok(await api.get(path)).items() if key != "history"}
            for name, path in (
                ("room", "/v1/resources/room"),
                ("hall", "/v1/resources/hall"),
                ("cut", "/v1/services/cut"),
                ("ann", "/v1/customers/ann"),
            )
        }

        items = ok(await api.get(RESERVATIONS, expand="customer,resource,service"))["items"]
        assert items == [
            whole | {"resource": shown["room"], "service": shown["cut"], "customer": shown["ann"]},
            bare | {"resource": shown["hall"]},
            lost | {"resource": shown["room"]},
        ]
        assert ok(await api.get(RESERVATIONS, expand="service"))["items"][1:] == [bare, lost]
        bound = await api.with_scopes("reservations:read", customer="ann")
        (seen,) = ok(await bound.get(RESERVATIONS, expand="resource,customer"))["items"]
        assert (seen["resource"], seen["customer"]["name"]) == (shown["room"], "a name")

    async def test_by_status(self, api: ApiClient) -> None:
        """A hold whose time is over is expired in every list, stored as such or not, and pending in none."""
        ids = await status_of_each(api)

        for status in STATUSES:
            expected = {ids[status]} | ({ids["lapsed"]} if status == "expired" else set())
            items = ok(await api.get(RESERVATIONS, status=status))["items"]
            assert {item["id"] for item in items} == expected, status
            assert {item["status"] for item in items} == {status}

    async def test_several_statuses(self, api: ApiClient) -> None:
        """Repeated, any of them."""
        ids = await status_of_each(api)

        assert set(await api.ids(status=["expired", "cancelled"])) == {
            ids["expired"],
            ids["lapsed"],
            ids["cancelled"],
        }
        assert set(await api.ids(status=["pending", "confirmed"])) == {ids["pending"], ids["confirmed"]}
        assert len(await api.ids(status=[*STATUSES])) == len(ids)

    async def test_a_request_without_an_end_is_pending(self, api: ApiClient) -> None:
        """What waits for approval never expires."""
        await api.service(approval=True)
        await api.resource("salon", services=["cut"])
        request = await api.booked(resource="salon", service="cut")

        assert await api.ids(status="pending") == [request["id"]]
        assert await api.ids(status="expired") == []

    async def test_by_a_span_that_they_overlap(self, api: ApiClient) -> None:
        """Half-open on both sides; either bound may be left out."""
        taken = [(await api.booked())["id"]]
        instant = timedelta(milliseconds=1)

        async def found(**bounds: datetime) -> list[str]:
            return await api.ids(**{name.rstrip("_"): render(at) for name, at in bounds.items()})

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

    async def test_what_began_long_before_a_span_overlaps_it(self, api: ApiClient) -> None:
        """The longest reservation is found by its last millisecond."""
        long = await api.booked(length=366 * DAY)
        end = NINE + 366 * DAY

        assert await api.ids(**{"from": render(end - timedelta(milliseconds=1)), "to": render(end + DAY)}) == [
            long["id"]
        ]
        assert await api.ids(**{"from": render(end)}) == []

    async def test_a_span_is_of_the_times_not_the_blocks(self, api: ApiClient) -> None:
        """Buffers do not count here."""
        await api.service(bufferBeforeMinutes=30, bufferAfterMinutes=30)
        await api.resource("salon", services=["cut"])
        await api.booked(resource="salon", service="cut")

        assert await api.ids(**{"from": render(NINE - HOUR), "to": render(NINE)}) == []
        assert await api.ids(**{"from": render(NINE + HOUR), "to": render(NINE + 2 * HOUR)}) == []

    async def test_updated_since(self, api: ApiClient) -> None:
        """What changed since an instant, that instant included, by when it changed."""
        first, second, third = [await api.booked(NINE + day * DAY) for day in range(3)]
        base = api.store.clock.now() - HOUR
        for seconds, reservation in ((3, first), (1, second), (2, third)):
            await api.overwrite(reservation, updatedAt=base + timedelta(seconds=seconds))

        assert await api.ids(updatedSince=render(base)) == [second["id"], third["id"], first["id"]]
        assert await api.ids(updatedSince=render(base + timedelta(seconds=2))) == [third["id"], first["id"]]
        assert await api.ids(updatedSince=render(base + timedelta(seconds=3, milliseconds=1))) == []
        assert await api.ids(updatedSince=render(base), resource="hall") == []

    async def test_every_change_is_an_update(self, api: ApiClient) -> None:
        """Every change, by every route, is stamped with the moment at which it was made."""
        reservation = await api.booked(expiresInSeconds=60)
        changes: list[Callable[[], Awaitable[Response]]] = [
            lambda: api.verb(reservation, "extend", expiresInSeconds=120),
            lambda: api.change(reservation, notes="x"),
            lambda: api.verb(reservation, "confirm"),
            lambda: api.change(reservation, guests=2),
            lambda: api.verb(reservation, "cancel"),
        ]
        for change in changes:
            await api.overwrite(reservation, updatedAt=NINE - 10_000 * DAY)
            before = render(api.store.clock.now())
            changed = ok(await change())["updatedAt"]

            assert before <= changed <= render(api.store.clock.now())

    async def test_bad_parameters_are_refused(self, api: ApiClient) -> None:
        """Each at its name."""
        for name, value in BAD_PARAMETERS:
            problem(await api.get(RESERVATIONS, **{name: value}), "invalid", f"?{name}")
        for end in (NINE, NINE - HOUR):
            span = {"from": render(NINE), "to": render(end)}
            problem(await api.get(RESERVATIONS, **span), "invalid", "?to")


class TestPages:
    """Order, cursors, limits."""

    async def test_by_start_then_id(self, api: ApiClient) -> None:
        """The order of the list depends neither on the order of creation nor on the page's size."""
        reservations = [await api.booked(NINE + (index * 7 % 5) * HOUR) for index in range(12)]
        expected = [each["id"] for each in sorted(reservations, key=lambda each: (each["startTime"], each["id"]))]

        for limit in (1, 4, 5, 12, 200):
            found = await pages(api, limit)
            assert [*chain(*found)] == expected

    async def test_a_full_last_page_has_no_next(self, api: ApiClient) -> None:
        """The last item marks the end, and no empty page comes after it."""
        for index in range(4):
            await api.booked(NINE + index * HOUR)

        assert [len(page) for page in await pages(api, 2)] == [2, 2]

    async def test_fifty_by_default(self, api: ApiClient) -> None:
        """The default of a page; 200 is the most."""
        first = await api.stored(await api.booked())
        copies = [first | {"_id": type(first["_id"])()} for _ in range(201)]
        await api.store.database["reservations"].insert_many(copies)

        assert len(await api.ids()) == 50
        assert len(await api.ids(limit=200)) == 200
        assert [len(page) for page in await pages(api, 200)] == [200, 2]

    async def test_by_update_then_id(self, api: ApiClient) -> None:
        """With `updatedSince` the pages go by change."""
        reservations = [await api.booked(NINE - index * HOUR) for index in range(7)]
        base = api.store.clock.now() - HOUR
        for index, reservation in enumerate(reservations):
            await api.overwrite(reservation, updatedAt=base + timedelta(seconds=index // 3))
        found: list[str] = []
        cursor: dict[str, str] = {}
        for _ in range(4):
            page = ok(await api.get(RESERVATIONS, limit=2, updatedSince=render(base), **cursor))
            found += [item["id"] for item in page["items"]]
            cursor = {"cursor": page["next"]}

        assert found == [each["id"] for each in reservations]

    async def test_what_comes_between_moves_nothing(self, api: ApiClient) -> None:
        """Made, cancelled or filled in before and behind the cursor: no earlier reservation is skipped or repeated."""
        there = [await api.booked(NINE + index * HOUR) for index in range(6)]
        page = ok(await api.get(RESERVATIONS, limit=3))
        await api.booked(NINE - HOUR)
        await api.booked(NINE + HOUR)
        behind = await api.booked(NINE + 10 * HOUR)
        ok(await api.verb(there[1], "cancel"))
        rest = await api.ids(cursor=page["next"])

        seen = [item["id"] for item in page["items"]] + rest
        assert [identity for identity in seen if identity != behind["id"]] == [each["id"] for each in there]
        assert behind["id"] in rest

    async def test_filters_hold_on_every_page(self, api: ApiClient) -> None:
        """The cursor says where to go on, the filters what counts."""
        for index in range(6):
            await api.booked(NINE + index * HOUR, resource="room" if index % 2 else "hall", customer="ann")
        found = await pages(api, 2, resource="room", customer="ann", status="confirmed")

        assert [len(page) for page in found] == [2, 1]

    async def test_a_cursor_that_is_none_is_refused(self, api: ApiClient) -> None:
        """A forged cursor is refused on both lists."""
        for _ in range(2):
            await api.booked(customer="ann")
        cursor = ok(await api.get(RESERVATIONS, limit=1))["next"]

        for path in (RESERVATIONS, "/v1/customers/ann/reservations"):
            for bent in (cursor[:-1], cursor + "A", cursor + "=", cursor[1:], *NO_CURSORS):
                problem(await api.get(path, cursor=bent), "invalid", "?cursor")

    async def test_a_cursor_of_another_list_is_refused(self, api: ApiClient) -> None:
        """Resources go by id, so their cursor leads nowhere here."""
        cursor = ok(await api.get("/v1/resources", limit=1))["next"]

        problem(await api.get(RESERVATIONS, cursor=cursor), "invalid", "?cursor")


class TestHistory:
    """`/v1/customers/{id}/reservations`."""

    PATH = "/v1/customers/ann/reservations"

    async def test_newest_start_first(self, api: ApiClient) -> None:
        """All of that customer's, in every status, and of no other customer; over pages too."""
        reservations = [await api.booked(NINE + (index * 3 % 4) * HOUR, customer="ann") for index in range(7)]
        await api.booked(customer="bob")
        await api.booked()
        ok(await api.verb(reservations[2], "cancel"))
        expected = sorted(reservations, key=lambda each: (each["startTime"], each["id"]), reverse=True)

        for limit in (2, 7, 50):
            assert [*chain(*await pages(api, limit, self.PATH))] == [each["id"] for each in expected]

    async def test_who_does_not_exist_has_none(self, api: ApiClient) -> None:
        """404, where one without reservations has an empty list."""
        problem(await api.get("/v1/customers/nobody/reservations"), "not-found")
        assert ok(await api.get("/v1/customers/bob/reservations")) == {"items": []}

    @pytest.mark.parametrize("name", ["status", "from", "resource", "updatedSince"])
    async def test_it_takes_no_filters(self, api: ApiClient, name: str) -> None:
        """What is not promised is refused, never ignored."""
        problem(await api.get(self.PATH, **{name: "x"}), "invalid", f"?{name}")

    async def test_a_moved_booking_is_in_its_new_customers_history(self, api: ApiClient) -> None:
        """And in no other."""
        reservation = created(await api.book(customer="ann"))
        ok(await api.change(reservation, customer="bob"))

        assert await api.ids(self.PATH) == []
        assert await api.ids("/v1/customers/bob/reservations") == [reservation["id"]]
