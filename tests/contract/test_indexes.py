"""The indexes of reservations: the seed's, to the letter, and the plans that the conflict lookup gets from them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.ids import ResourceId
from app.domain.instants import DAY, HOUR, Millis, from_millis, to_millis
from app.storage.capabilities import stages_of
from app.storage.client import Store
from app.storage.conflict_lookup import BRANCHES_MAX, branches, foreign_branches, window
from app.storage.documents import DOCUMENTS
from app.storage.foreign_occupancies import ForeignOccupancy, add_foreign_occupancies
from app.storage.reach import Reach
from app.storage.span import Span

SEED: list[dict[str, Any]] = [
    {"key": {"resource": 1, "status": 1, "startTime": 1, "endTime": 1}, "name": "reservation_conflict_lookup"},
    {"key": {"customer": 1, "startTime": -1}, "name": "reservation_customer_history"},
    {"key": {"idempotencyKey": 1}, "unique": True, "sparse": True, "name": "reservation_idempotency"},
]
"""The three `createIndex` calls of the seed document, as a driver sends them."""

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
ROWS_A_RESOURCE = 400
ROOMS = (ResourceId("room-1"), ResourceId("room-2"), ResourceId("room-3"))
LOOKUP = "reservation_conflict_lookup"


async def listed(store: Store, collection: str) -> dict[str, dict[str, Any]]:
    """What `listIndexes` answers, by name, with the order of the keys as part of the value."""
    indexes = {}
    async for index in store.database[collection].list_indexes():
        plain = dict(index)
        plain.pop("ns", None)
        plain["key"] = list(index["key"].items())
        indexes[plain["name"]] = plain
    return indexes


async def planned(store: Store, where: dict[str, Any], collection: str = "reservations") -> dict[str, Any]:
    """The plan for a find, with what its execution examined."""
    answer: dict[str, Any] = await store.database.command(
        {"explain": {"find": collection, "filter": where}, "verbosity": "executionStats"}
    )
    return answer


def scans_of(plan: Any) -> Iterator[dict[str, Any]]:
    """Every scan of an index within a plan."""
    if isinstance(plan, dict):
        if plan.get("stage") == "IXSCAN":
            yield plan
        for part in plan.values():
            yield from scans_of(part)
    elif isinstance(plan, list):
        for part in plan:
            yield from scans_of(part)


def names_of(answer: dict[str, Any]) -> set[str]:
    """The names of the indexes that a winning plan scans."""
    return {scan["indexName"] for scan in scans_of(answer["queryPlanner"]["winningPlan"])}


@pytest.fixture
async def booked(store: Store) -> Store:
    """A store with a year of bookings of an hour a day on three rooms, and one of a month on the first."""
    rows: list[dict[str, Any]] = [
        {
            "resource": room,
            "status": "confirmed" if day % 5 else "cancelled",
            "startTime": FIRST + timedelta(days=day),
            "endTime": FIRST + timedelta(days=day, hours=1),
        }
        for room in ROOMS
        for day in range(ROWS_A_RESOURCE)
    ]
    rows.append(
        {
            "resource": ROOMS[0],
            "status": "pending",
            "startTime": FIRST + timedelta(days=90),
            "endTime": FIRST + timedelta(days=120),
            "long": True,
        }
    )
    await store.database["reservations"].insert_many(rows)
    return store


def lookups(store: Store, *, long: bool) -> list[dict[str, Any]]:
    """The filters of the write path's lookup of an hour on each of the three rooms, grouped as for this server."""
    start = to_millis(FIRST + timedelta(days=100))
    spans = [Span(room, start, Millis(start + HOUR)) for room in ROOMS]
    reach = Reach(HOUR, 0, long=long)
    queries = branches(spans, dict.fromkeys(ROOMS, reach))
    if store.shape == "single":
        return queries
    return [{"$or": queries[first : first + BRANCHES_MAX]} for first in range(0, len(queries), BRANCHES_MAX)]


@pytest.mark.servers("any")
async def test_the_three_indexes_of_the_seed_are_there(store: Store) -> None:
    """`migrate` builds the seed's indexes with its names, keys, order and options."""
    indexes = await listed(store, "reservations")

    for wanted in SEED:
        index = indexes[wanted["name"]]
        assert list(wanted["key"].items()) == index["key"]
        assert wanted.get("unique", False) == index.get("unique", False)
        assert wanted.get("sparse", False) == index.get("sparse", False)
        assert not {"expireAfterSeconds", "partialFilterExpression", "hidden"} & set(index)


@pytest.mark.servers("wire")
async def test_they_are_those_that_the_seeds_own_calls_make(store: Store) -> None:
    """What the server lists does not differ by anything from a collection indexed by hand as the seed says."""
    await store.database.command({"createIndexes": "by_hand", "indexes": SEED})

    by_hand = await listed(store, "by_hand")
    ours = await listed(store, "reservations")

    assert by_hand == {name: ours[name] for name in by_hand}


def test_the_seeds_indexes_are_declared_first_and_ours_named_alike() -> None:
    """The document declares the seed's indexes, in its order, before those of our own queries."""
    (reservations,) = (document for document in DOCUMENTS if document.Settings.name == "reservations")
    names = [model.document["name"] for model in reservations.Settings.indexes]

    assert [wanted["name"] for wanted in SEED] == names[:3]
    assert all(name.startswith("reservation_") for name in names)


@pytest.mark.servers("explain")
@pytest.mark.parametrize("long", [False, True])
async def test_no_lookup_of_the_write_path_scans(booked: Store, *, long: bool) -> None:
    """In the shape chosen for it, every server answers every conflict lookup from indexes alone."""
    for where in lookups(booked, long=long):
        answer = await planned(booked, where)

        stages = set(stages_of(answer["queryPlanner"]["winningPlan"]))
        assert "COLLSCAN" not in stages
        assert "IXSCAN" in stages


@pytest.mark.servers("explain", "or")  # PyPI's SecantusDB reads by `resource` alone, and explains that as a scan
async def test_no_lookup_of_new_resources_scans(booked: Store) -> None:
    """Every server answers the one find of all resources on which nothing is booked from an index."""
    start = to_millis(FIRST)
    where = window(ROOMS, start, Millis(start + DAY), dict.fromkeys(ROOMS, Reach()))

    answer = await planned(booked, where)

    stages = set(stages_of(answer["queryPlanner"]["winningPlan"]))
    assert "COLLSCAN" not in stages
    assert "IXSCAN" in stages


@pytest.mark.servers("explain", "or")  # PyPI's SecantusDB has no index for two ranges, nor many of these rows
async def test_no_lookup_of_what_is_listed_scans(store: Store) -> None:
    """What lies near, and what is long however far away it began: each is answered from an index."""
    start = to_millis(FIRST)
    rows = [
        ForeignOccupancy(ROOMS[number % 3], start, Millis(start + (DAY if number % 9 else 4000 * DAY)), 1)
        for number in range(300)
    ]
    await add_foreign_occupancies(store, rows)
    reach = Reach(HOUR, 0, long=True, foreign=True)
    near, long = foreign_branches(
        [Span(ROOMS[0], Millis(start + 90 * DAY), Millis(start + 91 * DAY))], {ROOMS[0]: reach}
    )

    for where, index in ((near, "occupancy_resource"), (long, "occupancy_long")):
        plan = (await planned(store, where, "occupancies"))["queryPlanner"]["winningPlan"]
        assert "COLLSCAN" not in set(stages_of(plan))
        assert {scan["indexName"] for scan in scans_of(plan)} == {index}


@pytest.mark.servers("mongod")
async def test_bounds_are_tight_for_one_branch(booked: Store) -> None:
    """MongoDB's planner turns a branch into one range of the index: two points, the window, and any end."""
    start, end = to_millis(FIRST + timedelta(days=99)), to_millis(FIRST + timedelta(days=102))
    where = {
        "resource": ROOMS[0],
        "status": "confirmed",
        "startTime": {"$gt": from_millis(start), "$lt": from_millis(end)},
    }

    answer = await planned(booked, where)

    (scan,) = scans_of(answer["queryPlanner"]["winningPlan"])
    assert scan["indexName"] == LOOKUP
    assert scan["indexBounds"] == {
        "resource": [f'["{ROOMS[0]}", "{ROOMS[0]}"]'],
        "status": ['["confirmed", "confirmed"]'],
        "startTime": [f"(new Date({start}), new Date({end}))"],
        "endTime": ["[MinKey, MaxKey]"],
    }
    statistics = answer["executionStats"]
    assert statistics["nReturned"] == statistics["totalDocsExamined"] == 1
    assert statistics["totalKeysExamined"] <= 2


@pytest.mark.servers("mongod")
async def test_bounds_are_tight_for_each_branch_of_an_or(booked: Store) -> None:
    """MongoDB's planner gives each branch of the `$or` its own range, and reads only what lies in them."""
    (where,) = lookups(booked, long=False)

    answer = await planned(booked, where)

    scans = list(scans_of(answer["queryPlanner"]["winningPlan"]))
    assert len(where["$or"]) == len(scans) == 6
    for scan in scans:
        bounds = scan["indexBounds"]
        assert scan["indexName"] == LOOKUP
        assert all(len(bounds[field]) == 1 for field in bounds)
        assert bounds["startTime"][0].startswith("(new Date(")
        assert "inf" not in bounds["startTime"][0].lower()
    statistics = answer["executionStats"]
    assert statistics["totalDocsExamined"] == statistics["nReturned"]
    assert statistics["totalKeysExamined"] <= 2 * len(scans)


@pytest.mark.servers("or")
async def test_an_or_touches_as_few_rows_on_every_server_that_gets_one(booked: Store) -> None:
    """A lookup examines what starts in its windows, not the history of the rooms."""
    (where,) = lookups(booked, long=False)

    statistics = (await planned(booked, where))["executionStats"]

    assert statistics["totalDocsExamined"] <= len(ROOMS)


@pytest.mark.servers("explain")
async def test_long_bookings_are_found_by_their_own_index(booked: Store) -> None:
    """By itself, the branch of the long ones is answered from `reservation_long` on every server."""
    for branch in (query for query in lookups_of_long(booked)):
        assert names_of(await planned(booked, branch)) == {"reservation_long"}


def lookups_of_long(store: Store) -> list[dict[str, Any]]:
    """The branches of the long ones, one by one."""
    queries = [where for group in lookups(store, long=True) for where in group.get("$or", [group])]
    return [where for where in queries if "long" in where]


@pytest.mark.servers("wire")
async def test_the_shape_is_chosen_by_asking(booked: Store, server_name: str) -> None:
    """A server that would scan for an `$or` gets one find a branch; the others get the `$or`."""
    expected = {"trial": "single", "rust": "or", "engine": "or"}

    assert expected.get(server_name, "or") == booked.shape


@pytest.mark.servers("mongod")
async def test_lists_are_read_in_the_order_of_an_index(booked: Store) -> None:
    """The list by start and then id reads as many rows as its page has, however many there are."""
    find = {"find": "reservations", "filter": {}, "sort": {"startTime": 1, "_id": 1}, "limit": 9}

    answer = await booked.database.command({"explain": find, "verbosity": "executionStats"})

    assert names_of(answer) == {"reservation_start"}
    assert answer["executionStats"]["totalDocsExamined"] == 9
