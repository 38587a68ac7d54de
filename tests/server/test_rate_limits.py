"""One limit for all processes of an app, and bookings while Redis is lost."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from threading import Event

import pytest

from app.storage.client import connect
from tests.support.commands import eventually
from tests.support.http_client import create_key
from tests.support.load_client import Call, Client
from tests.support.redis_server import OwnRedis, frozen, gone
from tests.support.slot_bookings import make_rooms
from tests.support.staged_app import App, Stage, staged

PROCESSES = 4
LIMIT = 100


def key_with(stage: Stage, rate_limit: str) -> str:
    """A key with a limit of its own."""

    async def make() -> str:
        store = await connect(stage.url)
        try:
            return (await create_key(store, "limited", ("admin",), rateLimit=rate_limit)).token
        finally:
            await store.close()

    return asyncio.run(make())


def booking(room: str, number: int) -> Call:
    """A booking of an hour of its own."""
    start, end = (f"2031-{1 + day // 28:02}-{1 + day % 28:02}T{hour:02}:00:00Z" for day, hour in _hours(number))
    return Call("/v1/reservations", {"resource": room, "startTime": start, "endTime": end})


def _hours(number: int) -> list[tuple[int, int]]:
    return [divmod(number, 24), divmod(number + 1, 24)]


def passed(client: Client, room: str, first: int, count: int) -> int:
    """How many of so many bookings at once are made; all others are `rate-limited`."""
    answers = client.at_once([booking(room, number) for number in range(first, first + count)])
    statuses = [answer.status for answer in answers]
    assert set(statuses) <= {201, 429}
    assert all("retry-after" in answer.headers for answer in answers if answer.status == 429)
    return statuses.count(201)


@pytest.mark.servers("transactions", once=True)
def test_of_four_processes_exactly_the_limit_passes(database_url: str, redis: OwnRedis) -> None:
    """Of 200 bookings at once with one key, limited to 100 a minute, exactly 100 are made."""
    with (
        staged(database_url) as stage,
        stage.app(PROCESSES, env={"REDIS_URL": redis.url, "RESERVA_RATE_LIMIT": f"{LIMIT}/minute"}) as app,
    ):
        (room,) = make_rooms(Client(app.client.port, key_with(stage, "0")), "limited", 1)

        assert passed(app.client, room, 0, 2 * LIMIT) == LIMIT
        assert passed(app.client, room, 2 * LIMIT, 20) == 0
        assert stage.database["reservations"].count_documents({}) == LIMIT


class Load:
    """Bookings, one after another on several connections, until it is told to stop."""

    def __init__(self, client: Client, room: str, width: int) -> None:
        self._client = client
        self._room = room
        self._width = width
        self._stop = Event()
        self.statuses: list[int] = []

    def book(self, first: int) -> None:
        """Book on one connection."""
        connection: HTTPConnection = self._client.connection()
        number = first
        while not self._stop.is_set():
            self.statuses.append(self._client.ask(connection, booking(self._room, number)).status)
            number += self._width
        connection.close()

    @contextmanager
    def running(self) -> Iterator["Load"]:
        """The load while the block runs; what went wrong in it is raised at the end."""
        with ThreadPoolExecutor(self._width) as threads:
            done = [threads.submit(self.book, first) for first in range(self._width)]
            try:
                yield self
            finally:
                self._stop.set()
            for each in done:
                each.result()

    def goes_on(self) -> bool:
        """Whether as many more bookings are answered as there are connections, thrice."""
        before = len(self.statuses)
        return eventually(lambda: len(self.statuses) >= before + 3 * self._width)


def lines(app: App, text: str) -> int:
    """How many lines of the log have a text."""
    return sum(text in line for line in app.running.err)


@pytest.mark.servers("transactions", once=True)
@pytest.mark.parametrize("trouble", [gone, frozen])
def test_redis_lost_under_load_loses_no_booking(
    database_url: str, redis: OwnRedis, trouble: Callable[[OwnRedis], Iterator[None]]
) -> None:
    """Bookings go on without Redis, none is lost, and afterwards the limit is one for all processes again."""
    with staged(database_url) as stage, stage.app(2, env={"REDIS_URL": redis.url}) as app:
        plenty = Client(app.client.port, key_with(stage, "100000/minute"))
        limited = Client(app.client.port, key_with(stage, "20/minute"))
        rooms = make_rooms(Client(app.client.port, key_with(stage, "0")), "loaded", 2)
        with Load(plenty, rooms[0], 16).running() as load:
            assert load.goes_on()
            with trouble(redis):  # type: ignore[attr-defined]  # a context manager, which the type does not say
                assert eventually(lambda: lines(app, "Redis does not count requests") == 2)
                assert load.goes_on()
            assert eventually(lambda: lines(app, "Redis counts requests again") == 2)
            assert load.goes_on()

        assert set(load.statuses) == {201}
        assert stage.database["reservations"].count_documents({}) == len(load.statuses)
        assert passed(limited, rooms[1], 0, 60) == 20
