"""Work that needs the processor for long, in a few threads beside the event loop and with a short queue.

The loop serves everybody, so nothing that can take more than a few milliseconds runs on it. Threads share the
processor with it, and the interpreter takes it from them after a while: sooner as long as there is such work, because
a booking needs it back a dozen times.
"""

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import ParamSpec, TypeVar

from app.errors import Problem

P = ParamSpec("P")
T = TypeVar("T")

WORK = "work"
"""Where an application's state has its pool."""

THREADS = 2
QUEUE_LIMIT = 16
TURN_SECONDS = 0.001
"""How long one thread has the interpreter while others want it and there is long work."""
USUAL_TURN_SECONDS = 0.005
"""Python's own."""


_PAUSED = Lock()


@contextmanager
def without_collector() -> Iterator[None]:
    """Inside, no garbage is collected: for work that makes many objects at once, none of which refer to each other.

    The collector looks at all that there is without letting anybody else run, half a second for a million objects.
    Who comes while it is paused does not prolong that, so its time comes however much of such work there is.
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
        """Do it beside the loop. It runs to its end even if the caller goes away, and keeps its place until then.

        Raises:
            Problem: `overloaded` where too much is waiting already; the work is then not begun.
        """
        if self.full:
            raise Problem("overloaded", "Too many long questions are being answered; ask again in a moment.")
        self._places -= 1
        sys.setswitchinterval(TURN_SECONDS)
        future = asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))
        future.add_done_callback(self._give_back)
        return await asyncio.shield(future)

    def _give_back(self, done: "asyncio.Future[T]") -> None:
        self._places += 1
        if self._places == self._limit:
            sys.setswitchinterval(USUAL_TURN_SECONDS)
        if not done.cancelled():
            done.exception()  # a caller that went away is no reason for a warning

    def close(self) -> None:
        """Begin nothing more; what runs comes to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
