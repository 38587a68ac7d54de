"""Reads occupancies as rows for the sweep: of all resources in one pass, or of some resources completely."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.ids import ResourceId
from app.domain.sweep import PlainRow
from app.reconciliation.sweep_reader import SweepReader, Tally, is_idle
from app.storage.bson_types import Row
from app.storage.capacities import Limits, read_limits
from app.storage.client import Store
from app.storage.foreign_occupancies import ForeignOccupancy
from app.storage.raw_batches import Batch
from app.storage.reach import Reach
from app.storage.sweep_rows import OpaqueReferences, pass_batches, reservation_batches, resource_filters
from app.storage.transactions import Session
from app.storage.values import is_opaque, row_key


@dataclass(slots=True)
class FullScan:
    """One pass over all rows that may occupy a resource.

    `row_counts` counts the rows of each resource that the cursor met in order, `rescans` those of resources that must
    be read separately: rows at another place of the index, or that the conflict lookup does not find.
    """

    store: Store
    limits: Limits
    tally: Tally
    row_counts: Counter[ResourceId] = field(default_factory=Counter)
    rescans: Counter[ResourceId] = field(default_factory=Counter)

    async def chunks(self) -> AsyncIterator[tuple[list[PlainRow], dict[ResourceId, Reach]]]:
        """The rows, in chunks of whole resources, each chunk in the order of the sweep; and the reach that they need.

        The rows have no ids, and they are no snapshot: windows found in them have to be confirmed. The cursor goes
        along the index of the conflict lookup, so the server sorts nothing; the statuses of one resource, and starts
        that buffers brought forward, are sorted here. Memory is that of the largest resource.
        """
        reader = SweepReader(self.store.clock.millis(), self.limits, self.tally, rescans=self.rescans)
        pending: list[PlainRow] = []
        async for batch in _prefetched(pass_batches(self.store)):
            reader.rows, reader.reaches = [], {}
            reader.read(batch)
            rows, reaches = reader.rows, reader.reaches
            whole = len(rows)
            last = rows[-1][0] if rows else None
            while whole and rows[whole - 1][0] == last:
                whole -= 1
            if pending and pending[-1][0] != last:
                rows[:whole] = pending + rows[:whole]
                whole += len(pending)
                pending = []
            pending += rows[whole:]
            del rows[whole:]
            yield self._ordered(rows), reaches
        yield self._ordered(pending), {}
        self.tally.resources = len(self.row_counts.keys() | self.rescans.keys())

    def _ordered(self, chunk: list[PlainRow]) -> list[PlainRow]:
        chunk.sort()
        sizes = Counter(row[0] for row in chunk)
        for resource in sizes.keys() & self.row_counts.keys():  # it has rows under another form of its id
            self.rescans[resource] += self.row_counts[resource]
        self.row_counts += sizes
        self.tally.resources = len(self.row_counts)
        return chunk


@dataclass(slots=True)
class ResourceScan:
    """All rows of some resources, with ids as text, in the order of the sweep.

    `ids` are the ids as they are in the database, `reaches` what the conflict lookup must reach over, `foreign` what it
    does not find.
    """

    rows: list[PlainRow]
    limits: Limits
    ids: Mapping[str, object]
    reaches: Mapping[ResourceId, Reach]
    foreign: Sequence[ForeignOccupancy]


async def scan_resources(
    store: Store,
    resources: Sequence[ResourceId],
    opaque: OpaqueReferences,
    tally: Tally | None = None,
    session: Session = None,
) -> ResourceScan:
    """All that occupies these resources, however rows name them. In a transaction all of it is of one snapshot.

    Args:
        store: The database.
        resources: The texts of their ids.
        opaque: What `opaque_references` gave.
        tally: Counts what is read.
        session: Of the transaction.
    """
    limits = await read_limits(store, resources, session)
    counted = tally or Tally()
    reader = SweepReader(store.clock.millis(), limits, counted, frozenset(resources), ids={})
    repeatable: set[Hashable] = set()  # ids of rows that more than one of the finds may give
    for where in resource_filters(store, resources, opaque):
        async for batch in reservation_batches(store, where, session):
            reader.read(each for each in batch if not is_idle(each) and _is_new(each, repeatable))
    reader.rows.sort()
    counted.resources += len(resources)
    return ResourceScan(reader.rows, limits, reader.ids or {}, reader.reaches, reader.foreign)


def _is_new(row: Row, repeatable: set[Hashable]) -> bool:
    """Whether a row was not read before; only one with items, or with an opaque reference, can be read twice."""
    if not row.get("items") and not is_opaque(row.get("resource")):
        return True
    key = row_key(row.get("_id"))
    known = key in repeatable
    repeatable.add(key)
    return not known


async def _prefetched(batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
    """The same batches; the server makes the next one while this process is busy with the last."""
    following = asyncio.ensure_future(anext(batches, None))
    try:
        while (batch := await following) is not None:
            following = asyncio.ensure_future(anext(batches, None))
            yield batch
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
