"""Whether a finding is one at this moment, by its own reservations and by what meets its window.

What lies elsewhere on the resource is not read: a word costs what its finding is, not what its resource has seen.
"""

from collections.abc import Hashable, Mapping
from typing import Any

from app.domain.instants import to_millis
from app.reconciliation.recheck import windows_of
from app.reconciliation.row_batches import PROJECTION, Rows, Tally, is_idle
from app.reconciliation.scan import BATCH, batches
from app.reconciliation.stored_findings import stored_finding
from app.storage.capacities import read_limits
from app.storage.client import Store
from app.storage.documents import Finding
from app.storage.occupancy import branches, foreign_branches, queries_by_id, window
from app.storage.reach import Reach
from app.storage.span import Span
from app.storage.values import row_key


async def still_overlaps(store: Store, finding: Finding) -> bool:
    """Whether something of a finding is above capacity within its window, by the reservations themselves."""
    resource, start, end = finding.resource, to_millis(finding.from_), to_millis(finding.to)
    limits = await read_limits(store, [resource])
    reader = Rows(store.clock.millis(), limits, Tally(), frozenset([resource]), ids={})
    met: set[Hashable] = set()
    for where in queries_by_id({"reservation": each} for each in finding.reservations):
        await _read(store, where, reader, met)
    # The guard may be missing, or behind what others wrote; what the finding lists needs at least that reach.
    reach = (await _reach(store, resource)).or_more(reader.needs.get(resource, Reach()))
    spans, reaches = [Span(resource, start, end)], {resource: reach}
    near = [window([resource], start, end, reaches)] if store.shape == "or" else branches(spans, reaches)
    for where in near:
        await _read(store, where, reader, met)
    for noted in foreign_branches(spans, reaches):
        listed = await store.database["occupancies"].find(noted, {"reservation": 1}).to_list(None)
        for where in queries_by_id(listed):
            await _read(store, where, reader, met)
    rows = sorted(row for row in reader.rows if row[0] == resource and row[1] < end and start < row[3])
    known = stored_finding(finding.to_mongo())
    return any(known.is_in(each) for each in await windows_of(rows, limits))


async def _reach(store: Store, resource: str) -> Reach:
    guard = await store.database["guards"].find_one({"_id": resource})
    return Reach() if guard is None else Reach.of_guard(guard)


async def _read(store: Store, where: Mapping[str, Any], reader: Rows, met: set[Hashable]) -> None:
    """Take in what a find gives, but for what was met before."""
    async for batch in batches(store, where, PROJECTION, batch_size=BATCH):
        keys = [row_key(row.get("_id")) for row in batch]
        reader.read(row for key, row in zip(keys, batch, strict=True) if key not in met and not is_idle(row))
        met.update(keys)
