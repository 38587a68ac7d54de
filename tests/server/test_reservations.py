"""What mongomock cannot vouch for, over HTTP on real servers.

Filters and pages as they are planned there, replays as they come out of BSON, changes that meet in one batch or between
two, and what commits together.
"""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId

from app.booking import Book, Replay, Token
from app.booking.batch import WriteConflict
from app.booking.change import Change
from app.booking.outcomes import Accepted, Refused
from app.domain import instants
from app.domain.lifecycle import STATUSES
from app.storage.documents import StoredAnswer
from tests.support.api_client import RESERVATIONS, ApiClient, created, ok, path_of, problem
from tests.support.database_check import peak_load
from tests.support.ids import ROOM_ID
from tests.support.shared_apps import SharedApps
from tests.support.step_driver import StepDriver, booking_of, run_batch
from tests.support.times import HOUR, MINUTE, NINE

CUSTOMER = "/v1/customers/ann/reservations"


@pytest.fixture
async def api(server_name: str, database_url: str, shared_apps: SharedApps) -> ApiClient:
    """A room for one, a plaza for many, a service, a customer; nothing is booked."""
    api = shared_apps.get(server_name)
    if api is None:
        api = await shared_apps.open(server_name, database_url)
        await api.service(bufferBeforeMinutes=10, bufferAfterMinutes=20)
        await api.resource(services=["cut"])
        await api.resource("plaza", capacity=50)
        await api.add("customers", id="ann")
    await api.store.database["reservations"].delete_many({})
    return api


def outcomes(answers: list[httpx.Response]) -> Counter[str]:
    """How many were answered with what."""
    return Counter(
        str(answer.status_code) if answer.is_success else answer.json()["type"].removeprefix("/problems/")
        for answer in answers
    )


@pytest.mark.servers("wire")
async def test_the_life_of_a_reservation(api: ApiClient) -> None:
    """A hold is extended, changed, confirmed, moved and cancelled: each version has its line and reads as answered."""
    hold = await api.booked(expiresInSeconds=60, customer="ann", notes="ü☂", metadata={"a": 1, "b": 0.5, "c": True})
    steps = [
        await api.verb(hold, "extend", expiresInSeconds=600),
        await api.change(hold, metadata={"a": True, "b": None}, notes=None, guests=3),
        await api.verb(hold, "confirm", reason="paid"),
        await api.change(hold, startTime=instants.render(NINE + HOUR), service="cut"),
        await api.change(hold, resource="plaza", service=None),
        await api.verb(hold, "cancel"),
    ]

    assert [ok(step)["version"] for step in steps] == [2, 3, 4, 5, 6, 7]
    body = steps[-1].json()
    assert await api.read(hold) == body
    assert [line.get("to") or line["changed"] for line in body["history"]] == [
        "pending",
        ["expiresAt"],
        ["guests", "metadata", "notes"],
        "confirmed",
        ["endTime", "service", "startTime"],
        ["resource", "service"],
        "cancelled",
    ]
    assert (body["metadata"], type(body["metadata"]["a"])) == ({"a": True, "c": True}, bool)
    assert not {"notes", "service", "expiresAt"} & body.keys()
    assert None not in (await api.stored(hold)).values()


@pytest.mark.servers("wire")
async def test_lists_filter_and_turn_pages(api: ApiClient) -> None:
    """Every filter in one query with a cursor, a hold that is over among them, on both lists and by both orders."""
    reservations = [
        await api.booked(NINE + index % 3 * HOUR, resource="plaza", customer="ann", expiresInSeconds=600)
        for index in range(7)
    ]
    await api.booked()
    await api.expire(reservations[2])
    ok(await api.verb(reservations[4], "cancel"))
    live = [each for index, each in enumerate(reservations) if index not in {2, 4}]
    live.sort(key=lambda each: (each["startTime"], each["id"]))
    filters: dict[str, Any] = {
        "resource": "plaza",
        "customer": "ann",
        "status": ["pending", "confirmed"],
        "from": instants.render(NINE - MINUTE),
        "to": instants.render(NINE + 3 * HOUR),
    }

    assert await all_pages(api, RESERVATIONS, **filters) == [each["id"] for each in live]
    filters |= {"status": ["expired"]}
    assert await all_pages(api, RESERVATIONS, **filters) == [reservations[2]["id"]]
    assert len(await all_pages(api, RESERVATIONS, status=[*STATUSES])) == 8
    newest = sorted(reservations, key=lambda each: (each["startTime"], each["id"]), reverse=True)
    assert await all_pages(api, CUSTOMER) == [each["id"] for each in newest]
    for index, each in enumerate(reservations):
        await api.overwrite(each, updatedAt=api.store.clock.now() - HOUR + index // 3 * MINUTE)
    since = instants.render(api.store.clock.now() - 2 * HOUR)
    page: dict[str, Any] = {"next": None}
    for first in range(0, 9, 3):
        parameters = {"updatedSince": since, "customer": "ann", "limit": 3, "cursor": page["next"]}
        page = ok(await api.get(RESERVATIONS, **{name: value for name, value in parameters.items() if value}))
        assert [item["id"] for item in page["items"]] == [each["id"] for each in reservations[first : first + 3]]
    assert ok(await api.get(RESERVATIONS, updatedSince=since, cursor=page["next"]))["items"] == []


async def all_pages(api: ApiClient, path: str, **filters: Any) -> list[str]:
    """The ids of a list, two by two."""
    found: list[str] = []
    while True:
        page = ok(await api.get(path, limit=2, **filters))
        found += [item["id"] for item in page["items"]]
        if "next" not in page:
            return found
        filters["cursor"] = page["next"]


@pytest.mark.servers("wire")
async def test_a_replay_is_the_first_answer_to_the_byte(api: ApiClient) -> None:
    """Through BSON and back, after the reservation went on; another body and a refused one as in the contract."""
    body: dict[str, Any] = {"notes": 'ü☂\u2028\\"', "metadata": {"a": 1.0, "b": -0.0, "c": 2**63 - 1, "d": 1e300}}
    problem(await api.book(length=2 * HOUR, service="cut", key="k", **body), "rule")
    first = await api.book(length=None, service="cut", key="k", **body)
    ok(await api.change(created(first), notes=None, startTime=instants.render(NINE + 5 * HOUR)))
    ok(await api.verb(first.json(), "cancel"))
    again = await api.book(length=None, service="cut", key="k", **body)

    assert (again.status_code, again.content) == (201, first.content)
    assert [again.headers[name] for name in ("Location", "ETag")] == [
        first.headers[name] for name in ("Location", "ETag")
    ]
    assert again.headers["Idempotent-Replayed"] == "true"
    problem(await api.book(service="cut", key="k", **body), "idempotency-mismatch")


@pytest.mark.servers("wire")
async def test_equal_keys_at_once_book_once(api: ApiClient) -> None:
    """Of two bodies under one key one wins, and every request with that body gets its answer."""
    starts = [NINE, NINE + 5 * HOUR] * 8
    answers = await asyncio.gather(*(api.book(start, key="k") for start in starts))

    assert outcomes(answers) == {"201": 8, "idempotency-mismatch": 8}
    assert len({answer.content for answer in answers if answer.is_success}) == 1
    assert await api.store.database["reservations"].count_documents({}) == 1


@pytest.mark.servers("wire")
async def test_as_many_win_as_fit(api: ApiClient) -> None:
    """Creates and moves of the same moment, in whatever batches they travel."""
    movers = [await api.booked(NINE + (2 + index) * HOUR) for index in range(4)]
    answers = await asyncio.gather(
        *(api.book(NINE + 10 * MINUTE) for _ in range(8)),
        *(api.change(mover, startTime=instants.render(NINE)) for mover in movers),
    )

    assert sum(answer.is_success for answer in answers) == 1
    assert outcomes(answers)["conflict"] == 11
    assert await peak_load(api.store) == 1


@pytest.mark.servers("wire")
async def test_of_many_who_read_one_version_one_changes_it(api: ApiClient) -> None:
    """Of edits with one ETag one wins and the others are `stale`; `*` lets all through, one after the other."""
    reservation = await api.booked()

    async def change(number: int, tag: str) -> httpx.Response:
        return await api.request(
            "PATCH", path_of(reservation), json={"metadata": {f"k{number}": 1}}, headers={"If-Match": tag}
        )

    answers = await asyncio.gather(*(change(number, '"1"') for number in range(8)))
    assert outcomes(answers) == {"200": 1, "stale": 7}
    answers = await asyncio.gather(*(change(number, "*") for number in range(8)))
    assert outcomes(answers) == {"200": 8}
    body = await api.read(reservation)
    assert sorted(body["metadata"]) == [f"k{number}" for number in range(8)]
    assert body["version"] == 1 + 8  # the one that came first had nothing left to say
    assert len(body["history"]) == 9


@pytest.mark.servers("wire")
async def test_verbs_that_meet_leave_one_history(api: ApiClient) -> None:
    """Confirm, cancel and extend at once: every line follows from the one before, and nothing is lost."""
    for _ in range(4):
        hold = await api.booked(expiresInSeconds=60)
        verbs = ["confirm", "cancel"] * 3
        answers = await asyncio.gather(
            *(api.verb(hold, verb) for verb in verbs), api.verb(hold, "extend", expiresInSeconds=600)
        )
        body = await api.read(hold)
        steps = [(line.get("from"), line["to"]) for line in body["history"] if "to" in line]

        assert body["status"] == "cancelled"
        assert steps in (
            [(None, "pending"), ("pending", "cancelled")],
            [(None, "pending"), ("pending", "confirmed"), ("confirmed", "cancelled")],
        )
        assert body["version"] == len(body["history"])
        assert outcomes(answers).keys() <= {"200", "forbidden-transition"}


@pytest.mark.servers("wire")
async def test_one_bad_request_among_many_harms_no_neighbour(api: ApiClient) -> None:
    """Refused for its version, its key, its service, its time: all others of the moment answer as without it."""
    created(await api.book(NINE - 3 * HOUR, key="used"))
    reservation = await api.booked(NINE - 5 * HOUR)
    bad = [
        api.request("PATCH", path_of(reservation), json={"guests": 2}, headers={"If-Match": '"9"'}),
        api.book(NINE - 2 * HOUR, key="used"),
        api.book(service="nothing"),
        api.book(NINE - 5 * HOUR),
        api.book(length=2 * HOUR, service="cut"),
        api.verb(reservation, "extend", expiresInSeconds=60),
    ]
    answers = await asyncio.gather(*bad, *(api.book(NINE + hour * HOUR) for hour in range(20)))

    assert [next(iter(outcomes([answer]))) for answer in answers[:6]] == [
        "stale",
        "idempotency-mismatch",
        "invalid",
        "conflict",
        "rule",
        "forbidden-transition",
    ]
    assert outcomes(answers[6:]) == {"201": 20}


@pytest.mark.servers("wire")
async def test_shrinking_and_booking_never_cross(api: ApiClient) -> None:
    """Either the resource is smaller first and the last ones find no room, or they are there and it stays."""
    await api.resource("hall", capacity=4)

    async def shrink() -> httpx.Response:
        return await api.edit("/v1/resources/hall", capacity=2)

    bookings = [api.book(resource="hall") for _ in range(4)]
    *answers, edited = await asyncio.gather(*bookings[:2], *bookings[2:], shrink())
    capacity = ok(await api.get("/v1/resources/hall"))["capacity"]

    assert capacity == (2 if edited.is_success else 4)
    assert await peak_load(api.store, "hall") == outcomes(answers)["201"] <= capacity


@pytest.mark.servers("transactions")
async def test_taking_an_expired_holds_place_and_marking_it_commit_together(api: ApiClient) -> None:
    """Until the commit neither is to be seen, and of a booking that is given up neither stays."""
    hold = await api.booked(expiresInSeconds=60)
    await api.expire(hold)

    async def seen() -> tuple[str, int]:
        count = await api.store.database["reservations"].count_documents({})
        return (await api.stored(hold))["status"], count

    dropped = StepDriver(api.store, [booking_of()])
    await dropped.until("reservations.insert")
    assert "reservations.update" in dropped.done
    assert await seen() == ("pending", 1)
    await dropped.abandon()
    assert await seen() == ("pending", 1)
    driver = StepDriver(api.store, [booking_of(), booking_of(NINE + timedelta(minutes=30))])
    taker, refused = await driver.finish()
    await driver.close()
    assert isinstance(refused, Refused)
    assert not isinstance(taker, Refused)
    assert await seen() == ("expired", 2)
    problem(await api.verb(hold, "confirm"), "hold-expired")


@pytest.mark.servers("transactions")
async def test_a_booking_after_a_move_in_one_batch_gets_its_place(api: ApiClient) -> None:
    """A booking after the move in its transaction gets the time, and one before the move is refused."""
    reservation = await api.booked()

    def move() -> Change:
        away = {"resource": "plaza"}
        return Change(by="test", reservation=ObjectId(reservation["id"]), resource=ROOM_ID, patch=away)

    early, moved, late = await run_batch(api.store, booking_of(), move(), booking_of())

    assert isinstance(early, Refused)
    assert isinstance(moved, Accepted)
    assert isinstance(late, Accepted)
    assert await peak_load(api.store) == 1


@pytest.mark.servers("transactions")
async def test_who_is_refused_for_its_own_twin_gets_the_twins_answer(api: ApiClient) -> None:
    """A request with an equal key books in another process after this one has looked its key up.

    Only its transaction sees the twin, which a majority may not have: it answers nothing, and looks again.
    """

    def render(made: Any) -> StoredAnswer:
        return StoredAnswer(request_hash="same", status=201, headers={}, body=str(made.id))

    def twin() -> Book:
        return booking_of(token=Token("key", "same", render))

    driver = StepDriver(api.store, [twin()], keys_first=True)  # it runs for the second time
    await driver.until("begin")
    (booked,) = await run_batch(api.store, twin())
    with pytest.raises(WriteConflict):
        await driver.finish()
    await driver.close()
    driver = StepDriver(api.store, [twin()], keys_first=True)
    (replay,) = await driver.finish()
    await driver.close()

    assert isinstance(booked, Accepted)
    assert isinstance(replay, Replay)
    assert replay.answer.body == str(booked.value.id)
