"""How much of the open time is booked, over HTTP."""

from datetime import timedelta
from typing import Any

import pytest

from app.utilisation import service
from tests.support.api_client import ApiClient, booking_body, created, ok, problem
from tests.support.times import DAY, HOUR, NINE

URL = "/v1/utilisation"
MONDAY, TUESDAY, SUNDAY = "2030-01-07", "2030-01-08", "2030-01-13"
HOURS = {"weekly": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00"}]}


@pytest.fixture
async def api(api: ApiClient) -> ApiClient:
    """A room for two at a time, open on weekdays from nine to five, and a service to be cancelled a day before."""
    await api.service(cancellationNoticeMinutes=24 * 60, bufferAfterMinutes=30)
    await api.resource(services=["cut"], capacity=2)
    ok(await api.request("PUT", "/v1/resources/room/schedule", json=HOURS, headers={"If-Match": "*"}))
    return api


async def report(api: ApiClient, first: str = MONDAY, last: str = TUESDAY, **parameters: Any) -> list[dict[str, Any]]:
    """The items of a report, of the room unless a service is named."""
    subject = {} if "service" in parameters or "resource" in parameters else {"resource": "room"}
    items: list[dict[str, Any]] = ok(await api.get(URL, **{"from": first, "to": last}, **subject, **parameters))[
        "items"
    ]
    return items


async def test_a_day(api: ApiClient) -> None:
    """Open time times the capacity, and what is booked of it without buffers; what is outside is counted apart."""
    await api.booked(service="cut")
    await api.booked(NINE, 2 * HOUR)
    created(await api.post(booking_body(NINE + 7 * HOUR, 3 * HOUR), force="true"))
    await api.booked(NINE + 4 * HOUR, expiresInSeconds=600)

    (item,) = await report(api)

    assert item == {
        "resource": "room",
        "from": MONDAY,
        "to": TUESDAY,
        "startTime": "2030-01-07T00:00:00.000Z",
        "endTime": "2030-01-08T00:00:00.000Z",
        "capacity": 2,
        "openMinutes": 480,
        "bookedMinutes": 60 + 120 + 60,
        "outsideMinutes": 120,
        "share": 0.25,
        "bookings": 3,
        "noShows": 0,
        "cancelledLate": 0,
    }


async def test_what_became_of_them(api: ApiClient) -> None:
    """No-shows took their time; what was cancelled did not, and counts if it was confirmed and the notice was over."""
    made = [await api.booked(service="cut") for _ in range(2)]
    ok(await api.verb(made[0], "cancel"))
    await api.overwrite(made[1], status="no-show")
    for days, confirmed in ((1, True), (2, True), (3, False)):
        late = await api.booked(NINE + days * DAY, service="cut")
        ok(await api.verb(late, "cancel"))
        at = NINE + days * DAY - 24 * HOUR + timedelta(seconds=days - 1)
        line = {"at": at, "to": "cancelled", "by": "x", "from": "confirmed" if confirmed else "pending"}
        await api.overwrite(late, history=[line, {"at": at, "by": "x", "changed": ["notes"]}])

    first, *others = await report(api, last="2030-01-11")

    assert [first[name] for name in ("bookings", "noShows", "cancelledLate", "bookedMinutes")] == [1, 1, 0, 60]
    assert [item["cancelledLate"] for item in others] == [0, 1, 0]
    assert [item["bookings"] for item in others] == [0, 0, 0]


async def test_periods(api: ApiClient) -> None:
    """Days, weeks from Monday and months of the resource's own zone, cut at the ends; a day never open has no share."""
    await api.resource("berlin", timezone="Europe/Berlin")

    days = await report(api, "2030-01-11", SUNDAY)
    weeks = await report(api, "2030-01-09", "2030-01-16", per="week")
    months = await report(api, "2030-03-30", "2030-05-02", per="month", resource="berlin")
    changes = await report(api, "2030-03-31", "2030-04-01", resource="berlin")

    assert [item.get("share") for item in days] == [0.0, None]
    assert [(item["from"], item["to"]) for item in weeks] == [
        ("2030-01-09", "2030-01-14"),
        ("2030-01-14", "2030-01-16"),
    ]
    assert [item["from"] for item in months] == ["2030-03-30", "2030-04-01", "2030-05-01"]
    assert [item["openMinutes"] for item in months] == [(24 + 23) * 60, 30 * 24 * 60, 24 * 60]
    assert [(item["openMinutes"], item["startTime"]) for item in changes] == [(23 * 60, "2030-03-30T23:00:00.000Z")]


async def test_time_off(api: ApiClient) -> None:
    """A time off is no open time."""
    away = {"from": "2030-01-07T10:00:00Z", "to": "2030-01-07T12:00:00Z"}
    assert (await api.request("POST", "/v1/resources/room/time-off", json=away)).status_code == 201

    (item,) = await report(api)

    assert item["openMinutes"] == 360


async def test_the_resources_of_a_service(api: ApiClient) -> None:
    """All active ones that offer it, each with everything that is booked there; by period, then resource."""
    await api.resource("chair", services=["cut"])
    await api.resource("closed", services=["cut"], active=False)
    await api.resource("other")
    await api.booked(resource="chair")

    items = await report(api, last="2030-01-09", service="cut")

    assert [(item["from"], item["resource"], item["bookings"]) for item in items] == [
        (MONDAY, "chair", 1),
        (MONDAY, "room", 0),
        (TUESDAY, "chair", 0),
        (TUESDAY, "room", 0),
    ]


async def test_rows_of_other_programs(api: ApiClient) -> None:
    """What can be read counts, whatever else is there."""
    hour = {"resource": "room", "startTime": NINE, "endTime": NINE + HOUR}
    rows = [
        {"_id": "a", **hour, "status": "Confirmed", "units": 2.0},
        {"_id": "b", **hour, "status": "maybe"},
        {"_id": "c", **hour, "status": "cancelled", "service": 5},
        {"_id": "d", **hour, "status": "confirmed", "endTime": None, "history": 3},
    ]
    await api.store.database["reservations"].insert_many(rows)

    (item,) = await report(api)

    assert (item["bookings"], item["bookedMinutes"]) == (1, 120)


async def test_what_is_refused(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with what to do: days that are none or too many, no subject or two, too many items or reservations."""
    room = {"resource": "room"}
    problem(await api.get(URL, **room, **{"from": "2030-01-07T09:00:00Z", "to": TUESDAY}), "invalid", "?from")
    problem(await api.get(URL, **room, **{"from": MONDAY, "to": MONDAY}), "invalid", "?to")
    problem(await api.get(URL, **room, **{"from": MONDAY, "to": "2031-01-09"}), "invalid", "?to")
    problem(await api.get(URL, **room, **{"from": MONDAY, "to": TUESDAY, "per": "hour"}), "invalid", "?per")
    for subject in ({}, {"resource": "room", "service": "cut"}, {"resource": "nowhere"}):
        problem(await api.get(URL, **subject, **{"from": MONDAY, "to": TUESDAY}), "invalid", "?resource")
    problem(await api.get(URL, service="none", **{"from": MONDAY, "to": TUESDAY}), "invalid", "?service")
    await api.add("customers", id="ann")
    bound = await api.with_scopes("reservations:read", customer="ann")
    problem(await bound.get(URL, **room, **{"from": MONDAY, "to": TUESDAY}), "forbidden")

    await api.booked()
    monkeypatch.setattr(service, "ROWS_MAX", 0)
    problem(await api.get(URL, **room, **{"from": MONDAY, "to": TUESDAY}), "invalid", "?to")
    monkeypatch.setattr(service, "ITEMS_MAX", 1)
    problem(await api.get(URL, **room, **{"from": MONDAY, "to": SUNDAY}), "invalid", "?per")
    monkeypatch.setattr(service, "READ_SECONDS_MIN", 60)
    problem(await api.get(URL, **room, **{"from": MONDAY, "to": TUESDAY}), "overloaded")
