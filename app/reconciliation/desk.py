"""What can be asked of reconciliation: runs and findings. Carrying a run out is the worker's."""

from collections.abc import Sequence

from bson import ObjectId

from app.availability.service import Availability
from app.errors import invalid
from app.reconciliation import findings, queue, repairs, runs, service
from app.reconciliation.queue import Queue
from app.reconciliation.runs import Kind
from app.reconciliation.schemas import FindingAnswer, NewRun, shown_finding
from app.storage.client import Store
from app.storage.documents import Finding, Run
from app.timeline.matching import State
from app.wire.paging import bad_cursor


class Reconciliations:
    """The reconciliations of one store.

    Args:
        store: Where runs are kept.
        queue: Where the worker hears of them at once; without an answer there, it looks into the store.
    """

    def __init__(self, store: Store, queue: Queue) -> None:
        self.store = store
        self._queue = queue

    async def ask(self, wanted: NewRun) -> Run:
        """Ask for a run; one of the same kind and resource that still waits is that run.

        Raises:
            Problem: `invalid` for an unknown resource, and for both `full` and `resource`.
        """
        if wanted.full and wanted.resource is not None:
            raise invalid("/resource", "A full reconciliation looks at every resource; leave out one of the two.")
        if wanted.resource is not None and not await service.is_known(self.store, wanted.resource):
            raise invalid("/resource", f"There is no resource {wanted.resource!r}.")
        kind: Kind = "full" if wanted.full else "resource" if wanted.resource is not None else "incremental"
        run = await runs.ask_for(self.store, kind, wanted.resource)
        await self._queue.put(queue.RUN, str(run.id), identity=str(run.id))
        return run

    async def read(self, identity: str) -> Run:
        """One run.

        Raises:
            Problem: `not-found`.
        """
        return await runs.get(self.store, identity)

    async def page(self, limit: int, after: str | None) -> Sequence[Run]:
        """Up to `limit` runs by id, those behind an id.

        Raises:
            Problem: `invalid` for a cursor that is none of ours.
        """
        return await runs.listed(self.store, _place(after), limit)


class Findings:
    """The findings of one store.

    Args:
        store: Where they are kept.
        availability: Where times that are free are looked for.
    """

    def __init__(self, store: Store, availability: Availability) -> None:
        self.store = store
        self._availability = availability

    async def page(
        self, state: State | None, resource: str | None, limit: int, after: str | None
    ) -> list[FindingAnswer]:
        """Up to `limit` findings by id, those behind an id, with their reservations as they are now.

        Raises:
            Problem: `invalid` for a cursor that is none of ours.
        """
        found = await findings.listed(self.store, state, resource, _place(after), limit)
        reservations = await findings.reservations_of(self.store, found)
        now = self.store.clock.now()
        return [shown_finding(each, reservations, now) for each in found]

    async def read(self, identity: str) -> FindingAnswer:
        """One finding, with what could be done about it.

        Raises:
            Problem: `not-found`.
        """
        return await self._whole(await findings.read(self.store, identity))

    async def say(self, identity: str, to: State, by: str, note: str | None) -> FindingAnswer:
        """Acknowledge, accept or resolve a finding.

        Raises:
            Problem: `not-found`, `forbidden-transition`, `overloaded`.
        """
        return await self._whole(await findings.say(self.store, identity, to, by, note))

    async def _whole(self, finding: Finding) -> FindingAnswer:
        reservations = await findings.reservations_of(self.store, [finding])
        could = await repairs.proposals(self.store, self._availability, finding)
        return shown_finding(finding, reservations, self.store.clock.now(), could)


def _place(after: str | None) -> ObjectId | None:
    """The id in a cursor."""
    if after is not None and not ObjectId.is_valid(after):
        raise bad_cursor()
    return None if after is None else ObjectId(after)
