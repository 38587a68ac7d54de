"""Series: a reservation that recurs, booked, read, moved and cancelled as one, also beside other requests."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import pytest

from app.domain.instants import render
from tests.support.api_client import ApiClient, booking_body, created, ok, path_of, problem
from tests.support.calendar_files import ReadEvent, read_calendar
from tests.support.database_check import highest_loads
from tests.support.findings import reconcile
from tests.support.series_requests import SERIES, post_series, series_verb
from tests.support.shared_apps import SharedApps
from tests.support.times import DAY, HOUR, NINE

pytestmark = pytest.mark.servers("transactions")

NUMBERS = count()
WEEK = 7 * DAY


@pytest.fixture
async def api(server_name: str, database_url: str, shared_apps: SharedApps) -> ApiClient:
    """The app that all tests here share on a server; each makes resources of its own."""
    return shared_apps.get(server_name) or await shared_apps.open(server_name, database_url)


async def room_of(api: ApiClient, **fields: Any) -> str:
    """The id of a new resource."""
    name = f"room-{next(NUMBERS)}"
    await api.resource(name, **fields)
    return name


def starts(series: dict[str, Any]) -> list[str]:
    """When the reservations of a series begin."""
    return [each["startTime"][5:16] for each in series["reservations"]]


def statuses(series: dict[str, Any]) -> list[str]:
    """Their statuses."""
    return [each["status"] for each in series["reservations"]]


async def stored(api: ApiClient, room: str) -> list[dict[str, Any]]:
    """The stored reservations of a resource, by start."""
    return await api.store.database["reservations"].find({"resource": room}).sort("startTime", 1).to_list(None)


class TestBooking:
    """`POST /v1/series`."""

    async def test_a_year_of_weeks_in_one_request(self, api: ApiClient) -> None:
        """52 occurrences keep their local time when the clocks change, and each is a reservation like any other."""
        room = await room_of(api, timezone="Europe/Berlin")
        answer = await post_series(api, room, "FREQ=WEEKLY;COUNT=52")
        body = created(answer)

        winter, summer = "08:00", "07:00"
        assert [each[6:] for each in starts(body)] == [winter] * 12 + [summer] * 30 + [winter] * 10
        assert {each["series"] for each in body["reservations"]} == {body["id"]}
        assert (body["rule"], body["timezone"], body["skipped"]) == ("FREQ=WEEKLY;COUNT=52", "Europe/Berlin", [])
        assert ok(await api.get(answer.headers["Location"])) == body
        assert await api.ids(series=body["id"], limit=200) == [each["id"] for each in body["reservations"]]
        assert ok(await api.get(path_of(body["reservations"][7]))) == body["reservations"][7]

    async def test_the_most_there_can_be_under_a_key(self, api: ApiClient) -> None:
        """104 in one transaction, and their answer again byte for byte; with another body the key is refused."""
        room = await room_of(api)
        first = await post_series(api, room, "FREQ=WEEKLY;COUNT=104", key=room)
        again = await post_series(api, room, "FREQ=WEEKLY;COUNT=104", key=room)

        assert len(created(first)["reservations"]) == 104
        assert (again.content, again.headers["Idempotent-Replayed"]) == (first.content, "true")
        assert again.headers["Location"] == first.headers["Location"]
        problem(await post_series(api, room, "FREQ=WEEKLY;COUNT=103", key=room), "idempotency-mismatch")
        assert len(await stored(api, room)) == 104

    async def test_each_occurrence_leaves_an_event(self, api: ApiClient) -> None:
        """As a booking does, in the transaction of the series."""
        room = await room_of(api)
        body = created(await post_series(api, room))

        subjects = [each["_id"] for each in await stored(api, room)]
        for place in ("outbox", "events"):
            found = await api.store.database[place].find({"subject": {"$in": subjects}}).to_list(None)
            subjects = [each for each in subjects if each not in {event["subject"] for event in found}]
        assert len(body["reservations"]) == 4
        assert subjects == []

    async def test_one_that_is_taken_refuses_all(self, api: ApiClient) -> None:
        """Each in the way is named by its local time, with what is there and when it would be free."""
        room = await room_of(api, timezone="Europe/Berlin")
        taken = await api.booked(NINE - HOUR + WEEK, resource=room)
        body = problem(await post_series(api, room), "conflict", "/reservation/localStart")

        (member,) = body["members"]
        assert (member["index"], member["localStart"]) == (1, "2030-01-14T09:00")
        assert member["conflicts"][0]["reservation"] == taken["id"]
        assert member["nextFree"] == [render(NINE + WEEK + step * HOUR) for step in range(3)]
        assert "2030-01-14T09:00" in body["detail"]
        assert [str(each["_id"]) for each in await stored(api, room)] == [taken["id"]]

    async def test_what_is_taken_can_be_left_out(self, api: ApiClient) -> None:
        """The others are booked; the reasons are in the answer, also under a key, and the local times stay."""
        room = await room_of(api)
        taken = await api.booked(NINE + WEEK, resource=room)
        ok(
            await api.request(
                "PUT", f"/v1/resources/{room}/schedule", json=closed_on("2030-01-21"), headers=ANY_VERSION
            )
        )
        answer = await post_series(api, room, on_conflict="skip", key=f"{room}-skip")
        body = created(answer)

        assert starts(body) == ["01-07T09:00", "01-28T09:00"]
        conflict, closed = body["skipped"]
        assert (conflict["localStart"], closed["localStart"]) == ("2030-01-14T09:00", "2030-01-21T09:00")
        assert conflict["conflicts"][0]["reservation"] == taken["id"]
        assert conflict["nextFree"] == [render(NINE + WEEK + step * HOUR) for step in (1, 2, 3)]
        assert [check["rule"] for check in closed["checks"] if not check["ok"]] == ["schedule"]
        assert not {"conflicts", "nextFree"} & closed.keys()
        assert (await post_series(api, room, on_conflict="skip", key=f"{room}-skip")).content == answer.content
        read = ok(await api.get(f"{SERIES}/{body['id']}"))
        assert read["skipped"] == [{"localStart": each["localStart"]} for each in body["skipped"]]
        assert len(problem(await post_series(api, room, on_conflict="skip"), "rule")["members"]) == 4

    async def test_dates_that_are_left_out(self, api: ApiClient) -> None:
        """They are neither booked nor skipped, and are shown."""
        body = created(await post_series(api, await room_of(api), except_=["2030-01-21", "2030-12-24"]))

        assert starts(body) == ["01-07T09:00", "01-14T09:00", "01-28T09:00"]
        assert (body["except"], body["skipped"]) == (["2030-01-21", "2030-12-24"], [])

    async def test_lengths_over_a_change_of_the_clocks(self, api: ApiClient) -> None:
        """A local end keeps its local time; a service of fixed length keeps its length, with a local end or without."""
        service = f"cut-{next(NUMBERS)}"
        await api.service(service, durationMinutes=480)
        room = await room_of(api, timezone="Europe/Berlin", services=[service], capacity=9)
        night = {"localStart": "2030-03-30T22:00", "localEnd": "2030-03-31T06:00"}
        free = created(await post_series(api, room, "FREQ=DAILY;COUNT=2", **night))
        fixed = created(await post_series(api, room, "FREQ=DAILY;COUNT=2", service=service, **night))
        open_end = created(
            await post_series(api, room, "FREQ=DAILY;COUNT=2", service=service, **night | {"localEnd": None})
        )
        gap = {"localStart": "2030-03-31T02:15", "localEnd": "2030-03-31T03:00"}
        short = created(await post_series(api, room, "FREQ=DAILY;COUNT=2", **gap))

        assert lengths(free) == [7 * HOUR, 8 * HOUR]
        assert lengths(fixed) == lengths(open_end) == [8 * HOUR] * 2
        assert lengths(short) == [HOUR * 0.75] * 2
        assert starts(short) == ["03-31T01:15", "04-01T00:15"]

    async def test_days(self, api: ApiClient) -> None:
        """A service of whole days takes local days, of 23 hours where the clocks change."""
        service = f"boat-{next(NUMBERS)}"
        await api.service(service, durationType="full-day", maxDays=2)
        room = await room_of(api, timezone="Europe/Berlin", services=[service])
        days = {"localStart": "2030-03-30T00:00", "localEnd": None, "service": service}

        assert lengths(created(await post_series(api, room, "FREQ=DAILY;COUNT=3", **days))) == [DAY, DAY - HOUR, DAY]

    async def test_a_pool(self, api: ApiClient) -> None:
        """The whole series is on one resource: one that is free for all, else with `skip` that with the fewest gaps."""
        service = f"cut-{next(NUMBERS)}"
        await api.service(service)
        first, second = [await room_of(api, services=[service]) for _ in range(2)]
        await api.booked(NINE + WEEK, resource=first)
        pool = {"service": service, "localEnd": None}
        free = created(await post_series(api, None, **pool))
        refused = problem(await post_series(api, "any", **pool), "conflict")
        skipping = created(await post_series(api, None, on_conflict="skip", **pool))

        assert {each["resource"] for each in free["reservations"]} == {second}
        assert [member["index"] for member in refused["members"]] == [1]
        assert {each["resource"] for each in skipping["reservations"]} == {first}
        assert [each["localStart"] for each in skipping["skipped"]] == ["2030-01-14T09:00"]

    async def test_holds(self, api: ApiClient) -> None:
        """Each occurrence is a hold, and counts for the limit; all are confirmed at once."""
        room = await room_of(api)
        await api.add("customers", id=room)
        hold: dict[str, Any] = {"customer": room, "expiresInSeconds": 600}
        body = created(await post_series(api, room, **hold))
        many = problem(await post_series(api, room, "FREQ=DAILY;COUNT=17", **hold), "hold-limit")
        confirmed = ok(await series_verb(api, body, "confirm"))

        assert statuses(body) == ["pending"] * 4
        assert "17 more are wanted" in many["detail"]
        assert statuses(confirmed) == ["confirmed"] * 4
        assert confirmed["version"] == 5

    @pytest.mark.parametrize(
        ("fields", "pointer"),
        [
            ({"resource": "nowhere"}, "/reservation/resource"),
            ({"service": "nothing"}, "/reservation/service"),
            ({"customer": "nobody"}, "/reservation/customer"),
            ({"localStart": "2030-01-07"}, "/reservation/localStart"),
            ({"localEnd": "2030-01-07T08:00"}, "/reservation/localEnd"),
            ({"localEnd": "2032-01-07T08:00"}, "/reservation/localEnd"),
            ({"localEnd": None}, "/reservation/localEnd"),
            ({"timezone": "Mars/Olympus"}, "/reservation/timezone"),
            ({"startTime": render(NINE)}, "/reservation/startTime"),
            ({"rule": "FREQ=WEEKLY"}, "/rule"),
            ({"on_conflict": "overbook"}, "/onConflict"),
            ({"except_": ["2030-02-30"]}, "/except/0"),
            ({"holder": "v1"}, "/reservation/holder"),
        ],
    )
    async def test_what_is_wrong_is_pointed_at(self, api: ApiClient, fields: dict[str, Any], pointer: str) -> None:
        """In the body of the series, and nothing is written."""
        room = await room_of(api)

        problem(await post_series(api, **{"resource": room} | fields), "invalid", pointer)
        assert await stored(api, room) == []

    async def test_a_pool_that_is_too_large(self, api: ApiClient) -> None:
        """What would take too long to judge is refused with what to do instead."""
        service = f"cut-{next(NUMBERS)}"
        await api.service(service)
        for _ in range(20):
            await room_of(api, services=[service])
        answer = await post_series(api, None, "FREQ=WEEKLY;COUNT=104", service=service, localEnd=None)

        assert "name a resource" in problem(answer, "invalid", "/reservation/resource")["detail"]

    async def test_a_pool_in_several_zones_needs_one(self, api: ApiClient) -> None:
        """Unless the request names the zone of its local times."""
        service = f"cut-{next(NUMBERS)}"
        await api.service(service)
        for timezone in ("Europe/Berlin", "Europe/London"):
            await room_of(api, services=[service], timezone=timezone)
        pool = {"service": service, "localEnd": None}

        problem(await post_series(api, None, **pool), "invalid", "/reservation/timezone")
        made = created(await post_series(api, None, timezone="Europe/Berlin", **pool))
        assert starts(made)[0] == "01-07T08:00"

    async def test_an_erasure_clears_the_stored_answer(self, api: ApiClient) -> None:
        """Notes of a customer are gone from the occurrences, and from the answer that is repeated."""
        room = await room_of(api)
        await api.add("customers", id=room)
        first = await post_series(api, room, customer=room, notes="by the window", key=f"{room}-erase")
        ok(await api.request("POST", f"/v1/customers/{room}/erase"))
        again = created(await post_series(api, room, customer=room, notes="by the window", key=f"{room}-erase"))

        assert {each["notes"] for each in created(first)["reservations"]} == {"by the window"}
        assert [each.get("notes") for each in again["reservations"]] == [None] * 4
        assert all("notes" not in row for row in await stored(api, room))
        assert "window" not in str(await api.store.database["series"].find().to_list(None))


class TestVerbs:
    """All of a series, or from one occurrence on."""

    async def test_all_move_by_the_same_local_time(self, api: ApiClient) -> None:
        """Over a change of the clocks and with what was moved before; repeating it is harmless."""
        room = await room_of(api, timezone="Europe/Berlin")
        body = created(await post_series(api, room, localStart="2030-03-18T09:00", localEnd="2030-03-18T10:00"))
        ok(await api.change(body["reservations"][1], startTime="2030-03-25T10:00:00Z"))
        move = {"localStart": "2030-03-19T10:30", "reason": "why"}
        moved, again = [ok(await series_verb(api, body, "move", **move)) for _ in range(2)]

        assert starts(moved) == ["03-19T09:30", "03-26T11:30", "04-02T08:30", "04-09T08:30"]
        assert lengths(moved) == [HOUR] * 4
        assert again == moved == ok(await api.get(f"{SERIES}/{body['id']}"))
        assert moved["version"] == body["version"] + 5
        assert {each["history"][-1]["reason"] for each in moved["reservations"]} == {"why"}

    async def test_one_and_those_that_follow(self, api: ApiClient) -> None:
        """Named by its id or by a local time of the rule, wherever it was moved; another length, another resource."""
        room, other = await room_of(api), await room_of(api)
        body = created(await post_series(api, room))
        third = body["reservations"][2]
        longer = ok(await series_verb(api, body, "move", from_=third["id"], localEnd="2030-01-21T10:30"))
        earlier = ok(await series_verb(api, body, "move", from_="2030-01-21T09:00", localStart="2030-01-08T09:00"))
        elsewhere = ok(await series_verb(api, body, "move", from_=third["id"], resource=other))

        assert lengths(longer) == [HOUR, HOUR, HOUR * 1.5, HOUR * 1.5]
        assert starts(earlier) == ["01-07T09:00", "01-14T09:00", "01-08T09:00", "01-15T09:00"]
        assert starts(elsewhere) == starts(earlier)
        assert [each["resource"] for each in elsewhere["reservations"]] == [room, room, other, other]

    async def test_their_calendar(self, api: ApiClient) -> None:
        """Each is an event whose id stays and whose sequence grows; with names they also share the id of the series."""
        room = await room_of(api)
        series = created(await post_series(api, room))
        span = {"from": render(NINE - DAY), "to": render(NINE + 300 * DAY)}

        async def events(**more: Any) -> list[ReadEvent]:
            answer = await api.get(f"/v1/resources/{room}/calendar.ics", **span, **more)
            return read_calendar(answer.content)[1]

        plain, made = await events(), await events(names="true")
        ok(await api.verb(series["reservations"][0], "cancel"))
        ok(await series_verb(api, series, "move", from_=series["reservations"][2]["id"], localStart="2030-01-22T11:00"))
        changed = await events(names="true")

        ids = [f"{each['id']}@reserva" for each in series["reservations"]]
        assert [each.uid for each in plain] == [each.uid for each in made] == [each.uid for each in changed] == ids
        assert {each.series for each in plain} == {None}
        assert {each.series for each in (*made, *changed)} == {f"{series['id']}@reserva"}
        assert [each.sequence for each in made] == [1, 1, 1, 1]
        assert [each.sequence for each in changed] == [2, 1, 2, 2]
        assert [each.status for each in changed] == ["CANCELLED", *["CONFIRMED"] * 3]
        later = DAY + 2 * HOUR
        assert [each.start - NINE for each in changed] == [0 * DAY, WEEK, 2 * WEEK + later, 3 * WEEK + later]

    async def test_occurrences_may_take_each_others_places(self, api: ApiClient) -> None:
        """A week later all but the last stand where another one was."""
        body = created(await post_series(api, await room_of(api)))

        assert starts(ok(await series_verb(api, body, "move", localStart="2030-01-14T09:00")))[0] == "01-14T09:00"

    async def test_one_in_the_way_keeps_all(self, api: ApiClient) -> None:
        """It is named by its place and its local time, and nothing is moved."""
        room = await room_of(api)
        body = created(await post_series(api, room))
        await api.booked(NINE + 2 * WEEK + HOUR, resource=room)
        refused = problem(
            await series_verb(api, body, "move", localStart="2030-01-07T09:30"), "conflict", "/localStart"
        )

        (member,) = refused["members"]
        assert (member["index"], member["localStart"]) == (2, "2030-01-21T09:00")
        assert ok(await api.get(f"{SERIES}/{body['id']}")) == body

    async def test_what_has_begun_stays(self, api: ApiClient) -> None:
        """It is neither cancelled nor moved, and a move that refers to it is refused with what to do."""
        room = await room_of(api)
        body = created(await post_series(api, room))
        await api.begin(body["reservations"][0])
        begun = await series_verb(api, body, "move", localStart="2030-01-07T10:00")
        moved = ok(await series_verb(api, body, "move", from_="2030-01-14T09:00", localStart="2030-01-14T10:00"))
        cancelled = ok(await series_verb(api, body, "cancel", reason="why"))

        problem(begun, "invalid", "/from")
        assert starts(moved)[1:] == ["01-14T10:00", "01-21T10:00", "01-28T10:00"]
        assert statuses(cancelled) == ["confirmed", *["cancelled"] * 3]
        assert ok(await series_verb(api, body, "cancel")) == cancelled
        problem(await series_verb(api, body, "move", from_="2030-01-14T00:00", resource=room), "forbidden-transition")
        problem(await series_verb(api, body, "confirm", from_="2030-01-14T00:00"), "forbidden-transition")

    async def test_the_cancellation_notice_keeps_all(self, api: ApiClient) -> None:
        """Who may not cancel one cancels none of them, and is told which; from a later one on it can be done."""
        service = f"cut-{next(NUMBERS)}"
        await api.service(service, cancellationNoticeMinutes=90)
        room = await room_of(api, services=[service])
        soon = f"{api.store.clock.now() + HOUR:%Y-%m-%dT%H:%M}"
        body = created(
            await post_series(api, room, "FREQ=DAILY;COUNT=3", service=service, localStart=soon, localEnd=None)
        )
        desk = await api.with_scopes("reservations:read", "reservations:write")
        late = problem(await series_verb(desk, body, "cancel"), "too-late")
        too_late = problem(await series_verb(desk, body, "move", localStart="2030-01-07T10:00"), "too-late")

        for refused in (late, too_late):
            assert [(each["index"], each["localStart"]) for each in refused["members"]] == [(0, soon)]
        rest = ok(await series_verb(desk, body, "cancel", from_=body["reservations"][1]["id"]))
        assert statuses(rest) == ["confirmed", "cancelled", "cancelled"]

    @pytest.mark.parametrize(
        ("fields", "pointer"),
        [
            ({"from_": "monday", "resource": "room"}, "/from"),
            ({"from_": "0" * 24, "resource": "room"}, "/from"),
            ({"localStart": "2030-01-07"}, "/localStart"),
            ({"localEnd": "2030-01-07T08:00"}, "/localEnd"),
            ({"resource": "nowhere"}, "/resource"),
            ({"resource": "any"}, "/resource"),
            ({"startTime": render(NINE)}, "/startTime"),
        ],
    )
    async def test_what_is_wrong_is_pointed_at(self, api: ApiClient, fields: dict[str, Any], pointer: str) -> None:
        """In the body of the move."""
        body = created(await post_series(api, await room_of(api), "FREQ=DAILY;COUNT=1"))

        problem(await series_verb(api, body, "move", **fields), "invalid", pointer)
        problem(await series_verb(api, body, "move", reason="x"), "invalid")

    async def test_a_customers_key(self, api: ApiClient) -> None:
        """It books for its customer, sees what is all its customer's, and of strangers in the way only the times."""
        service, ann, bob = (f"{name}-{next(NUMBERS)}" for name in ("cut", "ann", "bob"))
        await api.service(service)
        room = await room_of(api, services=[service])
        for customer in (ann, bob):
            await api.add("customers", id=customer)
        of_ann, of_bob = [
            await api.with_scopes("reservations:read", "reservations:write", customer=customer)
            for customer in (ann, bob)
        ]
        hour = {"service": service, "localEnd": None}
        body = created(await post_series(of_ann, room, **hour))
        problem(await post_series(of_ann, room), "invalid", "/reservation/service")
        strange = problem(await post_series(of_bob, room, **hour), "conflict")

        assert {each["customer"] for each in body["reservations"]} == {ann}
        assert all(
            conflict.keys() == {"startTime", "endTime"} for each in strange["members"] for conflict in each["conflicts"]
        )
        problem(await of_bob.get(f"{SERIES}/{body['id']}"), "not-found")
        problem(await series_verb(of_bob, body, "cancel"), "not-found")
        assert statuses(ok(await series_verb(of_ann, body, "cancel"))) == ["cancelled"] * 4


class TestStorms:
    """Series beside series and single bookings."""

    @pytest.mark.promise("series")
    async def test_no_resource_is_above_its_capacity(self, api: ApiClient) -> None:
        """Series that refuse and that skip, singles and moves, all at once: what was accepted is there, and fits.

        A reconciliation of all of them has no finding, and neither has a count of the stored rows without the app.
        """
        chance = Random(7)
        rooms = [await room_of(api, capacity=capacity) for capacity in (1, 1, 2)]
        answers = await asyncio.gather(*(_request(api, chance, rooms) for _ in range(60)))
        made = [answer.json() for answer in answers if answer.status_code == 201]
        moves = [series_verb(api, each, "move", localStart=_start(chance)) for each in made if "rule" in each]
        answers += await asyncio.gather(*moves)

        counted = Counter(answer.status_code for answer in answers)
        assert counted.keys() <= {200, 201, 409, 422, 503}
        assert counted[201] > len(rooms)
        rows = [row for room in rooms for row in await stored(api, room)]
        loads = highest_loads(row for row in rows if row["status"] in {"pending", "confirmed"})
        assert [loads[room] for room in rooms] == [1, 1, 2]
        await reconcile(api)
        assert ok(await api.get("/v1/findings", resource=rooms))["total"] == 0
        stored_ids = {str(row["_id"]) for row in rows}
        acknowledged = {each["id"] for body in made for each in body.get("reservations", [body])}
        assert acknowledged == stored_ids if not counted[503] else acknowledged <= stored_ids


def _request(api: ApiClient, chance: Random, rooms: list[str]) -> Any:
    """A series of some days, or a single booking, on one of the rooms."""
    room = chance.choice(rooms)
    if chance.random() < 0.4:
        start = datetime.fromisoformat(f"{_start(chance)}:00+00:00")
        return api.post(booking_body(start, chance.choice([1, 2]) * HOUR, resource=room))
    first = _start(chance)
    end = f"{datetime.fromisoformat(first) + timedelta(minutes=chance.choice([30, 60, 90])):%Y-%m-%dT%H:%M}"
    rule = chance.choice(["FREQ=DAILY;COUNT=30", "FREQ=WEEKLY;COUNT=20", "FREQ=DAILY;INTERVAL=2;COUNT=20"])
    return post_series(api, room, rule, chance.choice(["refuse", "skip"]), localStart=first, localEnd=end)


def _start(chance: Random) -> str:
    return f"2030-01-{chance.randrange(7, 14):02}T{chance.randrange(9, 13):02}:{chance.choice(['00', '30'])}"


ANY_VERSION = {"If-Match": "*"}


def closed_on(day: str) -> dict[str, Any]:
    """A schedule that is always open but on one day."""
    week = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    windows = [{"days": week, "from": "00:00", "to": "24:00"}]
    return {"weekly": windows, "overrides": [{"date": day, "windows": []}]}


def lengths(series: dict[str, Any]) -> list[timedelta]:
    """How long the reservations of a series last."""
    parsed = datetime.fromisoformat
    return [parsed(each["endTime"]) - parsed(each["startTime"]) for each in series["reservations"]]
