"""Finding places for members of a group that each may go to several resources, where trying them in turn found none.

A search with backtracking: whoever has the fewest places left goes next, and those who meet it in time lose what it
takes. It counts all who meet somebody as if they were there at once, which is exact for a capacity of one and careful
above: what it finds can be had, what it does not find may be there. Nothing here knows a database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.instants import Millis

NODES_MAX = 400
"""How many placings a search tries at most."""


@dataclass(slots=True)
class Seeker:
    """One member: its block, what it takes, and the places where it could be, with what is left there beside it."""

    start: Millis
    end: Millis
    places: Mapping[str, tuple[int, int]]
    """By resource: the units that it takes, and those that are free in its block besides."""
    neighbour_units: dict[str, int] = field(default_factory=dict)
    """By resource: the units of the seekers that were placed there and meet it."""

    def fits_at(self, place: str) -> bool:
        """Whether it still fits."""
        return self.neighbour_units.get(place, 0) <= self.places[place][1]

    @property
    def open_places(self) -> list[str]:
        """The places that are left."""
        return [place for place in self.places if self.fits_at(place)]


def arrange(seekers: Sequence[Seeker]) -> list[str] | None:
    """A place for each, or None where none was found."""
    return Search(seekers).places()


class Search:
    """One search over seekers, which it marks while it goes."""

    def __init__(self, seekers: Sequence[Seeker]) -> None:
        self._seekers = seekers
        self._meeting = [
            [other for other in seekers if other is not one and other.start < one.end and one.start < other.end]
            for one in seekers
        ]
        self._placed: dict[int, str] = {}
        self._nodes = 0

    def places(self) -> list[str] | None:
        """The places, in the order of the seekers."""
        if not self._place_rest():
            return None
        return [self._placed[number] for number in range(len(self._seekers))]

    def _place_rest(self) -> bool:
        """Place all who are left: who has the fewest places first, of these who begins first."""
        left = [number for number in range(len(self._seekers)) if number not in self._placed]
        if not left:
            return True
        number = min(left, key=lambda each: (len(self._seekers[each].open_places), self._seekers[each].start))
        for place in self._seekers[number].open_places:
            self._nodes += 1
            if self._nodes > NODES_MAX:
                return False
            if self._place(number, place, 1) and self._place_rest():
                return True
            self._place(number, place, -1)
        return False

    def _place(self, number: int, place: str, sign: int) -> bool:
        """Place one, or take it back; whether those who are there already still fit."""
        if sign > 0:
            self._placed[number] = place
        else:
            del self._placed[number]
        units, fits = self._seekers[number].places[place][0], True
        for other in self._meeting[number]:
            if place in other.places:
                other.neighbour_units[place] = other.neighbour_units.get(place, 0) + sign * units
        for there, where in self._placed.items():
            fits = fits and (where != place or self._seekers[there].fits_at(place))
        return fits
