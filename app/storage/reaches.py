"""How far what is booked stretches from its start, for all resources in one pass over the reservations."""

from collections.abc import Collection, Mapping
from typing import Any

from app.storage.client import Store
from app.storage.guards import Reach, doubled
from app.storage.report import Watch, unwatched
from app.storage.rows import FIELDS, Reader, Taken, found_by_lookup
from app.storage.streams import documents
from app.storage.values import identity
from app.timeline.instants import to_millis
from app.timeline.lifecycle import BLOCKING

GUARDS_AN_UPDATE = 1_000
_NOTHING = Reach(0, 0, long=False)


async def stored_reaches(store: Store, resources: Collection[str], watch: Watch = unwatched) -> dict[str, Reach]:
    """The reach that what is booked on each of these resources needs, by their ids; none where nothing is booked.

    What the conflict lookup cannot find does not count, nor what is marked `long` and looked up by itself.
    """
    reader = Reader(store.clock.millis())
    total = await store.database["reservations"].estimated_document_count()
    reaches: dict[str, Reach] = {}
    done = 0
    where = {"status": {"$in": [*BLOCKING]}}
    async for batch in documents(store, "reservations", (*FIELDS, "long"), where):
        for row in batch:
            resource = identity(row.get("resource"))
            if resource is not None and resource in resources:
                reaches[resource] = _widened(reaches.get(resource, _NOTHING), row, resource, reader)
        done += len(batch)
        watch("reading what is booked", done, max(total, done))
    return reaches


def _widened(reach: Reach, row: Mapping[str, Any], resource: str, reader: Reader) -> Reach:
    """The reach that finds what a row takes of its own resource as well."""
    if row.get("long") is True:
        return reach._replace(long=True)
    for taken in reader.occupancies(row):
        if isinstance(taken, Taken) and taken.resource == resource and found_by_lookup(row, taken):
            start = to_millis(row["startTime"])
            reach = Reach(max(reach.back, taken.end - start), max(reach.ahead, start - taken.start), reach.long)
    return reach


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
        rounded = Reach(doubled(reach.back), doubled(reach.ahead), reach.long)
        alike.setdefault(rounded, []).append(resource)
    for reach, ids in alike.items():
        raised: dict[str, Any] = {"$max": {"reachBack": reach.back, "reachAhead": reach.ahead}, "$inc": {"seq": 1}}
        if reach.long:
            raised["$set"] = {"long": True}
        for first in range(0, len(ids), GUARDS_AN_UPDATE):
            those = {"_id": {"$in": ids[first : first + GUARDS_AN_UPDATE]}}
            await store.database["guards"].update_many(those, raised)
