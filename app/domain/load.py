"""How full a resource is: occupancies, their peak, and which of them are in the way.

Intervals are half-open, `[start, end)`: touching is no overlap. Capacity is judged by the peak, the highest load at
any one instant, never by the number of neighbours: with capacity 2, and 9 to 10 and 10 to 11 taken, there is room for
9 to 11.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple, TypeAlias

from app.domain.instants import Millis


class Occupancy(NamedTuple):
    """`units` of a resource taken during `[start, end)`, buffers included, by the reservation `id`.

    A hold counts until `expires`. The rest is for those who are told who is in the way: the reservation's own times
    without its buffers, its status, customer, service and version. The version is None where nobody can change it;
    `place` tells the occupancies of one reservation apart that others wrote: 0 is its own, n that of its nth item.
    """

    id: Hashable
    start: Millis
    end: Millis
    units: int = 1
    expires: Millis | None = None
    from_: Millis = 0
    to: Millis = 0
    status: str = "confirmed"
    customer: str | None = None
    service: str | None = None
    version: int | None = 1
    place: int = 0

    @property
    def key(self) -> Hashable:
        """What no other occupancy has."""
        return (self.id, self.place) if self.place else self.id

    def meets(self, start: Millis, end: Millis) -> bool:
        """Whether the two share an instant."""
        return self.start < end and start < self.end


def _steps(occupancies: Iterable[Occupancy], start: Millis, end: Millis) -> list[tuple[Millis, int]]:
    """Every change of load inside `[start, end)`; at one instant the ends come first (their change is negative)."""
    steps: list[tuple[Millis, int]] = []
    for taken in occupancies:
        if taken.start < end and start < taken.end:
            steps.append((max(taken.start, start), taken.units))
            if taken.end < end:
                steps.append((taken.end, -taken.units))
    steps.sort()
    return steps


def peak(occupancies: Iterable[Occupancy], start: Millis, end: Millis) -> int:
    """The highest load at any instant of `[start, end)`: it only rises where something starts."""
    load = highest = 0
    for _, change in _steps(occupancies, start, end):
        load += change
        highest = max(highest, load)
    return highest


def conflicts_in(occupancies: Iterable[Occupancy], start: Millis, end: Millis, room: int) -> list[Occupancy]:
    """Those who are there at some instant of `[start, end)` at which the load is above `room`, by start.

    A neighbour is to blame only where the resource is too full, not because it lies in the same day.
    """
    there = [taken for taken in occupancies if taken.meets(start, end)]
    load, since = 0, None
    full: list[tuple[Millis, Millis]] = []
    for instant, change in _steps(there, start, end):
        load += change
        if load > room and since is None:
            since = instant
        elif load <= room and since is not None:
            full.append((since, instant))
            since = None
    if since is not None:
        full.append((since, end))
    blamed = [taken for taken in there if meets_any(taken, full)]
    return sorted(blamed, key=lambda taken: (taken.start, taken.end, str(taken.id)))


CHUNK = 256
"""Loads of which a profile knows the peak together."""
_Stretches: TypeAlias = tuple[list[Millis], list[Millis]]


def meets_any(taken: Occupancy, stretches: Sequence[tuple[Millis, Millis]]) -> bool:
    """Whether it shares an instant with one of the stretches, which are sorted and apart."""
    index = bisect_left(stretches, taken.end, key=lambda stretch: stretch[0]) - 1
    return index >= 0 and taken.start < stretches[index][1]


class Calendar:
    """What is known to occupy one resource, at one `now`: those who count, and holds whose time has come."""

    def __init__(self, now: Millis, occupancies: Iterable[Occupancy] = ()) -> None:
        self.now = now
        self.taken: dict[Hashable, Occupancy] = {}
        self.lapsed: dict[Hashable, Occupancy] = {}
        self._items: dict[Hashable, list[Hashable]] = {}
        for occupancy in occupancies:
            self.add(occupancy)

    def add(self, occupancy: Occupancy) -> None:
        """Enter an occupancy, or enter it anew where it was."""
        key = occupancy.key
        self._drop(key)
        if occupancy.place:
            self._items.setdefault(occupancy.id, []).append(key)
        live = occupancy.expires is None or occupancy.expires > self.now
        (self.taken if live else self.lapsed)[key] = occupancy

    def remove(self, identity: Hashable) -> None:
        """Take out all that a reservation occupies here; that it may not be there is no fault."""
        self._drop(identity)
        for key in self._items.pop(identity, ()):
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        self.taken.pop(key, None)
        self.lapsed.pop(key, None)

    def others(self, ignore: Hashable | None) -> Iterable[Occupancy]:
        """Everybody who counts, but for the one that is to be moved."""
        if ignore is None:
            return self.taken.values()
        return [taken for taken in self.taken.values() if taken.id != ignore]

    def peak(self, start: Millis, end: Millis, ignore: Hashable | None = None) -> int:
        """The highest load during `[start, end)`, without the one that is to be moved."""
        return peak(self.others(ignore), start, end)


class Profile(Calendar):
    """A calendar that is asked many times and not changed: its load is worked out once.

    `times[i]` is when the load becomes `loads[i]`; a peak is then two binary searches and what lies between them, of
    long spans by the peaks of whole chunks.
    """

    def __init__(self, now: Millis, occupancies: Iterable[Occupancy], ignore: Hashable | None = None) -> None:
        super().__init__(now, occupancies)
        self._ignored = ignore
        changes: dict[Millis, int] = {}
        for taken in self.others(ignore):
            changes[taken.start] = changes.get(taken.start, 0) + taken.units
            changes[taken.end] = changes.get(taken.end, 0) - taken.units
        self._times = sorted(changes)
        self._loads = [*accumulate(changes[time] for time in self._times)]
        self._chunks: list[int] = []
        self._full: dict[int, _Stretches] = {}

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
        """The highest of many loads: of the chunks that lie within, and of what is left at both ends."""
        if not self._chunks:
            self._chunks = [max(self._loads[at : at + CHUNK]) for at in range(0, len(self._loads), CHUNK)]
        inner, outer = -(-first // CHUNK), last // CHUNK
        edges = self._loads[first : inner * CHUNK] + self._loads[outer * CHUNK : last]
        return max(self._chunks[inner:outer] + edges, default=0)

    def full_until(self, start: Millis, end: Millis, room: int) -> Millis | None:
        """The end of the last stretch in `[start, end)` with a load above `room`, maybe later; None if there is none.

        Whatever begins before it, and ends at `end` or later, meets that stretch.
        """
        if room not in self._full:
            self._full[room] = self._stretches(room)
        starts, ends = self._full[room]
        index = bisect_left(starts, end) - 1
        return ends[index] if index >= 0 and ends[index] > start else None

    def _stretches(self, room: int) -> "_Stretches":
        """The stretches with a load above `room`, which is not negative: the starts of all, and the ends."""
        starts: list[Millis] = []
        ends: list[Millis] = []
        for time, load in zip(self._times, self._loads, strict=True):
            if load > room and len(starts) == len(ends):
                starts.append(time)
            elif load <= room and len(starts) > len(ends):
                ends.append(time)
        return starts, ends
