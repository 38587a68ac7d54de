"""Reach: how far from the `startTime` of what is booked on a resource its block stretches, as guards know it.

A reservation meets `[S, E)` only if its `startTime` lies in `(S - reachBack, E + reachAhead)`. So a guard must never
have a smaller reach than what is booked on its resource, whoever put it there.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from app.domain.instants import MINUTE, Millis
from app.storage.client import Store
from app.storage.foreign_occupancies import ForeignOccupancy
from app.storage.row_reader import OccupiedTime, is_found_by_lookup, is_long, stretch

GUARDS_AN_UPDATE = 1_000


REACH_MIN: Millis = 15 * MINUTE
"""The least reach that is not zero; it grows by doubling, so that raises are rare.

A lookup reads what starts within the reach, so one that fits what is really booked reads the fewest rows: with a day's
reach a booking of an hour read twenty neighbours that could not meet it.
"""


class Reach(NamedTuple):
    """How far, in milliseconds, a block stretches from its `startTime`: `back` to its end, `ahead` to its beginning.

    `long`: whether some block is marked `long` and must be looked up by itself. `foreign`: whether something occupies
    the resource that the conflict lookup does not find; it is in `occupancies`, and `long` there is longer than `LONG`.
    """

    back: Millis = 0
    ahead: Millis = 0
    long: bool = False
    foreign: bool = False

    @classmethod
    def of_guard(cls, guard: Mapping[str, Any]) -> "Reach":
        """The one that a stored guard knows."""
        return cls(guard["reachBack"], guard["reachAhead"], bool(guard.get("long")), bool(guard.get("foreign")))

    def covering(self, start: Millis, block_start: Millis, block_end: Millis) -> "Reach":
        """The reach that finds such a block of ours as well: itself, or grown by doubling so that raises are rare."""
        if is_long(block_start, block_end):
            return self._replace(long=True)
        return _grown(self, block_end - start, start - block_start)

    def or_more(self, other: "Reach") -> "Reach":
        """The reach that covers both."""
        return Reach(
            max(self.back, other.back),
            max(self.ahead, other.ahead),
            self.long or other.long,
            self.foreign or other.foreign,
        )

    def including(self, found: Mapping[str, Any], taken: OccupiedTime) -> "Reach":
        """The reach that finds this occupancy of a stored row as well, whoever wrote it."""
        if not is_found_by_lookup(found, taken):
            return self.listing(taken.start, taken.end)
        return self._replace(long=True) if found.get("long") is True else _grown(self, *stretch(found, taken))

    def listing(self, start: Millis, end: Millis) -> "Reach":
        """The reach that finds what is listed in `occupancies` with these times as well."""
        if is_long(start, end):
            return self._replace(foreign=True, long=True)
        return _grown(self._replace(foreign=True), end - start, 0)


def _grown(reach: Reach, back: Millis, ahead: Millis) -> Reach:
    return reach._replace(back=max(reach.back, doubled(back)), ahead=max(reach.ahead, doubled(ahead)))


def doubled(need: Millis) -> Millis:
    """The smallest reach that covers `need`: zero, or a doubling of the least one."""
    if need <= 0:
        return 0
    reach = REACH_MIN
    while reach < need:
        reach *= 2
    return reach


NO_REACH = Reach()


def listed_reaches(those: Iterable[ForeignOccupancy]) -> dict[str, Reach]:
    """The reach that finds these in `occupancies`, by resource."""
    reaches: dict[str, Reach] = {}
    for each in those:
        reaches[each.resource] = reaches.get(each.resource, NO_REACH).listing(each.start, each.end)
    return reaches


def covers(guard: Mapping[str, Any], reach: Reach) -> bool:
    """Whether a guard, as it is stored, knows a reach that is as large."""
    back, ahead = guard.get("reachBack"), guard.get("reachAhead")
    if not isinstance(back, int | float) or not isinstance(ahead, int | float):
        return False
    return back >= reach.back and ahead >= reach.ahead and (guard.get("long") is True or not reach.long)


async def reach_of_guard(store: Store, resource: str) -> Reach:
    """The reach that the guard of a resource knows, none where it has no guard; raw, as others may have spoilt it."""
    guard = await store.database["guards"].find_one({"_id": resource})
    return Reach() if guard is None else Reach.of_guard(guard)


async def guards_short_of(store: Store, reaches: Mapping[str, Reach]) -> list[str]:
    """Those of these resources whose guard does not know as large a reach; raw, as others may have spoilt it."""
    fields = {"reachBack": 1, "reachAhead": 1, "long": 1}
    guards = store.database["guards"].find({"_id": {"$in": [*reaches]}}, fields)
    return [guard["_id"] async for guard in guards if not covers(guard, reaches[guard["_id"]])]


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
