"""A database that hangs: every request is answered within its deadline, with the true outcome."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest

from app.migration.migrate import migrate
from app.storage.client import connect
from tests.support.api_client import ApiClient, booking_body
from tests.support.http_client import serving
from tests.support.servers import NotAtHand, Servers, fitting
from tests.support.times import NINE

WRITE_SECONDS, READ_SECONDS = 3.0, 10.0
"""What is promised."""
TRUTHS = {"unavailable", "overloaded", "outcome-unknown"}
SLACK_SECONDS = 1.0
"""The machine is busy: so much later the answer may be put together."""

WRITES = [
    ("POST", "/v1/reservations", booking_body(NINE)),
    ("POST", "/v1/reservations", booking_body(NINE, None, service="cut", resource="any")),
    ("PATCH", "/v1/reservations/{id}", {"guests": 1, "notes": "x"}),
    ("POST", "/v1/reservations/{id}/cancel", None),
    ("POST", "/v1/reservations/{id}/confirm", None),
    ("POST", "/v1/groups", {"reservations": [booking_body(NINE)]}),
    ("POST", "/v1/moves", {"moves": [{"reservation": "{id}", "version": 1, "resource": "room"}]}),
    ("PATCH", "/v1/resources/room", {"name": "x"}),
    ("PATCH", "/v1/services/cut", {"name": "x"}),
    ("PUT", "/v1/resources/room/schedule", {}),
    ("POST", "/v1/resources", {"name": "x"}),
    ("POST", "/v1/customers", {"name": "x"}),
    ("POST", "/v1/reconciliations", {}),
]
READS = [
    "/v1/reservations",
    "/v1/reservations/{id}",
    "/v1/resources",
    "/v1/findings",
    "/v1/availability?resource=room&minutes=60&from=2030-01-07&to=2030-01-08",
    "/readyz",
]


@pytest.fixture(params=fitting(("transactions", "local"), None))
def own(request: pytest.FixtureRequest) -> Iterator[tuple[Servers, str]]:
    """A server of this test's own, which it can suspend."""
    servers = Servers()
    try:
        servers.address(request.param)
        yield servers, request.param
    except NotAtHand as reason:
        pytest.skip(str(reason))
    finally:
        servers.stop()


@asynccontextmanager
async def standing_still(own: tuple[Servers, str]) -> AsyncIterator[tuple[ApiClient, str]]:
    """A client that has just used the app, and the id of its hold, while the database answers nothing."""
    servers, name = own
    store = await connect(f"{servers.address(name)}reserva")
    await migrate(store)
    async with serving(store) as client:
        api = ApiClient(client, store)
        await api.service()
        await api.resource(services=["cut"])
        hold = await api.booked(NINE, expiresInSeconds=600)
        servers.suspend(name)
        try:
            yield api, hold["id"]
        finally:
            servers.resume(name)
    await store.close()


async def before(seconds: float, *asked: "asyncio.Task[httpx.Response]") -> list[httpx.Response]:
    """The answers, which are all there before a timer that was set when they were asked for."""
    timer = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(seconds + SLACK_SECONDS, timer.set_result, None)
    answers = asyncio.gather(*asked)
    await asyncio.wait({answers, timer}, return_when=asyncio.FIRST_COMPLETED)
    assert answers.done(), f"{sum(not each.done() for each in asked)} of {len(asked)} are not answered"
    return await answers


def name_of(answer: httpx.Response) -> str:
    """The name of the problem that was answered."""
    kind: str = answer.json().get("type", answer.text)
    return kind.removeprefix("/problems/")


def writing(api: ApiClient, identity: str, method: str, path: str, body: object) -> "asyncio.Task[httpx.Response]":
    """One request that would change something."""
    content = None if body is None else httpx.Request("POST", "http://x", json=body).content.decode()
    headers = {"If-Match": "*", "Content-Type": "application/json"}
    asked = api.request(
        method,
        path.replace("{id}", identity),
        headers=headers,
        content=content and content.replace("{id}", identity),
    )
    return asyncio.create_task(asked)


@pytest.mark.promise("deadlines")
async def test_writes_are_answered_within_three_seconds(own: tuple[Servers, str]) -> None:
    """Concurrent bookings and edits of every kind get a true outcome although the database has just stopped."""
    async with standing_still(own) as (api, identity):
        asked = [writing(api, identity, *each) for each in WRITES]
        answers = await before(WRITE_SECONDS, *asked)

    assert [answer.status_code for answer in answers] == [503] * len(WRITES), [answer.text for answer in answers]
    assert {name_of(answer) for answer in answers} <= TRUTHS
    assert all("Retry-After" in answer.headers for answer in answers)


@pytest.mark.promise("deadlines")
async def test_reads_are_answered_within_ten(own: tuple[Servers, str]) -> None:
    """More reads than the driver has threads are answered in their longer time, and writes beside them in theirs.

    The reads before each write get no answer, so no write is done.
    """
    async with standing_still(own) as (api, identity):
        reads = [
            asyncio.create_task(api.request("GET", path.replace("{id}", identity)))
            for path in [*READS, *["/v1/reservations"] * 20]
        ]
        await asyncio.sleep(0)
        writes = [writing(api, identity, *each) for each in WRITES[:4]]
        written = await before(WRITE_SECONDS, *writes)
        read = await before(READ_SECONDS, *reads)

    assert [answer.status_code for answer in written + read] == [503] * len(written + read)
    assert {name_of(answer) for answer in written} <= TRUTHS - {"outcome-unknown"}


@pytest.mark.promise("deadlines")
async def test_a_write_answered_as_not_done_is_not_done(own: tuple[Servers, str]) -> None:
    """When the database resumes, the time of each booking that was answered as not done can be booked."""
    async with standing_still(own) as (api, identity):
        starts = [NINE.replace(hour=hour) for hour in range(10, 16)]
        asked = [writing(api, identity, "POST", "/v1/reservations", booking_body(start)) for start in starts]
        answers = await before(WRITE_SECONDS, *asked)
        own[0].resume(own[1])
        undone = [start for start, answer in zip(starts, answers, strict=True) if name_of(answer) == "overloaded"]
        again = []
        for start in undone:
            for _ in range(5):
                answer = await api.book(start)
                if answer.status_code != 503:
                    break
            again.append(answer.status_code)

    assert again == [201] * len(undone)
