"""Availability over HTTP: spans and zones, permissions, pools, local times, and the next free starts."""

import asyncio
from datetime import timedelta
from threading import Event, current_thread
from types import ModuleType
from typing import Any

import pytest

from app.availability import explanations, next_free
from app.availability import service as availability
from app.availability.admission import PERMITS_PER_KEY_MAX, QUEUE_LENGTH_PER_KEY_MAX
from app.availability.queries import read_rows
from app.booking import book
from app.domain import slots as pure_slots
from app.domain.instants import parse, render
from app.domain.rules import RULES
from tests.support.api_client import ApiClient, booking_body, created, failed_rules, ok, problem
from tests.support.times import DAY, HOUR, MINUTE, NINE

AVAILABILITY = "/v1/availability"
EXPLAIN = "/v1/availability/explain"
MONDAY: dict[str, Any] = {"from": "2030-01-07", "to": "2030-01-08"}
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MORNING = {"weekly": [{"days": WEEKDAYS, "from": "09:00", "to": "12:00"}]}
CLOSED: dict[str, Any] = {"weekly": []}


async def hours(api: ApiClient, schedule: dict[str, Any], resource: str = "room") -> None:
    """Set when it is open."""
    path = f"/v1/resources/{resource}/schedule"
    ok(await api.request("PUT", path, json=schedule, headers={"If-Match": "*"}))


async def slots(api: ApiClient, **asked: Any) -> list[dict[str, Any]]:
    """The slots of the room, or of what the query names."""
    whose = {} if "service" in asked else {"resource": "room", "minutes": 60}
    items: list[dict[str, Any]] = ok(await api.get(AVAILABILITY, **(whose | asked)))["items"]
    return items


def starts(items: list[dict[str, Any]]) -> list[str]:
    """What the clocks show when they begin."""
    return [item["localStart"] for item in items]


@pytest.fixture
async def room(api: ApiClient) -> ApiClient:
    """A room that is open from nine to twelve every day, UTC."""
    await api.resource()
    await hours(api, MORNING)
    return api


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads in which something was judged, once for each time."""
    threads: list[str] = []
    for module in (pure_slots, explanations, book):
        _noting(monkeypatch, module, "judge", threads)
    return threads


def _noting(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, threads: list[str]) -> None:
    """Note the thread of each call of a function of a module."""
    function = getattr(module, name)

    def noting(*arguments: Any, **more: Any) -> Any:
        threads.append(current_thread().name)
        return function(*arguments, **more)

    monkeypatch.setattr(module, name, noting)


class TestHoursAtTheEnds:
    """Services whose schedule is asked at the start and at the end alone."""

    async def test_a_rental_goes_on_while_the_counter_is_closed(self, room: ApiClient) -> None:
        """Fetched at an opening it can be returned at the next one; nothing is offered that ends at night."""
        await room.service("bike", durationMinutes=24 * 60, slotIntervalMinutes=60, hours="ends")
        await room.service("scooter", durationType="flexible", minMinutes=60, maxMinutes=5_000, hours="ends")
        ok(await room.edit("/v1/resources/room", services=["bike", "scooter"], capacity=9))
        offered = await slots(room, service="bike", **MONDAY)

        assert starts(offered) == [f"2030-01-07T{hour}:00" for hour in ("09", "10", "11")]
        for slot in offered:
            created(await room.post({"resource": "room", "service": "bike", "startTime": slot["startTime"]}))
        assert await slots(room, service="scooter", minutes=12 * 60, **MONDAY) == []
        refused = problem(await room.book(length=12 * HOUR, service="scooter"), "rule", "/startTime")
        assert failed_rules(refused) == ["schedule"]
        assert "It is closed at 2030-01-07T21:00 (UTC)" in refused["detail"]

    async def test_a_closed_day_strands_what_starts_or_ends_on_it(self, room: ApiClient) -> None:
        """Not the rental over it, which goes on as it would over a night; a time off then strands that too."""
        await room.service("bike", durationType="flexible", minMinutes=60, maxMinutes=9_000, hours="ends")
        ok(await room.edit("/v1/resources/room", services=["bike"], capacity=9))
        over = await room.booked(NINE - DAY, 2 * DAY, service="bike")
        ends = await room.booked(NINE - DAY, DAY, service="bike")
        begins = await room.booked(NINE, DAY, service="bike")
        path = "/v1/resources/room"

        def of(answer: dict[str, Any]) -> set[str]:
            return {each["id"] for each in answer["reservations"]}

        closed = MORNING | {"overrides": [{"date": "2030-01-07", "windows": []}]}
        put = await room.request("PUT", f"{path}/schedule", json=closed, headers={"If-Match": "*"})
        assert of(problem(put, "stranded-bookings")) == {ends["id"], begins["id"]}
        noon = {"from": "2030-01-07T12:00:00Z", "to": "2030-01-07T13:00:00Z"}
        off = await room.request("POST", f"{path}/time-off", json=noon)
        assert of(problem(off, "stranded-bookings")) == {over["id"], begins["id"]}


class TestSpan:
    """Which slots are asked for."""

    async def test_dates_are_local_days_and_the_last_is_excluded(self, api: ApiClient) -> None:
        """A day is that of the zone, from its first instant to the next day's; a slot may end after it."""
        await api.resource(timezone="Europe/Berlin")
        answer = ok(await api.get(AVAILABILITY, resource="room", minutes=60, **MONDAY))

        assert answer["timezone"] == "Europe/Berlin"
        assert answer["items"][0] == {
            "resource": "room",
            "startTime": "2030-01-06T23:00:00.000Z",
            "endTime": "2030-01-07T00:00:00.000Z",
            "localStart": "2030-01-07T00:00",
            "remaining": 1,
        }
        assert len(answer["items"]) == 24
        assert answer["items"][-1]["localStart"] == "2030-01-07T23:00"

    async def test_instants_bound_the_starts(self, room: ApiClient) -> None:
        """The first instant belongs to the span, the last does not; offsets are read."""
        asked = {"from": "2030-01-07T11:00:00+01:00", "to": "2030-01-07T11:00:00Z"}

        assert starts(await slots(room, **asked)) == ["2030-01-07T10:00"]
        assert starts(await slots(room, **(asked | {"to": "2030-01-07T11:00:00.001Z"}))) == [
            "2030-01-07T10:00",
            "2030-01-07T11:00",
        ]
        assert starts(await slots(room, **(asked | {"from": "2030-01-07T10:00:00.001Z"}))) == []

    async def test_92_days_may_have_an_hour_more(self, api: ApiClient) -> None:
        """Dates are counted by the calendar, instants by elapsed time."""
        await api.resource(timezone="Europe/Berlin")
        await hours(api, MORNING)
        dates = {"from": "2030-08-01", "to": "2030-11-01"}
        instants = {"from": "2030-08-01T00:00:00Z", "to": "2030-11-01T00:00:00Z"}

        assert len(await slots(api, **dates)) == 92 * 3
        assert len(await slots(api, **instants)) == 92 * 3
        for asked, longer in ((dates, "2030-11-02"), (instants, "2030-11-01T00:00:00.001Z")):
            query = {"resource": "room", "minutes": 60, **asked, "to": longer}
            problem(await api.get(AVAILABILITY, **query), "invalid", "?to")
        spring = {"resource": "room", "minutes": 60, "from": "2030-03-01", "to": "2030-06-02"}
        problem(await api.get(AVAILABILITY, **spring), "invalid", "?to")

    async def test_too_many_starts_are_refused(self, api: ApiClient) -> None:
        """They are counted over the whole pool."""
        await api.service(durationMinutes=2)
        span = {"from": "2030-01-01", "to": "2030-04-03"}
        await api.resource()
        problem(await api.get(AVAILABILITY, resource="room", minutes=1, **span), "invalid", "?to")
        for number in range(40):
            await api.resource(f"r{number}", services=["cut"])
        two_days = {"from": "2030-01-01", "to": "2030-01-03"}
        problem(await api.get(AVAILABILITY, service="cut", **two_days), "invalid", "?to")

    async def test_what_could_not_be_written_down_is_not_offered(self, api: ApiClient) -> None:
        """Times outside of 1970 to 2200 are refused, so no slot begins or ends there."""
        await api.resource(timezone="Asia/Tokyo")

        for day, following in (("1970-01-01", "1970-01-02"), ("2200-12-31", "2200-12-31T23:00:00Z")):
            first = day if "T" not in following else "2200-12-31T00:00:00Z"
            items = await slots(api, **{"from": first, "to": following})
            assert items
            for item in (items[0], items[-1]):
                created(await api.post({name: item[name] for name in ("resource", "startTime", "endTime")}))

    @pytest.mark.parametrize(
        ("changed", "pointer"),
        [
            ({"service": "nothing"}, "?service"),
            ({"resource": "nowhere"}, "?resource"),
            ({"resource": None}, "?resource"),
            ({"timezone": "Mars/Olympus"}, "?timezone"),
            ({"timezone": "../../etc/passwd"}, "?timezone"),
            ({"minutes": None}, "?minutes"),
            ({"minutes": "0"}, "?minutes"),
            ({"minutes": "half"}, "?minutes"),
            ({"days": "1"}, "?days"),
            ({"guests": "0"}, "?guests"),
            ({"guests": "10001"}, "?guests"),
            ({"from": None}, "?from"),
            ({"to": None}, "?to"),
            ({"to": "2030-01-07"}, "?to"),
            ({"to": "2030-01-06"}, "?to"),
            ({"to": "2030-01-08T00:00:00Z"}, "?to"),
            ({"from": "2030-01-07T00:00:00", "to": "2030-01-08T00:00:00Z"}, "?from"),
            ({"from": "2030-02-30"}, "?from"),
            ({"from": ""}, "?from"),
            ({"to": "2201-01-02"}, "?to"),
            ({"ignore": "abc"}, "?ignore"),
            ({"ignore": "0" * 24}, "?ignore"),
            ({"colour": "red"}, "?colour"),
            ({"first": "true"}, "?to"),
            ({"first": "maybe"}, "?first"),
            ({"first": "null"}, "?first"),
            ({"first": "true", "to": None, "from": "soon"}, "?from"),
            ({"first": "true", "to": None, "from": "2030-02-30"}, "?from"),
            ({"first": "true", "to": None, "from": "2030-01-07T09:00:00"}, "?from"),
            ({"first": "true", "to": None, "from": "2201-01-01"}, "?from"),
            ({"first": "true", "to": None, "from": None}, "?from"),
            *(({"limit": text}, "?limit") for text in ("0", "-1", "50001", "1.5", "x", "", "9" * 400, "\0")),
            *(({"per": text}, "?per") for text in ("week", "DAY", "null", "", "day ", "\0", "ä")),
            *(({"distinct": text}, "?distinct") for text in ("resource", "Start", "NULL", "", "\0")),
        ],
    )
    async def test_a_bad_question_is_refused_with_a_pointer(
        self, api: ApiClient, changed: dict[str, Any], pointer: str
    ) -> None:
        """A problem that points at the parameter."""
        await api.resource()
        asked = {"resource": "room", "minutes": "60", **MONDAY} | changed
        query = {name: value for name, value in asked.items() if value is not None}
        problem(await api.get(AVAILABILITY, **query), "invalid", pointer)

    async def test_the_service_says_which_length_can_be_asked_for(self, api: ApiClient) -> None:
        """Minutes are for flexible services (the least, if left out) and must agree for fixed; days for full-day."""
        await api.service("fixed", durationMinutes=90)
        await api.service("loose", durationType="flexible", minMinutes=60, stepMinutes=30, maxMinutes=120)
        await api.service("stay", durationType="full-day", maxDays=2)
        await api.resource(services=["fixed", "loose", "stay"])
        await hours(api, MORNING)

        async def found(service: str, **more: Any) -> list[str]:
            span = {"from": "2030-01-07", "to": "2030-01-08"}
            return [item["endTime"][8:16] for item in await slots(api, service=service, **span, **more)]

        assert await found("fixed") == await found("fixed", minutes=90) == ["07T10:30", "07T12:00"]
        assert await found("loose") == await found("loose", minutes=60) == ["07T10:00", "07T11:00", "07T12:00"]
        assert await found("loose", minutes=90) == ["07T10:30", "07T11:30"]
        assert await found("loose", minutes=100) == await found("loose", minutes=150) == []
        assert await found("stay") == ["08T00:00"]
        assert await found("stay", days=2) == ["09T00:00"]
        assert await found("stay", days=3) == []
        for service, parameter in (("fixed", "minutes"), ("fixed", "days"), ("loose", "days"), ("stay", "minutes")):
            query = {"service": service, parameter: 7, **MONDAY}
            problem(await api.get(AVAILABILITY, **query), "invalid", f"?{parameter}")

    async def test_a_key_of_any_scope_reads_it(self, room: ApiClient) -> None:
        """A key of any scope reads availability and its explanation; an unknown key is refused."""
        for scope in ("catalogue:write", "reservations:read", "findings:review"):
            assert len(await slots(await room.with_scopes(scope), **MONDAY)) == 3
        for path in (AVAILABILITY, EXPLAIN):
            problem(await room.request("GET", path, headers={"Authorization": "Bearer rsv_a_b"}), "unauthenticated")


class TestZones:
    """On whose clocks."""

    async def test_the_zone_is_the_one_asked_for_else_that_of_all_else_utc(self, api: ApiClient) -> None:
        """The resource's own; a pool's if all its members agree."""
        await api.service()
        await api.resource("a", timezone="Asia/Tokyo", services=["cut"])
        await api.resource("b", timezone="Asia/Tokyo", services=["cut"])

        async def zone(**asked: Any) -> str:
            answered: str = ok(await api.get(AVAILABILITY, service="cut", **MONDAY, **asked))["timezone"]
            return answered

        assert await zone() == "Asia/Tokyo"
        await api.resource("c", timezone="Europe/Berlin", services=["cut"])
        assert await zone() == "UTC"
        assert await zone(resource="c") == "Europe/Berlin"
        assert await zone(timezone="America/Havana") == "America/Havana"
        ok(await api.edit("/v1/resources/c", active=False))
        assert await zone() == "Asia/Tokyo"

    async def test_an_hour_that_exists_twice_is_offered_twice(self, api: ApiClient) -> None:
        """25 slots on the day of 25 hours, two of which have the same local time and different instants."""
        await api.resource(timezone="America/New_York")
        long = await slots(api, **{"from": "2030-11-03", "to": "2030-11-04"})
        short = await slots(api, **{"from": "2030-03-10", "to": "2030-03-11"})

        assert (len(long), len(short)) == (25, 23)
        assert [item["startTime"][11:16] for item in long if item["localStart"] == "2030-11-03T01:00"] == [
            *("05:00", "06:00"),
        ]
        assert "2030-03-10T02:00" not in starts(short)
        assert len({item["startTime"] for item in long}) == 25

    async def test_full_days_have_as_many_hours_as_they_have(self, api: ApiClient) -> None:
        """From first instant to first instant, also where midnight is missing; each needs some window."""
        await api.service("stay", durationType="full-day")
        await api.resource(timezone="America/Havana", services=["stay"])
        await hours(api, MORNING | {"overrides": [{"date": "2030-03-12", "windows": []}]})
        items = await slots(api, service="stay", **{"from": "2030-03-09", "to": "2030-03-13"})

        assert starts(items) == ["2030-03-09T00:00", "2030-03-10T01:00", "2030-03-11T00:00"]
        lengths = [parse(item["endTime"]) - parse(item["startTime"]) for item in items]
        assert lengths == [DAY, DAY - HOUR, DAY]

    async def test_another_zone_may_be_asked_for(self, room: ApiClient) -> None:
        """The grid stays that of the resource; only the day and the clocks are the other zone's."""
        items = await slots(room, timezone="Asia/Kathmandu", **MONDAY)

        assert starts(items) == ["2030-01-07T14:45", "2030-01-07T15:45", "2030-01-07T16:45"]
        assert [item["startTime"][11:16] for item in items] == ["09:00", "10:00", "11:00"]


class TestWhatIsOffered:
    """Conflicting reservations, and the remaining capacity."""

    async def test_a_pool_is_sorted_by_start_then_resource(self, api: ApiClient) -> None:
        """Each instant once per resource; inactive resources and resources without the service are left out."""
        await api.service()
        for name in ("b", "a", "c"):
            await api.resource(name, services=["cut"] if name != "c" else [])
            await hours(api, MORNING, name)
        await api.resource("d", services=["cut"], active=False)
        await api.booked(NINE + HOUR, resource="a")

        found = [(item["startTime"][11:13], item["resource"]) for item in await slots(api, service="cut", **MONDAY)]
        assert found == [("09", "a"), ("09", "b"), ("10", "b"), ("11", "a"), ("11", "b")]

    async def test_what_remains_is_less_the_peak_in_the_block(self, api: ApiClient) -> None:
        """Buffers count, neighbours that never meet do not add up; by guests where these are counted."""
        await api.service(bufferAfterMinutes=30)
        await api.resource(capacity=6, capacityMode="guests", services=["cut"])
        await hours(api, MORNING)
        await api.booked(guests=2, length=30 * MINUTE)
        await api.booked(NINE + 30 * MINUTE, guests=3, length=30 * MINUTE)
        await api.booked(NINE + 2 * HOUR + 29 * MINUTE, guests=4, length=10 * MINUTE)

        async def remaining(**asked: Any) -> dict[str, int]:
            items = await slots(api, service="cut", **MONDAY, **asked)
            return {item["localStart"][11:]: item["remaining"] for item in items}

        assert await remaining() == {"09:00": 3, "10:00": 2, "11:00": 2}
        assert await remaining(guests=3) == {"09:00": 3}
        assert await remaining(guests=7) == {}
        wish = booking_body(NINE + 5 * DAY, guests=7)
        assert failed_rules(ok(await api.get(EXPLAIN, **wish))) == ["guests", "capacity"]

    async def test_holds_count_until_their_time_is_over(self, room: ApiClient) -> None:
        """A hold counts until it expires, and a cancelled reservation does not count."""
        hold = await room.booked(expiresInSeconds=600)
        gone = await room.booked(NINE + HOUR)
        assert starts(await slots(room, **MONDAY)) == ["2030-01-07T11:00"]

        await room.expire(hold)
        ok(await room.verb(gone, "cancel"))
        assert len(await slots(room, **MONDAY)) == 3

    async def test_a_reservation_that_is_to_be_moved_can_be_ignored(self, room: ApiClient) -> None:
        """With `ignore` its time is free and remains; a stranger's is as if there were none."""
        await room.add("customers", id="ann")
        await room.add("customers", id="bob")
        mine = await room.booked(customer="ann", length=90 * MINUTE)
        assert starts(await slots(room, **MONDAY)) == ["2030-01-07T11:00"]

        for who in (room, await room.with_scopes("reservations:read", customer="ann")):
            items = await slots(who, ignore=mine["id"], **MONDAY)
            assert [item["remaining"] for item in items] == [1, 1, 1]
        made_to_fit = await room.change(mine, startTime=render(NINE + HOUR))
        assert ok(made_to_fit)["endTime"] == "2030-01-07T11:30:00.000Z"
        query = {"resource": "room", "minutes": 60, "ignore": mine["id"], **MONDAY}
        stranger = await room.with_scopes("reservations:read", customer="bob")
        problem(await stranger.get(AVAILABILITY, **query), "invalid", "?ignore")

    async def test_a_move_can_be_explained(self, room: ApiClient) -> None:
        """With `ignore` a reservation is not in its own way; without the right to read it, it is not to be ignored."""
        mine = await room.booked()
        later = booking_body(NINE + HOUR / 2)
        blind = await room.with_scopes("catalogue:write")

        in_its_way = failed_rules(ok(await room.get(EXPLAIN, **later)))
        moved = ok(await room.get(EXPLAIN, **later, ignore=mine["id"]))

        assert in_its_way == ["capacity"]
        assert moved["bookable"]
        problem(await blind.get(EXPLAIN, **later, ignore=mine["id"]), "forbidden")
        problem(await room.get(EXPLAIN, **later, ignore="0" * 24), "invalid", "?ignore")

    async def test_ignoring_does_not_disclose_the_time_of_a_reservation(self, room: ApiClient) -> None:
        """A key that may not read reservations is refused by the scope that it lacks, whether there is one or not."""
        mine = await room.booked()
        for scopes in (["catalogue:write"], ["reservations:write"]):
            blind = await room.with_scopes(*scopes)
            assert len(await slots(blind, **MONDAY)) == 2
            for identity in (mine["id"], "0" * 24):
                query = {"resource": "room", "minutes": 60, "ignore": identity, **MONDAY}
                assert "reservations:read" in problem(await blind.get(AVAILABILITY, **query), "forbidden")["detail"]

    async def test_what_is_deactivated_offers_nothing_and_explain_says_which(self, api: ApiClient) -> None:
        """The resource, the service, or that they have nothing to do with each other."""
        await api.service()
        await api.service("wash")
        await api.resource(services=["cut"])
        wish = booking_body(service="cut")

        assert len(await slots(api, service="cut", resource="room", **MONDAY)) == 24
        for path, rule in (("/v1/services/cut", "service-active"), ("/v1/resources/room", "resource-active")):
            ok(await api.edit(path, active=False))
            assert await slots(api, service="cut", resource="room", **MONDAY) == []
            assert failed_rules(ok(await api.get(EXPLAIN, **wish))) == [rule]
            assert failed_rules(problem(await api.post(wish), "rule")) == [rule]
            ok(await api.edit(path, active=True))
        assert await slots(api, service="wash", resource="room", **MONDAY) == []
        assert failed_rules(ok(await api.get(EXPLAIN, **booking_body(service="wash")))) == ["service-offered"]

    async def test_a_party_that_is_too_large_is_offered_nothing(self, api: ApiClient) -> None:
        """Nor is a time without a service where one is required; explain and a booking say which rule it is."""
        await api.service()
        await api.resource(services=["cut"], maxGuests=4, serviceOnly=True)

        assert len(await slots(api, service="cut", resource="room", guests=4, **MONDAY)) == 24
        for rule, wish, asked in (
            ("guests", booking_body(service="cut", guests=5), {"service": "cut", "guests": 5}),
            ("service-offered", booking_body(), {"minutes": 60}),
        ):
            assert await slots(api, resource="room", **asked, **MONDAY) == []
            assert failed_rules(ok(await api.get(EXPLAIN, **wish))) == [rule]
            assert failed_rules(problem(await api.post(wish), "rule")) == [rule]


@pytest.mark.promise("questions")
class TestMuchAtOnce:
    """Questions that take long: beside the loop, a few at a time, and no longer than they may."""

    async def test_bookings_go_on_while_questions_wait(self, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of forty at once those beyond the queue are overloaded; a booking and /healthz are answered meanwhile."""
        await api.resource()
        go_on = Event()

        answer = availability._encode

        def slow(*arguments: Any) -> Any:
            go_on.wait()
            return answer(*arguments)

        monkeypatch.setattr(availability, "_encode", slow)
        query = {"resource": "room", "minutes": 60, **MONDAY}
        asking = [asyncio.create_task(api.get(AVAILABILITY, **query)) for _ in range(40)]
        try:
            turned_away = 40 - PERMITS_PER_KEY_MAX - QUEUE_LENGTH_PER_KEY_MAX
            for refused in asyncio.as_completed(asking):
                problem(await refused, "overloaded")
                turned_away -= 1
                if not turned_away:
                    break
            await api.booked(NINE + 8 * HOUR)
            assert (await api.client.get("/healthz")).status_code == 200
        finally:
            go_on.set()
        answers = [answer for answer in await asyncio.gather(*asking) if answer.status_code == 200]
        assert len(answers) == PERMITS_PER_KEY_MAX + QUEUE_LENGTH_PER_KEY_MAX

    async def test_all_of_it_is_computed_beside_the_loop(
        self, room: ApiClient, judged: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Counting, judging and writing the bytes, of slots as of an explanation."""
        for function in ("_grids", "encoded_slots"):
            _noting(monkeypatch, availability, function, judged)
        await slots(room, **MONDAY)
        ok(await room.get(EXPLAIN, **booking_body()))

        assert len(judged) == 1 + 1 + 1 + 1
        assert {thread.partition("_")[0] for thread in judged} == {"work"}

    @pytest.mark.parametrize(("bound", "value"), [("QUESTION_SECONDS", 0), ("ROWS_MAX", 1)])
    async def test_what_takes_too_long_is_overloaded(
        self, room: ApiClient, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
    ) -> None:
        """Too much to read, or more time than a question has."""
        for n in range(2):
            await room.booked(NINE + n * HOUR)
        query = {"resource": "room", "minutes": 60, **MONDAY}
        ok(await room.get(AVAILABILITY, **query))
        monkeypatch.setattr(availability, bound, value)
        answer = await room.get(AVAILABILITY, **query)

        problem(answer, "overloaded")
        assert int(answer.headers["Retry-After"]) >= 1


class TestExplain:
    """Why not then."""

    async def test_all_rules_can_say_no_at_once(self, api: ApiClient) -> None:
        """All ten rules are always listed in their order, each with the reason for its result."""
        now = api.store.clock.now()
        start = now + 12 * HOUR
        await api.service(minimumNoticeMinutes=24 * 60, horizonDays=0)
        await api.resource(capacityMode="guests")
        taken = await api.booked(start)
        days = [{"date": f"{start + n * DAY:%Y-%m-%d}", "windows": []} for n in (-1, 0, 1)]
        force = {"force": "true"}
        put: dict[str, Any] = {"json": {"overrides": days}, "headers": {"If-Match": "*"}, "params": force}
        ok(await api.request("PUT", "/v1/resources/room/schedule", **put))
        away = {"from": render(start), "to": render(start + DAY)}
        off = created(await api.request("POST", "/v1/resources/room/time-off", json=away, params=force))
        for path in ("/v1/services/cut", "/v1/resources/room?force=true"):
            ok(await api.edit(path, active=False))

        wish = booking_body(start, 2 * HOUR, service="cut", guests=2)
        explanation = ok(await api.get(EXPLAIN, **wish))
        assert explanation["bookable"] is False
        assert failed_rules(explanation) == list(RULES)
        checks = {check["rule"]: check for check in explanation["checks"]}
        assert all(check["detail"].strip() for check in explanation["checks"])
        assert checks["schedule"]["override"] == f"{start:%Y-%m-%d}"
        assert checks["time-off"]["timeOff"] == off["id"]
        assert checks["capacity"]["reservation"] == taken["id"]
        refused = problem(await api.post(wish), "rule")
        assert refused["checks"] == explanation["checks"]
        assert len(refused["errors"]) == len(RULES)

    async def test_a_free_time_passes_every_rule(self, room: ApiClient) -> None:
        """With nothing beside rule, verdict and sentence."""
        explanation = ok(await room.get(EXPLAIN, **booking_body()))

        assert explanation["bookable"] is True
        assert failed_rules(explanation) == []
        assert all(set(check) == {"rule", "ok", "detail"} for check in explanation["checks"])

    async def test_the_reservation_is_named_to_a_key_that_may_read_it(self, room: ApiClient) -> None:
        """Not without the scope, nor to a stranger; in a refusal as in the explanation."""
        for name in ("ann", "bob"):
            await room.add("customers", id=name)
        await room.service()
        ok(await room.edit("/v1/resources/room", services=["cut"]))
        taken = await room.booked(customer="ann")
        both = ("reservations:read", "reservations:write")
        readers = [room, await room.with_scopes(*both), await room.with_scopes(*both, customer="ann")]
        others = [await room.with_scopes("reservations:write"), await room.with_scopes(*both, customer="bob")]

        for api, named in [(each, True) for each in readers] + [(each, False) for each in others]:
            check = ok(await api.get(EXPLAIN, **booking_body(service="cut")))["checks"][-1]
            refused = problem(await api.book(service="cut"), "conflict")
            assert refused["checks"][-1] == check
            assert check.get("reservation") == (taken["id"] if named else None)
            assert ("reservation" in refused["conflicts"][0]) is named

    async def test_the_end_may_be_left_out_as_in_a_booking(self, api: ApiClient) -> None:
        """For a fixed service and for a full day."""
        await api.service()
        await api.service("stay", durationType="full-day")
        await api.resource(services=["cut", "stay"])
        midnight = NINE - 9 * HOUR

        for start, service in ((NINE, "cut"), (midnight, "stay")):
            explanation = ok(await api.get(EXPLAIN, **booking_body(start, None, service=service)))
            assert explanation["bookable"] is True
        assert failed_rules(ok(await api.get(EXPLAIN, **booking_body(NINE, None, service="stay")))) == ["duration"]

    @pytest.mark.parametrize(
        ("changed", "pointer"),
        [
            ({"resource": None}, "?resource"),
            ({"resource": "nowhere"}, "?resource"),
            ({"service": "nothing"}, "?service"),
            ({"startTime": None}, "?startTime"),
            ({"startTime": "2030-01-07"}, "?startTime"),
            ({"endTime": None}, "?endTime"),
            ({"endTime": render(NINE)}, "?endTime"),
            ({"endTime": render(NINE + MINUTE / 2)}, "?endTime"),
            ({"endTime": render(NINE + 367 * DAY)}, "?endTime"),
            ({"guests": "0"}, "?guests"),
            ({"colour": "red"}, "?colour"),
        ],
    )
    async def test_a_bad_question_is_refused_with_a_pointer(
        self, api: ApiClient, changed: dict[str, Any], pointer: str
    ) -> None:
        """A problem that points at the parameter."""
        await api.resource()
        query = {name: value for name, value in (booking_body() | changed).items() if value is not None}
        problem(await api.get(EXPLAIN, **query), "invalid", pointer)


class TestNextFree:
    """When it could be had instead."""

    async def test_a_conflict_tells_the_next_three(self, room: ApiClient) -> None:
        """On the grid, in order, over the night; what was asked for is not among them."""
        await room.booked(NINE, 2 * HOUR)
        starts = problem(await room.book(), "conflict")["nextFree"]

        assert starts == [render(NINE + n) for n in (2 * HOUR, DAY, DAY + HOUR)]
        for start in starts:
            await room.booked(parse(start))

    async def test_they_are_for_the_same_request(self, api: ApiClient) -> None:
        """As long, with the same buffers, for as many guests."""
        await api.service(durationType="flexible", minMinutes=30, stepMinutes=30, maxMinutes=180, bufferAfterMinutes=30)
        await api.resource(capacity=4, capacityMode="guests", services=["cut"])
        await hours(api, MORNING)
        await api.booked(NINE, HOUR, guests=2)
        await api.booked(NINE + DAY + 2 * HOUR, HOUR, guests=3)

        async def following(length: timedelta, guests: int) -> list[str]:
            starts = problem(await api.book(NINE, length, guests=guests, service="cut"), "conflict")["nextFree"]
            return [start[8:16] for start in starts]

        assert await following(HOUR, 3) == ["07T10:00", "07T10:30", "07T11:00"]
        assert await following(2 * HOUR, 3) == ["07T10:00", "09T09:00", "09T09:30"]
        assert await following(2 * HOUR, 4) == ["07T10:00", "09T09:00", "09T09:30"]

    async def test_seven_days_on_is_the_last(self, api: ApiClient) -> None:
        """A start exactly seven days later is listed, a later one is not."""
        await api.resource()
        taken = await api.booked(NINE, 7 * DAY)
        assert problem(await api.book(), "conflict")["nextFree"] == [render(NINE + 7 * DAY)]

        ok(await api.change(taken, endTime=render(NINE + 7 * DAY + MINUTE)))
        assert problem(await api.book(), "conflict")["nextFree"] == []

    async def test_the_refusal_of_an_expired_hold_has_starts_too(self, room: ApiClient) -> None:
        """Its own time, as long as that is free; for confirm, extend and a change."""
        hold = await room.booked(length=2 * HOUR, expiresInSeconds=600)
        await room.expire(hold)

        for answer in (
            await room.verb(hold, "confirm"),
            await room.verb(hold, "extend", expiresInSeconds=60),
            await room.change(hold, guests=2),
        ):
            assert problem(answer, "hold-expired")["nextFree"] == [render(NINE + n * DAY) for n in range(3)]
        await room.booked()
        starts = problem(await room.verb(hold, "confirm"), "hold-expired")["nextFree"]
        assert starts == [render(NINE + n * DAY) for n in (1, 2, 3)]

    async def test_a_move_does_not_conflict_with_itself(self, room: ApiClient) -> None:
        """What it leaves is free for it."""
        await room.booked(NINE + HOUR, 2 * HOUR)
        mine = await room.booked()
        starts = problem(await room.change(mine, startTime=render(NINE + HOUR)), "conflict")["nextFree"]
        assert starts == [render(NINE + n) for n in (DAY, DAY + HOUR, DAY + 2 * HOUR)]

        starts = problem(await room.change(mine, endTime=render(NINE + 2 * HOUR)), "conflict")["nextFree"]
        assert starts == [render(NINE + n * DAY) for n in (1, 2, 3)]

    @pytest.mark.promise("questions")
    async def test_a_full_week_by_the_minute_is_not_judged(self, api: ApiClient, judged: list[str]) -> None:
        """Of ten thousand starts the first free one is judged, beside the loop; what is full is jumped over."""
        await api.service(slotIntervalMinutes=1)
        await api.resource(services=["cut"])
        await api.booked(NINE, 6 * DAY)
        judged.clear()
        starts = problem(await api.book(service="cut"), "conflict")["nextFree"]

        assert starts == [render(NINE + 6 * DAY + n * MINUTE) for n in range(3)]
        beside = [thread for thread in judged if thread.startswith("work")]
        assert len(beside) == 1
        assert len(judged) <= 2  # and once by the write path

    async def test_what_takes_long_to_find_is_left_out(self, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """No start is listed where the first one that fits lies beyond the limit of candidates."""
        await api.service(durationMinutes=30, slotIntervalMinutes=1)
        await api.resource(services=["cut"])
        for n in range(10):
            await api.booked(NINE + n * HOUR, HOUR - 20 * MINUTE)
        for most, count in ((30, 3), (10, 0)):
            monkeypatch.setattr(next_free, "CANDIDATES_MAX", most)
            starts = problem(await api.book(NINE, 30 * MINUTE, service="cut"), "conflict")["nextFree"]
            assert len(starts) == count

    async def test_a_database_that_hangs_keeps_no_refusal_waiting(
        self, room: ApiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The refusal comes without advice, and the next one with it as soon as the database answers."""
        await room.booked()
        hangs = asyncio.Event()

        async def slow(*arguments: Any, **more: Any) -> Any:
            await hangs.wait()
            return await read_rows(*arguments, **more)

        with monkeypatch.context() as patch:
            patch.setattr(next_free, "WAIT_SECONDS", 0.01)
            patch.setattr(next_free, "read_rows", slow)
            assert problem(await room.book(), "conflict")["nextFree"] == []
            hangs.set()
        assert len(problem(await room.book(NINE, HOUR / 2), "conflict")["nextFree"]) == 3

    async def test_the_starts_of_a_full_pool_share_what_was_read(
        self, api: ApiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each other start of the day is answered from the rows of the first one, until a booking is made there."""
        read: list[list[str]] = []

        async def noted(store: Any, resources: Any, *arguments: Any, **more: Any) -> Any:
            read.append([resource.rules.id for resource in resources])
            return await read_rows(store, resources, *arguments, **more)

        monkeypatch.setattr(next_free, "read_rows", noted)
        monkeypatch.setattr(next_free, "CACHE_SECONDS", 3_600)
        await api.service()
        for name in ("a", "b", "c"):
            await api.resource(name, services=["cut"])
            await api.booked(resource=name, length=4 * HOUR)
        for n in range(3):
            body = {"service": "cut", "startTime": render(NINE + n * HOUR)}
            starts = problem(await api.post(body), "conflict")["nextFree"]
            assert starts == [render(NINE + n * HOUR) for n in (4, 5, 6)]
        assert read == [["a", "b", "c"], [], []]

        await api.booked(NINE + 4 * HOUR, resource="a")
        body = {"service": "cut", "startTime": render(NINE)}
        assert problem(await api.post(body), "conflict")["nextFree"][0] == render(NINE + 4 * HOUR)
        assert read[3:] == [["a"]]

    async def test_no_advice_is_older_than_its_refusal(self, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """A request that is refused while a search for the same is reading gets a search of its own."""
        reading, asked, go_on = asyncio.Event(), asyncio.Semaphore(0), asyncio.Event()
        original: Any = next_free.NextFree.starts

        async def held_up(*arguments: Any, **more: Any) -> Any:
            rows = await read_rows(*arguments, **more)
            reading.set()
            await go_on.wait()
            return rows

        async def noted(self: Any, *question: Any) -> Any:
            asked.release()
            return await original(self, *question)

        monkeypatch.setattr(next_free, "read_rows", held_up)
        monkeypatch.setattr(next_free.NextFree, "starts", noted)
        monkeypatch.setattr(next_free, "WAIT_SECONDS", 60)
        await api.resource()
        await api.booked()
        first = asyncio.create_task(api.book())
        await reading.wait()
        await api.booked(NINE + HOUR)
        second = asyncio.create_task(api.book())
        for _ in range(2):
            await asked.acquire()
        go_on.set()

        assert problem(await first, "conflict")["nextFree"][0] == render(NINE + HOUR)
        assert problem(await second, "conflict")["nextFree"][0] == render(NINE + 2 * HOUR)

    async def test_any_member_of_a_pool_will_do(self, api: ApiClient) -> None:
        """Each start is listed once, however many members are free."""
        await api.service()
        for name in ("a", "b"):
            await api.resource(name, services=["cut"])
            await hours(api, MORNING, name)
            await api.booked(resource=name)
        await api.booked(NINE + HOUR, resource="a")

        starts = problem(await api.post({"service": "cut", "startTime": render(NINE)}), "conflict")["nextFree"]
        assert starts == [render(NINE + n) for n in (HOUR, 2 * HOUR, DAY)]


class TestPool:
    """A booking of a pool takes any free member."""

    @pytest.mark.parametrize("named", [{}, {"resource": "any"}])
    async def test_a_free_one_is_taken_while_there_is_one(self, api: ApiClient, named: dict[str, str]) -> None:
        """Each member is booked once, then the pool is full; the answer names the member."""
        await api.service()
        for name in ("a", "b", "c"):
            await api.resource(name, services=["cut"])
        await api.resource("off", services=["cut"], active=False)
        body = {"service": "cut", "startTime": render(NINE), **named}

        assert {created(await api.post(body))["resource"] for _ in range(3)} == {"a", "b", "c"}
        assert failed_rules(problem(await api.post(body), "conflict")) == ["capacity"]

    async def test_the_one_with_the_fewest_failed_rules_answers(self, api: ApiClient) -> None:
        """Who is merely taken, rather than who is closed and away as well."""
        await api.service()
        for name in ("a", "b", "c"):
            await api.resource(name, services=["cut"])
            taken = await api.booked(resource=name)
            if name != "b":
                path = f"/v1/resources/{name}/schedule?force=true"
                ok(await api.request("PUT", path, json=CLOSED, headers={"If-Match": "*"}))
            else:
                blamed = taken["id"]

        for _ in range(4):  # takers begin at different members
            refused = problem(await api.post({"service": "cut", "startTime": render(NINE)}), "conflict")
            assert [each["reservation"] for each in refused["conflicts"]] == [blamed]

    @pytest.mark.parametrize(
        ("fields", "pointer"),
        [({}, "/resource"), ({"service": "nothing"}, "/service"), ({"service": "cut", "resource": "any"}, "/service")],
    )
    async def test_a_pool_without_members_is_no_pool(
        self, api: ApiClient, fields: dict[str, str], pointer: str
    ) -> None:
        """Neither resource nor service, an unknown service, or one that no resource offers."""
        await api.service()
        times = {"startTime": render(NINE), "endTime": render(NINE + HOUR)}
        problem(await api.post(fields | times), "invalid", pointer)


class TestLocalTimes:
    """Times as the clocks of a place show them."""

    @pytest.mark.parametrize(
        ("wall", "zone", "instants"),
        [
            ("2030-03-10T02:30", "America/New_York", ["2030-03-10T07:30:00.000Z", "2030-03-10T06:30:00.000Z"]),
            ("2030-11-03T01:30", "America/New_York", ["2030-11-03T05:30:00.000Z", "2030-11-03T06:30:00.000Z"]),
            ("2030-10-06T02:15", "Australia/Lord_Howe", ["2030-10-05T15:45:00.000Z", "2030-10-05T15:15:00.000Z"]),
        ],
    )
    async def test_a_gap_and_a_fold_ask_back(self, api: ApiClient, wall: str, zone: str, instants: list[str]) -> None:
        """With the two instants by the offset before and after; either can then be booked."""
        await api.resource()
        body = {"resource": "room", "localStart": wall, "localEnd": f"{wall[:10]}T12:00", "timezone": zone}

        assert problem(await api.post(body), "local-time", "/localStart")["choices"] == instants
        for instant in instants:
            times = {"startTime": instant, "endTime": render(parse(instant) + 10 * MINUTE)}
            created(await api.post({"resource": "room", **times, "timezone": zone}))
        body = {"resource": "room", "startTime": "2030-01-01T00:00:00Z", "localEnd": wall, "timezone": zone}
        assert problem(await api.post(body), "local-time", "/localEnd")["choices"] == instants

    async def test_the_zone_is_stored(self, api: ApiClient) -> None:
        """A reader sees the wall time that was meant, whatever the time zone of the resource."""
        await api.resource(timezone="Europe/Berlin")
        local = {"localStart": "2030-07-01T09:00", "localEnd": "2030-07-01T10:00", "timezone": "America/New_York"}
        body = created(await api.post({"resource": "room", **local}))

        assert (body["startTime"], body["endTime"]) == ("2030-07-01T13:00:00.000Z", "2030-07-01T14:00:00.000Z")
        assert body["timezone"] == "America/New_York"
        assert (await api.read(body))["timezone"] == "America/New_York"

    async def test_an_hour_on_the_clocks_may_be_two(self, api: ApiClient) -> None:
        """From one to three in the night of the fold are three hours; of the gap one."""
        await api.resource()
        for day, length in (("2030-11-03", 4), ("2030-03-10", 2)):
            local = {"localStart": f"{day}T00:00", "localEnd": f"{day}T03:00", "timezone": "America/New_York"}
            body = created(await api.post({"resource": "room", **local}))
            assert parse(body["endTime"]) - parse(body["startTime"]) == length * HOUR

    @pytest.mark.parametrize(
        ("fields", "pointer"),
        [
            ({"localStart": "2030-01-07T10:00"}, "/endTime"),
            ({"localStart": "2030-01-07T09:00", "timezone": "Mars/Olympus"}, "/timezone"),
            ({"localStart": "2030-01-07T09:00Z", "timezone": "UTC"}, "/localStart"),
            ({"localStart": "2030-01-07T25:00", "timezone": "UTC"}, "/localStart"),
            ({"localStart": "2030-02-30T09:00", "timezone": "UTC"}, "/localStart"),
            ({"localStart": "2030-01-07T09:00", "startTime": render(NINE), "timezone": "UTC"}, "/localStart"),
            ({"timezone": "UTC"}, "/startTime"),
            ({"localStart": "2030-01-07T11:00", "timezone": "UTC"}, "/endTime"),
        ],
    )
    async def test_what_no_clock_shows_is_refused(self, api: ApiClient, fields: dict[str, str], pointer: str) -> None:
        """A problem that points at the field."""
        await api.resource()
        problem(await api.post({"resource": "room", "endTime": render(NINE + HOUR), **fields}), "invalid", pointer)
