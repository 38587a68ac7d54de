"""Attempts that are repeated at once because another writer was faster: as often as their bound says."""

from collections.abc import Awaitable, Callable
from types import CodeType, TracebackType
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception, retry_if_exception_type, stop_after_attempt

T = TypeVar("T")


async def retry(
    attempt: Callable[[], Awaitable[T]], attempts_max: int, *, on: type[Exception] | Callable[[BaseException], bool]
) -> T:
    """The result of the first attempt that does not fail with an error after which another may succeed.

    Args:
        attempt: Reads what it needs anew each time.
        attempts_max: The number of attempts.
        on: The error that another writer causes, or what tells it.

    Raises:
        Exception: what an attempt raised, if it is another error or the attempt was the last.
    """
    again = retry_if_exception_type(on) if isinstance(on, type) else retry_if_exception(on)
    attempts = AsyncRetrying(stop=stop_after_attempt(attempts_max), retry=again, reraise=True)

    async def awaited() -> T:  # tenacity awaits coroutine functions alone, and Motor's methods return futures
        return await attempt()

    try:
        return await attempts(awaited)
    except BaseException as error:
        # Frames of tenacity refer to the error. If its traceback referred to them, all would wait for the collector.
        error.__traceback__ = _inside(error.__traceback__, awaited.__code__)
        raise


def _inside(traceback: TracebackType | None, code: CodeType) -> TracebackType | None:
    """The part of a traceback that begins in a function."""
    while traceback is not None and traceback.tb_frame.f_code is not code:
        traceback = traceback.tb_next
    return traceback
