"""The queries of booking, changing, cancelling and reading use indexes, on every server."""

from typing import Any

import pytest
from bson import Binary

from app.booking import expiry
from app.domain.ids import ResourceId
from app.domain.instants import render
from app.domain.lifecycle import STATUSES
from app.reconciliation.engine import reconcile_reservations
from app.storage.capabilities import stages_of
from app.storage.client import Store
from app.storage.sweep_rows import is_known_resource
from tests.support.api_client import RESERVATIONS, ApiClient, booking_body, created, ok, problem
from tests.support.command_log import CommandLog, logged_store
from tests.support.findings import insert_duplicate, only_finding, post_decision, reconcile
from tests.support.http_client import serving
from tests.support.query_plans import filters_of, uses_index
from tests.support.reservation_rows import reservation_row
from tests.support.step_driver import add_resource, running_booking_service
from tests.support.times import DAY, HOUR, NINE

GROWING = {"reservations", "guards", "resources", "services", "customers", "groups", "series", "answers"}
"""The collections that grow with use."""
HISTORY = {"reservations", "findings", "reconciliations"}
"""The collections that the worker reads and that grow with time."""


async def a_days_work(api: ApiClient) -> None:
    """Everything that a client does every day, once."""
    first = await api.booked(key="a-key")
    ok(await api.change(first, notes="by the window"))
    ok(
        await api.change(
            first, startTime=booking_body(NINE + HOUR)["startTime"], endTime=booking_body(NINE + HOUR)["endTime"]
        )
    )
    ok(await api.verb(first, "cancel"))
    hold = await api.booked(expiresInSeconds=300, customer="ann", service="cut", length=None)
    ok(await api.verb(hold, "confirm"))
    await api.begin(hold)
    ok(await api.verb(hold, "complete"))
    await api.booked(NINE + 2 * HOUR, resource="any", service="cut", length=None)
    both = {"reservations": [booking_body(NINE + 4 * HOUR), booking_body(NINE + 4 * HOUR, resource="other")]}
    posts = [await api.request("POST", "/v1/groups", json=both, headers={"Idempotency-Key": "both"}) for _ in range(2)]
    group, repeated = map(created, posts)
    assert group == repeated
    ok(await api.get(f"/v1/groups/{group['id']}"))
    ok(await api.request("POST", f"/v1/groups/{group['id']}/cancel"))
    weekly = {"resource": "room", "localStart": "2030-02-04T09:00", "localEnd": "2030-02-04T10:00"}
    body = {"reservation": weekly, "rule": "FREQ=WEEKLY;COUNT=2", "onConflict": "skip"}
    series = created(await api.request("POST", "/v1/series", json=body))
    ok(await api.get(f"/v1/series/{series['id']}"))
    ok(await api.request("POST", f"/v1/series/{series['id']}/move", json={"localStart": "2030-02-05T09:00"}))
    ok(await api.request("POST", f"/v1/series/{series['id']}/cancel"))
    ok(await api.get(RESERVATIONS, series=series["id"]))
    await api.read(first)
    ok(await api.get(RESERVATIONS, resource="room"))
    ok(await api.get("/v1/customers", externalId=["crm-1", "crm-2"]))
    ok(await api.get("/v1/customers", email="ann@example.org"))
    ok(await api.get("/v1/resources", service=["cut", "dye"]))
    ok(await api.get("/v1/customers/ann/export"))
    ok(await api.request("POST", "/v1/customers/ann/erase"))


@pytest.mark.servers("explain", "transactions")
async def test_no_request_walks_a_collection(database_url: str) -> None:
    """No read or write of a client's work scans a collection; nor is findAndModify used, for which one server does."""
    async with logged_store(database_url) as (store, commands), serving(store) as http:
        api = ApiClient(http, store)
        await api.service()
        await api.add("customers", id="ann")
        for name in ("room", "other", "third"):
            await api.resource(name, services=["cut"])
        commands.take()
        await a_days_work(api)
        seen = [(name, each[name], where) for name, each in commands.take() for where in filters_of(each)]
        growing = [each for each in seen if isinstance(each[1], str) and each[1] in GROWING]
        for name, collection, where in growing:
            assert name != "findAndModify", (collection, where)
            assert await uses_index(store, collection, where), (name, collection, where)
        assert {collection for _, collection, _ in growing} == GROWING


def past(store: Store, hours: int, **fields: Any) -> dict[str, Any]:
    """A reservation of an hour that began so many hours ago."""
    start = store.clock.now() - hours * HOUR
    times = {"startTime": start, "endTime": start + HOUR, "updatedAt": start}
    return {"resource": "room", "version": 1, "history": [], **times, **fields}


async def history(store: Store, rows: int) -> None:
    """Holds and bookings that are over and done with, in every final status."""
    lapsed = store.clock.now() - HOUR
    await store.database["reservations"].insert_many(
        [
            past(store, 24 + row, status=status, **({"expiresAt": lapsed} if status != "completed" else {}))
            for row in range(rows)
            for status in ("expired", "cancelled", "completed")
        ]
    )


async def tidied(store: Store) -> list[int]:
    """How much the worker finds to do."""
    async with running_booking_service(store) as booking:
        committer = booking.committer
        return [await expiry.expire_lapsed(store, committer), await expiry.complete_ended(store, committer, 1)]


@pytest.mark.servers("explain", "transactions")
async def test_the_worker_walks_no_collection(database_url: str) -> None:
    """What the worker does every minute and every hour is answered from indexes: tidying, looking for changes.

    It goes through the catalogue, but never through what was booked.
    """
    async with logged_store(database_url) as (store, commands):
        await add_resource(store)
        open_ones = [past(store, 9, status="confirmed"), past(store, 9, status="pending", expiresAt=store.clock.now())]
        await store.database["reservations"].insert_many(open_ones)
        await reconcile_reservations(store, "full")
        commands.take()
        assert await tidied(store) == [1, 1]
        await reconcile_reservations(store, "incremental")
        seen = [(each[name], where) for name, each in commands.take() for where in filters_of(each)]
        asked = [each for each in seen if each[0] in HISTORY or (each[0] == "resources" and "updatedAt" in each[1])]

        assert {"reservations", "resources"} <= {collection for collection, _ in asked}
        for collection, where in asked:
            if {"$gte": Binary(b"")} in where.values():
                continue  # SecantusDB in Rust orders no bytes in its indexes; MongoDB's engine answers from them
            assert await uses_index(store, collection, where), (collection, where)


async def no_more_is_read(store: Store, commands: CommandLog, most: int) -> None:
    """Each find of reservations since the last time reads so many at most."""
    finds = [each for name, each in commands.take() if name == "find" and each["find"] == "reservations"]
    assert finds
    for each in finds:
        asked = {"explain": {"find": "reservations", "filter": each["filter"]}, "verbosity": "executionStats"}
        statistics = (await store.database.command(asked))["executionStats"]
        assert statistics["totalDocsExamined"] <= most, each["filter"]


@pytest.mark.servers("or", "transactions")
async def test_tidying_does_not_grow_with_history(database_url: str) -> None:
    """The worker reads what is to be written down, and not all the holds and bookings that ever were."""
    async with logged_store(database_url) as (store, commands):
        await add_resource(store)
        await history(store, 100)
        open_ones = [past(store, 9, status="confirmed"), past(store, 9, status="pending", expiresAt=store.clock.now())]
        await store.database["reservations"].insert_many(open_ones)
        commands.take()
        assert await tidied(store) == [1, 1]
        await no_more_is_read(store, commands, len(open_ones))


@pytest.mark.servers("or", "transactions")
async def test_a_word_does_not_grow_with_history(database_url: str) -> None:
    """Resolving a finding reads the rows that overlap it; a request for a run, its resource's rows."""
    async with logged_store(database_url) as (store, commands), serving(store) as http:
        api = ApiClient(http, store)
        await api.resource("room")
        first = await api.booked()
        await insert_duplicate(api, first)
        await store.database["reservations"].insert_many(
            [past(store, 24 + 2 * row, status="confirmed") for row in range(100)]
            + [past(store, 24 + row, status="confirmed", resource={"value": f"r{row}"}) for row in range(100)]
        )
        await reconcile(api)
        finding = await only_finding(api, resource="room", state="open")
        commands.take()
        problem(await post_decision(api, finding, "resolve"), "forbidden-transition")
        await no_more_is_read(store, commands, len(finding["reservations"]))
        assert not await is_known_resource(store, ResourceId("nowhere"))
        await no_more_is_read(store, commands, 0)


PAGE = 5
ROOMS = 3
DAYS = 400
"""Of an hour on each of the rooms."""
DROPPED = 5
"""Of so many rows of an index, one is what a further filter asks for."""
WEEK = 7 * ROOMS
"""What may have begun long before a span, and is read to see whether it goes on."""


def booked_days() -> list[dict[str, Any]]:
    """A booking a day on each room, every fifth of one customer, cancelled every seventh time, and a few holds."""
    rows = []
    for number in range(ROOMS * DAYS):
        day, room = divmod(number, ROOMS)
        start, status = NINE + day * DAY, "confirmed" if number % 7 else "cancelled"
        customer = "ann" if number % DROPPED == 0 else f"other-{number % 100}"
        changed = {"updatedAt": start - 2_000 * DAY, "customer": customer, "history": [], "guests": 1}
        held = {"status": "pending", "expiresAt": start} if number % 100 == 0 else {"status": status}
        named = {"reference": "odd" if number % 2 else "even"} | ({"service": "cut"} if number % DROPPED == 0 else {})
        rows.append(reservation_row(f"room-{room}", start, start + HOUR, **changed, **held, **named))
    return rows


@pytest.mark.servers("mongod")
async def test_named_reservations_are_read_alone(database_url: str) -> None:
    """A list by ids or groups reads these and no others."""
    async with logged_store(database_url) as (store, commands), serving(store) as http:
        api = ApiClient(http, store)
        await api.resource(capacity=9)
        made = [await api.booked() for _ in range(3)]
        group = created(await api.request("POST", "/v1/groups", json={"reservations": [booking_body()]}))
        await store.database["reservations"].insert_many(booked_days())
        ids = [each["id"] for each in made]
        for question in ({"id": ids}, {"group": group["id"]}, {"id": ids[0], "order": "desc"}):
            commands.take()
            assert await api.ids(**question)
            await no_more_is_read(store, commands, len(made))


@pytest.mark.servers("mongod")
@pytest.mark.parametrize("path", [RESERVATIONS, "/v1/customers/ann/reservations"])
async def test_a_list_reads_its_page_in_the_order_of_an_index(database_url: str, path: str) -> None:
    """No list sorts what it found, by whichever filters, nor reads more than its page and what other filters drop."""
    middle = NINE + DAYS // 2 * DAY
    span = {"from": render(middle), "to": render(middle + 90 * DAY)}
    questions: list[dict[str, Any]] = [{}]
    if path == RESERVATIONS:
        questions += [{"resource": "room-1"}, {"customer": "ann"}, span, {"status": [*STATUSES]}]
        questions += [{"status": each} for each in STATUSES]
        questions += [{"resource": "room-1", "status": ["pending", "confirmed"]}, {"resource": "room-1", **span}]
        starting = {"startFrom": render(middle), "startTo": render(middle + 90 * DAY)}
        several = {"resource": ["room-0", "room-1"], "status": ["pending", "confirmed"]}
        questions += [each | {"order": "desc"} for each in (*questions, several)]
        questions += [starting, several, {"customer": ["ann", "other-1"]}, {"resource": "room-1", **starting}]
        questions += [{"reference": "odd"}, {"reference": ["odd", "even"], "order": "desc"}]
        questions += [{"service": "cut", **starting}, {"service": "cut", "resource": "room-1"}]
        questions += [{"customer": "ann", **span}, {"updatedSince": render(middle - 2_000 * DAY)}]
    async with logged_store(database_url) as (store, commands), serving(store) as http:
        api = ApiClient(http, store)
        await api.add("customers", id="ann")
        await store.database["reservations"].insert_many(booked_days())
        for question in questions:
            commands.take()
            following: dict[str, str] = {}
            for _ in range(2):
                page = ok(await api.get(path, limit=PAGE, **question, **following))
                following = {"cursor": page["next"]} if "next" in page else {}
            for each in [each for name, each in commands.take() if name == "find" and each["find"] == "reservations"]:
                asked = {name: each[name] for name in ("find", "filter", "sort", "limit")}
                plan = await store.database.command({"explain": asked, "verbosity": "executionStats"})
                stages = set(stages_of(plan["queryPlanner"]["winningPlan"]))
                assert not stages & {"SORT", "COLLSCAN"}, (question, each["filter"])
                examined = plan["executionStats"]["totalDocsExamined"]
                assert examined <= (PAGE + 1) * DROPPED + WEEK, (question, each["filter"])
