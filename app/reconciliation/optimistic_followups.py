"""Optimistic mode closes its loop: after a write a reconciliation of what has changed is asked for.

Without transactions two processes may both find a time free. Whoever wrote last asks, so a double booking is seen
within seconds of a worker's time; nobody who books waits for it. One run is for all that was written until it begins,
by whatever process, and a process asks for one at most every few seconds.
"""

import asyncio
from contextlib import suppress

import structlog
from pymongo.errors import PyMongoError

from app import job_queue
from app.deadline import detached
from app.job_queue import Queue
from app.storage.client import Store
from app.storage.runs import RunStore

PAUSE_SECONDS = 5.0
"""Between two runs that a process asks for."""
LAST_SECONDS = 5.0
"""How long a process that ends may still ask."""

log = structlog.get_logger()


class Suspects:
    """That this process has written and that nobody has been asked to look at it; call it with a resource.

    Args:
        store: Where runs are kept. With transactions nothing is suspected, and nothing happens here.
        queue: Where the worker hears of them.
    """

    def __init__(self, store: Store, queue: Queue) -> None:
        self._store = store
        self._queue = queue
        self._resources: set[str] = set()
        self._closing = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None

    def __call__(self, resource: str) -> None:
        """Have it looked at, soon and once for all that was written until then."""
        if self._store.mode == "strict":
            return
        self._resources.add(resource)
        if self._asking is None or self._asking.done():
            self._asking = detached(self._ask(), name="suspects")

    async def close(self) -> None:
        """Ask for what waits, if the database is quick about it."""
        self._closing.set()
        if self._asking is not None:
            _, late = await asyncio.wait({self._asking}, timeout=LAST_SECONDS)
            for task in late:
                task.cancel()

    async def _ask(self) -> None:
        """Ask at once, and then, as long as something was written meanwhile, again after a pause."""
        while self._resources:
            resources, self._resources = self._resources, set()  # whoever writes from here on asks again
            try:
                run = await RunStore(self._store).enqueue("incremental")
            except PyMongoError as error:
                log.warning("what was written waits for the next run", resources=len(resources), error=str(error))
            else:
                await self._queue.put(job_queue.RUN, str(run.id), identity=str(run.id))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), PAUSE_SECONDS)
