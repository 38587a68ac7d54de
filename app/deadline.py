"""The deadline of a request: set where the request arrives, and visible to all code that works for it.

It travels in a context variable, together with `pymongo.timeout`, so that every operation on the database ends with it,
also in the threads of the driver. Work for several requests (batches, heartbeats, shared lookups) must not have the
deadline of the request that happened to start it: `detached` starts such work.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager, contextmanager
from contextvars import Context, ContextVar
from typing import TypeVar, TypeVarTuple

import pymongo

from app.errors import Problem

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LEAST_SECONDS = 0.001
"""The timeout of an operation after the deadline; zero would mean no limit."""

NEGLIGIBLE_SECONDS = 0.01
"""A pause that is too short to set the driver's timeout anew."""


class Deadline:
    """When a request must be answered, by the monotonic clock.

    The time that the client takes to send the body does not count: see `pause`. `sent` tells that a write was sent, or
    is about to be, and may be done whether or not its answer arrives; see `sending`.
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

    def pause(self) -> None:
        """Let the time that follows not count."""
        self._paused_at = self._clock()

    def resume(self) -> None:
        """Let time count again."""
        if self._paused_at is None:
            return
        seconds = self._clock() - self._paused_at
        self._until += seconds
        self._paused_at = None
        if self._operations is not None and seconds > NEGLIGIBLE_SECONDS:
            self.bind()

    def extend(self, seconds: float) -> None:
        """Let it be later: a client that asks to wait does not want an answer before."""
        self._until += seconds
        if self._operations is not None:
            self.bind()

    def bind(self) -> None:
        """Let no operation on the database outlive the deadline, in this context, until `release`.

        An earlier timeout of the driver is removed: nested ones could only shorten it.
        """
        self.release()
        self._operations = pymongo.timeout(max(self.left(), LEAST_SECONDS))
        self._operations.__enter__()

    def release(self) -> None:
        """Remove the driver's timeout."""
        if self._operations is not None:
            self._operations.__exit__(None, None, None)
            self._operations = None


_CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def current() -> Deadline | None:
    """The deadline of the current request; None outside of requests and in detached tasks."""
    return _CURRENT.get()


def within(seconds: float) -> float:
    """The given seconds, or what is left to the current request if that is less."""
    deadline = current()
    return seconds if deadline is None else max(min(seconds, deadline.left()), LEAST_SECONDS)


def sending() -> None:
    """Mark the current request as having sent a write; to be called before every write of a request.

    Raises:
        Problem: `overloaded`, if the deadline has passed: its client may have been answered that nothing was done.
    """
    deadline = current()
    if deadline is None or deadline.sent:
        return
    if deadline.left() <= 0:
        raise Problem("overloaded", "This took longer than it may; nothing was done.")
    deadline.sent = True


@contextmanager
def bound(deadline: Deadline) -> Generator[None]:
    """A block with this deadline, which no operation on the database outlives."""
    token = _CURRENT.set(deadline)
    deadline.bind()
    try:
        yield
    finally:
        deadline.release()
        _CURRENT.reset(token)


def detached(work: Coroutine[object, object, T], *, name: str | None = None) -> "asyncio.Task[T]":
    """Start a task that is not bound to the deadline of the current request."""
    return asyncio.get_running_loop().create_task(work, name=name, context=Context())


def call_at(when: float, call: Callable[[*Ts], None], *arguments: *Ts) -> asyncio.TimerHandle:
    """A timer of the event loop without the context, and so without the deadline, of the request that sets it.

    Args:
        when: The time of the call, in seconds of the loop's clock.
        call: What is called.
        arguments: With what.
    """
    return asyncio.get_running_loop().call_at(when, call, *arguments, context=Context())
