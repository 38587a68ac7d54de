"""Who may ask long questions at once, who waits, in which order, and who is sent away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from app.availability.admission import (
    PERMITS_MAX,
    PERMITS_PER_KEY_MAX,
    QUEUE_LENGTH_MAX,
    QUEUE_LENGTH_PER_KEY_MAX,
    Admission,
)
from app.errors import Problem


class Hall:
    """Requests with a permit, and requests that wait for one."""

    def __init__(self) -> None:
        self.admission = Admission()
        self.served: list[str] = []
        self.left: dict[str, list[asyncio.Event]] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, key: str) -> asyncio.Task[None]:
        """Ask with a key; the request waits, or is served until `leave`."""
        task = asyncio.create_task(self._stay(key))
        self.tasks.append(task)
        await settled()
        return task

    async def _stay(self, key: str) -> None:
        async with self.admission.permit(key):
            self.served.append(key)
            leave = asyncio.Event()
            self.left.setdefault(key, []).append(leave)
            await leave.wait()

    async def leave(self, key: str) -> None:
        """The one that has its place the longest leaves."""
        self.left[key].pop(0).set()
        await settled()


async def settled() -> None:
    """Let all tasks run as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def hall() -> AsyncIterator[Hall]:
    """A hall whose tasks are cancelled in the end."""
    made = Hall()
    try:
        yield made
    finally:
        for task in made.tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, Problem):
                await task


async def test_one_key_does_not_get_all_places() -> None:
    """The last permit is for another key, which need not wait."""
    async with hall() as here:
        for _ in range(5):
            await here.ask("much")
        assert here.served == ["much"] * PERMITS_PER_KEY_MAX
        await here.ask("little")
        assert here.served[PERMITS_PER_KEY_MAX:] == ["little"] * (PERMITS_MAX - PERMITS_PER_KEY_MAX)


async def test_keys_take_turns() -> None:
    """Of the waiting requests, one of each key in the order in which the keys came, then the next ones."""
    async with hall() as here:
        for key in ("a", "a", "b", *"aaa", *"bb", "c"):
            await here.ask(key)
        assert here.served == ["a", "a", "b"]
        for key in ("a", "a", "b", "a"):
            await here.leave(key)
        assert here.served[3:] == ["a", "b", "c", "a"]


async def test_beyond_the_queue_it_is_overloaded() -> None:
    """Of one key sooner than of all together; who was sent away has taken no place."""
    async with hall() as here:
        for key, places in (("a", PERMITS_PER_KEY_MAX), ("b", PERMITS_MAX - PERMITS_PER_KEY_MAX)):
            for _ in range(places + QUEUE_LENGTH_PER_KEY_MAX):
                assert not (await here.ask(key)).done()
            with pytest.raises(Problem) as refused:
                await (await here.ask(key))
            assert refused.value.name == "overloaded"
        assert QUEUE_LENGTH_MAX == 2 * QUEUE_LENGTH_PER_KEY_MAX
        with pytest.raises(Problem):
            await (await here.ask("c"))
        await here.leave("b")
        assert not (await here.ask("c")).done()
        assert here.served == ["a"] * PERMITS_PER_KEY_MAX + ["b"] * (PERMITS_MAX - PERMITS_PER_KEY_MAX) + ["b"]


async def test_who_waits_too_long_is_overloaded() -> None:
    """Nothing was begun for it."""
    with pytest.raises(Problem) as refused:
        async with Admission(permits=0, wait_seconds=0).permit("a"):
            pytest.fail("there is no place")

    assert refused.value.name == "overloaded"


async def test_who_goes_away_leaves_the_place_to_the_next() -> None:
    """While it waits, at the very moment at which it is called, and while it is served."""
    async with hall() as here:
        for _ in range(2):
            await here.ask("a")
        gone, called, last = [await here.ask("a") for _ in range(3)]
        gone.cancel()
        here.left["a"].pop(0).set()
        await asyncio.sleep(0)
        called.cancel()
        await settled()
        assert not last.done()
        assert here.served == ["a"] * 3
