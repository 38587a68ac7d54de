"""Rows of other programs as bookings see them: each counts as far as it can be read, and none is booked over.

Each row lies on a resource of its own from nine to ten; a run notes them (see `tests.support.foreign_rows`).
"""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Code, DatetimeMS, Decimal128, Int64, ObjectId

from app.domain.instants import render, to_millis
from tests.support.api_client import ApiClient, created, ok, problem
from tests.support.foreign_checks import reconcile_run
from tests.support.foreign_rows import insert_row
from tests.support.shared_apps import SharedApps
from tests.support.times import HOUR, NINE

HEX = "6b045bb9d61c1aa0be9c5d21"
OID = ObjectId(HEX)
TEN = NINE + HOUR
MILLIS = to_millis(NINE)
ORDINARY: dict[str, Any] = {"resource": "r", "status": "confirmed", "startTime": NINE, "endTime": TEN}
AGES: dict[str, Any] = {
    "startTime": datetime(1900, 1, 1, tzinfo=UTC),
    "endTime": datetime(9999, 12, 31, tzinfo=UTC),
}
OVER: dict[str, Any] = {"status": "pending", "expiresAt": datetime(2020, 1, 1, tzinfo=UTC), "version": 1}

BUSY: dict[str, dict[str, Any]] = {
    "bare": {},
    "resource-oid": {"resource": OID},
    "resource-relation": {"resource": {"relationTo": "resources", "value": "r"}},
    "status-spelled": {"status": "Confirmed"},
    "status-request": {"status": "PENDING"},
    "times-text": {"startTime": "2030-01-07T09:00:00Z", "endTime": "2030-01-07T10:00:00Z"},
    "start-text": {"startTime": "2030-01-07T09:00:00Z"},
    "times-millis": {"startTime": MILLIS, "endTime": Int64(MILLIS + 3_600_000)},
    "times-seconds": {"startTime": MILLIS // 1000, "endTime": float(MILLIS // 1000 + 3_600)},
    "end-text": {"endTime": "2030-01-07T10:00:00Z"},
    "units-double": {"units": 1.0},
    "units-decimal": {"units": Decimal128("1")},
    "units-null": {"units": None},
    "block-null": {"blockStart": None, "blockEnd": None},
    "block-half": {"blockStart": NINE},
    "block-beyond": {"blockStart": NINE, "blockEnd": DatetimeMS(2**62)},
    "customer-oid": {"customer": OID},
    "customer-odd": {"customer": [1, 2]},
    "expires-text": {"status": "pending", "expiresAt": "soon"},
    "expires-text-later": {"status": "pending", "expiresAt": "2031-01-01T00:00:00Z"},
    "expires-beyond": {"status": "pending", "expiresAt": DatetimeMS(2**62)},
    "for-ages": AGES,
    "for-ages-marked": AGES | {"long": True},
    "for-all-time": {"startTime": datetime.min.replace(tzinfo=UTC), "endTime": AGES["endTime"]},
    "for-all-time-item": {"resource": "x", "items": [{"resource": "r", "startTime": datetime.min.replace(tzinfo=UTC)}]},
    "for-a-month": {"startTime": NINE - 400 * HOUR, "endTime": NINE + 400 * HOUR},
    "id-text": {"_id": "one"},
    "id-number": {"_id": 7},
    "id-true": {"_id": True},
    "id-code": {"_id": Code("one")},
    "id-document": {"_id": {"a": 1}},
    "item": {"resource": "elsewhere", "items": [{"resource": "r", "startTime": NINE, "endTime": TEN}]},
    "item-alone": {"resource": None, "items": [{"resource": "r"}]},
    "items-both": {
        "startTime": NINE - 9 * HOUR,
        "endTime": NINE - 8 * HOUR,
        "items": [{"startTime": NINE, "endTime": TEN}],
    },
    "item-long": {"resource": "x", "items": [{"resource": "r", "startTime": NINE - 900 * HOUR, "endTime": TEN}]},
    "version-odd": {"version": "3"},
    "history-odd": {"history": "long"},
    "service-odd": {"service": 7, "group": 8, "metadata": 9, "notes": OID},
}
FREE: dict[str, dict[str, Any]] = {
    "units-negative": {"units": -1},
    "units-text": {"units": "two"},
    "status-odd": {"status": 7},
    "status-unknown": {"status": "whatever"},
    "status-cancelled": {"status": "Cancelled"},
    "end-before": {"endTime": NINE - HOUR},
    "end-missing": {"endTime": None},
    "end-beyond": {"endTime": DatetimeMS(2**62)},
    "start-odd": {"startTime": "soon"},
    "trash": {"deletedAt": NINE},
    "draft": {"_status": "draft"},
    "expired-text": {"status": "pending", "expiresAt": "2020-01-01T00:00:00Z"},
    "expired-spelled": {
        "status": "Pending",
        "expiresAt": datetime(2020, 1, 1, tzinfo=UTC),
        "version": 1,
        "history": [],
    },
    "expired-history": OVER | {"history": 7},
    "expired-version": OVER | {"version": None},
    "resource-odd": {"resource": ["r"]},
}


def row_of(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The row, on the resource of its name; an ObjectId stands for itself."""
    row = {**ORDINARY, **fields}

    def renamed(value: Any) -> Any:
        if value == "r":
            return name
        if isinstance(value, dict):
            return {key: renamed(each) for key, each in value.items()}
        return [renamed(each) for each in value] if isinstance(value, list) else value

    row = {key: renamed(value) for key, value in row.items()}
    return {key: value for key, value in row.items() if value is not None or key in fields}


@pytest.fixture
async def api(server_name: str, database_url: str, shared_apps: SharedApps) -> ApiClient:
    """A room for each row, with the row on it, and a run that has noted them."""
    api = shared_apps.get(server_name)
    if api is None:
        api = await shared_apps.open(server_name, database_url)
        for name, fields in (BUSY | FREE).items():
            if server_name == "trial" and "beyond" in name:
                continue
            await api.resource(HEX if name == "resource-oid" else name)
            await insert_row(api.store, **row_of(name, fields))
        await api.resource("guests", capacity=3, capacityMode="guests")
        await reconcile_run(api.store)
    return api


async def there(api: ApiClient, resource: str) -> None:
    """Skip the test where the server cannot store the row."""
    if await api.store.database["resources"].find_one({"_id": resource}) is None:
        pytest.skip("it refuses dates outside of Python's calendar")


@pytest.mark.servers("wire")
@pytest.mark.parametrize("name", BUSY)
async def test_no_booking_overlaps_a_foreign_row(api: ApiClient, name: str) -> None:
    """A foreign row blocks bookings and slots and makes its time not bookable; the time after its end is free."""
    resource = HEX if name == "resource-oid" else name
    await there(api, resource)

    body = problem(await api.book(resource=resource), "conflict", "/startTime")
    assert len(body["conflicts"]) == 1
    assert isinstance(body["conflicts"][0]["reservation"], str)
    asked = {"resource": resource, "startTime": render(NINE), "endTime": render(TEN)}
    assert ok(await api.get("/v1/availability/explain", **asked))["bookable"] is False
    slots = {"resource": resource, "from": render(NINE), "to": render(NINE + 2 * HOUR), "minutes": 60}
    free = [item["startTime"] for item in ok(await api.get("/v1/availability", **slots))["items"]]
    if name in {"for-ages", "for-ages-marked", "for-a-month", "for-all-time"}:
        assert free == []
    else:
        assert free == [render(TEN)]
        created(await api.book(TEN, resource=resource))


@pytest.mark.servers("wire")
@pytest.mark.parametrize("name", FREE)
async def test_an_uncountable_row_blocks_no_booking(api: ApiClient, name: str) -> None:
    """A row without a readable time blocks no booking and causes no error."""
    await there(api, name)
    slots = {"resource": name, "from": render(NINE), "to": render(TEN), "minutes": 60}
    assert [item["startTime"] for item in ok(await api.get("/v1/availability", **slots))["items"]] == [render(NINE)]
    created(await api.book(resource=name))
    problem(await api.book(resource=name), "conflict")


@pytest.mark.servers("wire")
async def test_guests_of_others_count_where_guests_are_counted(api: ApiClient) -> None:
    """A row without units takes as many as its guests, in whatever type they are."""
    await insert_row(api.store, **ORDINARY | {"resource": "guests", "guestCount": 2.0})

    created(await api.book(resource="guests"))
    problem(await api.book(resource="guests"), "conflict")


@pytest.mark.servers("wire")
async def test_a_noted_row_is_read_again(api: ApiClient) -> None:
    """A row cancelled since the run that noted it no longer blocks."""
    await api.resource("noted")
    row = await insert_row(api.store, **row_of("noted", {"status": "Confirmed"}))
    await reconcile_run(api.store)
    problem(await api.book(resource="noted"), "conflict")
    await api.store.database["reservations"].update_one({"_id": row}, {"$set": {"status": "Cancelled"}})

    created(await api.book(resource="noted"))


@pytest.mark.servers("wire")
async def test_two_items_of_one_row_take_two_places(api: ApiClient) -> None:
    """A row with two items at one time takes two of three places, although the lookup finds it twice."""
    await api.resource("pair", capacity=3)
    await insert_row(api.store, **row_of("pair", {"items": [{"resource": "pair"}, {"resource": "pair"}]}))
    await reconcile_run(api.store)

    created(await api.book(resource="pair"))
    problem(await api.book(resource="pair"), "conflict")


@pytest.mark.servers("wire")
async def test_an_edit_sees_rows_of_others(api: ApiClient) -> None:
    """An edit that strands a foreign row lists it, with its values as text."""
    await api.resource("closing")
    await insert_row(api.store, **row_of("closing", {"status": "Confirmed", "customer": OID, "_id": 4711}))
    await reconcile_run(api.store)
    answer = await api.request("PUT", "/v1/resources/closing/schedule", json={"weekly": []}, headers={"If-Match": "*"})

    (stranded,) = problem(answer, "stranded-bookings")["reservations"]
    assert (stranded["id"], stranded["customer"], stranded["status"]) == ("4711", HEX, "confirmed")


@pytest.mark.servers("wire")
async def test_a_resource_that_comes_after_its_rows_knows_how_far_they_reach(api: ApiClient) -> None:
    """Its guard is made for rows of both forms and all types that the lookup finds: a long one with an end in text."""
    late = "6b045bb9d61c1aa0be9c5d22"
    far = {"startTime": NINE - 100 * HOUR, "endTime": render(NINE + HOUR)}
    await insert_row(api.store, **ORDINARY | {"resource": ObjectId(late)} | far)
    await api.resource(late)

    problem(await api.book(resource=late), "conflict")
