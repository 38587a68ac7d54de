"""One limit for all processes: counted in Redis, and by each process where Redis does not count."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from http.client import HTTPConnection
from threading import Event

import pytest
from litestar.testing import RequestFactory
from redis import Redis

from app.access import shared_counts
from app.access.counts import Counted, Counts
from app.access.rate_limits import RateLimits
from app.access.shared_counts import PREFIX, SharedCounts
from app.caller import Caller
from app.settings import Settings
from app.storage.client import connect
from tests.support.commands import eventually
from tests.support.http_client import create_key
from tests.support.load_client import Call, Client
from tests.support.redis_server import OwnRedis, failing_redis
from tests.support.slot_bookings import make_rooms
from tests.support.staged_app import App, Stage, staged

PROCESSES = 4
LIMIT = 100


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    """Closes what a test opens."""
    async with AsyncExitStack() as stack:
        yield stack


async def shared(url: str, opened: AsyncExitStack) -> SharedCounts:
    """The counts of one process in the Redis at an address."""
    made = SharedCounts(url, "key")
    opened.push_async_callback(made.close)
    await made.start()
    return made


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # another process sets no event here
            await asyncio.sleep(0.01)


@contextmanager
def gone(redis: OwnRedis) -> Iterator[None]:
    """Killed, and empty afterwards."""
    redis.kill()
    yield
    redis.start()


@contextmanager
def frozen(redis: OwnRedis) -> Iterator[None]:
    """Its connections stay, and nothing is answered."""
    redis.process.send_signal(signal.SIGSTOP)
    yield
    redis.process.send_signal(signal.SIGCONT)


@contextmanager
def full(redis: OwnRedis) -> Iterator[None]:
    """It answers, and takes nothing."""
    with redis.client() as client:
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@contextmanager
def read_only(redis: OwnRedis) -> Iterator[None]:
    """A replica, which answers reads."""
    with redis.client() as client:
        client.replicaof("127.0.0.1", 1)
        yield
        client.replicaof("NO", "ONE")


@contextmanager
def loading(redis: OwnRedis) -> Iterator[None]:
    """It answers everything with an error."""
    redis.kill()
    with failing_redis(redis.port, "LOADING Redis is loading the dataset in memory"):
        yield
    redis.start()


TROUBLES = (gone, frozen, full, read_only, loading)


async def test_processes_that_share_a_redis_share_a_count(redis_url: str, opened: AsyncExitStack) -> None:
    """Of 50 requests at once in each of four processes exactly 100 have a number within the limit of 100."""
    processes = [Counts(await shared(redis_url, opened)) for _ in range(PROCESSES)]

    counted = await asyncio.gather(*(counts.add("a", 60, LIMIT) for counts in processes for _ in range(50)))

    assert sorted(one.number for one in counted if one.number <= LIMIT) == [*range(1, LIMIT + 1)]
    assert all(0 < one.seconds_left <= 60 for one in counted)


async def test_a_crowd_is_counted_by_few_questions(redis_url: str, opened: AsyncExitStack) -> None:
    """Requests that come at the same time are counted by one command, and each has a number of its own."""
    counts = Counts(await shared(redis_url, opened))
    with Redis.from_url(redis_url) as client:
        before = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]

        counted = await asyncio.gather(*(counts.add("a", 60, 1_000) for _ in range(500)))

        asked = client.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    assert [one.number for one in counted] == [*range(1, 501)]
    assert asked == 1


async def test_a_window_ends_for_all_at_once(redis_url: str, opened: AsyncExitStack) -> None:
    """A process that meets a window which another began knows its end; above the limit it asks Redis no more."""
    first, second = [Counts(await shared(redis_url, opened)) for _ in range(2)]
    await first.add("a", 60, 2)
    with Redis.from_url(redis_url) as client:
        client.pexpire(f"{PREFIX}:a", 30_000)

        met = await second.add("a", 60, 2)
        above = [await second.add("a", 60, 2) for _ in range(5)]
        count = int(client.get(f"{PREFIX}:a") or 0)

    assert met.number == 2
    assert 29 < met.seconds_left <= 30
    assert {one.number for one in above} == {3}
    assert count == 2


async def test_a_request_that_is_given_up_keeps_its_number(redis_url: str, opened: AsyncExitStack) -> None:
    """The others that were asked for with it get theirs."""
    counts = Counts(await shared(redis_url, opened))
    requests = [asyncio.create_task(counts.add("a", 60, 10)) for _ in range(3)]
    await asyncio.sleep(0)
    requests[1].cancel()

    answers = await asyncio.gather(*requests, return_exceptions=True)

    assert isinstance(answers[1], asyncio.CancelledError)
    assert [answer.number for answer in answers if isinstance(answer, Counted)] == [1, 3]


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_without_redis_each_process_counts(
    redis: OwnRedis, opened: AsyncExitStack, trouble: Callable[[OwnRedis], Iterator[None]]
) -> None:
    """Killed, frozen, full, a replica, loading: it goes on from what it knows, then Redis counts again."""
    common = await shared(redis.url, opened)
    counts = Counts(common)
    assert [(await counts.add("a", 60, 10)).number for _ in range(3)] == [1, 2, 3]

    with trouble(redis):  # type: ignore[attr-defined]  # a context manager, which the type of a parameter does not say
        assert [(await counts.add("a", 60, 10)).number for _ in range(3)] == [4, 5, 6]
        assert not common.answers
        assert [(await counts.add("a", 60, 8)).number for _ in range(3)] == [7, 8, 9]
    await until(lambda: common.answers)

    other = Counts(await shared(redis.url, opened))
    counted = await asyncio.gather(*(each.add("b", 60, 10) for each in (counts, other) for _ in range(10)))
    assert sorted(one.number for one in counted if one.number <= 10) == [*range(1, 11)]


async def test_a_redis_that_hangs_is_asked_by_nobody(
    redis: OwnRedis, opened: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests wait for it once; while it is lost they are counted without a question."""
    monkeypatch.setattr(shared_counts, "PAUSE_SECONDS", 3_600.0)
    common = await shared(redis.url, opened)
    counts = Counts(common)
    await counts.add("a", 60, 1_000)
    with frozen(redis):
        await asyncio.gather(*(counts.add("a", 60, 1_000) for _ in range(50)))
        later = [counts.add("a", 60, 1_000) for _ in range(50)]
        for one in later:  # none of them waits for anything, so each ends at its first step
            with pytest.raises(StopIteration):
                one.send(None)


async def test_what_waits_behind_a_redis_that_hangs_is_not_sent(
    redis: OwnRedis, opened: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that came while the question was under way are counted without another one."""
    monkeypatch.setattr(shared_counts, "PAUSE_SECONDS", 3_600.0)
    counts = Counts(await shared(redis.url, opened))
    await counts.add("a", 60, 1_000)
    with redis.client() as client:
        connections = client.info("stats")["total_connections_received"]
    with frozen(redis):
        asked = asyncio.create_task(counts.add("a", 60, 1_000))
        for _ in range(5):  # it is under way
            await asyncio.sleep(0)
        waiting = [asyncio.create_task(counts.add("a", 60, 1_000)) for _ in range(50)]
        numbers = [one.number for one in await asyncio.gather(asked, *waiting)]

    assert numbers == [*range(2, 53)]
    with redis.client() as client:
        assert client.info("stats")["total_connections_received"] == connections + 1  # this client's


async def test_a_question_that_fails_keeps_nobody_waiting(
    redis_url: str, opened: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its requests end with it, and the next request asks again."""
    common = await shared(redis_url, opened)
    counts = Counts(common)

    async def fail(*_: object) -> int:
        raise RuntimeError("a fault of ours")

    with monkeypatch.context() as patched:
        patched.setattr(common, "add", fail)
        async with asyncio.timeout(10):
            failed = await asyncio.gather(*(counts.add("a", 60, 10) for _ in range(3)), return_exceptions=True)

    assert {type(one) for one in failed} == {RuntimeError}
    assert (await counts.add("a", 60, 10)).number == 1


async def test_a_count_without_an_end_gets_one(redis_url: str, opened: AsyncExitStack) -> None:
    """Whoever took it away: a count that never ends would refuse a key for ever."""
    first, second = [Counts(await shared(redis_url, opened)) for _ in range(2)]
    await first.add("a", 60, 10)
    with Redis.from_url(redis_url) as client:
        client.persist(f"{PREFIX}:a")

        met = await second.add("a", 60, 10)

        assert 59_000 < client.pttl(f"{PREFIX}:a") <= 60_000
    assert met.number == 2
    assert 59 < met.seconds_left <= 60


async def test_a_count_that_ends_as_it_is_met_is_over(
    redis_url: str, opened: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended after it had counted a request, whose window is over with it; the next request begins another."""
    first, common = Counts(await shared(redis_url, opened)), await shared(redis_url, opened)
    second, seconds_left = Counts(common), common.seconds_left
    await first.add("a", 60, 10)
    with Redis.from_url(redis_url) as client:

        async def too_late(name: str, seconds: int) -> float | None:
            client.delete(f"{PREFIX}:{name}")
            return await seconds_left(name, seconds)

        monkeypatch.setattr(common, "seconds_left", too_late)
        met, following = [await second.add("a", 60, 10) for _ in range(2)]

        assert client.get(f"{PREFIX}:a") == b"1"
    assert (met.number, following.number) == (2, 1)
    assert met.seconds_left <= 0


async def test_a_crowd_of_names_does_not_lose_redis(redis_url: str, opened: AsyncExitStack) -> None:
    """Those that are not asked about in time are counted here; that others wait is no fault of Redis."""
    common = await shared(redis_url, opened)
    counts = Counts(common)

    counted = await asyncio.gather(*(counts.add(f"stranger {number}", 60, 10) for number in range(5_000)))

    assert {one.number for one in counted} == {1}
    assert common.answers


async def test_strangers_do_not_change_how_keys_are_counted(redis_url: str, opened: AsyncExitStack) -> None:
    """While Redis is asked about a crowd of addresses, it is asked about a key."""
    limits = RateLimits(Settings(redis_url=redis_url, rate_limit="100/minute"))
    opened.push_async_callback(limits.close)
    await limits.start()
    requests = RequestFactory()
    ours, theirs = requests.get("/"), []
    for number in range(5_000):
        stranger = requests.get("/")
        stranger.scope["client"] = (f"10.0.{number // 250}.{number % 250}", 1)
        theirs.append(stranger)
    crowd = [asyncio.create_task(limits.count_address(stranger)) for stranger in theirs]
    await asyncio.wait(crowd, return_when=asyncio.FIRST_COMPLETED)

    await limits.count_key(ours, Caller("prefix", frozenset(), None, None))
    await asyncio.gather(*crowd)

    with Redis.from_url(redis_url) as client:
        assert client.get(f"{PREFIX}:key/prefix/minute") == b"1"


async def test_a_redis_that_takes_nothing_does_not_hold_up_the_end(redis: OwnRedis) -> None:
    """What is still to be sent to it is given up."""
    common = SharedCounts(redis.url, "key")
    await common.start()
    with frozen(redis):
        (connection,) = common._redis.connection_pool._available_connections
        assert connection._writer is not None
        connection._writer.write(b"x" * 50_000_000)
        async with asyncio.timeout(20):
            await common.close()


async def test_it_starts_without_redis(redis: OwnRedis, opened: AsyncExitStack) -> None:
    """A process starts, and counts by itself until there is a Redis."""
    redis.kill()
    common = await shared(redis.url, opened)
    counts = Counts(common)

    assert (await counts.add("a", 60, 10)).number == 1
    redis.start()
    await until(lambda: common.answers)
    assert (await counts.add("a", 60, 10)).number == 1


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
