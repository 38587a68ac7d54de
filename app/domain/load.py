"""How full a resource is: occupancies, their peak load, and which of them conflict.

Intervals are half-open, `[start, end)`: touching is no overlap. Capacity is judged by the peak, the highest load at
any one instant, never by the number of neighbours: a resource of capacity 2 with one occupancy from 9 to 10 and another
from 10 to 11 still takes one from 9 to 11.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple, TypeAlias

from typing_extensions import override

from app.domain.ids import ServiceId
from app.domain.instants import EARLIEST, Millis


class Occupancy(NamedTuple):
    """`units` of a resource taken during `[start, end)`, buffers included, by the reservation `id`.

    A hold counts until `expires`. `own_start` and `own_end` are the reservation's times without its buffers; they, its
    status, customer, service and version describe it in the answer to a conflicting request. `version` is None where
    the reservation cannot be changed here. `item` numbers the occupancies of one reservation that another program
    wrote: 0 is its own, n that of its nth item. `guests` come with it, whether or not the resource counts them.
    """

    id: Hashable
    start: Millis
    end: Millis
    units: int = 1
    expires: Millis | None = None
    own_start: Millis = EARLIEST
    own_end: Millis = EARLIEST
    status: str = "confirmed"
    customer: str | None = None
    service: ServiceId | None = None
    version: int | None = 1
    item: int = 0
    guests: int = 1

    @property
    def key(self) -> Hashable:
        """Unique among the occupancies of a resource."""
        return (self.id, self.item) if self.item else self.id

    def meets(self, start: Millis, end: Millis) -> bool:
        """Whether the two share an instant."""
        return self.start < end and start < self.end


def _steps(occupancies: Iterable[Occupancy], start: Millis, end: Millis) -> list[tuple[Millis, int]]:
    """Every change of load inside `[start, end)`; at one instant the ends come first (their change is negative)."""
    steps: list[tuple[Millis, int]] = []
    for occupancy in occupancies:
        if occupancy.start < end and start < occupancy.end:
            steps.append((max(occupancy.start, start), occupancy.units))
            if occupancy.end < end:
                steps.append((occupancy.end, -occupancy.units))
    steps.sort()
    return steps


def peak(occupancies: Iterable[Occupancy], start: Millis, end: Millis) -> int:
    """The highest load at any instant of `[start, end)`: it only rises where something starts."""
    load = highest = 0
    for _, change in _steps(occupancies, start, end):
        load += change
        highest = max(highest, load)
    return highest


def conflicts_in(occupancies: Iterable[Occupancy], start: Millis, end: Millis, limit: int) -> list[Occupancy]:
    """The occupancies at some instant of `[start, end)` at which the load is above `limit` units, by start.

    An occupancy conflicts only where the resource is too full, not because it lies within the same span.
    """
    present = [occupancy for occupancy in occupancies if occupancy.meets(start, end)]
    load, since = 0, None
    full: list[tuple[Millis, Millis]] = []
    for instant, change in _steps(present, start, end):
        load += change
        if load > limit and since is None:
            since = instant
        elif load <= limit and since is not None:
            full.append((since, instant))
            since = None
    if since is not None:
        full.append((since, end))
    conflicts = [occupancy for occupancy in present if meets_any(occupancy, full)]
    return sorted(conflicts, key=lambda occupancy: (occupancy.start, occupancy.end, str(occupancy.id)))


CHUNK = 256
"""How many loads in a row a profile knows the peak of."""
_Stretches: TypeAlias = tuple[list[Millis], list[Millis]]


def meets_any(occupancy: Occupancy, stretches: Sequence[tuple[Millis, Millis]]) -> bool:
    """Whether an occupancy shares an instant with one of the stretches, which are sorted and disjoint."""
    index = bisect_left(stretches, occupancy.end, key=lambda stretch: stretch[0]) - 1
    return index >= 0 and occupancy.start < stretches[index][1]


class Calendar:
    """The occupancies of one resource at one `now`: `live` ones, and holds that have `expired`."""

    def __init__(self, now: Millis, occupancies: Iterable[Occupancy] = ()) -> None:
        self.now = now
        self.live: dict[Hashable, Occupancy] = {}
        self.expired: dict[Hashable, Occupancy] = {}
        self._items: dict[Hashable, list[Hashable]] = {}
        for occupancy in occupancies:
            self.add(occupancy)

    def add(self, occupancy: Occupancy) -> None:
        """Add an occupancy, or replace the one with its key."""
        key = occupancy.key
        self._drop(key)
        if occupancy.item:
            self._items.setdefault(occupancy.id, []).append(key)
        live = occupancy.expires is None or occupancy.expires > self.now
        (self.live if live else self.expired)[key] = occupancy

    def remove(self, identity: Hashable) -> None:
        """Remove all that a reservation occupies here, if it occupies anything."""
        self._drop(identity)
        for key in self._items.pop(identity, ()):
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        self.live.pop(key, None)
        self.expired.pop(key, None)

    def others(self, ignore: Hashable | None) -> Iterable[Occupancy]:
        """The live occupancies, without those of the reservation `ignore`, which is to be moved."""
        if ignore is None:
            return self.live.values()
        return [occupancy for occupancy in self.live.values() if occupancy.id != ignore]

    def peak(self, start: Millis, end: Millis, ignore: Hashable | None = None) -> int:
        """The highest load during `[start, end)`, without the reservation `ignore`."""
        return peak(self.others(ignore), start, end)


class Profile(Calendar):
    """A calendar for many queries and no changes: its load over time is computed once.

    The load becomes `_loads[i]` at `_times[i]`; a peak is two binary searches and a maximum over what lies between
    them, for long spans over the peaks of whole chunks.
    """

    def __init__(self, now: Millis, occupancies: Iterable[Occupancy], ignore: Hashable | None = None) -> None:
        super().__init__(now, occupancies)
        self._ignored = ignore
        changes: dict[Millis, int] = {}
        for occupancy in self.others(ignore):
            changes[occupancy.start] = changes.get(occupancy.start, 0) + occupancy.units
            changes[occupancy.end] = changes.get(occupancy.end, 0) - occupancy.units
        self._times = sorted(changes)
        self._loads = [*accumulate(changes[time] for time in self._times)]
        self._chunks: list[int] = []
        self._full: dict[int, _Stretches] = {}

    @override
    def peak(self, start: Millis, end: Millis, ignore: Hashable | None = None) -> int:
        """The highest load during `[start, end)`."""
        if ignore != self._ignored:
            return super().peak(start, end, ignore)
        first = max(bisect_right(self._times, start) - 1, 0)
        last = bisect_left(self._times, end)
        if last - first <= 3 * CHUNK:
            return max(self._loads[first:last], default=0) if last > 0 else 0
        return self._long_peak(first, last)

    def _long_peak(self, first: int, last: int) -> int:
        """The highest of many loads: over the chunks that lie within, and what remains at both ends."""
        if not self._chunks:
            self._chunks = [max(self._loads[at : at + CHUNK]) for at in range(0, len(self._loads), CHUNK)]
        inner, outer = -(-first // CHUNK), last // CHUNK
        edges = self._loads[first : inner * CHUNK] + self._loads[outer * CHUNK : last]
        return max(self._chunks[inner:outer] + edges, default=0)

    def full_until(self, start: Millis, end: Millis, limit: int) -> Millis | None:
        """The end of the last stretch of load above `limit` that begins before `end`; None if it ends by `start`.

        Every time that starts before the answer and ends at `end` or later meets that stretch.
        """
        if limit not in self._full:
            self._full[limit] = self._full_stretches(limit)
        starts, ends = self._full[limit]
        index = bisect_left(starts, end) - 1
        return ends[index] if index >= 0 and ends[index] > start else None

    def _full_stretches(self, limit: int) -> "_Stretches":
        """The starts and the ends of the stretches with a load above `limit`, which is not negative."""
        starts: list[Millis] = []
        ends: list[Millis] = []
        for time, load in zip(self._times, self._loads, strict=True):
            if load > limit and len(starts) == len(ends):
                starts.append(time)
            elif load <= limit and len(starts) > len(ends):
                ends.append(time)
        return starts, ends
