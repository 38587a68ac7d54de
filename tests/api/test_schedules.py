"""Schedules and times off: bodies, storage, permissions, and that bookings obey them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId

from app.domain.instants import render
from tests.support.api_client import RESERVATIONS, ApiClient, booking_body, created, ok, path_of, problem
from tests.support.times import HOUR, NINE

ROOM = "/v1/resources/room"
SCHEDULE = f"{ROOM}/schedule"
TIME_OFF = f"{ROOM}/time-off"
WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
NINE_TO_FIVE: dict[str, Any] = {"weekly": [{"days": WEEK, "from": "09:00", "to": "17:00"}]}
FULL: dict[str, Any] = {
    "weekly": [
        {"days": ["mon", "tue"], "from": "09:00", "to": "12:30"},
        {"days": ["mon"], "from": "13:00", "to": "24:00"},
        {"days": ["sat"], "from": "22:00", "to": "02:00"},
    ],
    "overrides": [
        {"date": "2030-12-24", "windows": [{"from": "09:00", "to": "12:00"}]},
        {"date": "2030-12-25", "windows": []},
    ],
}
DAY = {"from": "2030-01-07", "to": "2030-01-08"}
"""The Monday on which most is booked here."""


async def put(api: ApiClient, schedule: Any, if_match: str = "*", **parameters: Any) -> httpx.Response:
    """Set the schedule of the room."""
    return await api.request("PUT", SCHEDULE, json=schedule, headers={"If-Match": if_match}, params=parameters)


async def go(api: ApiClient, off: Any = DAY, headers: dict[str, str] | None = None, **parameters: Any) -> Any:
    """Give the room time off."""
    return await api.request("POST", TIME_OFF, json=off, headers=headers, params=parameters)


def failed_checks(answer: httpx.Response) -> list[dict[str, Any]]:
    """The checks that say no to a booking for another reason than that the time is taken."""
    return [check for check in problem(answer, "rule")["checks"] if not check["ok"]]


def utc(text: str) -> datetime:
    """An instant of 2030, short to write: `03-10 05:00`."""
    return datetime.strptime(f"2030-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


async def fits(api: ApiClient, start: str, end: str) -> bool:
    """Whether the room can be booked then; what was booked is cancelled again."""
    answer = await api.book(utc(start), utc(end) - utc(start))
    if answer.status_code == 201:
        ok(await api.verb(answer.json(), "cancel"))
        return True
    assert {check["rule"] for check in failed_checks(answer)} <= {"schedule", "time-off"}
    return False


# Schedules and times off are stored as they were sent.


async def test_a_resource_without_a_schedule_is_always_open(api: ApiClient) -> None:
    """Its schedule then says nothing, and has the version of the resource."""
    await api.resource()
    answer = await api.get(SCHEDULE)

    assert ok(answer) == {}
    assert answer.headers["ETag"] == '"1"'
    assert ok(await api.get(TIME_OFF)) == {"items": []}


@pytest.mark.parametrize("schedule", [FULL, NINE_TO_FIVE, {"weekly": []}, {"overrides": []}])
async def test_a_schedule_is_stored_as_it_was_sent(api: ApiClient, schedule: dict[str, Any]) -> None:
    """Read, edited and put back: the same fields, no more; empty and absent stay apart."""
    await api.resource()
    answer = await put(api, schedule)

    assert ok(answer) == schedule
    assert answer.headers["ETag"] == '"2"'
    again = await api.get(SCHEDULE)
    assert ok(again) == schedule
    assert again.headers["ETag"] == '"2"'


async def test_a_schedule_can_be_taken_back(api: ApiClient) -> None:
    """One that says nothing leaves no trace: the room is always open again."""
    await api.resource()
    changing = dict.fromkeys(("version", "updatedAt", "operations", "history"), 0)
    before = await api.store.database["resources"].find_one({}, changing)
    ok(await put(api, FULL))
    assert not await fits(api, "01-10 03:00", "01-10 04:00")

    assert ok(await put(api, {})) == {}
    after = await api.store.database["resources"].find_one({}, changing)
    assert after == before
    assert await fits(api, "01-10 03:00", "01-10 04:00")


async def test_a_time_off_is_stored_as_it_was_sent(api: ApiClient) -> None:
    """Dates stay dates, instants are answered in UTC; it is found under its Location until it is deleted."""
    await api.resource(timezone="Europe/Berlin")
    days = await go(api, {**DAY, "reason": "flu"})
    hours = await go(api, {"from": "2030-01-09T09:00:00+01:00", "to": "2030-01-09T12:30:00.5+01:00"})

    assert {**DAY, "reason": "flu"} | {"id": created(days)["id"]} == created(days)
    assert {name: created(hours)[name] for name in ("from", "to")} == {
        "from": "2030-01-09T08:00:00.000Z",
        "to": "2030-01-09T11:30:00.500Z",
    }
    assert [days.headers["ETag"], hours.headers["ETag"]] == ['"2"', '"3"']
    assert ok(await api.get(TIME_OFF)) == {"items": [days.json(), hours.json()]}
    for answer in (days, hours):
        assert answer.headers["Location"] == f"{TIME_OFF}/{answer.json()['id']}"
        assert ok(await api.get(answer.headers["Location"])) == answer.json()

    gone = await api.request("DELETE", days.headers["Location"])
    assert (gone.status_code, gone.content, gone.headers["ETag"]) == (204, b"", '"4"')
    assert ok(await api.get(TIME_OFF)) == {"items": [hours.json()]}
    problem(await api.request("DELETE", days.headers["Location"]), "not-found")
    problem(await api.get(days.headers["Location"]), "not-found")
    assert (await api.request("DELETE", hours.headers["Location"])).status_code == 204
    assert await api.store.database["resources"].count_documents({"timeOff": {"$exists": True}}) == 0


async def test_times_off_come_in_pages(api: ApiClient) -> None:
    """They are listed in the order in which they were added, each once, whatever is deleted meanwhile."""
    await api.resource()
    added = [created(await go(api, {"from": f"2030-01-{day:02}", "to": "2030-02-01"}))["id"] for day in range(9, 4, -1)]
    first = await api.get(TIME_OFF, limit=2)
    await api.request("DELETE", f"{TIME_OFF}/{added[1]}")
    second = ok(await api.get(TIME_OFF, limit=2, cursor=ok(first)["next"]))
    third = ok(await api.get(TIME_OFF, limit=2, cursor=second["next"]))

    assert [off["id"] for page in (ok(first), second, third) for off in page["items"]] == added
    assert "next" not in third
    assert first.headers["ETag"] == '"6"'
    problem(await api.get(TIME_OFF, cursor="x"), "invalid", "?cursor")


# Versions.


async def test_all_parts_share_the_version_of_the_resource(api: ApiClient) -> None:
    """A change of one makes a version of another stale, which changes nothing."""
    await api.resource()
    ok(await put(api, NINE_TO_FIVE, '"1"'))
    created(await go(api, headers={"If-Match": '"2"'}))
    before = await api.contents()

    for stale in ('"1"', '"2"', 'W/"2"', '"x"'):
        problem(await put(api, FULL, stale), "stale")
        problem(await go(api, headers={"If-Match": stale}), "stale")
        path = f"{TIME_OFF}/{ok(await api.get(TIME_OFF))['items'][0]['id']}"
        problem(await api.request("DELETE", path, headers={"If-Match": stale}), "stale")
        problem(await api.request("PATCH", ROOM, json={"name": "x"}, headers={"If-Match": stale}), "stale")
    assert await api.contents() == before
    assert (await api.request("DELETE", path, headers={"If-Match": '"3"'})).headers["ETag"] == '"4"'
    assert ok(await api.edit(ROOM, name="x"))["version"] == 5
    assert ok(await api.get(SCHEDULE)) == NINE_TO_FIVE


async def test_a_schedule_is_replaced_by_who_has_seen_it(api: ApiClient) -> None:
    """PUT needs If-Match; adding and deleting time off may have it."""
    await api.resource()

    problem(await api.request("PUT", SCHEDULE, json=FULL), "precondition-required")
    problem(await put(api, FULL, "1"), "invalid")
    problem(await go(api, headers={"If-Match": "1"}), "invalid")
    assert ok(await api.get(SCHEDULE)) == {}


async def test_a_schedule_that_is_there_already_is_no_change(api: ApiClient) -> None:
    """The version stays, as with a patch that changes nothing."""
    await api.resource()
    for _ in range(2):
        assert (await put(api, FULL)).headers["ETag"] == '"2"'


# Who may.


async def test_anybody_reads_and_few_write(api: ApiClient) -> None:
    """Any key reads, also one bound to a customer; writing takes `catalogue:write`, and only it shows reasons."""
    await api.resource()
    await api.add("customers", id="ada")
    off = created(await go(api, {**DAY, "reason": "flu"}))
    ok(await put(api, FULL))
    bound = await api.with_scopes("reservations:read", "reservations:write", customer="ada")
    almost = await api.with_scopes("reservations:admin", "reservations:write", "findings:review")

    for reader in (bound, almost):
        assert ok(await reader.get(SCHEDULE)) == FULL
        shown = {name: value for name, value in off.items() if name != "reason"}
        assert ok(await reader.get(TIME_OFF)) == {"items": [shown]}
        assert ok(await reader.get(f"{TIME_OFF}/{off['id']}")) == shown
        for answer in (
            await put(reader, {}),
            await go(reader),
            await reader.request("DELETE", f"{TIME_OFF}/{off['id']}"),
        ):
            assert "catalogue:write" in problem(answer, "forbidden")["detail"]
    writer = await api.with_scopes("catalogue:write")
    assert ok(await writer.get(TIME_OFF)) == {"items": [off]}
    assert created(await go(writer, {**DAY, "reason": "flu"}))["reason"] == "flu"
    ok(await put(writer, {}))


async def test_an_unknown_resource_is_not_found(api: ApiClient) -> None:
    """A resource that is not there has no schedule and no time off, and gets none."""
    await api.resource()
    off = created(await go(api))["id"]
    for path in ("/v1/resources/nobody", "/v1/resources/%00"):
        problem(await api.get(f"{path}/schedule"), "not-found")
        problem(
            await api.request("PUT", f"{path}/schedule", json={}, headers={"If-Match": '"1"'}),
            "not-found",
        )
        problem(await api.get(f"{path}/time-off"), "not-found")
        problem(await api.request("POST", f"{path}/time-off", json=DAY), "not-found")
        problem(await api.get(f"{path}/time-off/{off}"), "not-found")
        problem(await api.request("DELETE", f"{path}/time-off/{off}"), "not-found")
    for identity in ("x", str(ObjectId()), "%F0%9F%98%80"):
        problem(await api.get(f"{TIME_OFF}/{identity}"), "not-found")
        problem(await api.request("DELETE", f"{TIME_OFF}/{identity}"), "not-found")


# What is wrong is named.

WINDOW = {"from": "09:00", "to": "17:00"}
BAD_SCHEDULES: list[tuple[Any, list[str]]] = [
    ({"weekly": {}}, ["/weekly"]),
    ({"weekly": [WINDOW]}, ["/weekly/0/days"]),
    ({"weekly": [{**WINDOW, "days": []}]}, ["/weekly/0/days"]),
    ({"weekly": [{**WINDOW, "days": ["mon", "monday"]}]}, ["/weekly/0/days/1"]),
    ({"weekly": [{**WINDOW, "days": "mon"}]}, ["/weekly/0/days"]),
    ({"weekly": [{**WINDOW, "days": ["mon"], "from": "9:00"}]}, ["/weekly/0/from"]),
    ({"weekly": [{**WINDOW, "days": ["mon"], "from": "24:00"}]}, ["/weekly/0/from"]),
    ({"weekly": [{**WINDOW, "days": ["mon"], "to": "25:00"}]}, ["/weekly/0/to"]),
    ({"weekly": [{**WINDOW, "days": ["mon"], "to": 17}]}, ["/weekly/0/to"]),
    ({"weekly": [{**WINDOW, "days": ["mon"], "open": True}]}, ["/weekly/0/open"]),
    ({"weekly": [], "timezone": "UTC"}, ["/timezone"]),
    ({"overrides": [{"date": "2030-02-30", "windows": []}]}, ["/overrides/0/date"]),
    ({"overrides": [{"date": "2030-01-01"}]}, ["/overrides/0/windows"]),
    ({"overrides": [{"date": "2030-01-01T00:00:00Z", "windows": []}]}, ["/overrides/0/date"]),
    ({"overrides": [{"date": "2030-01-01", "windows": [WINDOW, {"from": "x"}]}]}, ["/overrides/0/windows/1/from"]),
    ({"overrides": [{"date": "2030-01-01", "windows": []}] * 2}, ["/overrides/1/date"]),
    ({"weekly": None}, ["/weekly"]),
    ({"weekly": [{"days": ["x"], "from": "a", "to": "b"}]}, ["/weekly/0/from", "/weekly/0/to", "/weekly/0/days/0"]),
]


@pytest.mark.parametrize(("schedule", "pointers"), BAD_SCHEDULES)
async def test_a_bad_schedule_is_refused_whole(api: ApiClient, schedule: Any, pointers: list[str]) -> None:
    """The refusal has a pointer to each fault, and nothing is stored."""
    await api.resource()
    ok(await put(api, NINE_TO_FIVE))
    before = await api.contents()
    refusal = problem(await put(api, schedule), "invalid")

    assert set(pointers) <= {fault["pointer"] for fault in refusal["errors"]}
    if len(pointers) == 1 and "windows/1" not in pointers[0]:
        assert [fault["pointer"] for fault in refusal["errors"]] == pointers
    assert await api.contents() == before


@pytest.mark.parametrize("body", [[], "always", 7, True])
async def test_a_schedule_is_an_object(api: ApiClient, body: Any) -> None:
    """Nothing else is taken for one."""
    await api.resource()

    assert "object" in problem(await put(api, body), "invalid")["detail"]


async def test_a_schedule_has_bounds(api: ApiClient) -> None:
    """48 windows that start on a day and 3,660 overrides are taken, one more is not."""
    await api.resource()
    windows = [{"from": f"{half // 2:02}:{half % 2 * 30:02}", "to": "24:00"} for half in range(48)]
    weekly = [{"days": ["mon"], **window} for window in windows]
    dates = [str(date(2030, 1, 1) + timedelta(days=day)) for day in range(3_660 + 1)]
    overrides = [{"date": day, "windows": []} for day in dates]

    fine = {"weekly": weekly, "overrides": [{"date": dates[0], "windows": windows}, *overrides[1:-1]]}
    assert ok(await put(api, fine)) == fine
    more = [*windows, {"from": "09:15", "to": "10:00"}]
    problem(await put(api, {"weekly": [*weekly, {"days": ["mon"], **more[-1]}]}), "invalid", "/weekly")
    problem(await put(api, {"overrides": overrides}), "invalid", "/overrides")
    one = [{"date": dates[0], "windows": more}]
    problem(await put(api, {"overrides": one}), "invalid", "/overrides/0/windows")
    assert ok(await api.get(SCHEDULE)) == fine


BAD_TIMES_OFF: list[tuple[Any, list[str]]] = [
    ({"from": "2030-01-07"}, ["/to"]),
    ({}, ["/from", "/to"]),
    ({"from": "2030-01-07", "to": "2030-01-07"}, ["/to"]),
    ({"from": "2030-01-08", "to": "2030-01-07"}, ["/to"]),
    ({"from": "2030-01-07", "to": "2030-01-08T00:00:00Z"}, ["/to"]),
    ({"from": "2030-01-07T09:00:00Z", "to": "2030-01-07T10:00:00+01:00"}, ["/to"]),
    ({"from": "2030-01-07T09:00:00", "to": "2030-01-07T10:00:00Z"}, ["/from"]),
    ({"from": "2030-01-07T09:00:00.0001Z", "to": "2030-01-07T10:00:00Z"}, ["/from"]),
    ({"from": "2030-1-7", "to": "2030-01-08"}, ["/from"]),
    ({"from": "1969-12-31", "to": "2201-01-01"}, ["/from", "/to"]),
    ({"from": "monday", "to": "friday"}, ["/from", "/to"]),
    ({"from": 7, "to": "2030-01-08"}, ["/from"]),
    ({**DAY, "reason": ""}, ["/reason"]),
    ({**DAY, "reason": "x" * 501}, ["/reason"]),
    ({**DAY, "reason": None}, ["/reason"]),
    ({**DAY, "id": "mine"}, ["/id"]),
]


@pytest.mark.parametrize(("off", "pointers"), BAD_TIMES_OFF)
async def test_a_bad_time_off_is_refused(api: ApiClient, off: Any, pointers: list[str]) -> None:
    """The refusal has a pointer to each fault, and nothing is stored."""
    await api.resource()
    before = await api.contents()

    problem(await go(api, off), "invalid", *pointers)
    assert await api.contents() == before


async def test_a_day_that_its_zone_skipped_is_no_time_off(api: ApiClient) -> None:
    """It has no first instant of its own, so a time off cannot begin or end there."""
    await api.resource(timezone="Pacific/Apia")

    problem(await go(api, {"from": "2011-12-30", "to": "2011-12-31"}), "invalid", "/to")
    created(await go(api, {"from": "2011-12-29", "to": "2011-12-31"}))


async def test_times_off_are_counted(api: ApiClient) -> None:
    """A resource has at most a thousand of them; deleting one makes room."""
    await api.resource()
    off = {"from": "2030-02-01", "to": "2030-02-02"}
    full = [{"id": str(ObjectId()), **off} for _ in range(1_000)]
    await api.store.database["resources"].update_one({"_id": "room"}, {"$set": {"timeOff": full}})

    assert "1,000" in problem(await go(api), "invalid")["detail"]
    await api.request("DELETE", f"{TIME_OFF}/{full[0]['id']}")
    created(await go(api))


async def test_time_off_takes_no_idempotency_key(api: ApiClient) -> None:
    """The header would have to be ignored."""
    await api.resource()

    problem(await go(api, headers={"Idempotency-Key": "k"}), "invalid")
    problem(await api.request("DELETE", f"{TIME_OFF}/x", params={"force": True}), "invalid", "?force")
    problem(await put(api, {}, force="perhaps"), "invalid", "?force")


# Bookings obey.


async def test_a_booking_obeys_at_once(api: ApiClient) -> None:
    """Inside it is booked, outside it is refused by `schedule`, and a day off by `time-off` with its id."""
    await api.resource()
    await api.booked(NINE - HOUR)
    ok(await put(api, NINE_TO_FIVE, force=True))

    (check,) = failed_checks(await api.book(NINE - 2 * HOUR))
    assert check["rule"] == "schedule"
    assert "override" not in check
    assert "07:00 (UTC)" in check["detail"]
    await api.booked(NINE)
    await api.booked(NINE + 7 * HOUR)
    assert [each["rule"] for each in failed_checks(await api.book(NINE + 8 * HOUR))] == ["schedule"]
    assert [each["rule"] for each in failed_checks(await api.book(NINE + 7.5 * HOUR))] == ["schedule", "capacity"]

    off = created(await go(api, {"from": "2030-01-07T12:00:00Z", "to": "2030-01-07T13:00:00Z"}))
    (check,) = failed_checks(await api.book(NINE + 3.5 * HOUR))
    assert (check["rule"], check["timeOff"]) == ("time-off", off["id"])
    await api.booked(NINE + 2 * HOUR)
    await api.booked(NINE + 4 * HOUR)
    await api.request("DELETE", f"{TIME_OFF}/{off['id']}")
    await api.booked(NINE + 3 * HOUR)


async def test_explain_says_what_booking_says(api: ApiClient) -> None:
    """The same checks in the same order, naming the same override and time off."""
    await api.resource()
    created(await go(api, {"from": "2030-01-07", "to": "2030-01-09"}))
    ok(await put(api, {**NINE_TO_FIVE, "overrides": [{"date": "2030-01-08", "windows": [WINDOW, WINDOW]}]}))

    for start in (NINE, NINE - HOUR, NINE + 23 * HOUR, NINE + 48 * HOUR):
        wish = booking_body(start)
        explanation = ok(await api.get("/v1/availability/explain", **wish))
        answer = await api.post(wish)
        assert explanation["bookable"] is (answer.status_code == 201)
        if not explanation["bookable"]:
            assert explanation["checks"] == problem(answer, "rule")["checks"]


async def test_force_books_after_hours(api: ApiClient) -> None:
    """With `reservations:admin` schedule and time off are lifted, the capacity never."""
    await api.resource()
    ok(await put(api, {"weekly": []}))
    created(await go(api))
    clerk = await api.with_scopes("reservations:write", "catalogue:write")

    assert [check["rule"] for check in failed_checks(await api.book())] == ["schedule", "time-off"]
    problem(await clerk.post(booking_body(), force=True), "forbidden")
    created(await api.post(booking_body(), force=True))
    problem(await api.post(booking_body(), force=True), "conflict")


async def test_a_move_obeys_as_well(api: ApiClient) -> None:
    """Not into a closed time, but away from one."""
    await api.resource()
    booked = await api.booked()
    ok(await put(api, {**NINE_TO_FIVE, "overrides": [{"date": "2030-01-07", "windows": []}]}, force=True))

    (check,) = failed_checks(await api.change(booked, startTime=render(NINE + HOUR)))
    assert (check["rule"], check["override"]) == ("schedule", "2030-01-07")
    assert ok(await api.change(booked, startTime=render(NINE + 24 * HOUR)))["version"] == 2


async def test_a_window_runs_past_midnight(api: ApiClient) -> None:
    """It belongs to the day on which it starts; where the clocks change it ends when they show its end."""
    await api.resource(timezone="Europe/Berlin")
    ok(await put(api, {"weekly": [{"days": ["sat"], "from": "22:00", "to": "02:00"}]}))

    # An ordinary Saturday in winter, then the night of 31 March: two o'clock is in the gap, so three, at 01:00 UTC.
    assert await fits(api, "01-05 21:00", "01-06 01:00")
    assert await fits(api, "01-06 00:00", "01-06 01:00")
    assert not await fits(api, "01-05 20:59", "01-05 22:00")
    assert not await fits(api, "01-06 00:00", "01-06 01:01")
    assert not await fits(api, "01-06 21:00", "01-06 22:00")
    assert await fits(api, "03-30 21:00", "03-31 01:00")
    assert not await fits(api, "03-31 00:30", "03-31 01:30")


async def test_windows_that_meet_are_one(api: ApiClient) -> None:
    """Over the joint of two that overlap or touch, also over midnight, a booking is inside."""
    await api.resource()
    windows = [("09:00", "12:00"), ("11:00", "14:00"), ("14:00", "24:00")]
    weekly = [{"days": ["mon"], "from": opens, "to": closes} for opens, closes in windows]
    ok(await put(api, {"weekly": [*weekly, {"days": ["tue"], "from": "00:00", "to": "01:00"}]}))

    assert await fits(api, "01-07 09:00", "01-08 01:00")
    assert not await fits(api, "01-07 09:00", "01-08 01:01")


async def test_an_override_replaces_its_date(api: ApiClient) -> None:
    """Other hours, closed, or opened where it never is; a refusal names the override that blocks."""
    await api.resource()
    overrides = [
        {"date": "2030-01-07", "windows": [{"from": "13:00", "to": "15:00"}, {"from": "23:00", "to": "01:00"}]},
        {"date": "2030-01-09", "windows": []},
        {"date": "2030-01-12", "windows": [{"from": "10:00", "to": "11:00"}]},
    ]
    weekly = [{"days": WEEK[:5], "from": "09:00", "to": "17:00"}]
    ok(await put(api, {"weekly": weekly, "overrides": overrides}))

    assert await fits(api, "01-07 13:00", "01-07 15:00")
    assert await fits(api, "01-07 23:00", "01-08 01:00")
    assert await fits(api, "01-08 09:00", "01-08 17:00")
    assert await fits(api, "01-12 10:00", "01-12 11:00")
    for start, override in (("01-07 09:00", "2030-01-07"), ("01-09 09:00", "2030-01-09"), ("01-13 09:00", None)):
        (check,) = failed_checks(await api.book(utc(start)))
        assert check.get("override") == override


async def test_an_override_of_an_open_resource_replaces_the_day(api: ApiClient) -> None:
    """No weekly hours are every hour; those of one date can be fewer."""
    await api.resource()
    ok(await put(api, {"overrides": [{"date": "2030-01-08", "windows": [WINDOW]}]}))

    assert await fits(api, "01-01 00:00", "01-08 00:00")
    assert not await fits(api, "01-08 08:00", "01-08 10:00")
    assert await fits(api, "01-08 09:00", "01-08 17:00")
    assert await fits(api, "01-09 00:00", "01-10 00:00")


NEW_YORK = [
    # The day of 23 hours, and that of 25.
    ({"from": "2030-03-10", "to": "2030-03-11"}, "03-10 05:00", "03-11 04:00"),
    ({"from": "2030-11-03", "to": "2030-11-04"}, "11-03 04:00", "11-04 05:00"),
    # 01:30 to 03:30 by the clocks, in the one night an hour and in the other one three.
    ({"from": "2030-03-10T01:30:00-05:00", "to": "2030-03-10T03:30:00-04:00"}, "03-10 06:30", "03-10 07:30"),
    ({"from": "2030-11-03T01:30:00-04:00", "to": "2030-11-03T03:30:00-05:00"}, "11-03 05:30", "11-03 08:30"),
]


@pytest.mark.parametrize(("off", "start", "end"), NEW_YORK)
async def test_time_off_knows_the_clocks(api: ApiClient, off: dict[str, str], start: str, end: str) -> None:
    """Local days are as long as they are, instants what they say; touching either end is not being away."""
    await api.resource(timezone="America/New_York")
    created(await go(api, off))
    minute = timedelta(minutes=1)

    for at_, length, free in (
        (utc(start) - HOUR, HOUR, True),
        (utc(start) - HOUR, HOUR + minute, False),
        (utc(start), minute, False),
        (utc(end) - minute, minute, False),
        (utc(end) - minute, HOUR, False),
        (utc(end), HOUR, True),
    ):
        answer = await api.book(at_, length)
        assert (answer.status_code == 201) is free, at_
        if free:
            ok(await api.verb(answer.json(), "cancel"))


async def test_a_new_zone_moves_days_and_hours_but_no_instants(api: ApiClient) -> None:
    """Local times are those of the new zone from then on; the answers stay as they were sent."""
    await api.resource()
    ok(await put(api, NINE_TO_FIVE))
    days = created(await go(api, {"from": "2030-01-08", "to": "2030-01-09"}))
    hour = created(await go(api, {"from": "2030-01-09T10:00:00Z", "to": "2030-01-09T11:00:00Z"}))
    assert await fits(api, "01-07 16:00", "01-07 17:00")

    ok(await api.edit(ROOM, timezone="Asia/Tokyo"))
    assert ok(await api.get(SCHEDULE)) == NINE_TO_FIVE
    assert ok(await api.get(TIME_OFF)) == {"items": [days, hour]}
    assert await fits(api, "01-07 00:00", "01-07 08:00")
    assert not await fits(api, "01-07 16:00", "01-07 17:00")
    assert not await fits(api, "01-08 00:00", "01-08 01:00")
    ok(await put(api, {}))
    assert not await fits(api, "01-07 15:00", "01-07 16:00")
    assert await fits(api, "01-08 15:00", "01-08 16:00")
    assert not await fits(api, "01-09 10:00", "01-09 11:00")


# A refusal lists the bookings that would be stranded.

STRANDING: list[tuple[str, str, dict[str, Any], bool]] = [
    ("PUT", SCHEDULE, {"weekly": [{"days": WEEK, "from": "10:00", "to": "19:00"}]}, False),
    ("PUT", SCHEDULE, {"overrides": [{"date": "2030-01-07", "windows": []}]}, False),
    ("PUT", SCHEDULE, {"weekly": []}, True),
    ("POST", TIME_OFF, DAY, False),
    ("POST", TIME_OFF, {"from": "2030-01-07T09:59:59.999Z", "to": "2030-01-07T10:30:00Z"}, False),
    ("PATCH", ROOM, {"timezone": "America/New_York"}, False),
    ("PATCH", ROOM, {"timezone": "Pacific/Auckland"}, True),
    ("PATCH", ROOM, {"services": []}, False),
    ("PATCH", ROOM, {"active": False}, True),
    ("PATCH", ROOM, {"capacity": 1}, False),
]
"""Changes, and whether they take away the Tuesday at 17:00 as well as the Monday at 9:00."""


@pytest.mark.parametrize(("method", "path", "body", "everybody"), STRANDING)
async def test_who_would_be_stranded_is_listed(
    api: ApiClient, method: str, path: str, body: dict[str, Any], *, everybody: bool
) -> None:
    """Only bookings that lose their room or break a rule by it are listed; forced it is done, and they stay."""
    await api.service()
    await api.add("customers", id="ada")
    await api.resource(services=["cut"], capacity=2)
    ok(await put(api, {"weekly": [{"days": WEEK, "from": "09:00", "to": "19:00"}]}))
    lost = [await api.booked(service="cut", customer="ada"), await api.booked(service="cut")]
    tuesday = await api.booked(NINE + 32 * HOUR)
    await api.verb(await api.booked(NINE + HOUR), "cancel")
    before = await api.contents()

    headers = {"If-Match": "*"}
    refusal = problem(await api.request(method, path, json=body, headers=headers), "stranded-bookings")
    shown = ("id", "version", "customer", "startTime", "endTime", "status")
    expected = [{name: each[name] for name in shown if name in each} for each in [*lost, *[tuesday] * everybody]]
    assert sorted(refusal["reservations"], key=lambda each: each["id"]) == expected
    assert refusal["total"] == len(expected)
    assert await api.contents() == before

    clerk = await api.with_scopes("catalogue:write")
    blind = problem(await clerk.request(method, path, json=body, headers=headers), "stranded-bookings")
    assert (blind["total"], "reservations" in blind) == (refusal["total"], False)
    forced = await clerk.request(method, path, json=body, headers=headers, params={"force": True})
    assert forced.status_code == (201 if method == "POST" else 200), forced.text
    assert {(await api.read(each))["status"] for each in lost} == {"confirmed"}


async def test_only_what_blocks_and_is_to_come_can_be_stranded(api: ApiClient) -> None:
    """Not what is over, cancelled or lapsed; what has begun and lasts can be."""
    await api.resource(capacity=9)
    now = api.store.clock.now().replace(microsecond=0)
    await api.booked(now - 3 * HOUR)
    await api.verb(await api.booked(now + HOUR), "cancel")
    lapsed = await api.booked(now + HOUR, expiresInSeconds=60)
    await api.expire(lapsed)
    assert ok(await put(api, {"weekly": []})) == {"weekly": []}
    ok(await put(api, {}))

    lasts = await api.booked(now - HOUR, 3 * HOUR)
    hold = await api.booked(now + HOUR, expiresInSeconds=600)
    refusal = problem(await put(api, {"weekly": []}), "stranded-bookings")
    assert [each["id"] for each in refusal["reservations"]] == [lasts["id"], hold["id"]]


async def test_a_change_that_takes_nothing_strands_no_booking(api: ApiClient) -> None:
    """Who was let in after hours is no reason to refuse other hours, and more room needs no force."""
    await api.resource()
    ok(await put(api, NINE_TO_FIVE))
    created(await api.post(booking_body(NINE + 12 * HOUR), force=True))
    await api.booked()

    ok(await put(api, {"weekly": [{"days": WEEK, "from": "09:00", "to": "16:00"}]}))
    ok(await put(api, {**NINE_TO_FIVE, "overrides": [{"date": "2030-01-08", "windows": []}]}))
    off = created(await go(api, {"from": "2030-01-07T10:00:00Z", "to": "2030-01-07T21:00:00Z"}))
    problem(await go(api, {"from": "2030-01-07T10:00:00Z", "to": "2030-01-07T21:01:00Z"}), "stranded-bookings")
    assert (await api.request("DELETE", f"{TIME_OFF}/{off['id']}")).status_code == 204


async def test_a_full_day_needs_only_some_window(api: ApiClient) -> None:
    """Opening hours leave whole days that were booked as such; the same time booked otherwise loses its evening."""
    await api.service("day", durationType="full-day")
    await api.service("stay", durationType="flexible", minMinutes=60, maxMinutes=1440)
    await api.resource(services=["day", "stay"], timezone="Europe/Berlin")
    whole = await api.booked(NINE - 10 * HOUR, 24 * HOUR, service="day")
    ok(await put(api, NINE_TO_FIVE))
    assert whole["startTime"] == "2030-01-06T23:00:00.000Z"
    moved = problem(await api.edit(ROOM, timezone="UTC"), "stranded-bookings")
    assert [each["id"] for each in moved["reservations"]] == [whole["id"]]

    ok(await put(api, {}))
    others = [
        await api.booked(NINE + 14 * HOUR, 24 * HOUR),
        await api.booked(NINE + 38 * HOUR, 24 * HOUR, service="stay"),
    ]
    refusal = problem(await put(api, NINE_TO_FIVE), "stranded-bookings")
    assert [each["id"] for each in refusal["reservations"]] == [each["id"] for each in others]


async def test_many_are_counted_and_a_hundred_are_listed(api: ApiClient) -> None:
    """By start, with the total of all."""
    await api.resource(capacity=200)
    minute = timedelta(minutes=1)
    booked = [await api.booked(NINE + (103 - n) * minute) for n in range(103)]
    refusal = problem(await go(api), "stranded-bookings")

    assert refusal["total"] == 103
    assert [each["id"] for each in refusal["reservations"]] == [each["id"] for each in reversed(booked)][:100]


async def test_a_sick_day_is_three_calls(api: ApiClient) -> None:
    """Affected bookings are moved or cancelled with the listed versions, then the day is closed."""
    await api.resource()
    await api.add("customers", id="ada", phone="+49 30 1234")
    booked = [await api.booked(NINE + n * HOUR, customer="ada") for n in range(3)]
    await api.booked(NINE + 24 * HOUR)

    affected = problem(await go(api, {**DAY, "reason": "flu"}), "stranded-bookings")["reservations"]
    assert [each["id"] for each in affected] == [each["id"] for each in booked]
    for each in affected[:2]:
        later = datetime.fromisoformat(each["startTime"]) + timedelta(days=7)
        moved = await api.request(
            "PATCH", path_of(each), json={"startTime": render(later)}, headers={"If-Match": f'"{each["version"]}"'}
        )
        assert ok(moved)["startTime"] == render(later)
    ok(await api.verb(affected[2], "cancel", reason="the doctor is ill"))
    created(await go(api, {**DAY, "reason": "flu"}))

    assert [check["rule"] for check in failed_checks(await api.book(NINE))] == ["time-off"]
    assert ok(await api.get(RESERVATIONS, status="confirmed", to="2030-01-08T00:00:00Z"))["items"] == []
