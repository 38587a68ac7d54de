"""How findings are rendered: with names, and with values that other programs stored in the rows."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from bson import DatetimeMS, Decimal128, ObjectId
from bson.dbref import DBRef

from app.domain.instants import render
from app.reconciliation.findings.context import read_context
from app.reconciliation.findings.listing import list_findings
from app.storage.client import Store
from app.storage.finding_pages import FindingFilters
from tests.support.api_client import ApiClient, ok
from tests.support.command_log import logged_store
from tests.support.findings import URL, insert_finding, reconcile
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("any")
OID = ObjectId("65a000000000000000000001")


@pytest.fixture
async def reviewer(app_client: httpx.AsyncClient, store: Store) -> ApiClient:
    """A client with every scope."""
    return ApiClient(app_client, store)


async def shown(reviewer: ApiClient, *rows: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """The reservations of a finding with the given rows, the same in the list and by itself."""
    stored = [
        {"_id": ObjectId(), "resource": "room", "startTime": NINE, "endTime": NINE + HOUR, "status": "confirmed"} | row
        for row in rows
    ]
    await reviewer.store.database["reservations"].insert_many(stored)
    identity = await insert_finding(reviewer.store, 0, reservations=[row["_id"] for row in stored], **fields)
    (listed,) = (each for each in ok(await reviewer.get(URL))["items"] if each["id"] == str(identity))
    single = ok(await reviewer.get(f"{URL}/{identity}"))
    assert single["reservations"] == listed["reservations"]
    reservations: list[dict[str, Any]] = single["reservations"]
    return reservations


def skip_if_refused(server_name: str, stored: dict[str, Any]) -> None:
    """Skip the test where PyPI's SecantusDB cannot store the values."""
    if server_name == "trial" and any(isinstance(value, DBRef | DatetimeMS) for value in stored.values()):
        pytest.skip("SecantusDB of PyPI stores no DBRef, and no date outside of Python's calendar")


@pytest.mark.parametrize(
    ("stored", "readable"),
    [
        ({"customer": OID}, {"customer": str(OID)}),
        ({"customer": 17}, {"customer": "17"}),
        ({"customer": {"relationTo": "users", "value": "u1"}}, {"customer": "u1"}),
        ({"customer": DBRef("users", OID)}, {"customer": str(OID)}),
        ({"customer": [1]}, {"customer": "[1]"}),
        ({"createdAt": "2030-01-07T08:00:00Z"}, {"createdAt": "2030-01-07T08:00:00.000Z"}),
        ({"createdAt": "last week"}, {"createdAt": "last week"}),
        ({"createdAt": {"a": 1}}, {"createdAt": "{'a': 1}"}),
        ({"startTime": "2030-01-07 09:00"}, {"startTime": render(NINE), "units": 1}),
        ({"startTime": "nine"}, {"startTime": "nine"}),
        ({"endTime": datetime(9999, 12, 31, 23, tzinfo=UTC)}, {"endTime": "9999-12-31T23:00:00.000Z"}),
        ({"blockStart": None, "blockEnd": None}, {"units": 1}),
        ({"status": "pending", "expiresAt": "2020-01-01"}, {"status": "expired"}),
        ({"status": "pending", "expiresAt": "soon"}, {"status": "pending"}),
        ({"status": "Confirmed"}, {"status": "Confirmed"}),
        ({"status": 3}, {"status": "3"}),
        ({"status": {"a": []}}, {"status": "{'a': []}"}),
        ({"units": 2.0}, {"units": 2}),
        ({"units": "two"}, {"units": None}),
        ({"units": -1}, {"units": None}),
        ({"units": float("nan")}, {"units": None}),
        ({"key": OID}, {"by": str(OID)}),
        ({"items": 5}, {"units": 1}),
        ({"items": [{"resource": "room", "startTime": NINE + HOUR / 2}]}, {"startTime": render(NINE + HOUR / 2)}),
    ],
    ids=str,
)
async def test_an_odd_value_is_shown(
    reviewer: ApiClient, server_name: str, stored: dict[str, Any], readable: dict[str, Any]
) -> None:
    """An odd value is shown as an instant, number or id if readable, else as text or not at all, never as a 5xx."""
    skip_if_refused(server_name, stored)
    odd, plain = await shown(reviewer, stored, {})

    assert {name: odd.get(name) for name in readable} == readable
    assert (plain["units"], plain["startTime"], plain["status"]) == (1, render(NINE), "confirmed")


@pytest.mark.servers("wire")
@pytest.mark.parametrize(
    ("stored", "readable"),
    [
        ({"units": Decimal128("2")}, {"units": 2}),
        ({"createdAt": DatetimeMS(2**60)}, {"createdAt": f"{2**60} ms since 1970"}),
        ({"endTime": DatetimeMS(400_000_000_000_000)}, {"endTime": "400000000000000 ms since 1970"}),
        ({"_id": {"a": 1}}, {"id": "{'a': 1}"}),
        ({"_id": "mine"}, {"id": "mine"}),
        ({"_id": 7.5}, {"id": "7.5"}),
    ],
    ids=str,
)
async def test_a_value_of_a_bson_type_is_shown(
    reviewer: ApiClient, server_name: str, stored: dict[str, Any], readable: dict[str, Any]
) -> None:
    """Decimals, instants outside of Python's calendar and ids of other types are shown."""
    skip_if_refused(server_name, stored)
    odd, _ = await shown(reviewer, stored, {})

    assert {name: odd.get(name) for name in readable} == readable


async def test_a_reservation_that_is_gone_is_left_with_its_id(reviewer: ApiClient) -> None:
    """A deleted reservation is shown with its id alone."""
    gone = ObjectId()
    identity = await insert_finding(reviewer.store, 0, reservations=[gone])

    assert ok(await reviewer.get(f"{URL}/{identity}"))["reservations"] == [{"id": str(gone)}]


async def test_names_stand_beside_ids(reviewer: ApiClient) -> None:
    """Names of resource and customers are shown, however their ids are stored, and left out where none is stored."""
    database = reviewer.store.database
    room, bob = ObjectId(), ObjectId()
    await reviewer.add("customers", id="ann", name="Ann")
    await database["customers"].insert_many([{"_id": bob, "name": "Bob"}, {"_id": "cy", "name": 7}])
    await database["resources"].insert_one({"_id": room, "name": "The room"})
    rows = [{"customer": customer, "resource": room} for customer in ("ann", bob, str(bob), "cy", "zoe", None)]
    reservations = await shown(reviewer, *rows, resource=str(room))
    (finding,) = ok(await reviewer.get(URL))["items"]

    assert finding["resourceName"] == "The room"
    assert [each.get("customerName") for each in reservations] == ["Ann", "Bob", "Bob", None, None, None]
    assert [each.get("customer") for each in reservations] == ["ann", str(bob), str(bob), "cy", "zoe", None]


async def test_guests_are_units_where_guests_are_counted(reviewer: ApiClient) -> None:
    """On a resource that counts guests, a row's units are its guests, as a run counts them."""
    await reviewer.resource("room", capacityMode="guests", capacity=3)

    assert [each["units"] for each in await shown(reviewer, {"guestCount": 4}, {"guests": 2.0}, {})] == [4, 2, 1]


async def test_the_first_hundred_reservations_are_shown(reviewer: ApiClient) -> None:
    """A finding shows its first hundred reservations and their number, in the list and by itself."""
    many = [ObjectId() for _ in range(250)]
    identity = await insert_finding(reviewer.store, 0, reservations=many, reservationCount=250)
    for finding in (ok(await reviewer.get(URL))["items"][0], ok(await reviewer.get(f"{URL}/{identity}"))):
        assert [each["id"] for each in finding["reservations"]] == [str(each) for each in many[:100]]
        assert finding["reservationCount"] == 250


async def test_everything_that_a_finding_may_have(reviewer: ApiClient) -> None:
    """The fields of the contract and no others, with the history of a window that grew."""
    other, whole = ObjectId(), ObjectId()
    entry = {"at": NINE, "by": "worker", "to": "open", "note": "others joined", "from": NINE, "until": NINE + HOUR}
    entry |= {"peak": 2, "capacity": 1, "joined": ["a"], "left": ["b"]}
    fields = {"state": "resolved", "mergedInto": other, "splitFrom": whole, "assignee": "zoe", "history": [entry]}
    identity = await insert_finding(reviewer.store, 0, reservations=[], **fields)
    finding = ok(await reviewer.get(f"{URL}/{identity}"))

    assert set(finding) == {
        *("id", "version", "resource", "from", "to", "peak", "capacity", "state", "assignee", "reservations"),
        *("reservationCount", "proposals", "mergedInto", "splitFrom", "firstSeen", "lastSeen", "run", "history"),
    }
    assert (finding["mergedInto"], finding["splitFrom"], finding["assignee"]) == (str(other), str(whole), "zoe")
    instants = {"at": render(NINE), "from": render(NINE), "until": render(NINE + HOUR)}
    assert finding["history"] == [entry | instants]


async def test_one_read_a_page_and_collection(reviewer: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many findings a page has, names and reservations are read once per collection."""
    await reviewer.resource("room")
    for number in range(20):
        await reviewer.store.database["reservations"].insert_one({"_id": number, "customer": f"c{number}"})
        await insert_finding(reviewer.store, number, reservations=[number])
    asked: list[str] = []
    lenient = Store.lenient

    def counted(store: Store, collection: str) -> Any:
        asked.append(collection)
        return lenient(store, collection)

    monkeypatch.setattr(Store, "lenient", counted)
    assert len(await reviewer.ids(URL)) == 20

    assert sorted(asked) == ["customers", "reservations", "resources"]


async def test_a_finding_that_still_changes_is_shown_though_its_version_is_known(reviewer: ApiClient) -> None:
    """An open finding is shown even for a known tag, because its reservations change; a resolved one is a 304."""
    first = await reviewer.resource("room") and await reviewer.booked()
    copy = {**await reviewer.stored(first), "_id": ObjectId()}
    await reviewer.store.database["reservations"].insert_one(copy)
    await reconcile(reviewer)
    (identity,) = await reviewer.ids(URL)
    tag = {"If-None-Match": '"1"'}
    assert (await reviewer.request("GET", f"{URL}/{identity}", headers=tag)).status_code == 200
    await reviewer.verb(first, "cancel")
    await reconcile(reviewer)
    tag = {"If-None-Match": '"2"'}

    assert (await reviewer.request("GET", f"{URL}/{identity}", headers=tag)).status_code == 304


@pytest.mark.servers("or")
async def test_a_customer_has_what_others_stored_under_the_object_id(reviewer: ApiClient) -> None:
    """Both lists of a customer's reservations have the rows that name the text and the rows that name the ObjectId."""
    await reviewer.add("customers", id=str(OID))
    times = {"resource": "room", "startTime": NINE, "endTime": NINE + HOUR, "status": "confirmed"}
    rows = [times | {"customer": each} for each in (OID, str(OID), ObjectId(), "ann")]
    ids = (await reviewer.store.database["reservations"].insert_many(rows)).inserted_ids

    for where, filters in ((f"/v1/customers/{OID}/reservations", {}), ("/v1/reservations", {"customer": str(OID)})):
        pages = [ok(await reviewer.get(where, limit="1", **filters))]
        pages.append(ok(await reviewer.get(where, limit="1", cursor=pages[0]["next"], **filters)))
        assert {each["id"] for page in pages for each in page["items"]} == {str(each) for each in ids[:2]}
        assert pages[1].get("next") is None


@pytest.mark.servers("transactions")
async def test_a_page_asks_for_a_few_ids_at_a_time(database_url: str) -> None:
    """One page does not occupy for minutes a server that compares each row with each requested id."""
    async with logged_store(database_url) as (store, commands):
        ids = [[ObjectId() for _ in range(100)] for _ in range(50)]
        made = [await insert_finding(store, number, reservations=each) for number, each in enumerate(ids)]
        page = await list_findings(store, FindingFilters(), "from", len(made), None)
        commands.take()
        await read_context(store, page.findings)
        asked = [len(each["filter"]["_id"]["$in"]) for name, each in commands.take() if name == "find"]

    assert sum(asked) >= 5_000
    assert max(asked) <= (2_000 if store.shape == "or" else 100)
