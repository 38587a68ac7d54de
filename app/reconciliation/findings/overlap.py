"""Whether a finding is above capacity at this moment, by its own reservations and by those that meet its window.

Nothing else of the resource is read: a transition costs as much as its finding is large, however much the resource
has been booked.
"""

from collections.abc import Hashable, Mapping

from app.domain.instants import to_millis
from app.reconciliation.recheck import windows_of
from app.reconciliation.sweep_reader import SweepReader, Tally, is_idle
from app.storage.capacities import read_limits
from app.storage.client import Store
from app.storage.conflict_lookup import branches, foreign_branches, queries_by_id, window
from app.storage.documents import Finding
from app.storage.foreign_occupancies import occupancies_matching
from app.storage.reach import Reach, reach_of_guard
from app.storage.span import Span
from app.storage.stored_findings import matched_finding
from app.storage.sweep_rows import reservation_batches
from app.storage.values import row_key


async def still_overlaps(store: Store, finding: Finding) -> bool:
    """Whether something of a finding is above capacity within its window, by the reservations themselves."""
    resource, start, end = finding.resource, to_millis(finding.from_), to_millis(finding.to)
    limits = await read_limits(store, [resource])
    reader = SweepReader(store.clock.millis(), limits, Tally(), frozenset([resource]), ids={})
    seen: set[Hashable] = set()
    for where in queries_by_id({"reservation": each} for each in finding.reservations):
        await _read(store, where, reader, seen)
    # The guard may be missing, or its reach too short for rows of other programs; the finding needs at least this.
    reach = (await reach_of_guard(store, resource)).or_more(reader.reaches.get(resource, Reach()))
    spans, reaches = [Span(resource, start, end)], {resource: reach}
    queries = [window([resource], start, end, reaches)] if store.shape == "or" else branches(spans, reaches)
    for where in queries:
        await _read(store, where, reader, seen)
    for listed in foreign_branches(spans, reaches):
        for where in queries_by_id(await occupancies_matching(store, listed)):
            await _read(store, where, reader, seen)
    rows = sorted(row for row in reader.rows if row[0] == resource and row[1] < end and start < row[3])
    known = matched_finding(finding)
    return any(known.is_in(each) for each in await windows_of(rows, limits))


async def _read(store: Store, where: Mapping[str, object], reader: SweepReader, seen: set[Hashable]) -> None:
    """Read the rows that match a filter, but for those that were read before."""
    async for batch in reservation_batches(store, where):
        keys = [row_key(row.get("_id")) for row in batch]
        reader.read(row for key, row in zip(keys, batch, strict=True) if key not in seen and not is_idle(row))
        seen.update(keys)
