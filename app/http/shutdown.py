"""The end of a process, as requests see it: first it asks to be left alone, then it stops listening.

Whoever sends requests (a proxy, an orchestrator, a pool of connections) needs a moment to hear that a process is going
to end. Until then requests are answered as ever, each with `Connection: close`, so that the next one goes elsewhere.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar.types import Message, Scope

CLOSING = "closing"
"""Where the application keeps its `Closing` in its state."""

BODY_SECONDS = 10.0
"""How long a body may take from its first byte to its last; at the kilobyte a second of a bad line 10 KiB, and a body
is rarely longer than one."""
LAST_BODY_SECONDS = 1.0
"""How long it may still take once the process does not listen any more."""


class Shutdown:
    """How far the end of this process has come, and the bodies that are still being read."""

    def __init__(self) -> None:
        self.leaving = False
        self._draining = False
        self._bodies: set[asyncio.Timeout] = set()

    def leave(self) -> None:
        """Send everybody elsewhere, and answer as long as they come."""
        self.leaving = True

    def drain(self) -> None:
        """Wait no longer than necessary for whoever has not said all."""
        self.leaving = self._draining = True
        soon = asyncio.get_running_loop().time() + LAST_BODY_SECONDS
        for body in self._bodies:
            body.reschedule(min(soon, body.when() or soon))

    @asynccontextmanager
    async def body(self) -> AsyncIterator[None]:
        """The time that a body may take.

        Raises:
            TimeoutError: it is over.
        """
        async with asyncio.timeout(LAST_BODY_SECONDS if self._draining else BODY_SECONDS) as deadline:
            self._bodies.add(deadline)
            try:
                yield
            finally:
                self._bodies.discard(deadline)

    async def stamp(self, message: Message, scope: Scope) -> None:
        """Say on an answer that it is the last one of its connection."""
        del scope
        if self.leaving and message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"connection", b"close")]
