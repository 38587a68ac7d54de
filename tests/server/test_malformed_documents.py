"""Malformed values in stored documents, field by field: every request is answered, none with a failure."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import structlog
from bson import Code, DatetimeMS, Decimal128, Int64, ObjectId, Regex

from app.catalogue.queries import read_some
from app.domain.instants import render
from app.http.paging import write_cursor
from app.storage.documents import Customer
from app.storage.values import row_key
from tests.support.api_client import RESERVATIONS, ApiClient, created, path_of, problem
from tests.support.command_log import logged_store
from tests.support.shared_apps import SharedApps
from tests.support.times import HOUR, NINE

MISSING = object()
ODD: list[Any] = [
    MISSING,
    None,
    "soon",
    "",
    0,
    -1,
    2.5,
    float("nan"),
    True,
    [1, "a"],
    {"a": {"b": [ObjectId()]}},
    b"\x00\xff",
    Regex("a.*"),
    Code("a"),
    Decimal128("NaN"),
    Int64(2**62),
    ObjectId(),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    DatetimeMS(2**62),
]
FIELDS = [
    "resource",
    "service",
    "customer",
    "status",
    "startTime",
    "endTime",
    "blockStart",
    "blockEnd",
    "long",
    "guests",
    "units",
    "timezone",
    "notes",
    "reference",
    "metadata",
    "metadata.a",
    "group",
    "expiresAt",
    "version",
    "createdAt",
    "updatedAt",
    "history",
    "history.0",
    "history.0.at",
    "key",
    "idempotencyKey",
    "idempotency",
    "importKey",
    "items",
    "items.0",
    "items.0.startTime",
    "deletedAt",
    "_status",
]


class Watched:
    """Asks, and counts what was answered with a failure."""

    def __init__(self, api: ApiClient) -> None:
        self.api = api
        self.failures: list[str] = []
        self.value = ""

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request."""
        try:
            answer = await self.api.request(method, path, **more)
        except Exception as error:  # noqa: BLE001  # reported with the stored value
            self.failures.append(f"{self.value}: {method} {path}: {type(error).__name__}: {error}"[:300])
            return httpx.Response(500)
        unexplained = answer.status_code == 422 and not answer.json().keys() & {"errors", "members"}
        if answer.status_code >= 500 or unexplained:
            self.failures.append(f"{self.value}: {method} {path}: {answer.status_code} {answer.text}"[:300])
        return answer


@contextmanager
def no_error_lines() -> Iterator[None]:
    """The log has no line of level error meanwhile."""
    with structlog.testing.capture_logs() as lines:
        yield
    assert [line for line in lines if line["log_level"] in {"error", "critical"}] == []


def placed(row: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The row with the value at a path, or without what is there."""
    head, _, rest = path.partition(".")
    there: Any = row.get(head, {})
    if rest:
        if isinstance(there, list):
            number, _, deeper = rest.partition(".")
            changed = [*there]
            changed[int(number)] = placed(changed[int(number)], deeper, value) if deeper else value
            return {**row, head: changed} if value is not MISSING or deeper else {**row, head: []}
        return {**row, head: placed(there, rest, value)}
    return {name: each for name, each in ({**row, head: value}).items() if each is not MISSING}


@pytest.fixture
async def api(server_name: str, database_url: str, shared_apps: SharedApps) -> ApiClient:
    """A room with a service and a customer."""
    api = shared_apps.get(server_name) or await shared_apps.open(server_name, database_url)
    for name in ("resources", "services", "customers", "guards", "reservations"):
        await api.store.database[name].delete_many({})
    await api.service(cancellationNoticeMinutes=60)
    await api.resource(services=["cut"])
    await api.resource("plaza", capacity=5)
    await api.add("customers", id="ann")
    return api


VERBS_A_VALUE = 3
"""Tried in turn: all of them with each value of each field are a hundred thousand requests."""


def readings(hold: dict[str, Any], group: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Everything that shows it, or counts it."""
    span = {"from": render(NINE - HOUR), "to": render(NINE + 9 * HOUR)}
    hour = {"startTime": render(NINE), "endTime": render(NINE + HOUR)}
    return [
        (path_of(hold), {}),
        (RESERVATIONS, {}),
        (RESERVATIONS, {"status": ["pending", "expired"], "resource": "room", **span}),
        (RESERVATIONS, {"updatedSince": "2020-01-01T00:00:00Z"}),
        ("/v1/customers/ann/reservations", {}),
        (f"/v1/groups/{group['id']}", {}),
        ("/v1/availability", {"resource": "room", "minutes": 60, **span}),
        ("/v1/availability", {"service": "cut", "ignore": hold["id"], **span}),
        ("/v1/availability/explain", {"resource": "room", **hour}),
    ]


def verbs(hold: dict[str, Any], group: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Everything that changes it."""
    move = {"moves": [{"reservation": hold["id"], "version": 1, "startTime": render(NINE + 3 * HOUR)}]}
    patches = [
        {"notes": "x"},
        {"customer": "ann"},
        {"startTime": render(NINE + 5 * HOUR)},
        {"resource": "plaza", "guests": 2},
    ]
    return [
        *(("POST", f"{path_of(hold)}/{verb}", {}) for verb in ("cancel", "confirm", "complete", "no-show")),
        ("POST", f"{path_of(hold)}/extend", {"json": {"expiresInSeconds": 600}}),
        *(("PATCH", path_of(hold), {"json": patch, "headers": {"If-Match": "*"}}) for patch in patches),
        ("POST", "/v1/moves", {"json": move}),
        *(("POST", f"/v1/groups/{group['id']}/{verb}", {}) for verb in ("cancel", "confirm")),
    ]


def odd_values(server_name: str, number: int) -> list[Any]:
    """The values for a field of that number: all, and on the trial's slow server each fourth, in turn.

    That server also refuses dates outside of Python's calendar.
    """
    if server_name != "trial":
        return [*ODD]
    return [value for value in ODD[number % 4 :: 4] if not isinstance(value, DatetimeMS)]


@pytest.mark.servers("transactions")
@pytest.mark.parametrize("field", FIELDS)
async def test_no_value_of_a_reservation_makes_a_request_fail(api: ApiClient, server_name: str, field: str) -> None:
    """It is read, listed, followed and booked beside; each verb is done, or says which field it cannot read."""
    watched = Watched(api)
    clerk = await api.with_scopes("reservations:read", "reservations:write")
    reservations = api.store.database["reservations"]
    await reservations.delete_many({})
    body = {"resource": "room", "service": "cut", "customer": "ann", "startTime": render(NINE)}
    group = created(await api.request("POST", "/v1/groups", json={"reservations": [body], "expiresInSeconds": 600}))
    (hold,) = group["reservations"]
    ordinary = await api.stored(hold) | {"metadata": {"a": 1}, "long": False, "reference": "r"}
    ordinary |= {"items": [{"resource": "room", "startTime": NINE, "endTime": NINE + HOUR}]} if "items" in field else {}
    with no_error_lines():
        for number, value in enumerate(odd_values(server_name, FIELDS.index(field))):
            row = placed(ordinary, field, value)
            watched.value = "missing" if value is MISSING else repr(value)
            await reservations.replace_one({"_id": row["_id"]}, row)
            await asyncio.gather(*(watched.ask("GET", path, params=asked) for path, asked in readings(hold, group)))
            await watched.ask("POST", RESERVATIONS, json=body)
            await reservations.delete_many({"_id": {"$ne": row["_id"]}})
            tried = verbs(hold, group)
            for place in range(number, number + VERBS_A_VALUE):
                method, path, more = tried[place % len(tried)]
                watched.api = (api, clerk)[(place // len(tried)) % 2]
                await reservations.replace_one({"_id": row["_id"]}, row)
                await watched.ask(method, path, **more)
    assert watched.failures == []


async def turned(api: ApiClient, path: str, limit: int, most: int, **asked: Any) -> list[str]:
    """The ids of a list, page by page, until no more come or they are too many."""
    found: list[str] = []
    while len(found) <= most:
        page = (await api.get(path, limit=limit, **asked)).raise_for_status().json()
        found += [item["id"] for item in page["items"]]
        if not page.get("next") or not page["items"]:
            return found
        asked["cursor"] = page["next"]
    return found


@pytest.mark.servers("wire")
@pytest.mark.parametrize("limit", [1, 3])
async def test_pages_turn_whatever_they_are_sorted_by(api: ApiClient, server_name: str, limit: int) -> None:
    """Starts and ids of all types: every row comes once, upwards, downwards and by change."""
    reservations = api.store.database["reservations"]
    await reservations.delete_many({})
    starts = [None, -1, 2.5, "", "soon", {"a": 1}, b"\x01", ObjectId(), True, NINE, NINE + HOUR]
    starts += [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)]
    ids: list[Any] = [ObjectId(), ObjectId(), "text", 7, 7.5, {"b": 1}, b"\x02", False, "f" * 24, NINE]
    then = api.store.clock.now() - HOUR
    rows = [{"_id": ObjectId(), "startTime": start} for start in starts]
    rows += [{"_id": each, "startTime": NINE} for each in ids]
    await reservations.insert_many([{**row, "resource": "room", "customer": "ann", "updatedAt": then} for row in rows])
    wanted = sorted(str(row_key(row["_id"])) for row in rows)

    for path, asked in [
        (RESERVATIONS, {}),
        ("/v1/customers/ann/reservations", {}),
        (RESERVATIONS, {"updatedSince": "2020-01-01T00:00:00Z"}),
    ]:
        assert sorted(await turned(api, path, limit, len(rows), **asked)) == wanted, (server_name, path)
    await reservations.delete_many({})


@pytest.mark.servers("wire")
async def test_a_cursor_asks_nothing_else(api: ApiClient) -> None:
    """Objects in a forged cursor are places in the list, and never operators of the database."""
    for mark in ("$foo", "$where", "$expr", "$type", "$ref"):
        odd = f'={{"{mark}": {{"$numberInt": "1"}}}}'
        for path, cursor in [
            (RESERVATIONS, write_cursor(odd, odd)),
            ("/v1/customers/ann/reservations", write_cursor(odd, "f" * 24)),
        ]:
            assert (await api.get(path, cursor=cursor)).status_code in {200, 422}, (mark, path)


CATALOGUE: list[tuple[str, str]] = [
    *((kind, name) for kind in ("resources", "services", "customers") for name in ("description", "metadata")),
    *(("resources", name) for name in ("name", "timezone", "capacity", "capacityMode", "services", "active")),
    *(("resources", name) for name in ("maxGuests", "serviceOnly", "metadata.a")),
    *(("resources", name) for name in ("schedule", "schedule.weekly", "timeOff", "formerCapacities")),
    *(("services", name) for name in ("durationType", "durationMinutes", "bufferBeforeMinutes", "horizonDays")),
    *(("services", name) for name in ("cancellationNoticeMinutes", "slotIntervalMinutes", "approval", "assignment")),
    *(("customers", name) for name in ("name", "email", "externalId")),
    *(
        (kind, name)
        for kind in ("resources", "services", "customers")
        for name in ("version", "createdAt", "updatedAt")
    ),
]


@pytest.mark.servers("transactions")
@pytest.mark.parametrize(("kind", "field"), CATALOGUE)
async def test_no_value_of_the_catalogue_makes_a_request_fail(
    api: ApiClient, server_name: str, kind: str, field: str
) -> None:
    """It is shown or left out, and a request that needs it names the field that cannot be read."""
    watched = Watched(api)
    catalogue = api.store.database[kind]
    await api.store.database["reservations"].delete_many({})
    identity = {"resources": "room", "services": "cut", "customers": "ann"}[kind]
    ordinary = await catalogue.find_one({"_id": identity})
    assert ordinary is not None
    body = {"resource": "room", "service": "cut", "customer": "ann", "startTime": render(NINE)}
    booked = created(await api.post(body))
    span = {"from": render(NINE - HOUR), "to": render(NINE + 9 * HOUR)}
    readings: list[tuple[str, dict[str, Any]]] = [
        (f"/v1/{kind}", {}),
        (f"/v1/{kind}/{identity}", {}),
        ("/v1/resources/room/schedule", {}),
        ("/v1/resources/room/time-off", {}),
        ("/v1/availability", {"resource": "room", "minutes": 60, **span}),
        ("/v1/availability", {"service": "cut", **span}),
        ("/v1/availability/explain", {"resource": "room", "service": "cut", "startTime": render(NINE)}),
        ("/v1/findings", {}),
    ]
    clerk = await api.with_scopes("reservations:read", "reservations:write")
    with no_error_lines():
        for value in odd_values(server_name, CATALOGUE.index((kind, field))):
            watched.value = "missing" if value is MISSING else repr(value)
            await catalogue.replace_one({"_id": identity}, placed(ordinary, field, value))
            guard = f"service:{identity}" if kind == "services" else identity
            await api.store.database["guards"].update_one({"_id": guard}, {"$set": {"rules": str(ObjectId())}})
            await asyncio.gather(*(watched.ask("GET", path, params=asked) for path, asked in readings))
            patch = {"json": {"name": "another"}, "headers": {"If-Match": "*"}}
            await watched.ask("PATCH", f"/v1/{kind}/{identity}", **patch)
            await catalogue.replace_one({"_id": identity}, placed(ordinary, field, value))
            if kind == "resources":
                weekly = {"json": {"weekly": []}, "headers": {"If-Match": "*"}}
                await watched.ask("PUT", "/v1/resources/room/schedule", **weekly)
                await catalogue.replace_one({"_id": identity}, placed(ordinary, field, value))
            for each in (body, {name: each for name, each in body.items() if name != "resource"}):
                await watched.ask("POST", RESERVATIONS, json=each | {"startTime": render(NINE + 2 * HOUR)})
            await watched.ask("PATCH", path_of(booked), json={"guests": 2}, headers={"If-Match": "*"})
            watched.api = clerk
            await watched.ask("POST", f"{path_of(booked)}/cancel")
            watched.api = api
            await api.store.database["reservations"].delete_many({"_id": {"$ne": ObjectId(booked["id"])}})
    assert watched.failures == []


@pytest.mark.servers("transactions")
async def test_objects_of_others_are_no_part_of_the_catalogue(api: ApiClient) -> None:
    """Ids of other types, as another system keeps in collections of our names, show in no list, and pages go on."""
    others = [{"_id": each, "name": "theirs"} for each in (ObjectId(), 7, "bare-one", "bare-two")]
    for kind in ("resources", "services", "customers"):
        await api.store.database[kind].insert_many([dict(each) for each in others])
        assert set(await turned(api, f"/v1/{kind}", 1, 9)) <= {"room", "plaza", "cut", "ann"}
        assert (await api.get(f"/v1/{kind}/{others[0]['_id']}")).status_code == 404
        body = problem(await api.get(f"/v1/{kind}/bare-one"), "invalid")
        assert {"/createdAt", "/updatedAt"} <= {fault["pointer"] for fault in body["errors"]}
        await api.store.database[kind].delete_many({"name": "theirs"})


@pytest.mark.servers("transactions")
async def test_a_spoilt_key_is_nobodys(api: ApiClient) -> None:
    """Whatever stands in a stored key: it opens nothing, or still does what it may, and nothing fails."""
    watched = Watched(api)
    bound = await api.with_scopes("reservations:read")
    keys = api.store.database["keys"]
    row = await keys.find_one({"_id": bound.prefix})
    assert row is not None
    with no_error_lines():
        for field in ("secretHash", "scopes", "customer", "expiresAt", "revokedAt", "createdAt", "name"):
            for value in (7, "soon", [1], {"a": 1}, None, True):
                await keys.replace_one({"_id": bound.prefix}, row | {field: value})
                fresh = await api.with_scopes("reservations:read")
                spoilt = await keys.find_one({"_id": fresh.prefix})
                assert spoilt is not None
                await keys.replace_one({"_id": fresh.prefix}, spoilt | {field: value})
                watched.api, watched.value = fresh, f"{field}: {value!r}"
                await watched.ask("GET", RESERVATIONS)
    assert watched.failures == []


@pytest.mark.servers("wire")
async def test_a_cursor_names_what_a_document_can_hold(api: ApiClient) -> None:
    """Any other value would fail in the driver or on the server: half a surrogate, a number out of range."""
    deep = "={" + '"a": {' * 150 + "}" * 151
    marks = ['="\\ud800"', '={"$numberLong": "100000000000000000000"}', deep]
    marks += ['={"$date": {"$numberLong": "100000000000000000000"}}', '={"a\\u0000": 1}']
    for mark in marks:
        for cursor in (write_cursor(mark, "0" * 24), write_cursor(0, mark), write_cursor("updatedAt", 0, mark)):
            problem(await api.get(RESERVATIONS, cursor=cursor), "invalid", "?cursor")


@pytest.mark.servers("transactions")
async def test_what_cannot_be_read_is_passed_by_in_strides(database_url: str) -> None:
    """A list of the catalogue behind a thousand objects of others takes a few reads, however short its page is."""
    async with logged_store(database_url) as (store, commands):
        rows = [{"_id": f"a{number:04}", "version": "x"} for number in range(1_000)]
        await store.database["customers"].insert_many(
            [*rows, {"_id": "b", "name": "Ann", "createdAt": NINE, "updatedAt": NINE}]
        )
        commands.take()
        found = await read_some(store, Customer, {}, 2, after=None)
        asked = [name for name, _ in commands.take()]

    assert [each.id for each in found] == ["b"]
    assert len(asked) < 20
