"""Reach: how far the blocks of reservations of a resource extend from their `startTime`, as its guard has it.

A reservation overlaps `[S, E)` only if its `startTime` lies in `(S - reachBack, E + reachAhead)`. So the reach of a
guard must never be smaller than any reservation of its resource needs, whichever program wrote it.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, cast

from app.domain.ids import ResourceId
from app.domain.instants import MINUTE, Duration, Millis
from app.storage.bson_types import Row, UpdateDocument
from app.storage.client import Store
from app.storage.documents import Guard, GuardRow
from app.storage.foreign_occupancies import ForeignOccupancy
from app.storage.row_reader import OccupiedTime, is_found_by_lookup, is_long, stretch
from app.storage.rows_by_id import rows_by_id

GUARDS_AN_UPDATE = 1_000


REACH_MIN: Duration = 15 * MINUTE
"""The smallest reach above zero; a reach grows by doubling, so that it is raised rarely.

A lookup reads what starts within the reach, so a small reach reads few rows: with a reach of one day, a booking of an
hour read twenty reservations that could not overlap it.
"""


class Reach(NamedTuple):
    """How far a block extends from its `startTime`, in milliseconds: `back` to its end, `ahead` to its beginning.

    `long`: whether a block is marked `long`, and must be looked up by that mark. `foreign`: whether something occupies
    the resource that the conflict lookup does not find, and is stored in `occupancies`.
    """

    back: Duration = 0
    ahead: Duration = 0
    long: bool = False
    foreign: bool = False

    @classmethod
    def of_guard(cls, guard: GuardRow) -> "Reach":
        """The reach of a stored guard."""
        return cls(guard["reachBack"], guard["reachAhead"], bool(guard.get("long")), bool(guard.get("foreign")))

    def covering(self, start: Millis, block_start: Millis, block_end: Millis) -> "Reach":
        """The same reach, grown where it must be to find a block that Reserva writes."""
        if is_long(block_start, block_end):
            return self._replace(long=True)
        return _grown(self, block_end - start, start - block_start)

    def or_more(self, other: "Reach") -> "Reach":
        """The smallest reach that covers both."""
        return Reach(
            max(self.back, other.back),
            max(self.ahead, other.ahead),
            self.long or other.long,
            self.foreign or other.foreign,
        )

    def including(self, found: Row, taken: OccupiedTime) -> "Reach":
        """The same reach, grown where it must be to find an occupancy of a stored reservation of any program."""
        if not is_found_by_lookup(found, taken):
            return self.listing(taken.start, taken.end)
        return self._replace(long=True) if found.get("long") is True else _grown(self, *stretch(found, taken))

    def listing(self, start: Millis, end: Millis) -> "Reach":
        """The same reach, grown where it must be to find a foreign occupancy with these times."""
        if is_long(start, end):
            return self._replace(foreign=True, long=True)
        return _grown(self._replace(foreign=True), end - start, 0)


def _grown(reach: Reach, back: Duration, ahead: Duration) -> Reach:
    return reach._replace(back=max(reach.back, doubled(back)), ahead=max(reach.ahead, doubled(ahead)))


def doubled(need: Duration) -> Duration:
    """The smallest reach that covers `need`: zero, or `REACH_MIN` doubled until it does."""
    if need <= 0:
        return 0
    reach = REACH_MIN
    while reach < need:
        reach *= 2
    return reach


NO_REACH = Reach()


def listed_reaches(occupancies: Iterable[ForeignOccupancy]) -> dict[ResourceId, Reach]:
    """The reach that finds foreign occupancies, by resource."""
    reaches: dict[ResourceId, Reach] = {}
    for each in occupancies:
        reaches[each.resource] = reaches.get(each.resource, NO_REACH).listing(each.start, each.end)
    return reaches


def covers(guard: Row, reach: Reach) -> bool:
    """Whether the reach of a stored guard is at least as large as a reach."""
    back, ahead = guard.get("reachBack"), guard.get("reachAhead")
    if not isinstance(back, int | float) or not isinstance(ahead, int | float):
        return False
    return back >= reach.back and ahead >= reach.ahead and (guard.get("long") is True or not reach.long)


async def reach_of_guard(store: Store, resource: ResourceId) -> Reach:
    """The reach that the guard of a resource stores, none without one; read raw, since any program may change it."""
    guard = await store.database["guards"].find_one({"_id": resource})
    return Reach() if guard is None else Reach.of_guard(cast("GuardRow", guard))


async def guards_short_of(store: Store, reaches: Mapping[ResourceId, Reach]) -> list[ResourceId]:
    """Those of these resources whose guard has a smaller reach; read raw, since any program may change it."""
    fields = {"_id": 1, "reachBack": 1, "reachAhead": 1, "long": 1}
    guards = await rows_by_id(store, Guard, reaches, fields)
    return [guard["_id"] for guard in guards if not covers(guard, reaches[guard["_id"]])]


async def raise_reaches(store: Store, reaches: Mapping[ResourceId, Reach]) -> None:
    """Raise the reaches of guards to these; a larger one stays.

    Like a booking, it increments `seq`: a transaction that has changed the guard commits first, and all later ones see
    the new reach.
    """
    alike: dict[Reach, list[str]] = {}
    for resource, reach in reaches.items():
        alike.setdefault(reach, []).append(resource)
    for reach, ids in alike.items():
        raised: UpdateDocument = {"$max": {"reachBack": reach.back, "reachAhead": reach.ahead}, "$inc": {"seq": 1}}
        if reach.long:
            raised["$set"] = {"long": True}
        for first in range(0, len(ids), GUARDS_AN_UPDATE):
            where = {"_id": {"$in": ids[first : first + GUARDS_AN_UPDATE]}}
            await store.database["guards"].update_many(where, raised)
