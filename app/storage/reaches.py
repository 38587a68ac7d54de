"""What guards must know of all that is booked, by one pass over the reservations: reach, and what no lookup finds."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.storage.capacities import read_limits
from app.storage.client import Store
from app.storage.foreign import Foreign, foreign
from app.storage.guards import Reach
from app.storage.report import Watch, unwatched
from app.storage.rows import FIELDS, SURE, Reader, Taken, found_by_lookup
from app.storage.streams import documents
from app.timeline.instants import Millis

GUARDS_AN_UPDATE = 1_000
NOWHERE = Reach()


@dataclass(slots=True)
class Booked:
    """What is booked, as far as guards must know it.

    Args:
        reaches: The reach that a resource needs, by its id; none where nothing needs any.
        foreign: What the conflict lookup does not find, by the text of the resource's id.
    """

    reaches: dict[str, Reach] = field(default_factory=dict)
    foreign: dict[str, list[Foreign]] = field(default_factory=dict)

    def enter(self, row: Mapping[str, Any], taken: Taken, now: Millis, resources: Collection[str]) -> None:
        """Take in what a row occupies."""
        if (missed := foreign(row, taken, now)) is not None:
            self.foreign.setdefault(taken.resource, []).append(missed)
        if taken.resource in resources and (missed or found_by_lookup(row, taken)):
            self.reaches[taken.resource] = self.reaches.get(taken.resource, NOWHERE).including(row, taken)


async def read_booked(store: Store, resources: Collection[str], watch: Watch = unwatched) -> Booked:
    """Read every reservation that may occupy something; its reach counts on these resources, which have guards."""
    booked = Booked()
    now = store.clock.millis()
    reader = Reader(now, (await read_limits(store)).by_guest)
    total = await store.database["reservations"].estimated_document_count()
    done = 0
    where = {"status": {"$nin": [*SURE]}}
    async for batch in documents(store, "reservations", (*FIELDS, "long"), where):
        for row in batch:
            for taken in reader.occupancies(row):
                if isinstance(taken, Taken):
                    booked.enter(row, taken, now, resources)
        done += len(batch)
        watch("reading what is booked", done, max(total, done))
    return booked


def listed_reaches(those: Iterable[Foreign]) -> dict[str, Reach]:
    """The reach that finds these in `occupancies`, by resource."""
    reaches: dict[str, Reach] = {}
    for each in those:
        reaches[each.resource] = reaches.get(each.resource, NOWHERE).listing(each.start, each.end)
    return reaches


def covers(guard: Mapping[str, Any], reach: Reach) -> bool:
    """Whether a guard, as it is stored, knows a reach that is as large."""
    back, ahead = guard.get("reachBack"), guard.get("reachAhead")
    if not isinstance(back, int | float) or not isinstance(ahead, int | float):
        return False
    return back >= reach.back and ahead >= reach.ahead and (guard.get("long") is True or not reach.long)


async def raise_reaches(store: Store, reaches: Mapping[str, Reach]) -> None:
    """Raise what guards know to these reaches; whoever knows a larger one keeps it.

    As a booking that needs it does: a transaction that has its guard goes first, and all that begin later see it.
    """
    alike: dict[Reach, list[str]] = {}
    for resource, reach in reaches.items():
        alike.setdefault(reach, []).append(resource)
    for reach, ids in alike.items():
        raised: dict[str, Any] = {"$max": {"reachBack": reach.back, "reachAhead": reach.ahead}, "$inc": {"seq": 1}}
        if reach.long:
            raised["$set"] = {"long": True}
        for first in range(0, len(ids), GUARDS_AN_UPDATE):
            those = {"_id": {"$in": ids[first : first + GUARDS_AN_UPDATE]}}
            await store.database["guards"].update_many(those, raised)
