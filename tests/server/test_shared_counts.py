"""The counts that processes share in Redis, and what each does where Redis does not count."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from litestar.testing import RequestFactory
from redis import Redis

from app.access import shared_counts
from app.access.counts import Counted, Counts
from app.access.rate_limits import RateLimits
from app.access.shared_counts import CONNECTIONS_MAX, PREFIX, QUESTIONS_MAX, SharedCounts
from app.caller import Caller
from app.settings import Settings
from tests.support.redis_server import OwnRedis, frozen, full, gone, loading, read_only

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
    connections = redis.connections()
    with frozen(redis):
        asked = asyncio.create_task(counts.add("a", 60, 1_000))
        for _ in range(5):  # it is under way
            await asyncio.sleep(0)
        waiting = [asyncio.create_task(counts.add("a", 60, 1_000)) for _ in range(50)]
        numbers = [one.number for one in await asyncio.gather(asked, *waiting)]

    assert numbers == [*range(2, 53)]
    assert redis.connections() == connections + 1  # the one that asks


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


@asynccontextmanager
async def crowded(common: SharedCounts, questions: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """So many questions stand before all others while the block runs."""
    monkeypatch.setattr(shared_counts, "ANSWER_SECONDS", 600.0)
    go = asyncio.Event()

    async def stand() -> int:
        await go.wait()
        return 1

    standing = [asyncio.create_task(common._ask(stand)) for _ in range(questions)]
    await asyncio.sleep(0)
    yield
    go.set()
    await asyncio.gather(*standing)


@pytest.mark.parametrize("questions", [CONNECTIONS_MAX, QUESTIONS_MAX])
async def test_a_crowd_does_not_lose_redis(
    redis_url: str, opened: AsyncExitStack, monkeypatch: pytest.MonkeyPatch, questions: int
) -> None:
    """What it cannot be asked about in time is counted here; that others wait is no fault of Redis."""
    common = await shared(redis_url, opened)
    counts = Counts(common)

    async with crowded(common, questions, monkeypatch):
        numbers = [(await counts.add("a", 60, 10)).number for _ in range(2)]

    assert numbers == [1, 2]
    assert common.answers
    assert (await counts.add("b", 60, 10)).number == 1
    with Redis.from_url(redis_url) as client:
        assert [client.get(f"{PREFIX}:{name}") for name in "ab"] == [None, b"1"]


@pytest.mark.parametrize("questions", [CONNECTIONS_MAX, QUESTIONS_MAX])
async def test_strangers_do_not_change_how_keys_are_counted(
    redis_url: str, opened: AsyncExitStack, monkeypatch: pytest.MonkeyPatch, questions: int
) -> None:
    """While Redis is asked about a crowd of addresses, it is asked about a key."""
    limits = RateLimits(Settings(redis_url=redis_url, rate_limit="100/minute"))
    opened.push_async_callback(limits.close)
    await limits.start()
    of_addresses = limits._of_an_address._shared
    assert of_addresses is not None
    request = RequestFactory().get("/")

    async with crowded(of_addresses, questions, monkeypatch):
        await limits.count_address(request)
        await limits.count_key(request, Caller("prefix", frozenset(), None, None))

    with Redis.from_url(redis_url) as client:
        assert [*client.keys(f"{PREFIX}:*/*")] == [f"{PREFIX}:key/prefix/minute".encode()]


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
