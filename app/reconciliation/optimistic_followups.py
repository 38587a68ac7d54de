"""Optimistic mode reconciles after it writes: each write enqueues a run that reads what has changed.

Without transactions two processes may both find a time free. The one that writes last enqueues a run, so a double
booking is found within seconds; no request waits for it. One run covers all that any process wrote until it begins,
and a process enqueues one at most every few seconds.
"""

import asyncio
from contextlib import suppress

import structlog
from pymongo.errors import PyMongoError

from app import job_queue
from app.deadline import detached
from app.domain.ids import ResourceId
from app.job_queue import Queue
from app.storage.client import Store
from app.storage.runs import RunStore

PAUSE_SECONDS = 5.0
"""Between two runs that a process enqueues."""
CLOSE_SECONDS = 5.0
"""How long a process that ends may still take to enqueue a run."""

log = structlog.get_logger()


class OptimisticFollowups:
    """The resources that this process wrote to and for which no run is enqueued yet; call it with a resource.

    Args:
        store: The database. In strict mode nothing happens here.
        queue: Where the run is enqueued for the worker.
    """

    def __init__(self, store: Store, queue: Queue) -> None:
        self._store = store
        self._queue = queue
        self._resources: set[str] = set()
        self._closing = asyncio.Event()
        self._enqueueing: asyncio.Task[None] | None = None

    def __call__(self, resource: ResourceId) -> None:
        """Have a resource reconciled, soon and in one run with all that is written until then."""
        if self._store.mode == "strict":
            return
        self._resources.add(resource)
        if self._enqueueing is None or self._enqueueing.done():
            self._enqueueing = detached(self._enqueue(), name="suspects")

    async def close(self) -> None:
        """Enqueue the last run, if the database answers in time."""
        self._closing.set()
        if self._enqueueing is not None:
            _, late = await asyncio.wait({self._enqueueing}, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()

    async def _enqueue(self) -> None:
        """Enqueue a run at once, and after each pause another, as long as something was written meanwhile."""
        while self._resources:
            resources, self._resources = self._resources, set()  # a write from here on enqueues another run
            try:
                run = await RunStore(self._store).enqueue("incremental")
            except PyMongoError as error:
                log.warning("what was written waits for the next run", resources=len(resources), error=str(error))
            else:
                await self._queue.put(job_queue.RUN, str(run.id), identity=str(run.id))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), PAUSE_SECONDS)
