"""Processor-bound work in a few threads beside the event loop, with a short queue.

The loop serves all requests, so nothing that can take more than a few milliseconds runs on it. The threads share the
interpreter with it; while they work, its switch interval is shorter, because a booking needs the interpreter back a
dozen times.
"""

import asyncio
import gc
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from threading import Lock
from typing import ParamSpec, TypeVar

from app.errors import Problem

P = ParamSpec("P")
T = TypeVar("T")

WORK = "work"
"""The key of the pool in an application's state."""

THREADS = 2
QUEUE_LIMIT = 16
TURN_SECONDS = 0.001
"""The interpreter's switch interval while there is work in the pool."""
USUAL_TURN_SECONDS = 0.005
"""Python's default switch interval."""


_PAUSED = Lock()


@contextmanager
def without_collector() -> Generator[None]:
    """A block without garbage collection, for work that makes many objects that do not refer to each other.

    A collection visits all objects without letting other threads run, half a second for a million objects. A block that
    begins inside another does not prolong the pause, so collections happen however much of such work there is.
    """
    if not _PAUSED.acquire(blocking=False):
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        _PAUSED.release()


class WorkPool:
    """A few threads of one process, and a bounded queue before them.

    Args:
        threads: How many pieces of work run at once.
        queue_limit: How many more may wait; beyond that the process says so at once.
    """

    def __init__(self, threads: int = THREADS, queue_limit: int = QUEUE_LIMIT) -> None:
        self._places = self._limit = threads + queue_limit
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="work")

    @property
    def full(self) -> bool:
        """Whether the next piece of work would be refused."""
        return self._places <= 0

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run work in a thread. It runs to its end even if the caller is cancelled, and keeps its place until then.

        Raises:
            Problem: `overloaded` if the queue is full; the work is then not started.
        """
        if self.full:
            raise Problem("overloaded", "Too many long questions are being answered; ask again in a moment.")
        self._places -= 1
        sys.setswitchinterval(TURN_SECONDS)
        context = copy_context()
        future = asyncio.get_running_loop().run_in_executor(self._threads, lambda: context.run(work, *args, **kwargs))
        future.add_done_callback(self._give_back)
        try:
            return await asyncio.shield(future)
        finally:
            del future  # it refers to the error, whose traceback refers to this frame: all would wait for the collector

    def _give_back(self, done: "asyncio.Future[T]") -> None:
        self._places += 1
        if self._places == self._limit:
            sys.setswitchinterval(USUAL_TURN_SECONDS)
        if not done.cancelled():
            done.exception()  # a caller that went away is no reason for a warning

    def close(self) -> None:
        """Start no more work; work that runs is not interrupted."""
        self._threads.shutdown(wait=False, cancel_futures=True)
