"""Reconciliations of a store, for the API; the worker carries them out."""

from collections.abc import Sequence
from contextlib import suppress

from bson import ObjectId
from pymongo.errors import PyMongoError

from app import job_queue
from app.errors import invalid_field
from app.http.paging import bad_cursor
from app.job_queue import Queue
from app.reconciliation.schemas import NewReconciliation
from app.storage.client import Store
from app.storage.documents import Run, RunKind, RunState
from app.storage.runs import RunStore
from app.storage.sweep_rows import is_known_resource
from app.storage.values import object_id


class Reconciliations:
    """The reconciliations of one store.

    Args:
        store: The database.
        queue: Where runs are enqueued for the worker, which finds them in the store if Redis does not answer.
    """

    def __init__(self, store: Store, queue: Queue) -> None:
        self.store = store
        self._queue = queue

    async def request(self, wanted: NewReconciliation) -> Run:
        """Enqueue a run; if one of the same kind and resource waits already, it is that run.

        Raises:
            Problem: `invalid` for an unknown resource, and for both `full` and `resource`.
        """
        if wanted.full and wanted.resource is not None:
            raise invalid_field("resource", "A full reconciliation looks at every resource; leave out one of the two.")
        if wanted.resource is not None and not await is_known_resource(self.store, wanted.resource):
            raise invalid_field("resource", f"There is no resource {wanted.resource!r}.")
        kind: RunKind = "full" if wanted.full else "resource" if wanted.resource is not None else "incremental"
        run = await RunStore(self.store).enqueue(kind, wanted.resource)
        await self._queue.put(job_queue.RUN, str(run.id), identity=str(run.id))
        return run

    async def read(self, identity: str) -> Run:
        """One run.

        Raises:
            Problem: `not-found`.
        """
        await self._abandon_dead()
        return await RunStore(self.store).get(identity)

    async def page(
        self, states: Sequence[RunState], kinds: Sequence[RunKind], limit: int, after: str | None
    ) -> Sequence[Run]:
        """Up to `limit` runs, the newest first, those after a cursor; of all states or kinds if none is named.

        Raises:
            Problem: `invalid` for a cursor that this list never returned.
        """
        place = _place(after)
        await self._abandon_dead()
        return await RunStore(self.store).newest(states, kinds, place, limit)

    async def _abandon_dead(self) -> None:
        """Abandon runs whose process is dead, so that no client reads them as running, even where no worker runs.

        A write that fails does not fail the read.
        """
        with suppress(PyMongoError):
            await RunStore(self.store).abandon_dead()


def _place(after: str | None) -> ObjectId | None:
    """The id in a cursor."""
    if after is None:
        return None
    if (place := object_id(after)) is None:
        raise bad_cursor()
    return place
