"""Slots on real servers: each one offered books, each one not offered is refused, and explain agrees with both.

`TEST_CATALOGUES=200` makes it 200 random catalogues instead of a few; with `-s` the figures are printed.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import click
import pytest

from app.booking import Book
from app.booking.batch import Outcome, WriteConflict
from app.booking.intents import AnyIntent
from app.booking.outcomes import Accepted, Refused
from app.booking.snapshot import Snapshot
from app.domain.instants import parse, render
from app.settings import Settings
from app.storage.client import Store
from app.storage.guards import make_service_row
from tests.support.api_client import ApiClient, created, ok, problem
from tests.support.command_log import CommandLog, logged_store
from tests.support.database_check import peak_load
from tests.support.http_client import serving
from tests.support.ids import CUT_ID
from tests.support.random_catalogues import Catalogue, Place, Taken, peak, random_catalogue
from tests.support.step_driver import StepDriver, add_resource, booking_of, run_batch
from tests.support.times import HOUR, MINUTE, NINE

AVAILABILITY = "/v1/availability"
CATALOGUES = int(os.environ.get("TEST_CATALOGUES", "6"))
AT_ONCE = 4
KNOWN_RULES = {"resource-active", "service-offered", "guests", "capacity"}
"""Those that the catalogue itself works out."""


@pytest.fixture
async def api(store: Store) -> AsyncIterator[ApiClient]:
    """An app on an empty database, without a limit on holds."""
    async with serving(store, settings=Settings(max_holds=0, max_anonymous_holds=0)) as client:
        yield ApiClient(client, store)


async def furnish(api: ApiClient, catalogue: Catalogue, random: Random) -> None:
    """Put a catalogue there, with people in it: bookings, holds, holds that ran out, bookings given up."""
    if catalogue.service:
        await api.service(catalogue.service["id"], **{k: v for k, v in catalogue.service.items() if k != "id"})
    services = [catalogue.service["id"]] if catalogue.service else []
    for place in catalogue.places:
        fields = {"timezone": place.zone, "capacity": place.capacity, "capacityMode": place.mode}
        await api.resource(place.id, services=services, **fields)
        path = f"/v1/resources/{place.id}"
        if body := place.schedule():
            ok(await api.request("PUT", f"{path}/schedule", json=body, headers={"If-Match": "*"}))
        for first, last in place.time_off:
            created(await api.request("POST", f"{path}/time-off", json={"from": first, "to": last}))
        for _ in range(random.choice((0, 4, 8, 12))):
            await _occupy(api, catalogue, place, random)
        ok(await api.request("PATCH", f"{path}?force=true", json=place.limits(), headers={"If-Match": "*"}))
    for closed in catalogue.closures(random):
        created(await api.request("POST", "/v1/closures?force=true", json=closed))


async def _occupy(api: ApiClient, catalogue: Catalogue, place: Place, random: Random) -> None:
    first, last = catalogue.span
    start = first + random.randrange((last - first) // MINUTE) * MINUTE
    body = catalogue.body(place, (start, start + catalogue.length)) | {
        "guests": random.randrange(1, place.capacity + 1)
    }
    if catalogue.days is not None or random.random() < 0.4:
        length = random.randrange(10, 300) * MINUTE
        body |= {"endTime": render(start + length)}
        body.pop("service", None)
    fate = random.choice(("stays", "stays", "held", "lapsed", "cancelled"))
    if fate in {"held", "lapsed"}:
        body["expiresInSeconds"] = 3_600
    answer = await api.post(body, force="true")
    if answer.status_code != 201:
        problem(answer, "conflict")
    elif fate == "lapsed":
        await api.expire(answer.json())
    elif fate == "cancelled":
        ok(await api.verb(answer.json(), "cancel"))


async def taken_on(api: ApiClient, place: Place) -> list[Taken]:
    """Who occupies a place, as the database has it."""
    rows = api.store.database["reservations"].find({"resource": place.id, "status": {"$in": ["pending", "confirmed"]}})
    now = api.store.clock.now()
    return [
        Taken(row["blockStart"], row["blockEnd"], row["units"])
        async for row in rows
        if row.get("expiresAt") is None or row["status"] == "confirmed" or row["expiresAt"] > now
    ]


def sorted_by_start(items: list[dict[str, Any]]) -> bool:
    """By start, then resource, and nothing twice."""
    keys = [(item["startTime"], item["resource"]) for item in items]
    return keys == sorted(set(keys))


async def hold_to_the_law(api: ApiClient, catalogue: Catalogue, figures: Counter[str]) -> None:
    """Everything on the grid of one catalogue, taken one at a time."""
    answer = ok(await api.get(AVAILABILITY, **catalogue.question()))
    assert sorted_by_start(answer["items"])
    assert answer["timezone"] == catalogue.zone
    offered = {(item["resource"], parse(item["startTime"])): item for item in answer["items"]}
    figures["catalogues"] += 1
    on_the_grid = set()
    for place in catalogue.places:
        taken = await taken_on(api, place)
        for slot in catalogue.grid(place):
            on_the_grid.add((place.id, slot[0]))
            item = offered.get((place.id, slot[0]))
            load = peak(taken, *catalogue.block(slot))
            if item is not None:
                assert item["remaining"] == place.capacity - load, f"{item} of {catalogue}"
                assert item["endTime"] == render(slot[1])
                assert item["localStart"] == f"{slot[0].astimezone(ZoneInfo(catalogue.zone)):%Y-%m-%dT%H:%M}"
            broken = catalogue.broken_by(place)
            if load + place.units(catalogue.guests) > place.capacity:
                broken.add("capacity")
            outcome = await _judge(api, catalogue.body(place, slot), offered=item is not None, broken=broken)
            figures["offered" if item else "not offered"] += 1
            figures[outcome] += 1
    unknown = [
        key for key in offered.keys() - on_the_grid if all(abs(key[1] - edge) > 5 * MINUTE for edge in catalogue.edges)
    ]
    assert unknown == [], catalogue
    await compare_forms(api, catalogue, answer["items"])


def starts_among(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Slots put together by their start, with the end that they have."""
    together: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for item in items:
        together.setdefault((item["startTime"], item["endTime"], item["localStart"]), []).append(item)
    return [
        {
            "startTime": start,
            "endTime": end,
            "localStart": wall,
            "resources": [each["resource"] for each in slots],
            "remaining": sum(each["remaining"] for each in slots),
        }
        for (start, end, wall), slots in sorted(together.items())
    ]


def days_among(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Slots counted by the date that the clocks show when they begin, each start once."""
    days: dict[str, set[str]] = {}
    for item in items:
        days.setdefault(item["localStart"][:10], set()).add(item["startTime"])
    return [{"date": day, "first": min(starts), "starts": len(starts)} for day, starts in days.items()]


async def compare_forms(api: ApiClient, catalogue: Catalogue, items: list[dict[str, Any]]) -> None:
    """The same slots by start and by day, some of them, and the soonest: each form is made of those that book."""
    question = catalogue.question()
    soonest = {name: value for name, value in question.items() if name != "to"} | {"first": "true"}
    forms: list[tuple[dict[str, str], list[dict[str, Any]]]] = [
        ({}, items),
        ({"distinct": "start"}, starts_among(items)),
        ({"per": "day"}, days_among(items)),
    ]
    for asked, expected in forms:
        assert ok(await api.get(AVAILABILITY, **question, **asked))["items"] == expected, (asked, catalogue)
        for limit in (1, 3):
            some = ok(await api.get(AVAILABILITY, **question, **asked, limit=limit))["items"]
            first = ok(await api.get(AVAILABILITY, **soonest, **asked, limit=limit))["items"]
            assert some == expected[:limit], (asked, catalogue)
            assert len(first) <= limit
            whole = expected[:limit] if len(expected) > limit else expected[:-1]  # the last may go on after the span
            assert first[: len(whole)] == whole, (asked, catalogue)


async def _judge(api: ApiClient, body: dict[str, Any], *, offered: bool, broken: set[str]) -> str:
    """Try to book it; whether it was `booked` or `refused`, checked against the answer of explain.

    `broken` are those of the rules in `KNOWN_RULES` that it must break.
    """
    explained = ok(await api.get(f"{AVAILABILITY}/explain", **body))
    failed = [check["rule"] for check in explained["checks"] if not check["ok"]]
    context = f"{body}: {explained}"
    assert KNOWN_RULES.intersection(failed) == broken, context
    assert explained["bookable"] is (not failed) is offered, context
    answer = await api.post(body)
    if offered:
        booked = created(answer)
        assert (booked["startTime"], booked["endTime"]) == (body["startTime"], body["endTime"])
        ok(await api.verb(booked, "cancel"))
        return "booked"
    refused = problem(answer, "conflict" if failed == ["capacity"] else "rule")
    assert refused["checks"] == explained["checks"], context
    return "refused"


@pytest.mark.servers("fast")
@pytest.mark.promise("slots")
async def test_every_slot_books_and_no_other_start_does(api: ApiClient) -> None:
    """Random catalogues around changes of clocks: what is offered is booked, what is not fails a rule."""
    figures: Counter[str] = Counter()

    async def one(number: int) -> None:
        random = Random(number)
        catalogue = random_catalogue(random, f"c{number}", api.store.clock.now())
        await furnish(api, catalogue, random)
        await hold_to_the_law(api, catalogue, figures)

    for first in range(0, CATALOGUES, AT_ONCE):
        await asyncio.gather(*[one(number) for number in range(first, min(first + AT_ONCE, CATALOGUES))])
    click.echo(", ".join(f"{name}: {figures[name]:,}" for name in figures))
    assert figures["catalogues"] == CATALOGUES
    assert figures["booked"] == figures["offered"] > CATALOGUES
    assert figures["refused"] == figures["not offered"] > CATALOGUES


POOL = [f"p{number}" for number in range(7)]
TAKERS = 40


async def add_pool(api: ApiClient, count: int) -> None:
    """So many resources that all do the same."""
    await api.service()
    for name in POOL[:count]:
        await api.resource(name, services=["cut"])


@pytest.mark.servers("transactions")
async def test_forty_takers_for_seven(store: Store) -> None:
    """Through two processes at once no booking is refused while a member is free, and no member is taken twice."""
    async with AsyncExitStack() as stack:
        apps = [ApiClient(await stack.enter_async_context(serving(store)), store) for _ in range(2)]
        await add_pool(apps[0], len(POOL))
        body = {"service": "cut", "startTime": render(NINE)}
        answers = await asyncio.gather(*[apps[taker % 2].post(body) for taker in range(TAKERS)])

    assert sorted(created(answer)["resource"] for answer in answers if answer.status_code == 201) == POOL
    for answer in answers:
        if answer.status_code != 201:
            problem(answer, "conflict")


def taker(*pool: str) -> Book:
    """A booking of any member of the pool."""
    return booking_of(resource=None, pool=pool, service="cut")


async def race(store: Store, *pool: str) -> tuple[list[AnyIntent], list[Outcome | None]]:
    """One driver pauses after its read, another finishes, then the first one; None stands for a lost guard."""
    intents = [taker(*pool), taker(*pool)]
    first, second = StepDriver(store, intents[:1]), StepDriver(store, intents[1:])
    outcomes: list[Outcome | None] = [None, None]
    try:
        await first.until("occupants.read")
        for place, driver in ((1, second), (0, first)):
            with suppress(WriteConflict):
                (outcomes[place],) = await driver.finish()
    finally:
        await first.close()
        await second.close()
    return [*intents], outcomes


async def furnish_pool(store: Store, *names: str) -> None:
    """Members, and what they do."""
    await make_service_row(store, CUT_ID)
    now = store.clock.now()
    service = {"_id": "cut", "name": "cut", "version": 1, "createdAt": now, "updatedAt": now}
    await store.database["services"].insert_one(service | {"durationType": "fixed", "durationMinutes": 60})
    for name in names:
        await add_resource(store, name, services=["cut"])


@pytest.mark.servers("transactions")
async def test_of_two_takers_of_the_last_one_gets_it(store: Store) -> None:
    """Two processes that both saw it free: one books, the other loses its transaction and is then refused."""
    await furnish_pool(store, "a", "b")
    await run_batch(store, booking_of(resource="a"))
    intents, (late, early) = await race(store, "a", "b")

    assert isinstance(early, Accepted)
    assert early.value.resource == "b"
    assert late is None
    (again,) = await run_batch(store, intents[0])
    assert isinstance(again, Refused)
    assert again.verdict.is_conflict
    assert await peak_load(store, "b") == 1


@pytest.mark.servers("transactions")
async def test_a_pool_booking_takes_the_next_member_after_a_lost_race(store: Store) -> None:
    """Two processes that both saw two members free end on different ones."""
    await furnish_pool(store, "a", "b")
    intents, (late, early) = await race(store, "a", "b")
    if late is None:
        (late,) = await run_batch(store, intents[0])

    assert isinstance(early, Accepted)
    assert isinstance(late, Accepted)
    assert {early.value.resource, late.value.resource} == {"a", "b"}


@pytest.mark.servers("transactions")
async def test_the_race_for_the_last_one_notices_a_missing_guard(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the guard of the chosen one left alone, the very same race books the last one twice."""
    await furnish_pool(store, "a", "b")
    for name in ("a", "b"):  # raises the reach, which would be a write of the guard as well
        await run_batch(store, booking_of(NINE - 50 * HOUR, resource=name))
    await run_batch(store, booking_of(resource="a"))
    monkeypatch.setattr(Snapshot, "take_chosen_guards", lambda *_: iter(()))
    _, outcomes = await race(store, "a", "b")

    assert [type(outcome) for outcome in outcomes] == [Accepted, Accepted]
    assert await peak_load(store, "b") == 2


def reads_of(commands: CommandLog) -> Counter[str]:
    """How often each collection was read since the last call."""
    found = {"find", "aggregate", "count", "distinct"}
    return Counter(command[name] for name, command in commands.take() if name in found)


@pytest.mark.servers("wire", "or")
async def test_reservations_are_read_once(database_url: str) -> None:
    """One find a question, for a resource as for a pool of twenty, with bookings of weeks among them; bad ones none."""
    async with logged_store(database_url) as (store, commands), serving(store) as http:
        assert store.shape == "or"
        api = ApiClient(http, store)
        await api.service(bufferBeforeMinutes=30)
        pool = [f"r{number:02}" for number in range(20)]
        for name in pool:
            await api.resource(name, services=["cut"])
            await api.booked(resource=name)
        week = {"from": "2030-01-07", "to": "2030-01-14"}
        for long in (False, True):
            if long:
                await api.booked(NINE - 24 * 20 * HOUR, 24 * 20 * HOUR, resource=pool[0])
                await api.booked(NINE + 24 * HOUR, 24 * 20 * HOUR, resource=pool[7])
            counts = []
            for asked in (
                {"resource": pool[0], "minutes": 60},
                {"service": "cut", "resource": pool[0]},
                {"service": "cut"},
            ):
                ok(await api.get(AVAILABILITY, **asked, **week))  # parses the rules, once
                reads_of(commands)
                items = ok(await api.get(AVAILABILITY, **asked, **week))["items"]
                counts.append(reads_of(commands))
                assert len({item["resource"] for item in items}) == (1 if "resource" in asked else len(pool))
            reads_of(commands)
            ok(
                await api.get(
                    f"{AVAILABILITY}/explain", resource=pool[7], startTime=render(NINE), endTime=render(NINE + HOUR)
                )
            )
            counts.append(reads_of(commands))
            assert [count["reservations"] for count in counts] == [1, 1, 1, 1]
            assert [count["guards"] for count in counts] == [1, 1, 2, 1]  # the members of a pool stand there as well
            # Without transactions the versions of the requested resources.
            assert {count["resources"] for count in counts} == ({0} if store.mode == "strict" else {1})

        for bad in (
            {"to": "2030-06-01"},
            {"to": "2030-01-01"},
            {"timezone": "Mars/Olympus"},
            {"service": "nothing"},
            {"resource": "nowhere"},
            {"minutes": 1, "to": "2030-04-09"},
            {"minutes": 1, "to": "2030-04-09", "ignore": "0" * 24},
        ):
            reads_of(commands)
            problem(await api.get(AVAILABILITY, **({"resource": pool[0], "minutes": 60} | week | bad)), "invalid")
            assert reads_of(commands)["reservations"] == 0, bad
