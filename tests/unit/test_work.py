"""Long work runs beside the loop, a bounded amount of it."""

import asyncio
import sys
import threading
from collections.abc import Iterator

import pytest

from app.errors import Problem
from app.work import TURN_SECONDS, USUAL_TURN_SECONDS, WorkPool


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


async def test_the_loop_gets_its_turn_sooner_while_there_is_long_work(pool: WorkPool) -> None:
    """And as late as ever once all of it is done, whether it failed or not."""
    assert sys.getswitchinterval() == pytest.approx(USUAL_TURN_SECONDS)
    assert await pool.run(sys.getswitchinterval) == pytest.approx(TURN_SECONDS)
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0)
    assert sys.getswitchinterval() == pytest.approx(USUAL_TURN_SECONDS)


async def test_beyond_its_queue_it_refuses(pool: WorkPool) -> None:
    """Who finds thread and queue taken is told `overloaded` at once; a place that becomes free is given again."""
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
    """A thread cannot be stopped, so its place is free only when it has come to its end, also if nobody waits."""
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
