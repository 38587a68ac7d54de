"""The sweep: every stretch of time in which a resource carries more than its capacity.

One pass over occupancies in order of their start, with a heap of the ends of those that are active: O(n log a) time
for a active at once, and no more memory than they take. Pairs are never compared: three reservations that share an
hour on a capacity of one are one window, and ten that legally share a capacity of ten are none.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush, merge
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from app.domain.former_capacities import Era
from app.domain.ids import ResourceId
from app.domain.instants import Millis

_BEGINNING = Millis(-(2**63))
"""Before every instant, also those that other programs wrote."""


class Row(NamedTuple):
    """An occupancy as the sweep reads it: units of a resource over `[start, end)`; `end` lies after `start`."""

    resource: ResourceId
    start: Millis
    id: Any
    """The reservation's id: of any sortable type, the same within a resource; text where another program wrote it."""
    end: Millis
    units: int


PlainRow: TypeAlias = tuple[ResourceId, Millis, Any, Millis, int]
"""A `Row` as a plain tuple, which is cheaper to make a million times."""
NO_FORMER_CAPACITIES: Mapping[ResourceId, Sequence[Era]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Window:
    """A maximal stretch of one resource with load above capacity, `[start, end)`.

    Segments that adjoin are one window, also where other reservations carry the load from the joint on.
    `reservations` are all that occupy the resource at some time inside, by start, then id, each once. `conflicts` adds
    up, over each of them that starts while the load with it is above the capacity of that moment, the others that are
    active then. `capacity` is the lowest that counted while the load was at its peak: where the capacity was lowered
    meanwhile, a window may reach from one era into the next.
    """

    resource: ResourceId
    start: Millis
    end: Millis
    peak: int
    capacity: int
    reservations: tuple[Any, ...]
    conflicts: int


_Active: TypeAlias = tuple[Millis, int, int, Any]
"""End, place in the order of starts, units, id: a heap of these never compares ids."""
_Drop: TypeAlias = tuple[Millis, int]
"""An instant, and the lower capacity from then on."""


@dataclass(slots=True)
class _Open:
    """The current window of the sweep. `ends` is set while the load has fallen, until the sweep leaves that instant."""

    start: Millis
    peak: int
    capacity: int
    """The lowest that counted while the load was at its peak."""
    reservations: list[Any]
    conflicts: int
    ends: Millis | None = None
    at_the_joint: list[Any] = field(default_factory=list)
    """The ids that start at `ends`; they belong to the window only if it goes on."""

    def close(self, resource: ResourceId) -> Window:
        """The finished window.

        Raises:
            ValueError: the load has not fallen.
        """
        if self.ends is None:
            raise ValueError("A window closes where the load falls, and it has not fallen.")
        once = tuple(dict.fromkeys(self.reservations))
        return Window(resource, self.start, self.ends, self.peak, self.capacity, once, self.conflicts)

    def join(self, identity: object, load: int, capacity: int, others: int) -> None:
        """Add a reservation that starts now; `load` includes it, `others` is how many are active beside it."""
        self.at_the_joint.append(identity)
        if load > capacity:
            self.conflicts += others
            self.go_on(load, capacity)

    def go_on(self, load: int, capacity: int) -> None:
        """Extend the window: the load is above capacity from here on."""
        self.reservations += self.at_the_joint
        self.at_the_joint.clear()
        self.ends = None
        if load > self.peak:
            self.peak, self.capacity = load, capacity
        elif load == self.peak:
            self.capacity = min(self.capacity, capacity)


def sweep(
    rows: Iterable[PlainRow],
    capacities: Mapping[ResourceId, int],
    former: Mapping[ResourceId, Sequence[Era]] = NO_FORMER_CAPACITIES,
) -> Iterator[Window]:
    """Yield the windows above capacity, by resource as they come, then by start.

    Args:
        rows: One resource after the other, each by start, then id. Plain tuples of the same shape do.
        capacities: Units that a resource holds at once, not negative; for one that is not listed, 1.
        former: Higher capacities that it had before, see `app.domain.former_capacities`.
    """
    for resource, own in groupby(rows, key=itemgetter(0)):
        capacity, before = capacities.get(resource, 1), former.get(resource)
        if before:
            yield from _sweep_eras(resource, own, capacity, before)
        else:
            yield from _sweep_one(resource, own, capacity)


def _sweep_one(resource: ResourceId, rows: Iterator[PlainRow], capacity: int) -> Iterator[Window]:
    active: list[_Active] = []
    load = 0
    latest: Millis = _BEGINNING
    window: _Open | None = None
    for place, (_, start, identity, end, units) in enumerate(rows):
        if window is None and start >= latest:
            # Nothing is active any more. Rows that obey a capacity of one never leave this branch.
            active.clear()
            load, latest = 0, end
        else:
            load = _release(active, load, capacity, start, window)
            if window is not None and window.ends is not None and window.ends < start:
                yield window.close(resource)
                window = None
            latest = max(latest, end)
        others = len(active)
        heappush(active, (end, place, units, identity))
        load += units
        if window is not None:
            window.join(identity, load, capacity, others)
        elif load > capacity:
            window = _Open(start, load, capacity, _by_start(active), others)
    if window is not None:
        _release(active, load, capacity, latest, window)
        yield window.close(resource)


def _sweep_eras(
    resource: ResourceId, rows: Iterator[PlainRow], capacity: int, former: Sequence[Era]
) -> Iterator[Window]:
    """Sweep a resource whose capacity was lowered: at those instants the load may become too high without a start."""
    later = [before for _, before in former[1:]]
    drops = [(until, lower) for (until, _), lower in zip(former, [*later, capacity], strict=True)]
    active: list[_Active] = []
    load, capacity = 0, former[0][1]
    window: _Open | None = None
    for place, row in enumerate(_with_drops(rows, drops)):
        instant = row[1]
        load = _release(active, load, capacity, instant, window)
        if window is not None and window.ends is not None and window.ends < instant:
            yield window.close(resource)
            window = None
        others = 0
        if row[2] is _DROP:
            capacity = row[4]
        else:
            others = len(active)
            heappush(active, (row[3], place, row[4], row[2]))
            load += row[4]
        if window is None and load > capacity:
            window = _Open(instant, load, capacity, _by_start(active), others)
        elif window is not None and row[2] is not _DROP:
            window.join(row[2], load, capacity, others)
        elif window is not None and load > capacity:
            window.go_on(load, capacity)
    if window is not None:
        _release(active, load, capacity, max(end for end, *_ in active) if active else instant, window)
        yield window.close(resource)


_DROP = object()
"""Marks a row that is no reservation: from its start on the capacity is its `units`."""


def _with_drops(rows: Iterator[PlainRow], drops: Sequence[_Drop]) -> Iterator[PlainRow]:
    """The rows with each drop before those that start then."""
    marks: list[PlainRow] = [(ResourceId(""), instant, _DROP, instant, capacity) for instant, capacity in drops]
    return merge(rows, marks, key=lambda row: (row[1], row[2] is not _DROP))


def _by_start(active: list[_Active]) -> list[Any]:
    """The ids of the active reservations, by start."""
    return [identity for _, _, _, identity in sorted(active, key=itemgetter(1))]


def _release(active: list[_Active], load: int, capacity: int, until: Millis, window: _Open | None) -> int:
    """Drop what has ended at `until`; returns the load that is left, and sets the window's `ends` where it fell."""
    while active and active[0][0] <= until:
        moment, _, gone, _ = heappop(active)
        load -= gone
        if window is not None and window.ends is None and load <= capacity:
            window.ends = moment
    return load
