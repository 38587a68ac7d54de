"""Which rules a change of a reservation is judged by, and what it gives up."""

from app.domain.rules import LEAD_TIME_RULES, RULES
from app.storage.documents import Reservation

_MOVING = ("start_time", "resource", "service")
"""The fields whose change gives up a confirmed time or its conditions."""


def gives_up(stored: Reservation, after: Reservation) -> bool:
    """Whether the change gives up some of what is confirmed: moved, ended earlier, or with fewer guests."""
    moved = any(getattr(stored, name) != getattr(after, name) for name in _MOVING)
    return moved or after.end_time < stored.end_time or after.guests < stored.guests


def lifted_by_history(stored: Reservation, after: Reservation) -> frozenset[str]:
    """The rules that are not judged again for a reservation that was allowed once.

    A start that stays is not judged for how far ahead it lies. A part of the reserved time is judged for its length
    alone, for its horizon if its start is new (else a long booking could be shortened to one beyond the horizon), and
    for its guests if they are more. A change that adds no load but is no such part is judged by every rule but the
    capacity: a time that grows into its own buffers, which may lie in closed hours, and another service, which may have
    other hours than the first.
    """
    stays = after.start_time == stored.start_time
    ahead = LEAD_TIME_RULES if stays else frozenset()
    if could_add_load(stored, after):
        return ahead
    grows = after.start_time < stored.start_time or after.end_time > stored.end_time
    if grows or after.service != stored.service:
        return ahead | {"capacity"}
    judged = {"duration"} | (set() if stays else {"horizon"}) | ({"guests"} if after.guests > stored.guests else set())
    return frozenset(RULES) - judged


def could_add_load(stored: Reservation, after: Reservation) -> bool:
    """Whether the change could add load at some instant of some resource."""
    within = stored.block_start <= after.block_start and after.block_end <= stored.block_end
    return not (within and after.resource == stored.resource and after.units <= stored.units)
