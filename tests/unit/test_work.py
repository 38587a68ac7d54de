"""Long work runs beside the loop, a bounded amount of it."""

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from weakref import ReferenceType, ref

import pytest

from app.errors import Problem
from app.http import request
from app.http.request import LARGE_BODY_BYTES
from app.work import TURN_SECONDS, USUAL_TURN_SECONDS, WorkPool, without_collector


@pytest.fixture
def pool() -> Iterator[WorkPool]:
    """One thread, and one place in the queue before it."""
    pool = WorkPool(threads=1, queue_limit=1)
    yield pool
    pool.close()


async def test_result_and_failure_come_back(pool: WorkPool) -> None:
    """What the work returns or raises reaches the caller, from another thread."""
    assert await pool.run(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0)


class Ballast:
    """What some work has at hand when it fails."""


async def test_what_failed_is_freed_at_once(pool: WorkPool) -> None:
    """A failure keeps nothing alive once it was caught: no cycle waits for the collector, which stops all threads."""
    kept: list[ReferenceType[Ballast]] = []

    def work() -> None:
        ballast = Ballast()
        kept.append(ref(ballast))
        raise ZeroDivisionError

    with without_collector():
        with suppress(ZeroDivisionError):
            await pool.run(work)
        assert await pool.run(int) == 0  # by now the thread has left the work that failed
        assert kept[0]() is None


async def test_the_loop_gets_its_turn_sooner_while_there_is_long_work(pool: WorkPool) -> None:
    """And as late as ever once all of it is done, whether it failed or not."""
    assert sys.getswitchinterval() == pytest.approx(USUAL_TURN_SECONDS)
    assert await pool.run(sys.getswitchinterval) == pytest.approx(TURN_SECONDS)
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0)
    assert sys.getswitchinterval() == pytest.approx(USUAL_TURN_SECONDS)


async def test_beyond_its_queue_it_refuses(pool: WorkPool) -> None:
    """With thread and queue taken the answer is `overloaded` at once; a place that becomes free is given again."""
    release = threading.Event()
    taken = [asyncio.create_task(pool.run(release.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    assert pool.full
    with pytest.raises(Problem) as refused:
        await pool.run(int)
    assert refused.value.name == "overloaded"
    release.set()
    assert await asyncio.gather(*taken) == [True, True]
    assert await pool.run(int) == 0


async def test_work_whose_caller_left_keeps_its_place(pool: WorkPool) -> None:
    """A thread cannot be stopped, so its place is free only when it has come to its end, also if no caller waits."""
    release, begun = threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return release.wait()

    running = asyncio.create_task(pool.run(work))
    waiting = asyncio.create_task(pool.run(int))
    await asyncio.to_thread(begun.wait)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert pool.full
    release.set()
    assert await waiting == 0
    assert not pool.full


def test_garbage_is_not_collected_while_a_large_body_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection lets no other task run and visits every value of the body; after it, faulty or not, it goes on."""
    seen: list[bool] = []

    def parsed(body: bytes, *_: object, **__: object) -> None:
        seen.append(gc.isenabled())
        if body.startswith(b"x"):
            raise Problem("malformed", "No.")

    monkeypatch.setattr(request, "_parse", parsed)
    read = getattr(request, "_read")  # noqa: B009  # private, and the one place through which bodies come
    for body in (b" " * (LARGE_BODY_BYTES + 1), b"{}"):
        read(body, None, nulls=False)
        assert gc.isenabled()
    with pytest.raises(Problem):
        read(b"x" * (LARGE_BODY_BYTES + 1), None, nulls=False)
    assert gc.isenabled()
    assert seen == [False, True, False]


def test_a_pause_of_the_collector_is_not_prolonged() -> None:
    """Who comes during one has it as long as it lasts: a stream of large bodies leaves the collector its time."""
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(without_collector())
        second.enter_context(without_collector())
        assert not gc.isenabled()
        first.close()
        assert gc.isenabled()
    assert gc.isenabled()
