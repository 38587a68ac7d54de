"""What resources hold, whoever wrote them: their capacity now, what it was before, and what is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from motor.motor_asyncio import AsyncIOMotorClientSession

from app.domain.former_capacities import Era
from app.storage.client import Store
from app.storage.row_reader import LeftOut
from app.storage.values import count, excerpt, forms, identity, instant

FIELDS = ("quantity", "capacity", "capacityMode", "formerCapacities")
"""All that is read of a resource, beside its id; `quantity` is payload-reserve's word for the capacity."""

Former: TypeAlias = tuple[Era, ...]
"""Capacities that were higher, each with the instant until which it held, see `app.domain.former_capacities`."""

_BY_GUEST = ("per-guest", "guests")


@dataclass(slots=True)
class Limits:
    """Of each resource, by the text of its id: the capacity (of those not listed, 1), former ones, what is counted.

    Of two whose ids have the same text the one counts whose id is that text: bookings are held to it.
    """

    capacities: dict[str, int] = field(default_factory=dict)
    former: dict[str, Former] = field(default_factory=dict)
    by_guest: set[str] = field(default_factory=set)
    _texts: set[str] = field(default_factory=set)

    def learn(self, found: Mapping[str, Any]) -> None:
        """Take in a stored resource."""
        raw = found.get("_id")
        resource = identity(raw)
        if resource is None or (raw != resource and resource in self._texts):
            return
        if raw == resource:
            self._forget(resource)
            self._texts.add(resource)
        stated = stated_capacity(found)
        capacity = 1 if isinstance(stated, LeftOut) else stated
        if capacity != 1:
            self.capacities[resource] = capacity
        if counts_guests(found):
            self.by_guest.add(resource)
        if former := former_capacities(found.get("formerCapacities"), capacity):
            self.former[resource] = former

    def _forget(self, resource: str) -> None:
        self.capacities.pop(resource, None)
        self.former.pop(resource, None)
        self.by_guest.discard(resource)


def stated_capacity(found: Mapping[str, Any]) -> int | LeftOut:
    """How many units a stored resource holds at once; one, where it does not say."""
    stated = found.get("quantity") if found.get("quantity") is not None else found.get("capacity")
    capacity = 1 if stated is None else count(stated, 0)
    return LeftOut("capacity is not a whole number", excerpt(stated)) if capacity is None else capacity


def counts_guests(found: Mapping[str, Any]) -> bool:
    """Whether a stored resource is taken by guests, not by reservations."""
    return found.get("capacityMode") in _BY_GUEST


def former_capacities(stored: Any, current: int) -> Former:
    """The former capacities of a resource; what is not higher than all that came after it says nothing."""
    if not isinstance(stored, list):
        return ()
    read = [
        (until, capacity)
        for each in stored
        if isinstance(each, Mapping)
        and (until := instant(each.get("until"))) is not None
        and (capacity := count(each.get("capacity"), 0)) is not None
    ]
    higher: list[Era] = []
    for until, capacity in sorted(read, reverse=True):
        if capacity > (higher[-1][1] if higher else current):
            higher.append((until, capacity))
    return tuple(reversed(higher))


async def read_limits(
    store: Store, resources: Sequence[str] | None = None, session: AsyncIOMotorClientSession | None = None
) -> Limits:
    """The limits of these resources, by the text of their ids, or of all."""
    where = {} if resources is None else {"_id": {"$in": [form for each in resources for form in forms(each)]}}
    limits = Limits()
    async for found in store.lenient("resources").find(where, dict.fromkeys(FIELDS, 1), session=session):
        limits.learn(found)
    return limits
