"""The time that a request has: set once, where it comes in, and known to all that works for it.

It travels in a context variable, together with `pymongo.timeout`: every operation on the database, also in the threads
of the driver, ends with it. What serves several requests (batches, beats, questions that many wait for) must not have
the deadline of the one that happened to start it: that is what `detached` is for.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import Context, ContextVar
from typing import Any, TypeVar

import pymongo

from app.errors import Problem

T = TypeVar("T")

LEAST_SECONDS = 0.001
"""What an operation gets whose time is over; zero would mean no limit."""


class Deadline:
    """When a request must be answered, by the monotonic clock.

    The time that its client takes to send the body is the client's own: see `paused`. `sent`: something was sent, or
    is about to be, that stands whether or not its answer is heard; see `sending`.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = clock() + seconds
        self._paused_at: float | None = None
        self._operations: AbstractContextManager[None] | None = None
        self.sent = False

    def left(self) -> float:
        """The seconds that are left; negative once it has passed."""
        now = self._clock() if self._paused_at is None else self._paused_at
        return self._until - now

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, time does not count."""
        self._paused_at = self._clock()
        try:
            yield
        finally:
            self._until += self._clock() - self._paused_at
            self._paused_at = None
            if self._operations is not None:
                self._bind()

    @contextmanager
    def bound(self) -> Iterator[None]:
        """Inside, no operation on the database outlives it."""
        self._bind()
        try:
            yield
        finally:
            self._release()

    def _bind(self) -> None:
        """Tell the driver when it ends, in place of what was told before: one limit within another only shortens it."""
        self._release()
        self._operations = pymongo.timeout(max(self.left(), LEAST_SECONDS))
        self._operations.__enter__()

    def _release(self) -> None:
        if self._operations is not None:
            self._operations.__exit__(None, None, None)
            self._operations = None


_CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def current() -> Deadline | None:
    """The deadline of the request that is being worked for; None for what is not bound to one."""
    return _CURRENT.get()


def within(seconds: float) -> float:
    """So many seconds, or what the request has left if that is less."""
    deadline = current()
    return seconds if deadline is None else max(min(seconds, deadline.left()), LEAST_SECONDS)


def sending() -> None:
    """Said before every write, or whatever leads to one: from here on it may be done, heard of or not.

    Raises:
        Problem: `overloaded`; the time is over, and the caller may have been told that nothing was done.
    """
    deadline = current()
    if deadline is None or deadline.sent:
        return
    if deadline.left() <= 0:
        raise Problem("overloaded", "This took longer than it may; nothing was done.")
    deadline.sent = True


@contextmanager
def bound(deadline: Deadline) -> Iterator[None]:
    """Inside, this is the deadline, and no operation on the database outlives it."""
    token = _CURRENT.set(deadline)
    try:
        with deadline.bound():
            yield
    finally:
        _CURRENT.reset(token)


def detached(work: Coroutine[Any, Any, T], *, name: str | None = None) -> "asyncio.Task[T]":
    """A task that is not bound to the deadline of whoever starts it."""
    return asyncio.get_running_loop().create_task(work, name=name, context=Context())
