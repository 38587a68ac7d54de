"""Several reservations as one: all of them are written or none, also beside other requests."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest
from bson import ObjectId

from app.booking import BookGroup, MembersRefused
from app.booking.batch import Outcome, WriteConflict
from app.booking.change import Change
from app.booking.move import Move
from app.booking.outcomes import Accepted, Refused
from app.domain.ids import ResourceId
from app.domain.instants import render
from app.errors import Problem
from app.storage.client import Store
from app.storage.rule_cache import RuleCache
from tests.support.api_client import ApiClient, booking_body, created, ok, problem
from tests.support.database_check import peak_load
from tests.support.group_requests import GROUPS, move_of, post_group, post_moves
from tests.support.http_client import serving
from tests.support.ids import ROOM_ID
from tests.support.step_driver import StepDriver, add_resource, book_accepted, booking_of, run_batch
from tests.support.times import HOUR, MINUTE, NINE

pytestmark = pytest.mark.servers("transactions")

ROOMS = ("a", "b", "c")


@pytest.fixture
def api(app_client: httpx.AsyncClient, store: Store) -> ApiClient:
    """A client with every scope."""
    return ApiClient(app_client, store)


async def rooms(api: ApiClient, *names: str, **fields: Any) -> None:
    """Resources of these names."""
    for name in names or ROOMS:
        await api.resource(name, **fields)


def where(reservations: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Which resource, from when."""
    return [(each["resource"], each["startTime"]) for each in reservations]


def indexes(body: dict[str, Any]) -> list[int]:
    """The indexes of the refused members."""
    return [member["index"] for member in body["members"]]


async def stored_documents(api: ApiClient) -> Any:
    """All documents that a refused group or move must leave as they were."""
    beside = [await api.store.database[name].find().to_list(None) for name in ("groups", "answers")]
    return await api.contents(), beside


class TestAllOrNone:
    """What a group books."""

    async def test_a_group_books_several_resources_and_times(self, api: ApiClient) -> None:
        """Its members are answered, read and listed in the order of the request."""
        await rooms(api)
        asked = [
            booking_body(resource="c"),
            booking_body(resource="a"),
            booking_body(NINE + 5 * HOUR, resource="b"),
            booking_body(resource="b"),
        ]
        answer = await post_group(api, *asked)
        body = created(answer)

        assert where(body["reservations"]) == [(each["resource"], each["startTime"]) for each in asked]
        assert {each["group"] for each in body["reservations"]} == {body["id"]}
        assert body["version"] == 1
        assert ok(await api.get(answer.headers["Location"])) == body

    async def test_one_conflict_refuses_the_whole_group(self, api: ApiClient) -> None:
        """A taken time of one member refuses the group with that member's index, and nothing is written."""
        await rooms(api)
        await api.booked(NINE + HOUR / 2, resource="b")
        before = await stored_documents(api)
        body = problem(
            await post_group(api, *[booking_body(resource=name) for name in ROOMS], key="k"),
            "conflict",
            "/reservations/1/startTime",
        )

        assert indexes(body) == [1]
        assert await stored_documents(api) == before

    async def test_what_a_rule_forbids_is_no_conflict(self, api: ApiClient) -> None:
        """Capacity alone is a `conflict`; one other broken rule makes it `rule`; every refused member is listed."""
        await rooms(api, "a", "b")
        await api.resource("c", active=False)
        await api.booked(resource="a")
        body = problem(await post_group(api, *[booking_body(resource=name) for name in ROOMS]), "rule")

        assert indexes(body) == [0, 2]
        assert ["conflicts" in member for member in body["members"]] == [True, False]
        for member, rule in zip(body["members"], ("capacity", "resource-active"), strict=True):
            assert [check["rule"] for check in member["checks"] if not check["ok"]] == [rule]
        assert body["errors"][0]["pointer"] == "/reservations/0/startTime"
        assert body["errors"][1]["pointer"] == "/reservations/2/resource"

    async def test_members_see_each_other(self, api: ApiClient) -> None:
        """Members of one resource may touch, not overlap; of an unknown resource only the times are reported."""
        await api.resource()
        touching = created(await post_group(api, booking_body(), booking_body(NINE + HOUR), booking_body(NINE - HOUR)))
        body = problem(
            await post_group(api, booking_body(NINE + 5 * HOUR), booking_body(NINE + 5 * HOUR + MINUTE)), "conflict"
        )

        assert len(touching["reservations"]) == 3
        (member,) = body["members"]
        assert member["index"] == 1
        assert member["conflicts"] == [{"startTime": render(NINE + 5 * HOUR), "endTime": render(NINE + 6 * HOUR)}]
        assert all("reservation" not in check for check in member["checks"])

    async def test_a_group_fills_a_resource_to_its_capacity(self, api: ApiClient) -> None:
        """As many members as fit, and with one more none of them; guests count where they count."""
        await api.resource(capacity=5)
        await api.resource("hall", capacity=5, capacityMode="guests")
        await api.booked()

        assert indexes(problem(await post_group(api, *[booking_body()] * 5), "conflict")) == [4]
        created(await post_group(api, *[booking_body()] * 4))
        seats = [booking_body(resource="hall", guests=guests) for guests in (2, 3)]
        assert indexes(problem(await post_group(api, *seats, booking_body(resource="hall")), "conflict")) == [2]
        created(await post_group(api, *seats))
        assert await peak_load(api.store) == await peak_load(api.store, "hall") == 5

    async def test_twenty_members(self, api: ApiClient) -> None:
        """The most that there may be, under one transaction."""
        await api.resource()
        hours = [booking_body(NINE + number * HOUR) for number in range(20)]

        assert len(created(await post_group(api, *hours))["reservations"]) == 20
        assert indexes(problem(await post_group(api, *hours), "conflict")) == [*range(20)]

    async def test_a_group_takes_the_place_of_an_expired_hold(self, api: ApiClient) -> None:
        """An expired hold is marked in the group's transaction and its time is taken; a live hold refuses the group."""
        await rooms(api, "a", "b")
        holds = [await api.booked(resource=name, expiresInSeconds=60) for name in ("a", "b")]
        await api.expire(holds[0])
        both = [booking_body(resource="a"), booking_body(resource="b")]

        assert indexes(problem(await post_group(api, *both), "conflict")) == [1]
        assert [(await api.stored(each))["status"] for each in holds] == ["pending", "pending"]
        await api.expire(holds[1])
        created(await post_group(api, *both))
        assert [(await api.stored(each))["status"] for each in holds] == ["expired", "expired"]

    async def test_a_problem_is_reported_for_each_member_that_has_it(self, api: ApiClient) -> None:
        """Unknown references come before whether the others are free."""
        await rooms(api, "a")
        await api.booked(resource="a")
        asked = [
            booking_body(resource="a"),
            booking_body(resource="x"),
            booking_body(resource="a"),
            booking_body(resource="y"),
        ]

        body = problem(await post_group(api, *asked), "invalid", "/reservations/1/resource", "/reservations/3/resource")
        assert indexes(body) == [1, 3]

    async def test_who_has_a_choice_leaves_what_others_need(self, store: Store) -> None:
        """A member that takes any of a pool takes none that a fellow member named, wherever it stands in the list."""
        for name in ROOMS:
            await add_resource(store, name)
        await book_accepted(store, resource="c")
        for _ in range(6):  # takers of a pool begin at different members of it
            members = [booking_of(resource=None, pool=ROOMS), booking_of(resource="a")]
            (outcome,) = await run_batch(store, BookGroup(by="test", members=members))

            assert isinstance(outcome, Accepted)
            assert [each.resource for each in outcome.value] == ["b", "a"]
            await store.database["reservations"].delete_many({"resource": {"$ne": "c"}})

    async def test_a_member_goes_elsewhere_if_another_needs_its_place(self, store: Store) -> None:
        """Of two members of a pool, the one that fits both resources leaves the other its only free one."""
        for name in ("a", "b"):
            await add_resource(store, name)
        await book_accepted(store, resource="b", start=NINE + HOUR)
        first_a = ObjectId("0" * 24)  # of a pool of two it tries the first one first
        either = booking_of(resource=None, pool=("a", "b"), operation=first_a)
        only_a = booking_of(resource=None, pool=("a", "b"), length=2 * HOUR)

        (outcome,) = await run_batch(store, BookGroup(by="test", members=[either, only_a]))

        assert isinstance(outcome, Accepted)
        assert [each.resource for each in outcome.value] == ["b", "a"]

    async def test_a_group_of_a_pool(self, api: ApiClient) -> None:
        """Members that name no resource get one each, while there are any; one more is a conflict of all."""
        await api.service()
        await rooms(api, services=["cut"])
        anyone = {"service": "cut", "startTime": render(NINE)}
        body = created(await post_group(api, anyone, booking_body(resource="b", service="cut"), anyone))

        assert sorted(each["resource"] for each in body["reservations"]) == [*ROOMS]
        assert body["reservations"][1]["resource"] == "b"
        problem(await post_group(api, anyone), "conflict")
        ok(await api.request("POST", f"{GROUPS}/{body['id']}/cancel"))
        assert indexes(problem(await post_group(api, *[anyone] * 4), "conflict")) == [3]
        created(await post_group(api, *[anyone] * 3))

    async def test_a_local_time_of_a_member_is_asked_back(self, api: ApiClient) -> None:
        """The choices are offered as for a single booking, with a pointer to the member."""
        await api.resource()
        local = {"resource": "room", "timezone": "Europe/Berlin", "localEnd": "2030-03-31T04:30"}
        gap = local | {"localStart": "2030-03-31T02:30"}
        alone = problem(await api.post(gap), "local-time")
        body = problem(await post_group(api, booking_body(), gap), "local-time", "/reservations/1/localStart")

        assert body["choices"] == alone["choices"]
        assert indexes(body) == [1]
        (member,) = created(await post_group(api, local | {"localStart": "2030-03-31T01:30"}))["reservations"]
        assert (member["startTime"], member["timezone"]) == ("2030-03-31T00:30:00.000Z", "Europe/Berlin")

    async def test_a_mixed_group_is_nobodys_with_a_bound_key(self, api: ApiClient) -> None:
        """A key of one customer sees a group only if all of it is that customer's."""
        for customer in ("ann", "bob"):
            await api.add("customers", id=customer)
        await api.service()
        await rooms(api, services=["cut"])
        ann = await api.with_scopes("reservations:read", "reservations:write", customer="ann")
        mixed = created(
            await post_group(
                api, *[booking_body(resource=each, customer=who) for each, who in (("a", "ann"), ("b", "bob"))]
            )
        )
        hers = created(
            await post_group(
                ann, booking_body(NINE - HOUR, resource="a", service="cut"), booking_body(resource="c", service="cut")
            )
        )

        problem(await ann.get(f"{GROUPS}/{mixed['id']}"), "not-found")
        problem(await ann.request("POST", f"{GROUPS}/{mixed['id']}/cancel"), "not-found")
        assert ok(await ann.get(f"{GROUPS}/{hers['id']}")) == hers
        ok(await ann.request("POST", f"{GROUPS}/{hers['id']}/cancel"))


class TestVerbs:
    """Confirm and cancel of what is partly over."""

    async def hold(self, api: ApiClient, **fields: Any) -> tuple[str, list[dict[str, Any]]]:
        """A hold of three members: its path and its reservations."""
        await rooms(api)
        body = created(
            await post_group(api, *[booking_body(resource=name, **fields) for name in ROOMS], expiresInSeconds=60)
        )
        return f"{GROUPS}/{body['id']}", body["reservations"]

    async def test_a_group_is_confirmed_as_one(self, api: ApiClient) -> None:
        """All holds become firm, once."""
        path, _ = await self.hold(api)
        body = ok(await api.request("POST", f"{path}/confirm", json={"reason": "paid"}))

        assert [each["status"] for each in body["reservations"]] == ["confirmed"] * 3
        assert all("expiresAt" not in each for each in body["reservations"])
        assert {each["history"][-1]["reason"] for each in body["reservations"]} == {"paid"}
        assert body["version"] == 4
        assert ok(await api.request("POST", f"{path}/confirm")) == body

    @pytest.mark.parametrize("marked", [False, True])
    async def test_a_hold_that_has_expired_keeps_all_from_being_confirmed(
        self, api: ApiClient, *, marked: bool
    ) -> None:
        """A group with an expired hold cannot be confirmed, whether or not the expiry is stored yet."""
        path, members = await self.hold(api)
        await api.expire(members[1])
        if marked:
            await api.overwrite(members[1], status="expired")
        body = problem(await api.request("POST", f"{path}/confirm"), "hold-expired")

        assert indexes(body) == [1]
        read = ok(await api.get(path))["reservations"]
        assert [each["status"] for each in read] == ["pending", "expired", "pending"]
        assert [each["version"] for each in read] == [1, 1, 1]

    async def test_what_has_ended_is_spared(self, api: ApiClient) -> None:
        """Confirming the group spares a cancelled member; cancelling it cancels the members that have not ended."""
        path, members = await self.hold(api)
        ok(await api.verb(members[0], "cancel"))
        body = ok(await api.request("POST", f"{path}/confirm"))
        assert [each["status"] for each in body["reservations"]] == ["cancelled", "confirmed", "confirmed"]

        await api.begin(members[1])
        ok(await api.verb(members[1], "complete"))
        body = ok(await api.request("POST", f"{path}/cancel"))
        assert [each["status"] for each in body["reservations"]] == ["cancelled", "completed", "cancelled"]
        assert [each["version"] for each in body["reservations"]] == [2, 3, 3]
        created(await api.book(resource="c"))

    async def test_an_expired_member_does_not_keep_the_others_from_being_cancelled(self, api: ApiClient) -> None:
        """Cancelling a group leaves its expired member as it is and cancels the others."""
        path, members = await self.hold(api)
        await api.expire(members[2])
        body = ok(await api.request("POST", f"{path}/cancel"))

        assert [each["status"] for each in body["reservations"]] == ["cancelled", "cancelled", "expired"]

    async def test_one_that_may_not_be_cancelled_keeps_all(self, api: ApiClient) -> None:
        """Inside the cancellation notice of one member no member is cancelled without reservations:admin."""
        await api.service(cancellationNoticeMinutes=60)
        await rooms(api, services=["cut"])
        soon = api.store.clock.now() + 30 * MINUTE
        body = created(
            await post_group(api, booking_body(resource="a"), booking_body(soon, None, resource="b", service="cut"))
        )
        writer = await api.with_scopes("reservations:read", "reservations:write")

        refused = problem(await writer.request("POST", f"{GROUPS}/{body['id']}/cancel"), "too-late")
        assert indexes(refused) == [1]
        assert ok(await api.get(f"{GROUPS}/{body['id']}")) == body
        ok(await api.request("POST", f"{GROUPS}/{body['id']}/cancel"))


class TestMoves:
    """Judged by where all are in the end."""

    async def test_two_swap(self, api: ApiClient) -> None:
        """Each takes the other's place, in time or on another resource, though both places are taken."""
        await rooms(api, "a", "b")
        early, late = await api.booked(resource="a"), await api.booked(NINE + 3 * HOUR, 2 * HOUR, resource="a")
        other = await api.booked(resource="b")
        moved = ok(
            await post_moves(
                api,
                move_of(early, startTime=late["startTime"]),
                move_of(late, startTime=early["startTime"]),
                key="k",
            )
        )["reservations"]
        assert where(moved) == [("a", late["startTime"]), ("a", early["startTime"])]

        early, late = moved
        moved = ok(await post_moves(api, move_of(late, resource="b"), move_of(other, resource="a")))["reservations"]
        assert where(moved) == [("b", late["startTime"]), ("a", other["startTime"])]
        assert [await peak_load(api.store, name) for name in ("a", "b")] == [1, 1]

    async def test_three_go_round(self, api: ApiClient) -> None:
        """Three reservations exchange their resources in a circle; no single move of them is possible."""
        await rooms(api)
        ring = [await api.booked(resource=name) for name in ROOMS]
        places = ["b", "c", "a"]
        for each, place in zip(ring, places, strict=True):
            problem(await post_moves(api, move_of(each, resource=place)), "conflict")

        moved = ok(
            await post_moves(api, *[move_of(each, resource=place) for each, place in zip(ring, places, strict=True)])
        )
        assert [each["resource"] for each in moved["reservations"]] == places
        assert [each["version"] for each in moved["reservations"]] == [2, 2, 2]

    async def test_fourteen_leave_a_closed_day(self, api: ApiClient) -> None:
        """A sick day is three calls: closing it lists who is affected, they move as one, and then it closes."""
        await api.resource()
        for number in range(14):
            await api.booked(NINE + number * HOUR / 2, HOUR / 2)
        closing = {"overrides": [{"date": NINE.date().isoformat(), "windows": []}]}

        async def close() -> httpx.Response:
            return await api.request("PUT", "/v1/resources/room/schedule", json=closing, headers={"If-Match": "*"})

        stranded = problem(await close(), "stranded-bookings")["reservations"]
        assert len(stranded) == 14
        later = [
            move_of(each, startTime=render(datetime.fromisoformat(each["startTime"]) + timedelta(days=1)))
            for each in stranded
        ]
        assert len(ok(await post_moves(api, *later, reason="ill"))["reservations"]) == 14
        ok(await close())

    async def test_a_day_goes_where_there_is_room(self, api: ApiClient) -> None:
        """Three of a closed room go to any of two others at their times; one whose room is needed gives way."""
        await api.service(assignment="first")
        await rooms(api, services=["cut"])
        day = [await api.booked(NINE + hour * HOUR, resource="a", service="cut") for hour in range(3)]
        there = await api.booked(NINE + HOUR, resource="b", service="cut")
        ok(await api.edit("/v1/resources/a?force=true", active=False))
        anywhere = [move_of(each, resource="any") for each in day]
        moved = ok(await post_moves(api, *anywhere, move_of(there, resource="b")))["reservations"]

        assert [each["resource"] for each in moved] == ["b", "c", "b", "b"]
        again = [move_of(each, startTime=render(NINE)) for each in moved[:3]]
        taken = problem(await post_moves(api, *[each | {"resource": "any"} for each in again]), "conflict")
        assert indexes(taken) == [2]
        assert taken["members"][0]["nextFree"] == [render(NINE + hour * HOUR) for hour in (2, 3, 4)]

    async def test_one_that_cannot_go_keeps_all(self, api: ApiClient) -> None:
        """One refused move refuses all moves, whatever the reason, and every refused member is listed."""
        await rooms(api)
        one, two = await api.booked(resource="a"), await api.booked(resource="b")
        await api.booked(resource="c")
        before = await stored_documents(api)
        free = {"startTime": render(NINE + 9 * HOUR)}

        both = problem(await post_moves(api, move_of(one, resource="c"), move_of(two, resource="c")), "conflict")
        assert indexes(both) == [0, 1]
        body = problem(await post_moves(api, move_of(one, **free), move_of(two, resource="c"), key="k"), "conflict")
        assert indexes(body) == [1]
        problem(
            await post_moves(api, move_of(one, **free), move_of(two | {"version": 7}, **free)),
            "stale",
            "/moves/1/version",
        )
        problem(await post_moves(api, move_of(one, **free), move_of(two, resource="x")), "invalid", "/moves/1/resource")
        unknown = {"id": str(ObjectId()), "version": 1}
        problem(
            await post_moves(api, move_of(one, **free), move_of(unknown, **free)), "invalid", "/moves/1/reservation"
        )
        assert await stored_documents(api) == before

    async def test_two_moves_to_one_free_place_conflict(self, api: ApiClient) -> None:
        """Of two moves to one free place the second is refused."""
        await rooms(api)
        one, two = await api.booked(resource="a"), await api.booked(resource="b")

        body = problem(await post_moves(api, move_of(one, resource="c"), move_of(two, resource="c")), "conflict")
        assert indexes(body) == [1]
        assert body["members"][0]["conflicts"][0]["reservation"] == one["id"]

    @pytest.mark.parametrize("staying", [{}, {"endTime": render(NINE + HOUR / 2)}, {"startTime": render(NINE)}])
    @pytest.mark.parametrize("first", [False, True])
    async def test_a_move_that_keeps_its_time_keeps_its_place(
        self, api: ApiClient, staying: dict[str, Any], *, first: bool
    ) -> None:
        """A member that stays, or only gets shorter, keeps its place at any position of the list."""
        await api.resource()
        here, there = await api.booked(), await api.booked(NINE + 5 * HOUR)
        moves = [move_of(here, **staying), move_of(there, startTime=render(NINE))]

        body = problem(await post_moves(api, *(moves if first else moves[::-1])), "conflict")
        assert len(body["members"]) == 1
        assert await peak_load(api.store) == 1

    async def test_who_gives_up_a_part_makes_room(self, api: ApiClient) -> None:
        """The other takes the rest, and touching is no overlap."""
        await api.resource()
        here, there = await api.booked(), await api.booked(NINE + 5 * HOUR, HOUR / 2)
        half = render(NINE + HOUR / 2)

        ok(await post_moves(api, move_of(there, startTime=half), move_of(here, endTime=half)))
        assert await peak_load(api.store) == 1

    async def test_a_crowd_can_leave_a_resource_that_is_too_full(self, api: ApiClient) -> None:
        """A change that adds no load is never refused for an overlap, whatever moves along with it."""
        await api.resource(capacity=2)
        one, two = await api.booked(), await api.booked()
        await api.resource("other")
        ok(await api.edit("/v1/resources/room?force=true", capacity=1))
        half = render(NINE + HOUR / 2)

        ok(await post_moves(api, move_of(one, endTime=half), move_of(two, resource="other")))
        assert await peak_load(api.store) == 1

    async def test_fifty_at_once(self, api: ApiClient) -> None:
        """The largest allowed number of moves exchange their places in a circle."""
        await api.resource()
        row = [await api.booked(NINE + number * HOUR) for number in range(50)]
        places = [*[each["startTime"] for each in row[1:]], row[0]["startTime"]]

        moves = [move_of(each, startTime=place) for each, place in zip(row, places, strict=True)]
        assert [start for _, start in where(ok(await post_moves(api, *moves))["reservations"])] == places
        assert await peak_load(api.store) == 1


class TestReplays:
    """What a key was answered, however many ask."""

    async def test_equal_groups_at_once_are_one(self, api: ApiClient) -> None:
        """All are answered alike, byte for byte, and the group is booked once."""
        await rooms(api)
        members = [booking_body(resource=name) for name in ROOMS]
        answers = await asyncio.gather(*[post_group(api, *members, key="k") for _ in range(12)])

        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.content for answer in answers}) == 1
        assert len({(answer.headers["Location"], answer.headers["ETag"]) for answer in answers}) == 1
        assert Counter(answer.headers.get("Idempotent-Replayed") for answer in answers) == {None: 1, "true": 11}
        assert len(await api.ids()) == 3
        problem(await post_group(api, *members[::-1], key="k"), "idempotency-mismatch")

    async def test_equal_moves_through_two_processes_are_one(self, api: ApiClient, store: Store) -> None:
        """An equal request through another process gets the first one's answer, not `stale`."""
        await rooms(api)
        here, there = await api.booked(resource="a"), await api.booked(resource="b")
        moves = [move_of(here, resource="b"), move_of(there, resource="a")]
        async with serving(store) as client:
            neighbour = ApiClient(client, store)
            neighbour.token = api.token
            answers = await asyncio.gather(*[post_moves(who, *moves, key="k") for who in [api, neighbour] * 4])

        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert [(await api.read(each))["version"] for each in (here, there)] == [2, 2]
        assert [(await api.read(each))["resource"] for each in (here, there)] == ["b", "a"]


def crossing(*names: str) -> BookGroup:
    """A group of these rooms at nine."""
    identity = ObjectId()
    members = [booking_of(resource=name, group=identity) for name in names]
    return BookGroup(by="test", members=members, group=identity)


async def interrupted(store: Store, count: int, rules: RuleCache) -> tuple[list[Outcome], bool]:
    """One group goes so many steps, a crossing one goes as far as it gets, then the first one goes on.

    Returns all outcomes, and whether the first group had finished before it could be interrupted.
    """
    intents = [crossing("a", "b"), crossing("b", "a")]
    drivers = [StepDriver(store, [intent], rules) for intent in intents]
    again: list[BookGroup] = []
    through = not all([await drivers[0].advance() for _ in range(count)])
    for place in (1,) if through else (1, 0):
        try:
            await drivers[place].finish()
        except WriteConflict:
            again.append(intents[place])
    for driver in drivers:
        await driver.close()
    outcomes = [outcome for driver in drivers for outcome in driver.outcomes or ()]
    return outcomes + [outcome for intent in again for outcome in await run_batch(store, intent, rules=rules)], through


class TestRaces:
    """Groups among others."""

    async def test_two_crossing_groups_never_get_half(self, store: Store) -> None:
        """Wherever the one is interrupted by the other, one has both rooms and the other one none."""
        for name in ("a", "b"):
            await add_resource(store, name)
        rules, steps, through = RuleCache(), 0, False
        while not through:
            outcomes, through = await interrupted(store, steps, rules)
            rows = await store.database["reservations"].find().to_list(None)
            groups = await store.database["groups"].find().to_list(None)

            assert sorted(isinstance(outcome, Accepted) for outcome in outcomes) == [False, True], steps
            refused = next(outcome for outcome in outcomes if not isinstance(outcome, Accepted))
            assert isinstance(refused, MembersRefused), steps
            assert [place for place, _ in refused.members] == [0, 1], steps
            assert len({row["group"] for row in rows}) == 1, steps
            assert sorted(row["resource"] for row in rows) == ["a", "b"], steps
            assert [each["_id"] for each in groups] == [rows[0]["group"]], steps
            for name in ("reservations", "groups"):
                await store.database[name].delete_many({})
            steps += 1

        assert steps > 7  # a server that takes all branches in one find needs eight of them

    async def test_a_move_that_stays_is_seen_by_the_others(self, store: Store) -> None:
        """In the write path itself: a member that stays is entered before any member is judged."""
        await add_resource(store, "room")
        here, there = await book_accepted(store), await book_accepted(store, start=NINE + 5 * HOUR)

        def change(reservation: Any, **patch: Any) -> Change:
            return Change(by="test", reservation=reservation.id, resource=ROOM_ID, patch=patch)

        members = [change(there, startTime=NINE), change(here)]
        (outcome,) = await run_batch(store, Move(by="test", members=members))

        assert isinstance(outcome, MembersRefused)
        ((place, why),) = outcome.members
        assert place == 0
        assert isinstance(why, Refused)

    async def test_what_was_refused_leaves_no_trace_in_its_batch(self, store: Store) -> None:
        """A refused group takes no place, and a reservation whose move was refused keeps its own."""
        for name in ("a", "b"):
            await add_resource(store, name)
        here = await book_accepted(store, resource="a")
        await book_accepted(store, resource="b")
        half = crossing("b", "a")
        half.members[1].start, half.members[1].end = NINE + 5 * HOUR, NINE + 6 * HOUR
        leaving = Change(by="test", reservation=here.id, resource=ResourceId("a"), patch={"resource": "b"})
        singles = [booking_of(resource="a", start=NINE + 5 * HOUR), booking_of(resource="a")]

        outcomes = await run_batch(store, half, Move(by="test", members=[leaving]), *singles)

        kinds = [type(outcome) for outcome in outcomes]
        assert kinds == [MembersRefused, MembersRefused, Accepted, Refused]

    async def test_a_lost_guard_is_reported_as_unavailable(self, store: Store) -> None:
        """A move from a resource without its guard is `unavailable`; its neighbours in the batch are not harmed."""
        for name in ("a", "b"):
            await add_resource(store, name)
        reservation = await book_accepted(store, resource="a")
        await store.database["guards"].delete_one({"_id": "a"})
        leaving = Change(by="test", reservation=reservation.id, resource=ResourceId("a"), patch={"resource": "b"})

        outcome, neighbour = await run_batch(store, Move(by="test", members=[leaving]), booking_of(resource="b"))

        assert isinstance(outcome, MembersRefused)
        ((_, why),) = outcome.members
        assert isinstance(why, Problem)
        assert why.name == "unavailable"
        assert isinstance(neighbour, Accepted)

    async def test_collections_are_there_before_the_first_group(self, store: Store) -> None:
        """Making one inside a transaction would conflict with the first groups of other processes."""
        assert {"groups", "answers"} <= {*await store.database.list_collection_names()}

    async def test_groups_and_singles_through_two_processes(self, api: ApiClient, store: Store) -> None:
        """Crossing groups among singles: each group is whole or not there, no room is overbooked, each was answered."""
        await rooms(api)
        async with serving(store) as client:
            neighbour = ApiClient(client, store)
            clients = [api, neighbour]
            asked = []
            for hour in range(4):
                start = NINE + hour * HOUR
                for place, name in enumerate(ROOMS):
                    pair = [booking_body(start, resource=each) for each in (name, ROOMS[place - 1])]
                    asked += [post_group(who, *order) for who, order in zip(clients, (pair, pair[::-1]), strict=True)]
                    asked.append(clients[place % 2].book(start, resource=name))
            answers = await asyncio.gather(*asked)

        assert {answer.status_code for answer in answers} <= {201, 409}
        bodies = [answer.json() for answer in answers if answer.status_code == 201]
        rows = await store.database["reservations"].find().to_list(None)
        sizes = Counter(row["group"] for row in rows if "group" in row)
        assert set(sizes.values()) <= {2}
        assert {str(each) for each in sizes} == {body["id"] for body in bodies if "reservations" in body}
        assert len(rows) == sum(len(body.get("reservations", [body])) for body in bodies)
        for name in ROOMS:
            assert await peak_load(store, name) <= 1
            starts = sorted(row["startTime"] for row in rows if row["resource"] == name)
            assert all(one + HOUR <= other for one, other in pairwise(starts))
