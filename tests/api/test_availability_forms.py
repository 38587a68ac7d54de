"""Availability by day and by start, the first so many, and the soonest."""

from datetime import timedelta
from typing import Any

import pytest

from app.availability import service as availability
from app.domain import rules
from app.domain import slots as pure_slots
from app.domain.instants import render
from tests.support.api_client import ApiClient, created, ok, problem
from tests.support.times import DAY, HOUR, NINE

AVAILABILITY = "/v1/availability"
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MORNING = {"weekly": [{"days": WEEKDAYS, "from": "09:00", "to": "12:00"}]}
NEVER: dict[str, Any] = {"weekly": []}
WEEK = {"from": "2030-01-07", "to": "2030-01-14"}


async def hours(api: ApiClient, schedule: dict[str, Any], resource: str = "a") -> None:
    """Set when it is open."""
    path = f"/v1/resources/{resource}/schedule"
    ok(await api.request("PUT", path, json=schedule, headers={"If-Match": "*"}))


async def items(api: ApiClient, **asked: Any) -> list[dict[str, Any]]:
    """The items of an answer."""
    found: list[dict[str, Any]] = ok(await api.get(AVAILABILITY, **({"service": "cut"} | asked)))["items"]
    return found


def counts(days: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Days with how many starts each has."""
    return [(day["date"], day["starts"]) for day in days]


@pytest.fixture
async def pool(api: ApiClient) -> ApiClient:
    """Two rooms that are open from nine to twelve, for an hour's service; one of them has room for three."""
    await api.service()
    for name, capacity in (("a", 1), ("b", 3)):
        await api.resource(name, services=["cut"], capacity=capacity)
        await hours(api, MORNING, name)
    return api


class TestForms:
    """What an answer is made of."""

    async def test_a_start_is_one_item(self, pool: ApiClient) -> None:
        """With the resources that are free then, and what remains of them together."""
        await pool.booked(NINE, resource="a", service="cut")
        await pool.booked(NINE + HOUR, resource="b", service="cut")
        found = await items(pool, distinct="start", **{"from": "2030-01-07", "to": "2030-01-08"})

        assert found == [
            {
                "startTime": f"2030-01-07T{hour:02}:00:00.000Z",
                "endTime": f"2030-01-07T{hour + 1:02}:00:00.000Z",
                "localStart": f"2030-01-07T{hour:02}:00",
                "resources": resources,
                "remaining": remaining,
            }
            for hour, resources, remaining in ((9, ["b"], 3), (10, ["a", "b"], 3), (11, ["a", "b"], 4))
        ]

    async def test_a_day_is_one_item(self, pool: ApiClient) -> None:
        """With its first start and the number of starts; a day without any has none."""
        for name in ("a", "b"):
            away = {"from": "2030-01-08", "to": "2030-01-13"}
            created(await pool.request("POST", f"/v1/resources/{name}/time-off", json=away))
        await pool.booked(NINE, resource="a", service="cut")
        expected = [
            {"date": "2030-01-07", "first": "2030-01-07T09:00:00.000Z", "starts": 3},
            {"date": "2030-01-13", "first": "2030-01-13T09:00:00.000Z", "starts": 3},
        ]

        assert await items(pool, per="day", **WEEK) == expected
        assert await items(pool, per="day", distinct="start", **WEEK) == expected
        assert await items(pool, per="day", limit=1, **WEEK) == expected[:1]

    async def test_days_are_those_of_the_zone(self, pool: ApiClient) -> None:
        """A start at nine in UTC is on the day before in the far west, and a day has as many as it has there."""
        span = {"from": "2030-01-07T00:00:00Z", "to": "2030-01-09T00:00:00Z"}
        west = await items(pool, per="day", timezone="Pacific/Pago_Pago", **span)  # eleven hours behind
        east = await items(pool, per="day", timezone="Pacific/Kiritimati", **span)  # fourteen hours ahead

        assert counts(west) == [("2030-01-06", 2), ("2030-01-07", 3), ("2030-01-08", 1)]
        assert counts(east) == [("2030-01-07", 1), ("2030-01-08", 3), ("2030-01-09", 2)]
        assert west[1]["first"] == "2030-01-07T11:00:00.000Z"

    async def test_an_answer_ends_after_so_many(self, pool: ApiClient) -> None:
        """Slots, starts or days, and no more than there are."""
        whole = await items(pool, **WEEK)

        assert len(whole) == 2 * 3 * 7
        for limit in (1, 2, 5, 50_000):
            assert await items(pool, limit=limit, **WEEK) == whole[:limit]
        assert len(await items(pool, limit=4, distinct="start", **WEEK)) == 4


class TestSoonest:
    """`first=true`: from a date or an instant on, within a year."""

    async def test_one_unless_more_are_asked_for(self, pool: ApiClient) -> None:
        """From the day or the instant that is given, in every form."""
        monday = {"first": "true", "from": "2030-01-07"}
        plain = await items(pool, **WEEK)

        assert await items(pool, **monday) == plain[:1]
        assert await items(pool, limit=40, **monday) == plain[:40]
        later = await items(pool, distinct="start", first="true", **{"from": "2030-01-07T09:30:00Z"})
        assert [each["localStart"] for each in later] == ["2030-01-07T10:00"]
        days = await items(pool, per="day", limit=9, **monday)
        assert [day["date"] for day in days] == [f"2030-01-{day:02}" for day in range(7, 16)]
        assert {day["starts"] for day in days} == {3}

    @pytest.mark.parametrize("days", [6, 7, 21, 105, 365, 366])
    async def test_a_year_is_searched(self, pool: ApiClient, days: int) -> None:
        """The only day that is open is found wherever it lies within 366 days, and no later."""
        only = (NINE + days * DAY).date().isoformat()
        override = {"date": only, "windows": [{"from": "09:00", "to": "10:00"}]}
        for name in ("a", "b"):
            await hours(pool, NEVER | {"overrides": [override]}, name)
        soonest = await items(pool, first="true", per="day", **{"from": "2030-01-07"})

        assert [day["date"] for day in soonest] == ([only] if days < 366 else [])

    async def test_the_horizon_ends_it(self, pool: ApiClient) -> None:
        """Nothing beyond it is looked for; a start before now is the same as now."""
        now = pool.store.clock.now()
        ok(await pool.edit("/v1/services/cut", horizonDays=3))
        past = {"first": "true", "from": "2020-01-01", "limit": 50_000, "distinct": "start"}
        found = await items(pool, **past)

        assert found
        assert found[0]["startTime"] >= render(now)
        assert found[-1]["startTime"] <= render(now + timedelta(days=3, seconds=30))
        assert await items(pool, first="true", **{"from": render(now + timedelta(days=4))}) == []

    async def test_a_year_by_the_minute_is_not_judged(self, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """The free minute behind a week that is full is found by few judgements; of a large pool too."""
        judged: list[object] = []

        def counting(*arguments: Any, **more: Any) -> Any:
            judged.append(arguments)
            return rules.judge(*arguments, **more)

        monkeypatch.setattr(pure_slots, "judge", counting)
        await api.service("look", durationMinutes=1)
        names = [f"r{number:02}" for number in range(40)]
        for name in names:
            await api.resource(name, services=["look"])
        for name in names[:3]:
            created(await api.book(NINE, 20 * DAY, resource=name))
        one = {"service": "look", "resource": "r00", "first": "true", "from": render(NINE)}

        assert (await items(api, **one))[0]["startTime"] == render(NINE + 20 * DAY)
        of_pool = await items(api, service="look", first="true", limit=60, **{"from": render(NINE)})
        assert [each["resource"] for each in of_pool[:37]] == names[3:]
        assert len(judged) <= 1 + len(names)

    async def test_what_takes_too_long_is_overloaded(self, pool: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """Too many reservations to read, or too little time; too many starts to look at will be so many again."""
        for day in range(40):
            await pool.booked(NINE + day * DAY, 3 * HOUR, resource="a")
        query = {"service": "cut", "resource": "a", "first": "true", "from": "2030-01-07"}
        assert (await items(pool, **query))[0]["localStart"] == "2030-02-16T09:00"

        for bound, value in (("ROWS_MAX", 20), ("QUESTION_SECONDS", 0)):
            with monkeypatch.context() as bounded:
                bounded.setattr(availability, bound, value)
                problem(await pool.get(AVAILABILITY, **query), "overloaded")
        monkeypatch.setattr(availability, "STARTS_MAX", 5)
        problem(await pool.get(AVAILABILITY, **query), "invalid", "?first")
        problem(await pool.get(AVAILABILITY, limit=9, **query), "invalid", "?limit")

    async def test_the_end_of_the_calendar_is_the_end(self, pool: ApiClient) -> None:
        """No instant after 2200 is looked at."""
        last = {"service": "cut", "first": "true", "from": "2200-12-31", "distinct": "start", "limit": 9}

        assert [each["localStart"] for each in await items(pool, **last)] == [
            f"2200-12-31T{hour:02}:00" for hour in (9, 10, 11)
        ]
