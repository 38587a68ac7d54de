"""The list of findings: its orders, filters, pages and counts, and that each is answered from an index."""

import random
from datetime import timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId

from app.domain.instants import render
from app.http.paging import read_cursor, write_cursor
from app.reconciliation.findings.listing import list_findings
from app.storage import finding_pages
from app.storage.capabilities import stages_of
from app.storage.client import Store
from app.storage.finding_pages import SORTS, FindingFilters
from tests.support.api_client import ApiClient, ok, problem
from tests.support.command_log import logged_store
from tests.support.findings import URL, insert_finding
from tests.support.ids import ROOM_ID
from tests.support.query_plans import filters_of, uses_index
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("any")
ORDERS = ("from", "-from", "newest", "excess")
STATES = ("open", "acknowledged", "accepted", "resolved")


@pytest.fixture
async def reviewer(app_client: httpx.AsyncClient, store: Store) -> ApiClient:
    """A client with the scope `findings:review`."""
    return await ApiClient(app_client, store).with_scopes("findings:review")


async def many(store: Store, number: int) -> list[dict[str, Any]]:
    """Findings of every state with equal starts, excesses and first sights among them; as they are stored."""
    dice = random.Random(3)
    day = store.clock.now() - timedelta(days=1)
    for _ in range(number):
        excess = dice.choice((1, 1, 2, 5))
        await insert_finding(
            store,
            dice.randrange(6),
            resource=dice.choice("abc"),
            state=dice.choice(STATES),
            excess=excess,
            peak=1 + excess,
            firstSeen=day + dice.randrange(3) * HOUR,
        )
    return await store.database["findings"].find().sort("_id", 1).to_list(None)


def in_order(rows: list[dict[str, Any]], order: str) -> list[str]:
    """The ids of rows in the order that the list promises."""
    field = {"from": "from", "-from": "from", "newest": "firstSeen", "excess": "excess"}[order]
    ordered = sorted(rows, key=lambda row: (row[field], row["_id"]), reverse=order != "from")
    return [str(row["_id"]) for row in ordered]


async def pages(reviewer: ApiClient, limit: int, **filters: Any) -> list[list[str]]:
    """The ids on all pages."""
    seen: list[list[str]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = ok(await reviewer.get(URL, limit=limit, **filters, **cursor))
        seen.append([each["id"] for each in page["items"]])
        if "next" not in page:
            return seen
        cursor = {"cursor": page["next"]}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.promise("decisions")
async def test_every_order_comes_in_pages(reviewer: ApiClient, order: str) -> None:
    """Full pages list each finding once, in order and ties by id, with the total, whatever the filters."""
    rows = await many(reviewer.store, 40)
    some = [row for row in rows if row["state"] in {"open", "resolved"} and row["resource"] in {"a", "b"}]
    filters = {"state": ["open", "resolved"], "resource": ["b", "a", "a"]}

    whole, narrowed = await pages(reviewer, 7, order=order), await pages(reviewer, 3, order=order, **filters)

    assert [each for page in whole for each in page] == in_order(rows, order)
    assert [len(page) for page in whole] == [7] * 5 + [5]
    assert [each for page in narrowed for each in page] == in_order(some, order)
    assert ok(await reviewer.get(URL, limit=1))["total"] == len(rows)
    assert ok(await reviewer.get(URL, limit=1, **filters))["total"] == len(some)


async def test_the_default_order_is_by_start(reviewer: ApiClient) -> None:
    """Without `order` the list begins with the earliest window."""
    rows = await many(reviewer.store, 12)

    assert await reviewer.ids(URL) == in_order(rows, "from")


@pytest.mark.promise("decisions")
async def test_changes_between_two_pages_affect_no_other_finding(reviewer: ApiClient) -> None:
    """Findings resolved or added between two pages make the list neither repeat nor skip the others."""
    store = reviewer.store
    ids = [str(await insert_finding(store, number)) for number in range(6)]
    first = ok(await reviewer.get(URL, state="open", limit=2))
    await store.database["findings"].update_many(
        {"_id": {"$in": [ObjectId(ids[1]), ObjectId(ids[2])]}}, {"$set": {"state": "resolved"}}
    )
    await insert_finding(store, 0)
    second = ok(await reviewer.get(URL, state="open", limit=5, cursor=first["next"]))

    assert [each["id"] for each in first["items"]] == ids[:2]
    assert [each["id"] for each in second["items"]] == ids[3:]


async def test_findings_without_an_excess_come_last(reviewer: ApiClient) -> None:
    """Findings of older versions, which stored no excess, come last by excess, each once."""
    rows = [await insert_finding(reviewer.store, number, excess=number % 2 + 1) for number in range(3)]
    old = [await insert_finding(reviewer.store, number) for number in range(3)]
    await reviewer.store.database["findings"].update_many({"_id": {"$in": old}}, {"$unset": {"excess": ""}})

    seen = await pages(reviewer, 1, order="excess")

    assert [each for page in seen for each in page] == [str(each) for each in (rows[1], rows[2], rows[0], *old[::-1])]


async def test_a_cursor_belongs_to_its_list(reviewer: ApiClient) -> None:
    """A cursor is refused for another order or other filters, but not for another page size or order of filters."""
    for number in range(4):
        await insert_finding(reviewer.store, number)
    lists: list[dict[str, Any]] = [
        {},
        {"order": "-from"},
        {"order": "newest"},
        {"order": "excess"},
        {"state": ["open", "accepted"]},
        {"resource": ["room", "other"]},
        {"from": render(NINE)},
        {"to": render(NINE + 9 * HOUR)},
        {"updatedSince": render(NINE.replace(year=2020))},
    ]
    cursors = [ok(await reviewer.get(URL, limit=1, **each))["next"] for each in lists]
    for number, each in enumerate(lists):
        for place, cursor in enumerate(cursors):
            answer = await reviewer.get(URL, limit=2, cursor=cursor, **each)
            if place == number:
                assert len(ok(answer)["items"]) == 2
            else:
                problem(answer, "invalid", "?cursor")
    turned = {"state": ["accepted", "open", "open"]}
    ok(await reviewer.get(URL, cursor=cursors[4], **turned))
    for nonsense in ("mine", cursors[0][:-1], "WzFd"):
        problem(await reviewer.get(URL, cursor=nonsense), "invalid", "?cursor")


FORGED = ("", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2030-01-01", str(2**63), str(-(2**70)), "1_0")


@pytest.mark.parametrize("order", ORDERS)
async def test_a_forged_cursor(reviewer: ApiClient, order: str) -> None:
    """A cursor with anything else in place of an instant or a number is `invalid`, never a server error."""
    for number in range(2):
        await insert_finding(reviewer.store, number)
    cursor = ok(await reviewer.get(URL, limit=1, order=order))["next"]
    of, digest, _, identity = map(str, read_cursor(cursor, str, str, str, str))
    for mark in FORGED[order == "excess" :]:  # what has no excess has an empty mark
        answer = await reviewer.get(URL, order=order, cursor=write_cursor(of, digest, mark, identity))
        problem(answer, "invalid", "?cursor")


async def test_windows_that_meet_a_span(reviewer: ApiClient) -> None:
    """Spans are half-open: a window that only touches the span is not listed."""
    ids = [str(await insert_finding(reviewer.store, number)) for number in range(4)]

    async def within(begin: float, end: float) -> list[str]:
        return await reviewer.ids(URL, **{"from": render(NINE + begin * HOUR), "to": render(NINE + end * HOUR)})

    assert await within(1, 2) == ids[1:2]
    assert await within(0.5, 2.5) == ids[:3]
    assert await within(4, 9) == []
    assert await reviewer.ids(URL, **{"from": render(NINE + 3 * HOUR)}) == ids[3:]
    assert await reviewer.ids(URL, to=render(NINE + HOUR)) == ids[:1]
    problem(await reviewer.get(URL, **{"from": render(NINE), "to": render(NINE)}), "invalid", "?to")


async def test_the_findings_of_a_customer(reviewer: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter by customer lists every finding with a reservation of theirs, however the id is stored."""
    monkeypatch.setattr(finding_pages, "CUSTOMER_BATCH", 3)
    store, ann = reviewer.store, ObjectId()
    theirs = [ObjectId() for _ in range(20)]
    rows = [
        {"_id": each, "customer": (ann, str(ann))[number % 2], "startTime": NINE} for number, each in enumerate(theirs)
    ]
    others = [{"_id": each, "customer": customer} for each, customer in (("x", "bob"), (7, 17), (8, None))]
    await store.database["reservations"].insert_many([*rows, *others])
    ids = [
        str(await insert_finding(store, number, reservations=mine))
        for number, mine in enumerate(([theirs[0], "x"], ["x", 7], [8, theirs[19]], [ObjectId()]))
    ]

    assert await reviewer.ids(URL, customer=str(ann)) == [ids[0], ids[2]]
    assert await pages(reviewer, 1, customer=str(ann), order="-from") == [[ids[2]], [ids[0]]]
    assert await reviewer.ids(URL, customer="17") == [ids[1]]
    assert ok(await reviewer.get(URL, customer="bob", limit=1))["total"] == 2
    empty = ok(await reviewer.get(URL, customer="zoe"))
    assert (empty["items"], empty["total"], "next" in empty) == ([], 0, False)


async def test_a_customer_among_more_than_a_finding_lists(reviewer: ApiClient) -> None:
    """The filter by customer also finds reservations that a huge finding does not list."""
    store = reviewer.store
    listed_ones = [ObjectId() for _ in range(3)]
    cut = {"reservations": listed_ones, "reservationCount": 9_000, "digest": "abc"}
    ids = [str(await insert_finding(store, number, **cut)) for number in (0, 1)]
    row = {"_id": ObjectId(), "customer": "ann", "resource": "room", "startTime": NINE, "endTime": NINE + HOUR / 2}
    await store.database["reservations"].insert_one(row)

    assert await reviewer.ids(URL, customer="ann") == ids[:1]
    assert await reviewer.ids(URL, customer="bob") == []


async def test_what_changed_since(reviewer: ApiClient) -> None:
    """`updatedSince` includes its instant and lists decided findings."""
    store = reviewer.store
    now = store.clock.now()
    before, at, after = [
        str(await insert_finding(store, number, updatedAt=now + timedelta(milliseconds=number - 1)))
        for number in range(3)
    ]
    assert await reviewer.ids(URL, updatedSince=render(now)) == [at, after]
    ok(await reviewer.request("POST", f"{URL}/{before}/acknowledge"))

    assert set(await reviewer.ids(URL, updatedSince=render(now))) == {before, at, after}


async def test_filters_take_so_many_values(reviewer: ApiClient) -> None:
    """Filters take two hundred values in all, and an invalid value is named."""
    await insert_finding(reviewer.store, 1, resource="r7")
    names = [f"r{number}" for number in range(200)]

    assert len(await reviewer.ids(URL, resource=names)) == 1
    problem(await reviewer.get(URL, resource=[*names, "x"]), "invalid")
    problem(await reviewer.get(URL, resource=names, state="open"), "invalid")
    problem(await reviewer.get(URL, state="closed"), "invalid", "?state")
    problem(await reviewer.get(URL, order="id"), "invalid", "?order")
    problem(await reviewer.get(URL, updatedSince="today"), "invalid", "?updatedSince")
    problem(await reviewer.get(URL, customer=["a", "b"]), "invalid", "?customer")


@pytest.mark.servers("explain", "transactions")
async def test_no_list_walks_a_collection(database_url: str) -> None:
    """Every order and filter, the count, and the names beside it are answered from indexes."""
    async with logged_store(database_url) as (store, commands):
        await store.database["customers"].insert_one({"_id": "ann", "name": "Ann"})
        row = {"_id": ObjectId(), "customer": "ann", "startTime": NINE, "resource": "room"}
        await store.database["reservations"].insert_one(row)
        for number in range(3):
            await insert_finding(store, number, reservations=[row["_id"]])
        commands.take()
        asked = [
            FindingFilters(),
            FindingFilters(["open"]),
            FindingFilters(resources=[ROOM_ID]),
            FindingFilters(customer="ann"),
        ]
        asked += [FindingFilters(from_=NINE, to=NINE + HOUR), FindingFilters(updated_since=NINE - 9999 * HOUR)]
        for filters in asked:
            for order in SORTS:
                following = (await list_findings(store, filters, order, 1, None)).following
                if following is not None:
                    await list_findings(store, filters, order, 1, following)
        seen = [(str(each[name]), where) for name, each in commands.take() for where in filters_of(each)]

        assert {"findings", "reservations"} <= {collection for collection, _ in seen}
        for collection, where in seen:
            if collection in {"findings", "reservations"}:
                assert await uses_index(store, collection, where), (collection, where)


@pytest.mark.servers("mongod")
@pytest.mark.parametrize("order", ORDERS)
async def test_a_page_reads_no_more_than_it_shows(store: Store, order: str) -> None:
    """MongoDB sorts nothing and examines as many findings as the page has, with all states as with one."""
    await many(store, 60)
    field, direction = SORTS[order]  # type: ignore[index]  # parametrize knows texts alone
    for states in (STATES, ("open",)):
        find = {"find": "findings", "filter": {"state": {"$in": [*states]}}, "limit": 5}
        find |= {"sort": {field: direction, "_id": direction}, "projection": {field: 1}}
        answer = await store.database.command({"explain": find, "verbosity": "executionStats"})

        assert "SORT" not in set(stages_of(answer["queryPlanner"]["winningPlan"]))
        assert answer["executionStats"]["totalDocsExamined"] <= 5
