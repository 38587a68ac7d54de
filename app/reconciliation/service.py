"""What can be asked of reconciliation. Carrying a run out is the worker's."""

from collections.abc import Sequence
from contextlib import suppress

from bson import ObjectId
from pymongo.errors import PyMongoError

from app import job_queue
from app.errors import invalid
from app.http.paging import bad_cursor
from app.job_queue import Queue
from app.reconciliation import engine
from app.reconciliation.schemas import NewReconciliation
from app.storage.client import Store
from app.storage.documents import Run, RunKind, RunState
from app.storage.runs import RunStore


class Reconciliations:
    """The reconciliations of one store.

    Args:
        store: Where runs are kept.
        queue: Where the worker hears of them at once; without an answer there, it looks into the store.
    """

    def __init__(self, store: Store, queue: Queue) -> None:
        self.store = store
        self._queue = queue

    async def ask(self, wanted: NewReconciliation) -> Run:
        """Ask for a run; one of the same kind and resource that still waits is that run.

        Raises:
            Problem: `invalid` for an unknown resource, and for both `full` and `resource`.
        """
        if wanted.full and wanted.resource is not None:
            raise invalid("/resource", "A full reconciliation looks at every resource; leave out one of the two.")
        if wanted.resource is not None and not await engine.is_known(self.store, wanted.resource):
            raise invalid("/resource", f"There is no resource {wanted.resource!r}.")
        kind: RunKind = "full" if wanted.full else "resource" if wanted.resource is not None else "incremental"
        run = await RunStore(self.store).enqueue(kind, wanted.resource)
        await self._queue.put(job_queue.RUN, str(run.id), identity=str(run.id))
        return run

    async def read(self, identity: str) -> Run:
        """One run.

        Raises:
            Problem: `not-found`.
        """
        await self._give_up_dead()
        return await RunStore(self.store).get(identity)

    async def page(
        self, states: Sequence[RunState], kinds: Sequence[RunKind], limit: int, after: str | None
    ) -> Sequence[Run]:
        """Up to `limit` runs, the newest first, those after one; of these states and kinds, or of all if none is named.

        Raises:
            Problem: `invalid` for a cursor that is none of ours.
        """
        place = _place(after)
        await self._give_up_dead()
        return await RunStore(self.store).newest(states, kinds, place, limit)

    async def _give_up_dead(self) -> None:
        """Nobody is to read that a run goes on whose process is dead, also where no worker runs that would see to it.

        What cannot be written is no reason not to read.
        """
        with suppress(PyMongoError):
            await RunStore(self.store).abandon_dead()


def _place(after: str | None) -> ObjectId | None:
    """The id in a cursor."""
    if after is not None and not ObjectId.is_valid(after):
        raise bad_cursor()
    return None if after is None else ObjectId(after)
