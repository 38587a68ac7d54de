"""Closures and bookings at once: each booking sees the closure, or the closure sees it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId

from app.booking.batch import WriteConflict
from app.booking.edit import PlanOutdated
from app.booking.outcomes import Accepted, Refused
from app.domain.instants import render
from app.storage.catalogue_updates import Changes
from app.storage.client import Store
from app.storage.closures import ClosureStore
from app.storage.documents import Closure
from app.storage.pending_closures import PendingClosures
from tests.support.api_client import ApiClient, created, ok, problem
from tests.support.http_client import serving
from tests.support.step_driver import StepDriver, add_resource, booking_of, planned_edit, run_batch
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("transactions")

PATH = "/v1/closures"
DAY_OFF: dict[str, Any] = {"name": "Stocktaking", "from": "2030-01-07", "to": "2030-01-08"}
"""The day of `NINE`."""


@pytest.fixture
async def api(store: Store) -> AsyncIterator[ApiClient]:
    """An app with a service, and two rooms that offer it."""
    async with serving(store) as client:
        api = ApiClient(client, store)
        await api.service()
        for name in ("room", "hall"):
            await api.resource(name, services=["cut"])
        yield api


async def close(api: ApiClient, **fields: Any) -> httpx.Response:
    """Try to close everything for the day."""
    return await api.request("POST", PATH, json=DAY_OFF | fields)


async def closing(monkeypatch: pytest.MonkeyPatch, api: ApiClient) -> "asyncio.Task[httpx.Response]":
    """A request that closes everything for the day, and whose closure is pending."""
    pending = asyncio.Event()

    async def say() -> None:
        pending.set()

    before(monkeypatch, "fence", say)
    answer, said = asyncio.create_task(close(api)), asyncio.create_task(pending.wait())
    await asyncio.wait((answer, said), return_when=asyncio.FIRST_COMPLETED)
    assert not answer.done(), answer.result().text
    return answer


async def left(store: Store) -> list[int]:
    """How many closures there are, and how many are pending."""
    return [await store.database[name].count_documents({}) for name in ("closures", "pendingClosures")]


def before(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], Awaitable[object]]) -> None:
    """Let something happen in a request just before it calls a method of a store of closures."""
    store: Any = PendingClosures if hasattr(PendingClosures, name) else ClosureStore
    method = getattr(store, name)

    async def acting(self: Any, *arguments: Any, **more: Any) -> Any:
        await act()
        return await method(self, *arguments, **more)

    monkeypatch.setattr(store, name, acting)


@pytest.mark.promise("closures")
async def test_a_booking_that_is_under_way_is_seen(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has begun before the closure is pending: the closure waits for it, is refused, and closes nothing."""
    driver = StepDriver(api.store, [booking_of()])
    try:
        await driver.until("occupants.read")
        answer = await closing(monkeypatch, api)
        (outcome,) = await driver.finish()
    finally:
        await driver.abandon()

    assert isinstance(outcome, Accepted)
    refused = problem(await answer, "stranded-bookings")
    assert [each["id"] for each in refused["reservations"]] == [str(outcome.value.id)]
    assert await left(api.store) == [0, 0]
    created(await api.book(resource="hall"))


async def race_of_a_pool(api: ApiClient) -> Any:
    """A booking of a pool has read what is free, and no guard is changed yet; meanwhile all is closed."""
    intent = booking_of(resource=None, pool=("hall", "room"), service="cut")
    driver = StepDriver(api.store, [intent])
    try:
        await driver.until("occupants.read")
        created(await close(api))
        (outcome,) = await driver.finish()
    except WriteConflict:
        (outcome,) = await run_batch(api.store, intent)
    finally:
        await driver.abandon()
    return outcome


@pytest.mark.promise("closures")
async def test_a_booking_that_cannot_be_seen_sees_the_closure(api: ApiClient) -> None:
    """It loses its guard to the closure, and is refused when it runs again."""
    outcome = await race_of_a_pool(api)

    assert isinstance(outcome, Refused)
    assert [(check.rule, check.closure is not None) for check in outcome.verdict.failed] == [("time-off", True)]


async def test_the_race_notices_guards_that_are_not_changed(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without that, the very same race books what is closed, and nobody is told."""

    async def without_a_fence(*_: object) -> None:
        """Change no guard."""

    monkeypatch.setattr(PendingClosures, "fence", without_a_fence)

    assert isinstance(await race_of_a_pool(api), Accepted)
    assert await left(api.store) == [1, 0]


async def test_a_resource_that_is_made_meanwhile_is_closed_too(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is booked by a transaction that has not seen the closure, and was not there when the closure first looked."""
    drivers: list[StepDriver] = []

    async def furnish() -> None:
        await add_resource(api.store, "late")
        drivers.append(StepDriver(api.store, [booking_of(resource="late")]))
        await drivers[0].until("occupants.read")

    before(monkeypatch, "propose", furnish)
    answer = await closing(monkeypatch, api)
    try:
        (outcome,) = await drivers[0].finish()
    finally:
        await drivers[0].abandon()

    assert isinstance(outcome, Accepted)
    assert problem(await answer, "stranded-bookings")["total"] == 1
    assert await left(api.store) == [0, 0]


async def test_an_edit_that_has_not_seen_the_closure_is_planned_again(api: ApiClient) -> None:
    """Its plan knows the bookings that it strands by the closures of then: the room begins to offer what is closed."""
    ok(await api.edit("/v1/resources/room", services=[]))
    await api.booked()
    edit = await planned_edit(api.store, Changes({"services": ["cut"]}))
    created(await close(api, services=["cut"]))
    (outcome,) = await run_batch(api.store, edit)

    assert isinstance(outcome, PlanOutdated)
    problem(await api.edit("/v1/resources/room", services=["cut"]), "stranded-bookings")


async def test_another_process_obeys_at_once(api: ApiClient) -> None:
    """Its cache is not told: it finds another id where it reads the guards."""
    async with serving(api.store) as client:
        other = ApiClient(client, api.store)
        hour = {"from": render(NINE), "to": render(NINE + HOUR), "service": "cut"}
        for offered in (True, False, True):
            assert bool(ok(await other.get("/v1/availability", **hour))["items"]) is offered
            answer = await other.book(service="cut")
            if offered:
                ok(await other.verb(created(answer), "cancel"))
                if await left(api.store) == [0, 0]:
                    made = created(await close(api))
            else:
                problem(answer, "rule")
                assert (await api.request("DELETE", f"{PATH}/{made['id']}")).status_code == 204


async def leave_pending(store: Store, identity: str, **more: Any) -> None:
    """What a process leaves that died before it settled its closure."""
    now = store.clock.now()
    fields = DAY_OFF | {"createdAt": now, "updatedAt": now} | more
    await PendingClosures(store).propose(Closure.model_validate({"_id": identity} | fields), ObjectId())


async def let_time_pass(store: Store) -> None:
    """The request of the pending closure has ended long ago."""
    over = {"$set": {"until": store.clock.now() - timedelta(seconds=1)}}
    await store.database["pendingClosures"].update_many({}, over)


@pytest.mark.promise("closures")
async def test_a_pending_closure_excuses_no_other(api: ApiClient) -> None:
    """Two at once over one booking: each tells of it, for neither knows that the other will stay."""
    made = created(await api.book())
    await leave_pending(api.store, "inventory")

    refused = problem(await close(api), "stranded-bookings")
    assert [each["id"] for each in refused["reservations"]] == [made["id"]]


async def test_a_pending_closure_excuses_no_edit(api: ApiClient) -> None:
    """A time off over a booking tells of it, though a closure that is pending covers it."""
    made = created(await api.book())
    await leave_pending(api.store, "inventory")
    off = {"from": DAY_OFF["from"], "to": DAY_OFF["to"]}

    refused = problem(await api.request("POST", "/v1/resources/room/time-off", json=off), "stranded-bookings")
    assert [each["id"] for each in refused["reservations"]] == [made["id"]]
    ok(await api.edit("/v1/resources/room", name="Green room"))


async def test_a_resource_that_comes_under_a_pending_closure(api: ApiClient) -> None:
    """An edit by which it does tells of its bookings: the closure may have been looking for them before."""
    await api.resource("attic")
    made = created(await api.book(resource="attic"))
    await leave_pending(api.store, "inventory", services=["cut"])

    refused = problem(await api.edit("/v1/resources/attic", services=["cut"]), "stranded-bookings")
    assert [each["id"] for each in refused["reservations"]] == [made["id"]]


@pytest.mark.promise("closures")
async def test_a_closure_that_ended_meanwhile_excuses_nothing(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends, and its time is booked, before another one over that time is pending, which tells of the booking."""
    other = created(await close(api))

    async def end_and_book() -> None:
        assert (await api.request("DELETE", f"{PATH}/{other['id']}")).status_code == 204
        created(await api.book())

    before(monkeypatch, "propose", end_and_book)

    assert problem(await close(api), "stranded-bookings")["total"] == 1


async def test_what_a_crash_left_is_mended_by_the_same_request(api: ApiClient) -> None:
    """While the first may still be running it is `overloaded`; then it takes its place."""
    await leave_pending(api.store, "works")

    problem(await api.book(), "rule")
    assert ok(await api.get(PATH))["items"] == []
    problem(await close(api, id="works"), "overloaded")
    await let_time_pass(api.store)
    assert created(await close(api, id="works"))["id"] == "works"
    assert await left(api.store) == [1, 0]


async def test_what_a_crash_left_is_removed(api: ApiClient) -> None:
    """By the worker, once its request can no longer run: nobody was told that it closes anything."""
    closures = PendingClosures(api.store)
    await leave_pending(api.store, "works")

    assert await closures.withdraw_abandoned() == 0
    await let_time_pass(api.store)
    assert await closures.withdraw_abandoned() == 1
    created(await api.book())


async def test_a_request_whose_closure_was_removed_does_nothing(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood still for so long that it was taken for dead: bookings may have been made since."""

    async def take_for_dead() -> None:
        await let_time_pass(api.store)
        assert await PendingClosures(api.store).withdraw_abandoned() == 1

    before(monkeypatch, "settle", take_for_dead)

    assert "nothing was done" in problem(await close(api), "overloaded")["detail"]
    assert await left(api.store) == [0, 0]


async def test_of_two_with_one_id_one_is_made(api: ApiClient) -> None:
    """The other one is told that there is one, or to ask again."""
    answers = await asyncio.gather(*[close(api, id="works") for _ in range(4)])

    assert [answer.status_code for answer in answers].count(201) == 1
    assert {answer.status_code for answer in answers} <= {201, 409, 503}
    assert await left(api.store) == [1, 0]
