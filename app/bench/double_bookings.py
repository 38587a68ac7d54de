"""Counts double bookings in what is stored, without a line of the code that books."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple


class Booking(NamedTuple):
    """What a stored reservation occupies, of a resource that holds one at a time."""

    resource: str
    start: datetime
    end: datetime


class Count(NamedTuple):
    """What was found.

    `double` bookings begin while another one of their resource lasts; `peak` is the highest number of bookings of one
    resource at one instant.
    """

    stored: int
    double: int
    peak: int


def count(bookings: Iterable[Booking]) -> Count:
    """Walk through the beginnings and ends of each resource in order of time; at one instant the ends come first."""
    edges: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    for booking in bookings:
        edges[booking.resource] += [(booking.start, 1), (booking.end, -1)]
    stored = double = peak = 0
    for changes in edges.values():
        load = 0
        for _, change in sorted(changes):
            if change > 0:
                stored += 1
                double += load > 0
            load += change
            peak = max(peak, load)
    return Count(stored, double, peak)
