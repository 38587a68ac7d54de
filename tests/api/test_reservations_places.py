"""Local times of a resource's own clocks, and `any` resource, in bookings, changes and moves."""

from typing import Any

import pytest

from app.domain.instants import render
from app.errors import ProblemName
from tests.support.api_client import ApiClient, booking_body, created, failed_rules, ok, path_of, problem
from tests.support.group_requests import move_of, post_group, post_moves
from tests.support.times import DAY, HOUR, NINE

EXPLAIN = "/v1/availability/explain"
GAP, FOLD = "2030-03-31T02:30", "2030-10-27T02:30"
"""What clocks in Berlin skip, and show twice."""


@pytest.fixture
async def api(api: ApiClient) -> ApiClient:
    """Two rooms of a service in Berlin, and a hall in New York that offers nothing."""
    await api.service()
    for name in ("left", "right"):
        await api.resource(name, services=["cut"], timezone="Europe/Berlin")
    await api.resource("hall", timezone="America/New_York")
    return api


class TestLocalTimes:
    """Without `timezone` a local time is one of the clocks of the resource."""

    async def test_a_booking_is_at_the_time_that_its_resource_shows(self, api: ApiClient) -> None:
        """Ten in Berlin, nine of UTC; the answer names the zone."""
        body = {"resource": "left", "localStart": "2030-01-07T10:00", "localEnd": "2030-01-07T11:00"}
        booked = created(await api.post(body))

        assert (booked["startTime"], booked["endTime"]) == (render(NINE), render(NINE + HOUR))
        assert booked["timezone"] == "Europe/Berlin"
        (member,) = created(await post_group(api, body | {"resource": "hall"}))["reservations"]
        assert (member["startTime"], member["timezone"]) == ("2030-01-07T15:00:00.000Z", "America/New_York")

    async def test_a_change_is_at_the_time_that_its_resource_shows(self, api: ApiClient) -> None:
        """That of the resource on which it will be; a named zone stands before it, and is stored."""
        booked = await api.booked(resource="left")
        later = ok(await api.change(booked, localStart="2030-01-07T12:00"))
        there = ok(await api.change(later, localStart="2030-01-07T12:00", resource="hall"))
        named = ok(await api.change(there, localEnd="2030-01-08T03:30", timezone="Asia/Tokyo"))

        assert (later["startTime"], later["endTime"]) == (render(NINE + 2 * HOUR), render(NINE + 3 * HOUR))
        assert (there["startTime"], there["timezone"]) == ("2030-01-07T17:00:00.000Z", "America/New_York")
        assert (named["endTime"], named["timezone"]) == ("2030-01-07T18:30:00.000Z", "Asia/Tokyo")
        (moved,) = ok(await post_moves(api, move_of(named, localStart="2030-01-07T10:00", resource="left")))[
            "reservations"
        ]
        assert (moved["startTime"], moved["endTime"]) == (render(NINE), render(NINE + 1.5 * HOUR))

    @pytest.mark.parametrize(("wall", "first"), [(GAP, "2030-03-31T01:30"), (FOLD, "2030-10-27T00:30")])
    async def test_what_clocks_skip_or_repeat_is_asked_back(self, api: ApiClient, wall: str, first: str) -> None:
        """With two choices, in a booking, a change, a group and a move; either is then taken."""
        booked = await api.booked(NINE - 60 * DAY, resource="left")
        body = {"resource": "left", "localStart": wall, "endTime": f"{wall[:10]}T12:00:00Z"}
        asked = [
            problem(await api.post(body), "local-time", "/localStart"),
            problem(await api.change(booked, localStart=wall), "local-time", "/localStart"),
            problem(await post_group(api, body), "local-time", "/reservations/0/localStart"),
            problem(await post_moves(api, move_of(booked, localStart=wall)), "local-time", "/moves/0/localStart"),
        ]
        for each in asked:
            assert first in {choice[:16] for choice in each["choices"]}
            assert len(each["choices"]) == 2
        assert asked[2]["members"][0]["choices"] == asked[0]["choices"]
        assert await api.read(booked) == booked
        assert ok(await api.change(booked, startTime=asked[1]["choices"][0]))["startTime"] == asked[1]["choices"][0]

    async def test_the_zone_is_read_where_the_booking_is_decided(self, api: ApiClient) -> None:
        """After an edit of the zone the next booking is by the new one."""
        body = {"resource": "hall", "localStart": "2030-01-07T10:00", "localEnd": "2030-01-07T11:00"}
        created(await api.post(body))
        ok(await api.edit("/v1/resources/hall", timezone="Asia/Tokyo"))

        assert created(await api.post(body))["startTime"] == "2030-01-07T01:00:00.000Z"

    @pytest.mark.parametrize(
        ("fields", "name", "pointer"),
        [
            ({"localStart": "2030-01-07T10:00", "startTime": render(NINE)}, "invalid", "/localStart"),
            ({"localEnd": "2030-01-07T10:00", "endTime": render(NINE)}, "invalid", "/localEnd"),
            ({"localStart": "2030-01-07 10:00"}, "invalid", "/localStart"),
            ({"localStart": "2030-01-07T10:00", "timezone": "Mars/Olympus"}, "invalid", "/timezone"),
            ({"timezone": ""}, "invalid", "/timezone"),
            ({"localStart": None}, "invalid", "/localStart"),
            ({"localEnd": None}, "invalid", "/localEnd"),
            ({"timezone": None}, "invalid", "/timezone"),
            ({"localEnd": "2030-01-07T09:00"}, "invalid", "/endTime"),
            ({"localEnd": "2032-01-07T09:00"}, "invalid", "/endTime"),
            ({"localStart": "2030-01-07T10:00", "resource": "any"}, "invalid", "/timezone"),
            ({"resource": "any"}, "invalid", "/resource"),
            ({"localStart": "2030-01-07T10:00", "resource": "any", "service": "cut"}, "invalid", "/timezone"),
            ({"resource": "any", "service": None}, "invalid", "/resource"),
            ({"resource": "any", "service": "dye"}, "invalid", "/service"),
        ],
    )
    async def test_a_bad_change_is_refused_at_its_field(
        self, api: ApiClient, fields: dict[str, Any], name: ProblemName, pointer: str
    ) -> None:
        """And nothing is written."""
        booked = await api.booked(resource="left")
        before = await api.contents()

        problem(await api.change(booked, **fields), name, pointer)
        if "service" not in fields:
            problem(await post_moves(api, move_of(booked, **fields)), name, f"/moves/0{pointer}")
        assert await api.contents() == before

    async def test_local_times_of_no_single_clock_need_a_zone(self, api: ApiClient) -> None:
        """A booking of a pool; with the zone it is taken."""
        local = {"service": "cut", "localStart": "2030-01-07T10:00"}

        problem(await api.post(local), "invalid", "/timezone")
        problem(await api.post(local | {"resource": "any"}), "invalid", "/timezone")
        assert created(await api.post(local | {"timezone": "UTC"}))["startTime"] == "2030-01-07T10:00:00.000Z"


class TestAny:
    """`resource: "any"` in a change."""

    async def test_it_goes_where_there_is_room(self, api: ApiClient) -> None:
        """A free resource of its service's pool, its own included; the time can change in the same step."""
        mine = created(await api.post({"service": "cut", "startTime": render(NINE)}))
        other = "right" if mine["resource"] == "left" else "left"
        await api.booked(NINE + 2 * HOUR, resource=mine["resource"])
        moved = ok(await api.change(mine, resource="any", startTime=render(NINE + 2 * HOUR)))

        assert (moved["resource"], moved["startTime"]) == (other, render(NINE + 2 * HOUR))
        assert moved["history"][-1]["changed"] == ["endTime", "resource", "startTime"]
        await api.booked(NINE + 4 * HOUR, resource=other)
        body = move_of(moved, resource="any", localStart="2030-01-07T14:00", timezone="Europe/Berlin")
        (again,) = ok(await post_moves(api, body))["reservations"]
        assert (again["resource"], again["startTime"]) == (mine["resource"], render(NINE + 4 * HOUR))

    async def test_a_new_service_brings_its_pool(self, api: ApiClient) -> None:
        """A booking without a service gets one, and a place where it is offered."""
        booked = await api.booked(resource="hall")
        changed = ok(await api.change(booked, service="cut", resource="any"))

        assert changed["resource"] in {"left", "right"}
        assert changed["service"] == "cut"

    async def test_the_assignment_of_the_service_says_which(self, api: ApiClient) -> None:
        """With `first` it goes back to the first by id whenever that is free."""
        ok(await api.edit("/v1/services/cut", assignment="first"))
        booked = await api.booked(resource="right", service="cut")

        assert ok(await api.change(booked, resource="any"))["resource"] == "left"

    async def test_a_full_pool_refuses_with_the_next_free_start(self, api: ApiClient) -> None:
        """Of the whole pool; the reservation stays as it is, and one without a service has no pool."""
        mine = await api.booked(NINE + DAY, resource="left", service="cut")
        for name in ("left", "right"):
            await api.booked(resource=name)
        refused = problem(await api.change(mine, resource="any", startTime=render(NINE)), "conflict", "/startTime")

        assert refused["nextFree"][0] == render(NINE + HOUR)
        assert await api.read(mine) == mine
        bare = await api.booked(resource="hall")
        problem(await api.change(bare, resource="any"), "invalid", "/resource")
        problem(await post_moves(api, move_of(bare, resource="any")), "invalid", "/moves/0/resource")

    async def test_a_key_of_a_customer_goes_where_there_is_room(self, api: ApiClient) -> None:
        """With its own reservation; that of another is not there."""
        await api.add("customers", id="ann")
        bound = await api.with_scopes("reservations:read", "reservations:write", customer="ann")
        mine = created(await bound.post({"service": "cut", "startTime": render(NINE)}))
        theirs = await api.booked(NINE + HOUR, resource="left", service="cut")

        await api.booked(NINE + 3 * HOUR, resource=mine["resource"])
        assert (
            ok(await bound.change(mine, resource="any", startTime=render(NINE + 3 * HOUR)))["resource"]
            != mine["resource"]
        )
        problem(await bound.change(theirs, resource="any"), "not-found")


class TestNextFree:
    """The next free starts of members that the capacity alone refuses."""

    async def test_a_member_is_advised_as_it_would_be_alone(self, api: ApiClient) -> None:
        """In a group and a move; not where another rule says no as well."""
        await api.booked(resource="left")
        taken = booking_body(NINE, resource="left", service="cut")
        alone = problem(await api.post(taken), "conflict")["nextFree"]
        mine = await api.booked(NINE + DAY, resource="left", service="cut")
        (member,) = problem(await post_group(api, taken), "conflict")["members"]
        (moving,) = problem(await post_moves(api, move_of(mine, startTime=render(NINE))), "conflict")["members"]

        assert alone[0] == render(NINE + HOUR)
        assert member["nextFree"] == moving["nextFree"] == alone
        ok(await api.edit("/v1/resources/left?force=true", active=False))
        (closed,) = problem(await post_group(api, taken), "rule")["members"]
        assert "nextFree" not in closed


class TestPoolExplained:
    """`explain` of a service without a resource."""

    async def test_each_of_the_pool_has_its_verdict(self, api: ApiClient) -> None:
        """By id, each as it would be explained alone; one that can be booked is enough."""
        blocker = await api.booked(resource="left")
        asked = {"service": "cut", "startTime": render(NINE)}
        explained = ok(await api.get(EXPLAIN, **asked))

        assert explained["bookable"]
        assert [each["resource"] for each in explained["resources"]] == ["left", "right"]
        assert [failed_rules(each) for each in explained["resources"]] == [["capacity"], []]
        for each in explained["resources"]:
            alone = ok(await api.get(EXPLAIN, **asked, resource=each["resource"]))
            assert {**alone, "resource": each["resource"]} == each
        mine = await api.booked(resource="right", service="cut")
        assert not ok(await api.get(EXPLAIN, **asked))["bookable"]
        ignoring = ok(await api.get(EXPLAIN, **asked, ignore=mine["id"]))
        assert [each["bookable"] for each in ignoring["resources"]] == [False, True]
        blamed = [check.get("reservation") for check in explained["resources"][0]["checks"]]
        assert blamed == [None] * 9 + [blocker["id"]]

    async def test_it_tells_no_more_than_may_be_read(self, api: ApiClient) -> None:
        """No ids for a key that may not read reservations, which may not ignore one either."""
        booked = await api.booked(resource="left", service="cut")
        blind = await api.with_scopes("catalogue:write")
        asked = {"service": "cut", "startTime": render(NINE)}
        explained = ok(await blind.get(EXPLAIN, **asked))

        assert not [check for each in explained["resources"] for check in each["checks"] if "reservation" in check]
        problem(await blind.get(EXPLAIN, **asked, ignore=booked["id"]), "forbidden")

    async def test_nothing_offers_what_is_no_longer_there(self, api: ApiClient) -> None:
        """A pool without members cannot be booked; what is unknown is refused; something must be named."""
        await api.service("dye")
        asked = {"startTime": render(NINE)}

        assert ok(await api.get(EXPLAIN, **asked, service="dye")) == {"bookable": False, "resources": []}
        problem(await api.get(EXPLAIN, **asked, service="wash"), "invalid", "?service")
        problem(await api.get(EXPLAIN, **asked), "invalid", "?resource")
        problem(await api.get(EXPLAIN, **asked, endTime=render(NINE - HOUR), service="cut"), "invalid", "?endTime")

    async def test_days_end_where_each_resource_is(self, api: ApiClient) -> None:
        """A full day of Berlin is not one of New York; each is judged by its own clocks."""
        await api.service("day", durationType="full-day")
        ok(await api.edit("/v1/resources/left", services=["cut", "day"]))
        ok(await api.edit("/v1/resources/hall", services=["day"]))
        explained = ok(await api.get(EXPLAIN, service="day", startTime="2030-01-07T05:00:00Z"))

        assert [(each["resource"], each["bookable"]) for each in explained["resources"]] == [
            ("hall", True),
            ("left", False),
        ]
        assert failed_rules(explained["resources"][1]) == ["duration"]

    async def test_a_repeated_question_is_not_answered_twice(self, api: ApiClient) -> None:
        """Its tag is that of its content."""
        asked = {"service": "cut", "startTime": render(NINE)}
        tag = (await api.get(EXPLAIN, **asked)).headers["ETag"]
        again = await api.request("GET", EXPLAIN, params=asked, headers={"If-None-Match": tag})

        assert (again.status_code, again.content) == (304, b"")
        assert path_of(await api.booked(resource="left"))
        assert (await api.request("GET", EXPLAIN, params=asked, headers={"If-None-Match": tag})).status_code == 200
