"""Finds places for the members of a group that may each take one of several resources.

A search with backtracking: the seeker with the fewest places left is placed next, and the seekers that overlap it in
time lose the units that it takes. All seekers that overlap one seeker are counted as if they were there at one instant,
which is exact for a capacity of 1 and pessimistic above: a placing that the search finds is possible, and it may miss
some. The search needs no database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.ids import ResourceId
from app.domain.instants import Millis

NODES_MAX = 400
"""Placings that a search tries at most."""


@dataclass(slots=True)
class Seeker:
    """One member: its block, and the resources that it could take, with the needed and the free units."""

    start: Millis
    end: Millis
    places: Mapping[ResourceId, tuple[int, int]]
    """By resource: the units that it takes, and the units that are free in its block."""
    neighbour_units: dict[ResourceId, int] = field(default_factory=dict)
    """By resource: the units of the seekers that were placed there and overlap it."""

    def fits_at(self, place: ResourceId) -> bool:
        """Whether it still fits on a resource."""
        return self.neighbour_units.get(place, 0) <= self.places[place][1]

    @property
    def open_places(self) -> list[ResourceId]:
        """The resources on which it still fits."""
        return [place for place in self.places if self.fits_at(place)]


def arrange(seekers: Sequence[Seeker]) -> list[ResourceId] | None:
    """A resource for each seeker, in their order; None where the search found no placing of all."""
    return Search(seekers).places()


class Search:
    """One search over seekers, whose `neighbour_units` it updates."""

    def __init__(self, seekers: Sequence[Seeker]) -> None:
        self._seekers = seekers
        self._overlapping = [
            [other for other in seekers if other is not one and other.start < one.end and one.start < other.end]
            for one in seekers
        ]
        self._placed: dict[int, ResourceId] = {}
        self._nodes = 0

    def places(self) -> list[ResourceId] | None:
        """The resources, in the order of the seekers."""
        if not self._place_rest():
            return None
        return [self._placed[number] for number in range(len(self._seekers))]

    def _place_rest(self) -> bool:
        """Place all remaining seekers: the one with the fewest places first, of these the one that begins first."""
        remaining = [number for number in range(len(self._seekers)) if number not in self._placed]
        if not remaining:
            return True
        number = min(remaining, key=lambda each: (len(self._seekers[each].open_places), self._seekers[each].start))
        for place in self._seekers[number].open_places:
            self._nodes += 1
            if self._nodes > NODES_MAX:
                return False
            if self._place(number, place, 1) and self._place_rest():
                return True
            self._place(number, place, -1)
        return False

    def _place(self, number: int, place: ResourceId, sign: int) -> bool:
        """Place a seeker (`sign` 1) or remove it (-1); returns whether the seekers that are there still fit."""
        if sign > 0:
            self._placed[number] = place
        else:
            del self._placed[number]
        units, fits = self._seekers[number].places[place][0], True
        for other in self._overlapping[number]:
            if place in other.places:
                other.neighbour_units[place] = other.neighbour_units.get(place, 0) + sign * units
        for seeker, resource in self._placed.items():
            fits = fits and (resource != place or self._seekers[seeker].fits_at(place))
        return fits
