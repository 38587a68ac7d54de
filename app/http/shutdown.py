"""The shutdown of a process: first it announces its end, then it drains, then it stops listening.

Clients (a proxy, an orchestrator, a pool of connections) need a moment to notice the announcement. Until then requests
are answered as usual, with `Connection: close`, so that the next one opens a connection to another process.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

SHUTDOWN = "closing"
"""The key of the `Shutdown` in the application's state."""

BODY_SECONDS = 10.0
"""The time for a body from its first byte to its last: 10 KiB at a kilobyte a second; most have less than one."""
LAST_BODY_SECONDS = 1.0
"""The time that is left for a body once the process drains."""


class Shutdown:
    """The state of this process's shutdown, and the bodies that are being read."""

    def __init__(self) -> None:
        self.is_announced = False
        self._draining = False
        self._bodies: set[asyncio.Timeout] = set()
        self._hearers: list[Callable[[], object]] = []

    def on_announce(self, *hear: Callable[[], object]) -> None:
        """Call these once the end is announced: what waits for news is to wait no longer."""
        self._hearers += hear

    def announce(self) -> None:
        """Announce the end: every response closes its connection from now on."""
        if not self.is_announced:
            self.is_announced = True
            for hear in self._hearers:
                hear()

    def drain(self) -> None:
        """Shorten the time of the bodies that are being read."""
        self.announce()
        self._draining = True
        latest = asyncio.get_running_loop().time() + LAST_BODY_SECONDS
        for body in self._bodies:
            body.reschedule(min(latest, body.when() or latest))

    @asynccontextmanager
    async def body(self) -> AsyncGenerator[None]:
        """Limit the time in which the block reads a body.

        Raises:
            TimeoutError: The time is over.
        """
        async with asyncio.timeout(LAST_BODY_SECONDS if self._draining else BODY_SECONDS) as deadline:
            self._bodies.add(deadline)
            try:
                yield
            finally:
                self._bodies.discard(deadline)
