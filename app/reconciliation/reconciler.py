"""The work of one run: read the occupancies, confirm the windows above capacity, and write the findings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from app.domain.ids import ResourceId
from app.reconciliation import scan
from app.reconciliation.alerts import OnFindings
from app.reconciliation.findings_writer import write_findings
from app.reconciliation.guard_updates import raise_reaches, replace_foreign_occupancies
from app.reconciliation.progress import RunProgress
from app.reconciliation.recheck import confirm_windows, windows_of
from app.reconciliation.sweep_reader import LeftOutExample
from app.storage.capacities import read_limits
from app.storage.client import Store
from app.storage.documents import Run
from app.storage.findings import FindingStore
from app.storage.foreign_occupancies import resources_with_foreign_occupancies
from app.storage.leases import Grant
from app.storage.reach import Reach
from app.storage.row_reader import TRASH
from app.storage.runs import RunStore
from app.storage.sweep_rows import (
    OpaqueReferences,
    are_more_than,
    id_of_row,
    opaque_references,
    resources_changed_since,
)

LATE_COMMITS = timedelta(minutes=5)
"""How far before the last run an incremental one begins: `updatedAt` is set before its transaction commits."""

SUSPECTS_MAX, SUSPECT_ROWS_MAX = 32, 10_000
"""Resources, and rows of them, that one snapshot confirms."""

GUARDS_MAX = 1_000
"""Guards that are compared at once."""

log = structlog.get_logger()


@dataclass(slots=True)
class Reconciler:
    """Carries out one run.

    Args:
        store: The database.
        run: The run, claimed by the owner of the lease.
        lease: Under which findings are written.
        progress: The counts, which grow.
        on_findings: Called with the findings that each write opens.
    """

    store: Store
    run: Run
    lease: Grant
    progress: RunProgress
    on_findings: OnFindings
    noted: set[ResourceId] = field(default_factory=set)
    """Resources with unresolved findings or foreign occupancies, which may not stand any more."""
    opaque: OpaqueReferences = field(default_factory=dict)
    reaches: dict[ResourceId, Reach] = field(default_factory=dict)
    """What the guards of resources that were read must reach over, of those that were not compared yet."""
    confirmed: set[ResourceId] = field(default_factory=set)

    async def reconcile(self, on_step: Callable[[], None]) -> None:
        """Carry out the run. Resources with findings are confirmed again, whatever was read of them.

        Args:
            on_step: Called between two steps; what it raises ends the run.
        """
        self.opaque = await opaque_references(self.store)
        self.noted = await self._noted_resources()
        last = await RunStore(self.store).watermark() if self.run.kind == "incremental" else None
        if self.run.resource is not None:
            await self._read_resources([self.run.resource], on_step)
        elif last is not None and last.started_at is not None:
            changed = await resources_changed_since(self.store, last.started_at - LATE_COMMITS)
            await self._read_resources(sorted(changed | self.noted), on_step)
        else:
            await self._read_all_rows(on_step)
        without_rows = sorted(self.noted - self.confirmed)
        await self._confirm_all(dict.fromkeys(without_rows, 0), on_step)
        await self._raise_reaches()
        await self._log_left_out()

    async def _noted_resources(self) -> set[ResourceId]:
        among = None if self.run.resource is None else [self.run.resource]
        return await FindingStore(self.store).unresolved_resources(among) | await resources_with_foreign_occupancies(
            self.store, among
        )

    async def _read_all_rows(self, on_step: Callable[[], None]) -> None:
        """Pass over all rows, and confirm the resources above capacity on the way."""
        limits = await read_limits(self.store)
        passing = scan.FullScan(self.store, limits, self.progress.tally)
        suspects: dict[ResourceId, int] = {}
        async for rows, reaches in passing.chunks():
            self._require(reaches)
            found = {window.resource for window in await windows_of(rows, limits)}
            found |= self.noted.intersection(row[0] for row in rows)
            suspects |= {resource: passing.row_counts[resource] for resource in found - self.confirmed}
            if _fill_a_snapshot(suspects):
                await self._confirm(suspects)
                suspects = {}
            if len(self.reaches) >= GUARDS_MAX:
                await self._raise_reaches()
            on_step()
        await self._confirm(suspects)
        elsewhere = passing.rescans.items()
        sizes = {each: passing.row_counts[each] + count for each, count in elsewhere if each not in self.confirmed}
        await self._confirm_all(sizes, on_step)

    async def _read_resources(self, resources: Sequence[ResourceId], on_step: Callable[[], None]) -> None:
        """Read these resources, fewer at a time where they have many rows, and confirm those above capacity."""
        place, size = 0, SUSPECTS_MAX
        while portion := resources[place : place + size]:
            if len(portion) > 1 and await are_more_than(self.store, portion, self.opaque, SUSPECT_ROWS_MAX):
                size = len(portion) // 2
                continue
            place, size = place + len(portion), min(2 * size, SUSPECTS_MAX)
            await self._confirm(dict.fromkeys(sorted(await self._suspects_among(portion)), 0))
            on_step()

    async def _suspects_among(self, resources: Sequence[ResourceId]) -> set[ResourceId]:
        """Those of these resources that are above capacity or whose findings and foreign occupancies may be outdated.

        Its rows are released before the resources are confirmed, which reads them again.
        """
        read = await scan.scan_resources(self.store, resources, self.opaque, self.progress.tally)
        self._require(read.reaches)
        suspects = {window.resource for window in await windows_of(read.rows, read.limits)}
        return suspects | {each.resource for each in read.foreign} | self.noted.intersection(resources)

    async def _confirm_all(self, sizes: Mapping[ResourceId, int], on_step: Callable[[], None]) -> None:
        """Confirm these resources, as many at a time as their numbers of rows allow."""
        suspects: dict[ResourceId, int] = {}
        for resource, size in sizes.items():
            suspects[resource] = size
            if _fill_a_snapshot(suspects):
                await self._confirm(suspects)
                suspects = {}
                on_step()
        await self._confirm(suspects)

    async def _confirm(self, suspects: Iterable[ResourceId]) -> None:
        """Read these resources again at one instant, and write their findings.

        The guards reach over all rows before any finding is written, so that no booking is accepted over a reported
        row.
        """
        resources = list(suspects)
        if not resources:
            return
        self.confirmed.update(resources)
        stands = await confirm_windows(self.store, resources, self.opaque)
        await raise_reaches(self.store, stands.reaches)
        await replace_foreign_occupancies(self.store, self.lease, self.run.id, resources, stands.foreign)
        recorded = await write_findings(self.store, self.lease, self.run, resources, stands.windows, stands.ids)
        self.progress.findings += len(stands.windows)
        self.progress.conflicts += sum(window.conflicts for window in stands.windows)
        opened_before = self.progress.new
        self.progress.new += len(recorded.opened)
        self.progress.unaccepted += recorded.unaccepted
        if recorded.opened:
            self.on_findings(recorded.opened, opened_before)

    def _require(self, reaches: Mapping[ResourceId, Reach]) -> None:
        for resource, reach in reaches.items():
            self.reaches[resource] = self.reaches[resource].or_more(reach) if resource in self.reaches else reach

    async def _raise_reaches(self) -> None:
        reaches, self.reaches = self.reaches, {}
        for names in (list(reaches)[place : place + GUARDS_MAX] for place in range(0, len(reaches), GUARDS_MAX)):
            await raise_reaches(self.store, {name: reaches[name] for name in names})

    async def _log_left_out(self) -> None:
        """Log what could not be read, with examples; rows in the trash are not logged."""
        tally = self.progress.tally
        counts = {reason: count for reason, count in tally.left_out.items() if reason != TRASH}
        examples = {reason: [await self._described(each) for each in tally.examples[reason]] for reason in counts}
        if counts:
            log.warning("what cannot be read was left out", run=str(self.run.id), counts=counts, examples=examples)

    async def _described(self, example: LeftOutExample) -> str:
        return await id_of_row(self.store, example.row) + (f" ({example.value})" if example.value else "")


def _fill_a_snapshot(suspects: Mapping[ResourceId, int]) -> bool:
    return len(suspects) >= SUSPECTS_MAX or sum(suspects.values()) >= SUSPECT_ROWS_MAX
