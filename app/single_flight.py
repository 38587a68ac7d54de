"""One task for callers that need the same answer at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Generic, TypeVar

from app.deadline import detached

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Tasks under way by key. A caller whose key is among them shares the task instead of starting another.

    The tasks are bound to no caller's deadline, and a caller that is cancelled does not cancel them, as long as callers
    wait by `asyncio.wait` or `asyncio.shield`.
    """

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        """How many tasks are under way."""
        return len(self._tasks)

    def __contains__(self, key: K) -> bool:
        """Whether a task of that key is under way."""
        return key in self._tasks

    def task(self, key: K, start: Callable[[], Coroutine[object, object, T]]) -> "asyncio.Task[T]":
        """The task of a key: the one that is under way, else a new one for what `start` returns."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = detached(start())
            task.add_done_callback(lambda done: self._end(key, done))
        return task

    def close(self, key: K) -> None:
        """Let callers from now on start another task, while the one that is under way goes on for its callers."""
        self._tasks.pop(key, None)

    def _end(self, key: K, task: "asyncio.Task[T]") -> None:
        if self._tasks.get(key) is task:
            self.close(key)
        if not task.cancelled():
            task.exception()  # retrieved, in case no caller waits any more
