"""The readers that wait for events in this process: open streams, and requests that wait for a page.

Each holds a connection, a task and some memory for as long as it likes, and no limit of requests counts it meanwhile.
So a process has room for so many, and one key takes a part of that.
"""

import weakref
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from typing_extensions import override

from app.errors import Problem

READERS_MAX = 1_000
"""Readers of a process that wait at a time."""
READERS_OF_KEY_MAX = 100
"""Of these, those of one key."""


class Readers:
    """The readers that wait in one process; `streams` is how many of them are streams."""

    def __init__(self) -> None:
        self.streams = 0
        self._of_key: Counter[str] = Counter()

    @contextmanager
    def one_more(self, key: str) -> Generator[None]:
        """Count a reader of a key for a block.

        Raises:
            Problem: `rate-limited` where the key has too many, `overloaded` where the process has.
        """
        self._enter(key)
        try:
            yield
        finally:
            self._leave(key)

    def stream(self, parts: AsyncGenerator[bytes], key: str) -> AsyncGenerator[bytes]:
        """The parts of a stream, counted as a reader of a key until it is closed or forgotten.

        Raises:
            Problem: as `one_more` does.
        """
        self._enter(key)
        self.streams += 1
        return _Stream(parts, lambda: self._end_stream(key))

    def _enter(self, key: str) -> None:
        if self._of_key[key] >= READERS_OF_KEY_MAX:
            detail = f"This key has {READERS_OF_KEY_MAX} streams and requests waiting here; let one of them end."
            raise Problem("rate-limited", detail)
        if self._of_key.total() >= READERS_MAX:
            detail = f"This process has {READERS_MAX} streams and requests waiting; try again in a moment."
            raise Problem("overloaded", detail)
        self._of_key[key] += 1

    def _leave(self, key: str) -> None:
        self._of_key[key] -= 1
        if not self._of_key[key]:
            del self._of_key[key]

    def _end_stream(self, key: str) -> None:
        self.streams -= 1
        self._leave(key)


class _Stream(AsyncGenerator[bytes, None]):
    """Parts with something to do at their end, which comes for one that nobody has begun to read as well."""

    def __init__(self, parts: AsyncGenerator[bytes], at_end: Callable[[], None]) -> None:
        self._parts = parts
        self._end = weakref.finalize(self, at_end)

    @override
    async def asend(self, value: None, /) -> bytes:
        try:
            return await self._parts.asend(value)
        except BaseException:
            self._end()
            raise

    @override
    async def athrow(
        self,
        kind: Any,
        value: BaseException | object = None,
        trace: TracebackType | None = None,
        /,
    ) -> bytes:
        try:
            return await self._parts.athrow(kind, value, trace)
        except BaseException:
            self._end()
            raise

    @override
    async def aclose(self) -> None:
        try:
            await self._parts.aclose()
        finally:
            self._end()
