"""The limits of live holds, under requests that are made to arrive at the same moment."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from app.booking import Book, BookingService
from app.settings import Settings
from app.storage.capabilities import stages_of
from tests.support.api_client import ApiClient, booking_body, created, ok, problem
from tests.support.command_log import CommandLog, logged_store
from tests.support.http_client import serving
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("explain", "transactions")
HOLD: dict[str, Any] = {"expiresInSeconds": 600}


@pytest.fixture
async def thrifty(database_url: str) -> AsyncIterator[tuple[ApiClient, CommandLog]]:
    """A client of an app that allows two live holds a customer and three a key, and the log of its commands."""
    settings = Settings(max_holds=2, max_anonymous_holds=3)
    async with logged_store(database_url) as (store, commands), serving(store, settings=settings) as client:
        api = ApiClient(client, store)
        for name in ("room", "hall"):
            await api.resource(name, capacity=100)
        for name in ("ann", "bob"):
            await api.add("customers", id=name)
        yield api, commands


class Pause:
    """Lets the first booking of Ann's be counted, and then stops it before it is written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go = asyncio.Event(), asyncio.Event()
        book = BookingService.book

        async def paused(booking: BookingService, intent: Book) -> Any:
            if intent.customer == "ann" and not self.reached.is_set():
                self.reached.set()
                await self.go.wait()
            return await book(booking, intent)

        monkeypatch.setattr(BookingService, "book", paused)


async def counted(commands: CommandLog, times: int, asking: "asyncio.Future[Any]") -> None:
    """Wait until so many counts of holds were answered, or the request ends without them."""
    while not asking.done() and commands.answered.count("aggregate") < times:  # noqa: ASYNC110 -- the driver reports it in a thread of its own
        await asyncio.sleep(0)


async def live(api: ApiClient, **where: Any) -> int:
    """How many holds there are."""
    return await api.store.database["reservations"].count_documents({"status": "pending", **where})


async def one_more(api: ApiClient) -> Any:
    """Hold for Ann."""
    return await api.book(resource="hall", customer="ann", **HOLD)


async def one_of_a_group(api: ApiClient) -> Any:
    """Hold for Ann and for Bob."""
    bodies = [booking_body(resource="hall", customer=name) for name in ("bob", "ann")]
    return await api.request("POST", "/v1/groups", json={"reservations": bodies} | HOLD)


async def one_given_on(api: ApiClient) -> Any:
    """Give Ann a hold of Bob's."""
    (bobs,) = await api.ids(customer="bob")
    return await api.change({"id": bobs}, customer="ann")


@pytest.mark.parametrize("another", [one_more, one_of_a_group, one_given_on])
async def test_who_counts_while_another_is_about_to_hold_waits_for_it(
    thrifty: tuple[ApiClient, CommandLog],
    monkeypatch: pytest.MonkeyPatch,
    another: Callable[[ApiClient], Awaitable[Any]],
) -> None:
    """With room for one more hold, the second of two requests that both have counted is refused, of any kind."""
    api, commands = thrifty
    await api.booked(customer="ann", **HOLD)
    await api.booked(customer="bob", **HOLD)
    pause = Pause(monkeypatch)
    commands.answered.clear()
    first = asyncio.create_task(api.book(NINE + HOUR, customer="ann", **HOLD))
    await pause.reached.wait()
    second = asyncio.ensure_future(another(api))
    await counted(commands, 2, second)
    pause.go.set()

    created(await first)
    assert "'ann'" in problem(await second, "hold-limit")["detail"]
    assert await live(api, customer="ann") == 2


async def test_no_request_waits_for_other_owners(
    thrifty: tuple[ApiClient, CommandLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hold in progress delays no hold of another customer or key, and no booking without a hold."""
    api, _ = thrifty
    pause = Pause(monkeypatch)
    first = asyncio.create_task(api.book(customer="ann", **HOLD))
    await pause.reached.wait()

    await api.booked(resource="hall", customer="bob", **HOLD)
    await api.booked(resource="hall", **HOLD)
    await api.booked(resource="hall", customer="ann")
    pause.go.set()
    created(await first)


@pytest.mark.parametrize(("owner", "limit"), [({"customer": "ann"}, 2), ({}, 3)])
async def test_a_storm_keeps_the_limit(
    thrifty: tuple[ApiClient, CommandLog], owner: dict[str, Any], limit: int
) -> None:
    """Of sixty at once as many hold as may, the rest is refused, and few counts are needed."""
    api, commands = thrifty
    commands.answered.clear()
    answers = await asyncio.gather(
        *(api.book(NINE + index * HOUR, resource=("room", "hall")[index % 2], **owner, **HOLD) for index in range(60))
    )

    assert [answer.status_code for answer in answers].count(201) == limit
    for answer in answers:
        if answer.status_code != 201:
            problem(answer, "hold-limit")
    assert await live(api) == limit
    assert commands.answered.count("aggregate") <= 10


async def test_who_goes_away_keeps_its_place(
    thrifty: tuple[ApiClient, CommandLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that hangs up while its hold is written does not make room for a further one."""
    api, commands = thrifty
    await api.booked(customer="ann", **HOLD)
    pause = Pause(monkeypatch)
    first = asyncio.create_task(api.book(NINE + HOUR, customer="ann", **HOLD))
    await pause.reached.wait()
    first.cancel()
    await asyncio.wait({first})
    commands.answered.clear()
    second = asyncio.ensure_future(one_more(api))
    await counted(commands, 1, second)
    pause.go.set()

    problem(await second, "hold-limit")
    assert await live(api, customer="ann") == 2


@pytest.mark.parametrize("owner", [{"customer": "ann"}, {}])
async def test_holds_are_counted_in_an_index(thrifty: tuple[ApiClient, CommandLog], owner: dict[str, Any]) -> None:
    """The count reads the live holds of the one owner alone: none of its former holds and none of other owners."""
    api, commands = thrifty
    old = await api.booked(**owner, **HOLD)
    ok(await api.verb(old, "cancel"))
    for name in ("ann", "bob"):
        await api.booked(customer=name)
        await api.booked(customer=name, **HOLD)
    commands.take()
    await api.booked(**owner, **HOLD)
    (match,) = [command["pipeline"][0]["$match"] for name, command in commands.take() if name == "aggregate"]
    explain = {"explain": {"find": "reservations", "filter": match}, "verbosity": "executionStats"}
    plan: dict[str, Any] = await api.store.database.command(explain)

    if api.store.shape == "or":  # the trial's server takes an index of one of the fields, and does not say so
        assert "COLLSCAN" not in set(stages_of(plan["queryPlanner"]["winningPlan"]))
        assert plan["executionStats"]["totalKeysExamined"] <= plan["executionStats"]["nReturned"] + 1
