"""The reach that guards need and the foreign occupancies, by one pass over the reservations."""

from collections.abc import Collection
from dataclasses import dataclass, field

from app.domain.ids import ResourceId
from app.domain.instants import Millis
from app.migration.report import OnProgress, ignore_progress
from app.storage.bson_types import Row
from app.storage.capacities import read_limits
from app.storage.client import Store
from app.storage.foreign_occupancies import ForeignOccupancy, foreign_occupancy
from app.storage.raw_batches import find_batches
from app.storage.reach import NO_REACH, Reach
from app.storage.row_reader import FIELDS, IDLE_AS_WRITTEN, OccupiedTime, Reader, is_found_by_lookup


@dataclass(slots=True)
class Booked:
    """What guards must know of the bookings.

    Args:
        reaches: The reach that a resource needs, by its id; resources that need none are left out.
        foreign: The occupancies that the conflict lookup does not find, by the text of the resource's id.
    """

    reaches: dict[ResourceId, Reach] = field(default_factory=dict)
    foreign: dict[ResourceId, list[ForeignOccupancy]] = field(default_factory=dict)

    def enter(self, row: Row, taken: OccupiedTime, now: Millis, resources: Collection[ResourceId]) -> None:
        """Add one occupancy of a reservation."""
        if (missed := foreign_occupancy(row, taken, now)) is not None:
            self.foreign.setdefault(taken.resource, []).append(missed)
        if taken.resource in resources and (missed or is_found_by_lookup(row, taken)):
            self.reaches[taken.resource] = self.reaches.get(taken.resource, NO_REACH).including(row, taken)


async def read_booked(
    store: Store, resources: Collection[ResourceId], on_progress: OnProgress = ignore_progress
) -> Booked:
    """Read every reservation that may occupy a resource; reaches are computed for these resources."""
    booked = Booked()
    now = store.clock.millis()
    reader = Reader(now, (await read_limits(store)).by_guest)
    total = await store.database["reservations"].estimated_document_count()
    done = 0
    where = {"status": {"$nin": [*IDLE_AS_WRITTEN]}}
    async for batch in find_batches(store, "reservations", (*FIELDS, "long"), where):
        for row in batch:
            for taken in reader.occupancies(row):
                if isinstance(taken, OccupiedTime):
                    booked.enter(row, taken, now, resources)
        done += len(batch)
        on_progress("reading what is booked", done, max(total, done))
    return booked
