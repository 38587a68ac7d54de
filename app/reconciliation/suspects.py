"""Optimistic mode closes its loop: after each write a reconciliation of that resource is asked for.

Without transactions two processes may both find a time free. Whoever wrote last asks, so a double booking is seen
within seconds of a worker's time; nobody who books waits for it.
"""

import asyncio

import structlog
from pymongo.errors import PyMongoError

from app.deadline import detached
from app.reconciliation import queue, runs
from app.reconciliation.queue import Queue
from app.storage.client import Store

LAST_SECONDS = 5.0
"""How long a process that ends may still ask."""

log = structlog.get_logger()


class Suspects:
    """The resources that this process has written to and that nobody has been asked to look at; call it with one.

    Args:
        store: Where runs are kept. With transactions nothing is suspected, and nothing happens here.
        queue: Where the worker hears of them.
    """

    def __init__(self, store: Store, queue: Queue) -> None:
        self._store = store
        self._queue = queue
        self._waiting: dict[str, None] = {}
        self._asking: asyncio.Task[None] | None = None

    def __call__(self, resource: str) -> None:
        """Have it looked at, soon and once for all that was written until then."""
        if self._store.mode == "strict":
            return
        self._waiting[resource] = None
        if self._asking is None or self._asking.done():
            self._asking = detached(self._ask(), name="suspects")

    async def close(self) -> None:
        """Ask for what waits, if the database is quick about it."""
        if self._asking is not None:
            _, late = await asyncio.wait({self._asking}, timeout=LAST_SECONDS)
            for task in late:
                task.cancel()

    async def _ask(self) -> None:
        while self._waiting:
            resource = next(iter(self._waiting))
            del self._waiting[resource]  # whoever writes from here on asks again
            try:
                run = await runs.ask_for(self._store, "resource", resource)
            except PyMongoError as error:
                log.warning("a resource waits for the next scheduled run", resource=resource, error=str(error))
                continue
            await self._queue.put(queue.RUN, str(run.id), identity=str(run.id))
