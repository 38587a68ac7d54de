"""The worker without Redis: scheduled work goes on, and the queue is used again afterwards."""

import asyncio
import json
import math
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from app import job_queue
from app.job_queue import Queue
from tests.support.commands import RunningCommand, eventually, running_command
from tests.support.redis_server import OwnRedis, failing_redis, frozen, gone

Trouble = Callable[[OwnRedis], AbstractContextManager[None]]


@contextmanager
def full(redis: OwnRedis) -> Iterator[None]:
    """It takes no more, and the entry that waits was there before."""
    with redis.client() as client:
        put(redis, "before")
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@contextmanager
def replica(redis: OwnRedis, *, serves_stale: str) -> Iterator[None]:
    """A replica of a master that is not there."""
    with redis.client() as client:
        client.config_set("replica-serve-stale-data", serves_stale)
        client.replicaof("127.0.0.1", 1)
        yield
        client.replicaof("NO", "ONE")


@contextmanager
def read_only(redis: OwnRedis) -> Iterator[None]:
    """A replica that answers reads without its master."""
    put(redis, "before")
    with replica(redis, serves_stale="yes"):
        yield


@contextmanager
def stale(redis: OwnRedis) -> Iterator[None]:
    """A replica that answers nothing without its master."""
    with replica(redis, serves_stale="no"):
        yield


@contextmanager
def paused(redis: OwnRedis) -> Iterator[None]:
    """It takes commands, and answers them when it has slept out."""
    with redis.client() as client:
        client.client_pause(8_000)
        yield


def saying(words: str) -> Trouble:
    """Another server at its address that answers everything with an error."""

    @contextmanager
    def complain(redis: OwnRedis) -> Iterator[None]:
        redis.kill()
        with failing_redis(redis.port, words):
            yield
        redis.start()

    return complain


TROUBLES: dict[str, Trouble] = {
    "gone": gone,
    "full": full,
    "read-only": read_only,
    "stale": stale,
    "frozen": frozen,
    "paused": paused,
    "loading": saying("LOADING Redis is loading the dataset in memory"),
    "misconf": saying("MISCONF Redis is configured to save RDB snapshots, but it is unable to persist to disk"),
    "noauth": saying("NOAUTH Authentication required."),
}


def put(redis: OwnRedis, word: str) -> None:
    """Ring the worker."""

    async def ring() -> bool:
        jobs = Queue(redis.url)
        try:
            return await jobs.put("ring", word, identity=word)
        finally:
            await jobs.close()

    assert asyncio.run(ring())


@contextmanager
def ticking(redis: OwnRedis) -> Iterator[RunningCommand]:
    """The worker of `ticker`, once it ticks."""
    with running_command([sys.executable, "-m", "tests.support.ticking_process", redis.url], env={}) as worker:
        worker.wait_for_line("tick")
        yield worker


def ticks(worker: RunningCommand, more: int) -> bool:
    """Whether it ticks so often from here on."""
    before = worker.out.count("tick")
    return eventually(lambda: worker.out.count("tick") >= before + more or worker.process.poll() is not None)


@pytest.mark.parametrize("name", TROUBLES)
@pytest.mark.promise("redis-outage")
def test_the_schedule_goes_on_and_the_queue_comes_back(redis: OwnRedis, name: str) -> None:
    """Killed, full, read-only, stale, frozen, loading, unable to write, closed to us: it ticks on, and rings after."""
    with ticking(redis) as worker:
        with TROUBLES[name](redis):
            assert ticks(worker, 5)
            assert worker.process.poll() is None, worker.err
        put(redis, "after")
        worker.wait_for_line("rung after")

        assert worker.end(signal.SIGTERM) == 0
        assert not any("Traceback" in line for line in worker.err)


@pytest.mark.parametrize("name", ["gone", "frozen"])
def test_it_ends_in_time_without_redis(redis: OwnRedis, name: str) -> None:
    """SIGTERM ends the worker with 0, though a job that never ends is running and Redis cannot be written to."""
    with ticking(redis) as worker:
        put(redis, "for ever")
        worker.wait_for_line("rung for ever")
        with TROUBLES[name](redis):
            worker.wait_for_line("Redis cannot be used")
            assert worker.end(signal.SIGTERM) == 0


@pytest.mark.promise("redis-outage")
def test_it_waits_for_a_redis_that_is_not_there_yet(redis: OwnRedis) -> None:
    """It starts without, ticks, and rings as soon as there is one; the log has a line of each."""
    redis.kill()
    with ticking(redis) as worker:
        assert ticks(worker, 3)
        redis.start()
        put(redis, "first")
        worker.wait_for_line("rung first")
        # The log is another pipe than the output, and may be read a little later.
        assert eventually(lambda: sum("Redis can" in line for line in worker.err) == 2), worker.err
        lines = [line for line in worker.err if "Redis can" in line]

        assert "can be used again" in lines[1]


def job(**changes: object) -> bytes:
    """A job as arq writes it, but for some changes."""
    return json.dumps({"f": "ring", "a": ["poison"], "k": {}, "t": None, "et": 1, **changes}).encode()


JOBS: dict[bytes, bytes | None] = {
    b"try-as-text": job(t="text"),
    b"time-as-text": job(et="now"),
    b"time-too-late": job(et=10**30),
    b"no-function": job(f=["ring"]),
    b"unknown-function": job(f="unknown"),
    b"too-many-arguments": job(a=["a", "b"]),
    b"arguments-of-a-kind": job(a="ab"),
    b"names-that-are-none": job(k={"no": "such"}),
    b"not-json": b"\x80\x04\x95pickle",
    b"no-object": b"[1]",
    b"nothing": None,
    b"\xff\xfe not UTF-8": job(),
    b"": job(),
}
"""What may stand in the queue, and under the key of its job."""


def test_what_makes_no_sense_in_the_queue_is_removed(redis: OwnRedis) -> None:
    """Members of every kind, times that are none, jobs and counters of another type: all go, the worker stays."""
    with ticking(redis) as worker, redis.client() as client:
        for identity, content in JOBS.items():
            if content is not None:
                client.set(b"arq:job:" + identity, content)
            client.zadd(job_queue.QUEUE, {identity: 1})
        for name, score in {"at zero": 0.0, "before all": -math.inf, "minus": -5.0}.items():
            client.set(f"arq:job:{name}", job())
            client.zadd(job_queue.QUEUE, {name: score})
        client.rpush("arq:job:a list", "x")
        client.set("arq:job:bad counter", job())
        client.set("arq:retry:bad counter", "many")
        client.zadd(job_queue.QUEUE, {"a list": 1, "bad counter": 1})

        assert eventually(lambda: client.zcard(job_queue.QUEUE) == 0), client.zrange(job_queue.QUEUE, 0, -1)
        put(redis, "after")
        worker.wait_for_line("rung after")
        assert eventually(lambda: client.keys("arq:job:*") == [])
        assert worker.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("kind", ["text", "list", "hash", "set"])
def test_a_queue_that_is_none_is_set_aside(redis: OwnRedis, kind: str) -> None:
    """A key of another type under its name is renamed, with a line in the log, and the queue is used again."""
    with ticking(redis) as worker, redis.client() as client:
        match kind:
            case "text":
                client.set(job_queue.QUEUE, "x")
            case "list":
                client.rpush(job_queue.QUEUE, "x")
            case "hash":
                client.hset(job_queue.QUEUE, "x", "y")
            case "set":
                client.sadd(job_queue.QUEUE, "x")
        worker.wait_for_line("set aside")
        put(redis, "after")
        worker.wait_for_line("rung after")

        assert client.exists(job_queue.QUEUE + ":unreadable")


def test_two_workers_share_a_queue(redis: OwnRedis) -> None:
    """Each entry is taken by one of them."""
    with ticking(redis) as one, ticking(redis) as other:
        words = [f"word-{number}" for number in range(20)]
        for word in words:
            put(redis, word)
        for word in words:
            assert eventually(lambda word=word: f"rung {word}" in one.out + other.out)  # type: ignore[misc]  # mypy knows no default in a lambda

        assert sorted(line for line in one.out + other.out if line != "tick") == sorted(
            f"rung {word}" for word in words
        )
