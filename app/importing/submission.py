"""Submitting the intent of a row, again while the database fails."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random

from app.errors import Problem
from app.importing.rows import Row

ATTEMPTS_MAX = 6
"""How often a row is submitted while the database fails; then the import ends."""

log = structlog.get_logger()

W = TypeVar("W")
R = TypeVar("R")


async def submit(row: Row, step: Callable[[W], Awaitable[R]], intent: W) -> R:
    """Submit the intent of a row; while the database fails, up to `ATTEMPTS_MAX` times.

    Args:
        row: The row, for the log.
        step: Submits an intent.
        intent: The intent, the same in every attempt.

    Raises:
        Problem: the intent is refused, or the database failed each time.
    """
    try:
        return await step(intent)
    except Problem as trouble:
        if not is_transient(trouble):
            raise
        log.info("a row is handed in again", line=row.line, reason=trouble.detail)
        pause = trouble.kind.retry_after_seconds or 1
    again = AsyncRetrying(
        retry=retry_if_exception(is_transient),
        wait=wait_random(0.5 * pause, 1.5 * pause),
        stop=stop_after_attempt(ATTEMPTS_MAX - 1),
        reraise=True,
    )
    await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
    return await again(step, intent)


def is_transient(error: BaseException) -> bool:
    """Whether a problem is a failure of the database, after which the same intent may succeed."""
    return isinstance(error, Problem) and error.kind.retry_after_seconds is not None
