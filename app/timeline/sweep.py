"""The sweep: every stretch of time in which a resource carries more than its capacity.

One pass over occupancies in order of their start, with a heap of the ends of those that are active: O(n log a) time
for a active at once, and no more memory than they take. Nothing here looks at pairs: three that share an hour on a
capacity of one are one window, and ten that legally share a capacity of ten are none.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

from app.timeline.instants import Millis

_BEGINNING: Millis = -(2**63)
"""Before every instant, also those of databases that we did not write."""


class Row(NamedTuple):
    """An occupancy as the sweep reads it: units of a resource over `[start, end)`; `end` lies after `start`."""

    resource: str
    start: Millis
    id: Any
    """The reservation's; of any type that sorts, the same for all of a resource."""
    end: Millis
    units: int


@dataclass(frozen=True, slots=True)
class Window:
    """A maximal stretch of one resource with load above capacity, `[start, end)`.

    Segments that adjoin are one window, also where other reservations carry the load from the joint on.
    `reservations` are all that occupy the resource at some time inside, by start, then id. `conflicts` adds up, over
    each of them that starts while the load with it is above capacity, the others that are active then.
    """

    resource: str
    start: Millis
    end: Millis
    peak: int
    capacity: int
    reservations: tuple[Any, ...]
    conflicts: int


_Active: TypeAlias = tuple[Millis, int, int, Any]
"""End, place in the order of starts, units, id: a heap of these never compares ids."""


@dataclass(slots=True)
class _Open:
    """A window that is being swept. `ends` is set once the load fell, until time moves on or the load is back."""

    start: Millis
    peak: int
    reservations: list[Any]
    conflicts: int
    ends: Millis | None = None
    at_the_joint: list[Any] = field(default_factory=list)
    """Those that start at `ends`: in the window only if it goes on."""

    def close(self, resource: str, capacity: int) -> Window:
        """The window as it is known, once the load fell."""
        if self.ends is None:
            raise ValueError("A window closes where the load falls, and it has not fallen.")
        return Window(resource, self.start, self.ends, self.peak, capacity, tuple(self.reservations), self.conflicts)

    def join(self, identity: Any, load: int, capacity: int, others: int) -> None:
        """Take in one that starts now; `load` counts it, `others` are active with it."""
        if load > capacity:
            self.reservations += self.at_the_joint
            self.at_the_joint.clear()
            self.reservations.append(identity)
            self.ends = None
            self.peak = max(self.peak, load)
            self.conflicts += others
        else:
            self.at_the_joint.append(identity)


def sweep(rows: Iterable[Row], capacities: Mapping[str, int]) -> Iterator[Window]:
    """Yield the windows above capacity, by resource as they come, then by start.

    Args:
        rows: One resource after the other, each by start, then id. Plain tuples of the same shape do.
        capacities: Units that a resource holds at once, not negative; for one that is not listed, 1.
    """
    for resource, own in groupby(rows, key=itemgetter(0)):
        yield from _sweep_one(resource, own, capacities.get(resource, 1))


def _sweep_one(resource: str, rows: Iterator[Row], capacity: int) -> Iterator[Window]:
    active: list[_Active] = []
    load = 0
    latest: Millis = _BEGINNING
    window: _Open | None = None
    for place, (_, start, identity, end, units) in enumerate(rows):
        if window is None and start >= latest:
            # Nothing is active any more. The legal life of a capacity of one never gets beyond this branch.
            active.clear()
            load, latest = 0, end
        else:
            load = _release(active, load, capacity, start, window)
            if window is not None and window.ends is not None and window.ends < start:
                yield window.close(resource, capacity)
                window = None
            latest = max(latest, end)
        others = len(active)
        heappush(active, (end, place, units, identity))
        load += units
        if window is not None:
            window.join(identity, load, capacity, others)
        elif load > capacity:
            window = _Open(start, load, [row[3] for row in sorted(active, key=itemgetter(1))], others)
    if window is not None:
        _release(active, load, capacity, latest, window)
        yield window.close(resource, capacity)


def _release(active: list[_Active], load: int, capacity: int, until: Millis, window: _Open | None) -> int:
    """Let go of all that have ended at `until`, and return the load that is left; marks where the window falls."""
    while active and active[0][0] <= until:
        moment, _, gone, _ = heappop(active)
        load -= gone
        if window is not None and window.ends is None and load <= capacity:
            window.ends = moment
    return load
