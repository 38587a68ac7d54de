"""Attempts that are repeated."""

import asyncio
from contextlib import suppress
from weakref import ReferenceType, ref

import pytest

from app.retries import retry
from app.work import without_collector


class Attempts:
    """Fails with these errors, one after the other, and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = [*errors]
        self.count = 0

    async def __call__(self) -> str:
        """One attempt.

        Raises:
            Exception: the next error.
        """
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.parametrize("on", [KeyError, lambda error: isinstance(error, LookupError)])
async def test_what_another_writer_prevented_is_repeated(on: type[Exception]) -> None:
    """Until it succeeds, by the class of the error or by what tells it."""
    attempts = Attempts(KeyError(), KeyError())

    assert await retry(attempts, 3, on=on) == "done"
    assert attempts.count == 3


async def test_the_last_attempt_raises_its_error() -> None:
    """There are as many attempts as the bound says; the error of the last one is raised as it is."""
    attempts = Attempts(KeyError(1), KeyError(2), KeyError(3))

    with pytest.raises(KeyError, match="2"):
        await retry(attempts, 2, on=KeyError)
    assert attempts.count == 2


async def test_other_errors_are_raised_at_once() -> None:
    """What would fail again is not repeated."""
    attempts = Attempts(ValueError("another"))

    with pytest.raises(ValueError, match="another"):
        await retry(attempts, 3, on=KeyError)
    assert attempts.count == 1


async def test_a_function_that_returns_a_future_is_awaited() -> None:
    """As Motor's methods are: functions that are no coroutine functions."""
    futures: list[asyncio.Future[str]] = [asyncio.Future(), asyncio.Future()]
    futures[0].set_exception(KeyError())
    futures[1].set_result("done")

    assert await retry(lambda: futures.pop(0), 2, on=KeyError) == "done"


class Ballast:
    """What an attempt has at hand when it fails."""


async def test_what_failed_is_freed_at_once() -> None:
    """The last error keeps nothing alive once it was caught: no cycle waits for the collector, which stops all."""
    kept: list[ReferenceType[Ballast]] = []

    async def attempt() -> None:
        ballast = Ballast()
        kept.append(ref(ballast))
        raise KeyError

    for on in (KeyError, ValueError):
        with without_collector(), suppress(KeyError):
            await retry(attempt, 2, on=on)
    assert [each() for each in kept] == [None] * 3
