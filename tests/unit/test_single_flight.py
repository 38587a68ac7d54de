"""Tasks that callers share by key."""

import asyncio

import pytest

from app.single_flight import SingleFlight


async def test_callers_with_the_same_key_share_a_task() -> None:
    """A task is started once for all callers that come while it is under way, and anew after it has ended."""
    flights: SingleFlight[str, int] = SingleFlight()
    started, gate = 0, asyncio.Event()

    async def work() -> int:
        nonlocal started
        started += 1
        await gate.wait()
        return started

    first, second, other = flights.task("a", work), flights.task("a", work), flights.task("b", work)
    assert first is second
    assert len(flights) == 2
    assert "a" in flights
    gate.set()
    await asyncio.wait({first, other})
    await asyncio.sleep(0)

    assert started == 2
    assert "a" not in flights
    assert await flights.task("a", work) == 3


async def test_a_caller_that_gives_up_does_not_cancel_the_others() -> None:
    """A caller that waits by a shield can be cancelled alone."""
    flights: SingleFlight[str, int] = SingleFlight()
    gate = asyncio.Event()

    async def work() -> int:
        await gate.wait()
        return 1

    async def call() -> int:
        return await asyncio.shield(flights.task("a", work))

    impatient, patient = asyncio.create_task(call()), asyncio.create_task(call())
    await asyncio.sleep(0)
    impatient.cancel()
    gate.set()

    assert await patient == 1
    assert impatient.cancelled()


async def test_a_failure_reaches_every_caller() -> None:
    """All callers of a key get the error of its task, and the next caller starts a new one."""
    flights: SingleFlight[str, int] = SingleFlight()

    async def fail() -> int:
        raise ValueError("no")

    task = flights.task("a", fail)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await asyncio.shield(task)

    assert "a" not in flights


async def test_a_closed_key_gets_a_task_of_its_own() -> None:
    """The task before it goes on for its callers, and its end does not end the sharing of the new one."""
    flights: SingleFlight[str, int] = SingleFlight()
    gate = asyncio.Event()

    async def wait() -> int:
        await gate.wait()
        return 1

    async def no_wait() -> int:
        return 0

    old = flights.task("a", no_wait)
    flights.close("a")
    new = flights.task("a", wait)
    assert await old == 0
    assert flights.task("a", wait) is new

    gate.set()
    assert await new == 1
