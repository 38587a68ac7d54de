"""Schedules and times off: what is said, what is kept, who may, and that bookings obey."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId

from app.domain.instants import render
from tests.support.api_client import HOUR, NINE, RESERVATIONS, Visitor, at, good, made, problem, wanted

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


async def put(visitor: Visitor, schedule: Any, if_match: str = "*", **parameters: Any) -> httpx.Response:
    """Set the schedule of the room."""
    return await visitor.ask("PUT", SCHEDULE, json=schedule, headers={"If-Match": if_match}, params=parameters)


async def go(visitor: Visitor, off: Any = DAY, headers: dict[str, str] | None = None, **parameters: Any) -> Any:
    """Give the room time off."""
    return await visitor.ask("POST", TIME_OFF, json=off, headers=headers, params=parameters)


def failed_checks(answer: httpx.Response) -> list[dict[str, Any]]:
    """The checks that say no to a booking for another reason than that the time is taken."""
    return [check for check in problem(answer, "rule")["checks"] if not check["ok"]]


def utc(text: str) -> datetime:
    """An instant of 2030, short to write: `03-10 05:00`."""
    return datetime.strptime(f"2030-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


async def fits(visitor: Visitor, start: str, end: str) -> bool:
    """Whether the room can be booked then; what was booked is cancelled again."""
    answer = await visitor.book(utc(start), utc(end) - utc(start))
    if answer.status_code == 201:
        good(await visitor.verb(answer.json(), "cancel"))
        return True
    assert {check["rule"] for check in failed_checks(answer)} <= {"schedule", "time-off"}
    return False


# What is said is kept.


async def test_a_resource_is_always_open_unless_said_otherwise(visitor: Visitor) -> None:
    """Its schedule then says nothing, and has the version of the resource."""
    await visitor.resource()
    answer = await visitor.get(SCHEDULE)

    assert good(answer) == {}
    assert answer.headers["ETag"] == '"1"'
    assert good(await visitor.get(TIME_OFF)) == {"items": []}


@pytest.mark.parametrize("schedule", [FULL, NINE_TO_FIVE, {"weekly": []}, {"overrides": []}])
async def test_a_schedule_is_kept_as_it_was_said(visitor: Visitor, schedule: dict[str, Any]) -> None:
    """Read, edited and put back: the same fields, no more; empty and absent stay apart."""
    await visitor.resource()
    answer = await put(visitor, schedule)

    assert good(answer) == schedule
    assert answer.headers["ETag"] == '"2"'
    again = await visitor.get(SCHEDULE)
    assert good(again) == schedule
    assert again.headers["ETag"] == '"2"'


async def test_a_schedule_can_be_taken_back(visitor: Visitor) -> None:
    """One that says nothing leaves no trace: the room is always open again."""
    await visitor.resource()
    before = await visitor.store.database["resources"].find_one({}, {"version": 0, "updatedAt": 0, "operations": 0})
    good(await put(visitor, FULL))
    assert not await fits(visitor, "01-10 03:00", "01-10 04:00")

    assert good(await put(visitor, {})) == {}
    after = await visitor.store.database["resources"].find_one({}, {"version": 0, "updatedAt": 0, "operations": 0})
    assert after == before
    assert await fits(visitor, "01-10 03:00", "01-10 04:00")


async def test_a_time_off_is_kept_as_it_was_said(visitor: Visitor) -> None:
    """Dates stay dates, instants are told in UTC; it is where its Location says, until it is deleted."""
    await visitor.resource(timezone="Europe/Berlin")
    days = await go(visitor, {**DAY, "reason": "flu"})
    hours = await go(visitor, {"from": "2030-01-09T09:00:00+01:00", "to": "2030-01-09T12:30:00.5+01:00"})

    assert {**DAY, "reason": "flu"} | {"id": made(days)["id"]} == made(days)
    assert {name: made(hours)[name] for name in ("from", "to")} == {
        "from": "2030-01-09T08:00:00.000Z",
        "to": "2030-01-09T11:30:00.500Z",
    }
    assert [days.headers["ETag"], hours.headers["ETag"]] == ['"2"', '"3"']
    assert good(await visitor.get(TIME_OFF)) == {"items": [days.json(), hours.json()]}
    for answer in (days, hours):
        assert answer.headers["Location"] == f"{TIME_OFF}/{answer.json()['id']}"
        assert good(await visitor.get(answer.headers["Location"])) == answer.json()

    gone = await visitor.ask("DELETE", days.headers["Location"])
    assert (gone.status_code, gone.content, gone.headers["ETag"]) == (204, b"", '"4"')
    assert good(await visitor.get(TIME_OFF)) == {"items": [hours.json()]}
    problem(await visitor.ask("DELETE", days.headers["Location"]), "not-found")
    problem(await visitor.get(days.headers["Location"]), "not-found")
    assert (await visitor.ask("DELETE", hours.headers["Location"])).status_code == 204
    assert await visitor.store.database["resources"].count_documents({"timeOff": {"$exists": True}}) == 0


async def test_times_off_come_in_pages(visitor: Visitor) -> None:
    """In the order in which they were added, each once, whatever is deleted in between."""
    await visitor.resource()
    added = [
        made(await go(visitor, {"from": f"2030-01-{day:02}", "to": "2030-02-01"}))["id"] for day in range(9, 4, -1)
    ]
    first = await visitor.get(TIME_OFF, limit=2)
    await visitor.ask("DELETE", f"{TIME_OFF}/{added[1]}")
    second = good(await visitor.get(TIME_OFF, limit=2, cursor=good(first)["next"]))
    third = good(await visitor.get(TIME_OFF, limit=2, cursor=second["next"]))

    assert [off["id"] for page in (good(first), second, third) for off in page["items"]] == added
    assert "next" not in third
    assert first.headers["ETag"] == '"6"'
    problem(await visitor.get(TIME_OFF, cursor="x"), "invalid", "?cursor")


# Versions.


async def test_all_parts_share_the_version_of_the_resource(visitor: Visitor) -> None:
    """A change of one makes a version of another stale, which changes nothing."""
    await visitor.resource()
    good(await put(visitor, NINE_TO_FIVE, '"1"'))
    made(await go(visitor, headers={"If-Match": '"2"'}))
    before = await visitor.everything()

    for stale in ('"1"', '"2"', 'W/"2"', '"x"'):
        problem(await put(visitor, FULL, stale), "stale")
        problem(await go(visitor, headers={"If-Match": stale}), "stale")
        path = f"{TIME_OFF}/{good(await visitor.get(TIME_OFF))['items'][0]['id']}"
        problem(await visitor.ask("DELETE", path, headers={"If-Match": stale}), "stale")
        problem(await visitor.ask("PATCH", ROOM, json={"name": "x"}, headers={"If-Match": stale}), "stale")
    assert await visitor.everything() == before
    assert (await visitor.ask("DELETE", path, headers={"If-Match": '"3"'})).headers["ETag"] == '"4"'
    assert good(await visitor.edit(ROOM, name="x"))["version"] == 5
    assert good(await visitor.get(SCHEDULE)) == NINE_TO_FIVE


async def test_a_schedule_is_replaced_by_who_has_seen_it(visitor: Visitor) -> None:
    """PUT needs If-Match; adding and deleting time off may have it."""
    await visitor.resource()

    problem(await visitor.ask("PUT", SCHEDULE, json=FULL), "precondition-required")
    problem(await put(visitor, FULL, "1"), "invalid")
    problem(await go(visitor, headers={"If-Match": "1"}), "invalid")
    assert good(await visitor.get(SCHEDULE)) == {}


async def test_a_schedule_that_is_there_already_is_no_change(visitor: Visitor) -> None:
    """The version stays, as with a patch that changes nothing."""
    await visitor.resource()
    for _ in range(2):
        assert (await put(visitor, FULL)).headers["ETag"] == '"2"'


# Who may.


async def test_anybody_reads_and_few_write(visitor: Visitor) -> None:
    """Any key reads, also one bound to a customer; writing takes `catalogue:write`, and only it shows reasons."""
    await visitor.resource()
    await visitor.add("customers", id="ada")
    off = made(await go(visitor, {**DAY, "reason": "flu"}))
    good(await put(visitor, FULL))
    bound = await visitor.other("reservations:read", "reservations:write", customer="ada")
    almost = await visitor.other("reservations:admin", "reservations:write", "findings:review")

    for reader in (bound, almost):
        assert good(await reader.get(SCHEDULE)) == FULL
        shown = {name: value for name, value in off.items() if name != "reason"}
        assert good(await reader.get(TIME_OFF)) == {"items": [shown]}
        assert good(await reader.get(f"{TIME_OFF}/{off['id']}")) == shown
        for answer in (
            await put(reader, {}),
            await go(reader),
            await reader.ask("DELETE", f"{TIME_OFF}/{off['id']}"),
        ):
            assert "catalogue:write" in problem(answer, "forbidden")["detail"]
    writer = await visitor.other("catalogue:write")
    assert good(await writer.get(TIME_OFF)) == {"items": [off]}
    assert made(await go(writer, {**DAY, "reason": "flu"}))["reason"] == "flu"
    good(await put(writer, {}))


async def test_nothing_of_nobody(visitor: Visitor) -> None:
    """A resource that is not there has no schedule and no time off, and gets none."""
    await visitor.resource()
    off = made(await go(visitor))["id"]
    for path in ("/v1/resources/nobody", "/v1/resources/%00"):
        problem(await visitor.get(f"{path}/schedule"), "not-found")
        problem(
            await visitor.ask("PUT", f"{path}/schedule", json={}, headers={"If-Match": '"1"'}),
            "not-found",
        )
        problem(await visitor.get(f"{path}/time-off"), "not-found")
        problem(await visitor.ask("POST", f"{path}/time-off", json=DAY), "not-found")
        problem(await visitor.get(f"{path}/time-off/{off}"), "not-found")
        problem(await visitor.ask("DELETE", f"{path}/time-off/{off}"), "not-found")
    for identity in ("x", str(ObjectId()), "%F0%9F%98%80"):
        problem(await visitor.get(f"{TIME_OFF}/{identity}"), "not-found")
        problem(await visitor.ask("DELETE", f"{TIME_OFF}/{identity}"), "not-found")


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
async def test_a_bad_schedule_is_refused_whole(visitor: Visitor, schedule: Any, pointers: list[str]) -> None:
    """With a pointer to each fault, and nothing of it is kept."""
    await visitor.resource()
    good(await put(visitor, NINE_TO_FIVE))
    before = await visitor.everything()
    told = problem(await put(visitor, schedule), "invalid")

    assert set(pointers) <= {fault["pointer"] for fault in told["errors"]}
    if len(pointers) == 1 and "windows/1" not in pointers[0]:
        assert [fault["pointer"] for fault in told["errors"]] == pointers
    assert await visitor.everything() == before


@pytest.mark.parametrize("body", [[], "always", 7, True])
async def test_a_schedule_is_an_object(visitor: Visitor, body: Any) -> None:
    """Nothing else is taken for one."""
    await visitor.resource()

    assert "object" in problem(await put(visitor, body), "invalid")["detail"]


async def test_a_schedule_has_bounds(visitor: Visitor) -> None:
    """48 windows that start on a day and 3,660 overrides are taken, one more is not."""
    await visitor.resource()
    windows = [{"from": f"{half // 2:02}:{half % 2 * 30:02}", "to": "24:00"} for half in range(48)]
    weekly = [{"days": ["mon"], **window} for window in windows]
    dates = [str(date(2030, 1, 1) + timedelta(days=day)) for day in range(3_660 + 1)]
    overrides = [{"date": day, "windows": []} for day in dates]

    fine = {"weekly": weekly, "overrides": [{"date": dates[0], "windows": windows}, *overrides[1:-1]]}
    assert good(await put(visitor, fine)) == fine
    more = [*windows, {"from": "09:15", "to": "10:00"}]
    problem(await put(visitor, {"weekly": [*weekly, {"days": ["mon"], **more[-1]}]}), "invalid", "/weekly")
    problem(await put(visitor, {"overrides": overrides}), "invalid", "/overrides")
    one = [{"date": dates[0], "windows": more}]
    problem(await put(visitor, {"overrides": one}), "invalid", "/overrides/0/windows")
    assert good(await visitor.get(SCHEDULE)) == fine


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
async def test_a_bad_time_off_is_refused(visitor: Visitor, off: Any, pointers: list[str]) -> None:
    """With a pointer to each fault, and nothing of it is kept."""
    await visitor.resource()
    before = await visitor.everything()

    problem(await go(visitor, off), "invalid", *pointers)
    assert await visitor.everything() == before


async def test_a_day_that_its_zone_skipped_is_no_time_off(visitor: Visitor) -> None:
    """It has no first instant of its own, so nobody could be away then."""
    await visitor.resource(timezone="Pacific/Apia")

    problem(await go(visitor, {"from": "2011-12-30", "to": "2011-12-31"}), "invalid", "/to")
    made(await go(visitor, {"from": "2011-12-29", "to": "2011-12-31"}))


async def test_times_off_are_counted(visitor: Visitor) -> None:
    """A resource has at most a thousand of them; deleting one makes room."""
    await visitor.resource()
    off = {"from": "2030-02-01", "to": "2030-02-02"}
    full = [{"id": str(ObjectId()), **off} for _ in range(1_000)]
    await visitor.store.database["resources"].update_one({"_id": "room"}, {"$set": {"timeOff": full}})

    assert "1,000" in problem(await go(visitor), "invalid")["detail"]
    await visitor.ask("DELETE", f"{TIME_OFF}/{full[0]['id']}")
    made(await go(visitor))


async def test_time_off_takes_no_idempotency_key(visitor: Visitor) -> None:
    """The header would have to be ignored."""
    await visitor.resource()

    problem(await go(visitor, headers={"Idempotency-Key": "k"}), "invalid")
    problem(await visitor.ask("DELETE", f"{TIME_OFF}/x", params={"force": True}), "invalid", "?force")
    problem(await put(visitor, {}, force="perhaps"), "invalid", "?force")


# Bookings obey.


async def test_a_booking_obeys_at_once(visitor: Visitor) -> None:
    """Inside it is booked, outside it is refused by `schedule`, and a day off by `time-off` with its id."""
    await visitor.resource()
    await visitor.booked(NINE - HOUR)
    good(await put(visitor, NINE_TO_FIVE, force=True))

    (check,) = failed_checks(await visitor.book(NINE - 2 * HOUR))
    assert check["rule"] == "schedule"
    assert "override" not in check
    assert "07:00 (UTC)" in check["detail"]
    await visitor.booked(NINE)
    await visitor.booked(NINE + 7 * HOUR)
    assert [each["rule"] for each in failed_checks(await visitor.book(NINE + 8 * HOUR))] == ["schedule"]
    assert [each["rule"] for each in failed_checks(await visitor.book(NINE + 7.5 * HOUR))] == ["schedule", "capacity"]

    off = made(await go(visitor, {"from": "2030-01-07T12:00:00Z", "to": "2030-01-07T13:00:00Z"}))
    (check,) = failed_checks(await visitor.book(NINE + 3.5 * HOUR))
    assert (check["rule"], check["timeOff"]) == ("time-off", off["id"])
    await visitor.booked(NINE + 2 * HOUR)
    await visitor.booked(NINE + 4 * HOUR)
    await visitor.ask("DELETE", f"{TIME_OFF}/{off['id']}")
    await visitor.booked(NINE + 3 * HOUR)


async def test_explain_says_what_booking_says(visitor: Visitor) -> None:
    """The same checks in the same order, naming the same override and time off."""
    await visitor.resource()
    made(await go(visitor, {"from": "2030-01-07", "to": "2030-01-09"}))
    good(await put(visitor, {**NINE_TO_FIVE, "overrides": [{"date": "2030-01-08", "windows": [WINDOW, WINDOW]}]}))

    for start in (NINE, NINE - HOUR, NINE + 23 * HOUR, NINE + 48 * HOUR):
        wish = wanted(start)
        told = good(await visitor.get("/v1/availability/explain", **wish))
        answer = await visitor.post(wish)
        assert told["bookable"] is (answer.status_code == 201)
        if not told["bookable"]:
            assert told["checks"] == problem(answer, "rule")["checks"]


async def test_force_lets_somebody_in_after_hours(visitor: Visitor) -> None:
    """With `reservations:admin` schedule and time off are lifted, the capacity never."""
    await visitor.resource()
    good(await put(visitor, {"weekly": []}))
    made(await go(visitor))
    clerk = await visitor.other("reservations:write", "catalogue:write")

    assert [check["rule"] for check in failed_checks(await visitor.book())] == ["schedule", "time-off"]
    problem(await clerk.post(wanted(), force=True), "forbidden")
    made(await visitor.post(wanted(), force=True))
    problem(await visitor.post(wanted(), force=True), "conflict")


async def test_a_move_obeys_as_well(visitor: Visitor) -> None:
    """Not into a closed time, but away from one."""
    await visitor.resource()
    booked = await visitor.booked()
    good(await put(visitor, {**NINE_TO_FIVE, "overrides": [{"date": "2030-01-07", "windows": []}]}, force=True))

    (check,) = failed_checks(await visitor.change(booked, startTime=render(NINE + HOUR)))
    assert (check["rule"], check["override"]) == ("schedule", "2030-01-07")
    assert good(await visitor.change(booked, startTime=render(NINE + 24 * HOUR)))["version"] == 2


async def test_a_window_runs_past_midnight(visitor: Visitor) -> None:
    """It belongs to the day on which it starts; where the clocks change it ends when they show its end."""
    await visitor.resource(timezone="Europe/Berlin")
    good(await put(visitor, {"weekly": [{"days": ["sat"], "from": "22:00", "to": "02:00"}]}))

    # An ordinary Saturday in winter, then the night of 31 March: two o'clock is in the gap, so three, at 01:00 UTC.
    assert await fits(visitor, "01-05 21:00", "01-06 01:00")
    assert await fits(visitor, "01-06 00:00", "01-06 01:00")
    assert not await fits(visitor, "01-05 20:59", "01-05 22:00")
    assert not await fits(visitor, "01-06 00:00", "01-06 01:01")
    assert not await fits(visitor, "01-06 21:00", "01-06 22:00")
    assert await fits(visitor, "03-30 21:00", "03-31 01:00")
    assert not await fits(visitor, "03-31 00:30", "03-31 01:30")


async def test_windows_that_meet_are_one(visitor: Visitor) -> None:
    """Over the joint of two that overlap or touch, also over midnight, a booking is inside."""
    await visitor.resource()
    windows = [("09:00", "12:00"), ("11:00", "14:00"), ("14:00", "24:00")]
    weekly = [{"days": ["mon"], "from": opens, "to": closes} for opens, closes in windows]
    good(await put(visitor, {"weekly": [*weekly, {"days": ["tue"], "from": "00:00", "to": "01:00"}]}))

    assert await fits(visitor, "01-07 09:00", "01-08 01:00")
    assert not await fits(visitor, "01-07 09:00", "01-08 01:01")


async def test_an_override_replaces_its_date(visitor: Visitor) -> None:
    """Other hours, closed, or opened where it never is; it is named where it is in the way."""
    await visitor.resource()
    overrides = [
        {"date": "2030-01-07", "windows": [{"from": "13:00", "to": "15:00"}, {"from": "23:00", "to": "01:00"}]},
        {"date": "2030-01-09", "windows": []},
        {"date": "2030-01-12", "windows": [{"from": "10:00", "to": "11:00"}]},
    ]
    weekly = [{"days": WEEK[:5], "from": "09:00", "to": "17:00"}]
    good(await put(visitor, {"weekly": weekly, "overrides": overrides}))

    assert await fits(visitor, "01-07 13:00", "01-07 15:00")
    assert await fits(visitor, "01-07 23:00", "01-08 01:00")
    assert await fits(visitor, "01-08 09:00", "01-08 17:00")
    assert await fits(visitor, "01-12 10:00", "01-12 11:00")
    for start, override in (("01-07 09:00", "2030-01-07"), ("01-09 09:00", "2030-01-09"), ("01-13 09:00", None)):
        (check,) = failed_checks(await visitor.book(utc(start)))
        assert check.get("override") == override


async def test_an_override_of_an_open_resource_replaces_the_day(visitor: Visitor) -> None:
    """No weekly hours are every hour; those of one date can be fewer."""
    await visitor.resource()
    good(await put(visitor, {"overrides": [{"date": "2030-01-08", "windows": [WINDOW]}]}))

    assert await fits(visitor, "01-01 00:00", "01-08 00:00")
    assert not await fits(visitor, "01-08 08:00", "01-08 10:00")
    assert await fits(visitor, "01-08 09:00", "01-08 17:00")
    assert await fits(visitor, "01-09 00:00", "01-10 00:00")


NEW_YORK = [
    # The day of 23 hours, and that of 25.
    ({"from": "2030-03-10", "to": "2030-03-11"}, "03-10 05:00", "03-11 04:00"),
    ({"from": "2030-11-03", "to": "2030-11-04"}, "11-03 04:00", "11-04 05:00"),
    # 01:30 to 03:30 by the clocks, in the one night an hour and in the other one three.
    ({"from": "2030-03-10T01:30:00-05:00", "to": "2030-03-10T03:30:00-04:00"}, "03-10 06:30", "03-10 07:30"),
    ({"from": "2030-11-03T01:30:00-04:00", "to": "2030-11-03T03:30:00-05:00"}, "11-03 05:30", "11-03 08:30"),
]


@pytest.mark.parametrize(("off", "start", "end"), NEW_YORK)
async def test_time_off_knows_the_clocks(visitor: Visitor, off: dict[str, str], start: str, end: str) -> None:
    """Local days are as long as they are, instants what they say; touching either end is not being away."""
    await visitor.resource(timezone="America/New_York")
    made(await go(visitor, off))
    minute = timedelta(minutes=1)

    for at_, length, free in (
        (utc(start) - HOUR, HOUR, True),
        (utc(start) - HOUR, HOUR + minute, False),
        (utc(start), minute, False),
        (utc(end) - minute, minute, False),
        (utc(end) - minute, HOUR, False),
        (utc(end), HOUR, True),
    ):
        answer = await visitor.book(at_, length)
        assert (answer.status_code == 201) is free, at_
        if free:
            good(await visitor.verb(answer.json(), "cancel"))


async def test_a_new_zone_moves_days_and_hours_but_no_instants(visitor: Visitor) -> None:
    """What was said in local time means the new zone's from then on; the answers stay as they were said."""
    await visitor.resource()
    good(await put(visitor, NINE_TO_FIVE))
    days = made(await go(visitor, {"from": "2030-01-08", "to": "2030-01-09"}))
    hour = made(await go(visitor, {"from": "2030-01-09T10:00:00Z", "to": "2030-01-09T11:00:00Z"}))
    assert await fits(visitor, "01-07 16:00", "01-07 17:00")

    good(await visitor.edit(ROOM, timezone="Asia/Tokyo"))
    assert good(await visitor.get(SCHEDULE)) == NINE_TO_FIVE
    assert good(await visitor.get(TIME_OFF)) == {"items": [days, hour]}
    assert await fits(visitor, "01-07 00:00", "01-07 08:00")
    assert not await fits(visitor, "01-07 16:00", "01-07 17:00")
    assert not await fits(visitor, "01-08 00:00", "01-08 01:00")
    good(await put(visitor, {}))
    assert not await fits(visitor, "01-07 15:00", "01-07 16:00")
    assert await fits(visitor, "01-08 15:00", "01-08 16:00")
    assert not await fits(visitor, "01-09 10:00", "01-09 11:00")


# Who would be stranded is told.

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
    visitor: Visitor, method: str, path: str, body: dict[str, Any], *, everybody: bool
) -> None:
    """Those that lose their room or break a rule by it, and nobody else; forced it is done, and they stay."""
    await visitor.service()
    await visitor.add("customers", id="ada")
    await visitor.resource(services=["cut"], capacity=2)
    good(await put(visitor, {"weekly": [{"days": WEEK, "from": "09:00", "to": "19:00"}]}))
    lost = [await visitor.booked(service="cut", customer="ada"), await visitor.booked(service="cut")]
    tuesday = await visitor.booked(NINE + 32 * HOUR)
    await visitor.verb(await visitor.booked(NINE + HOUR), "cancel")
    before = await visitor.everything()

    headers = {"If-Match": "*"}
    told = problem(await visitor.ask(method, path, json=body, headers=headers), "stranded-bookings")
    shown = ("id", "version", "customer", "startTime", "endTime", "status")
    expected = [{name: each[name] for name in shown if name in each} for each in [*lost, *[tuesday] * everybody]]
    assert sorted(told["reservations"], key=lambda each: each["id"]) == expected
    assert told["total"] == len(expected)
    assert await visitor.everything() == before

    clerk = await visitor.other("catalogue:write")
    blind = problem(await clerk.ask(method, path, json=body, headers=headers), "stranded-bookings")
    assert (blind["total"], "reservations" in blind) == (told["total"], False)
    forced = await clerk.ask(method, path, json=body, headers=headers, params={"force": True})
    assert forced.status_code == (201 if method == "POST" else 200), forced.text
    assert {(await visitor.read(each))["status"] for each in lost} == {"confirmed"}


async def test_only_what_blocks_and_is_to_come_can_be_stranded(visitor: Visitor) -> None:
    """Not what is over, cancelled or lapsed; what has begun and lasts can be."""
    await visitor.resource(capacity=9)
    now = visitor.store.clock.now().replace(microsecond=0)
    await visitor.booked(now - 3 * HOUR)
    await visitor.verb(await visitor.booked(now + HOUR), "cancel")
    lapsed = await visitor.booked(now + HOUR, expiresInSeconds=60)
    await visitor.lapse(lapsed)
    assert good(await put(visitor, {"weekly": []})) == {"weekly": []}
    good(await put(visitor, {}))

    lasts = await visitor.booked(now - HOUR, 3 * HOUR)
    hold = await visitor.booked(now + HOUR, expiresInSeconds=600)
    told = problem(await put(visitor, {"weekly": []}), "stranded-bookings")
    assert [each["id"] for each in told["reservations"]] == [lasts["id"], hold["id"]]


async def test_a_change_that_takes_nothing_strands_nobody(visitor: Visitor) -> None:
    """Who was let in after hours is no reason to refuse other hours, and more room needs no force."""
    await visitor.resource()
    good(await put(visitor, NINE_TO_FIVE))
    made(await visitor.post(wanted(NINE + 12 * HOUR), force=True))
    await visitor.booked()

    good(await put(visitor, {"weekly": [{"days": WEEK, "from": "09:00", "to": "16:00"}]}))
    good(await put(visitor, {**NINE_TO_FIVE, "overrides": [{"date": "2030-01-08", "windows": []}]}))
    off = made(await go(visitor, {"from": "2030-01-07T10:00:00Z", "to": "2030-01-07T21:00:00Z"}))
    problem(await go(visitor, {"from": "2030-01-07T10:00:00Z", "to": "2030-01-07T21:01:00Z"}), "stranded-bookings")
    assert (await visitor.ask("DELETE", f"{TIME_OFF}/{off['id']}")).status_code == 204


async def test_a_full_day_needs_only_some_window(visitor: Visitor) -> None:
    """Opening hours leave whole days that were booked as such; the same time booked otherwise loses its evening."""
    await visitor.service("day", durationType="full-day")
    await visitor.service("stay", durationType="flexible", minMinutes=60, maxMinutes=1440)
    await visitor.resource(services=["day", "stay"], timezone="Europe/Berlin")
    whole = await visitor.booked(NINE - 10 * HOUR, 24 * HOUR, service="day")
    good(await put(visitor, NINE_TO_FIVE))
    assert whole["startTime"] == "2030-01-06T23:00:00.000Z"
    moved = problem(await visitor.edit(ROOM, timezone="UTC"), "stranded-bookings")
    assert [each["id"] for each in moved["reservations"]] == [whole["id"]]

    good(await put(visitor, {}))
    others = [
        await visitor.booked(NINE + 14 * HOUR, 24 * HOUR),
        await visitor.booked(NINE + 38 * HOUR, 24 * HOUR, service="stay"),
    ]
    told = problem(await put(visitor, NINE_TO_FIVE), "stranded-bookings")
    assert [each["id"] for each in told["reservations"]] == [each["id"] for each in others]


async def test_many_are_counted_and_a_hundred_are_listed(visitor: Visitor) -> None:
    """By start, with the total of all."""
    await visitor.resource(capacity=200)
    minute = timedelta(minutes=1)
    booked = [await visitor.booked(NINE + (103 - n) * minute) for n in range(103)]
    told = problem(await go(visitor), "stranded-bookings")

    assert told["total"] == 103
    assert [each["id"] for each in told["reservations"]] == [each["id"] for each in reversed(booked)][:100]


async def test_a_sick_day_is_three_calls(visitor: Visitor) -> None:
    """See who is affected, move or cancel them with the versions that were told, close the day."""
    await visitor.resource()
    await visitor.add("customers", id="ada", phone="+49 30 1234")
    booked = [await visitor.booked(NINE + n * HOUR, customer="ada") for n in range(3)]
    await visitor.booked(NINE + 24 * HOUR)

    affected = problem(await go(visitor, {**DAY, "reason": "flu"}), "stranded-bookings")["reservations"]
    assert [each["id"] for each in affected] == [each["id"] for each in booked]
    for each in affected[:2]:
        later = datetime.fromisoformat(each["startTime"]) + timedelta(days=7)
        moved = await visitor.ask(
            "PATCH", at(each), json={"startTime": render(later)}, headers={"If-Match": f'"{each["version"]}"'}
        )
        assert good(moved)["startTime"] == render(later)
    good(await visitor.verb(affected[2], "cancel", reason="the doctor is ill"))
    made(await go(visitor, {**DAY, "reason": "flu"}))

    assert [check["rule"] for check in failed_checks(await visitor.book(NINE))] == ["time-off"]
    assert good(await visitor.get(RESERVATIONS, status="confirmed", to="2030-01-08T00:00:00Z"))["items"] == []
