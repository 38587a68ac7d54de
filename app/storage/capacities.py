"""Capacities of resources of any program: now and in the past, in reservations or guests.

Resources are read raw, leniently decoded: no model fits every row of other programs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from motor.motor_asyncio import AsyncIOMotorClientSession

from app.domain.former_capacities import Era
from app.domain.ids import ResourceId
from app.storage.bson_types import Row
from app.storage.client import Store
from app.storage.row_reader import LeftOut
from app.storage.values import count, excerpt, forms, identity, instant

FIELDS = ("quantity", "capacity", "capacityMode", "formerCapacities")
"""The fields of a resource that are read, beside its id; `quantity` is payload-reserve's name of the capacity."""

Former: TypeAlias = tuple[Era, ...]
"""Capacities that were higher, each with the instant until which it held, see `app.domain.former_capacities`."""

_BY_GUEST = ("per-guest", "guests")


@dataclass(slots=True)
class IdTexts:
    """The texts of the ids of resources.

    Of two resources whose ids have the same text, the one whose id is a text counts: it is the one that is booked.
    """

    _exact: set[ResourceId] = field(default_factory=set)
    """The texts that are ids as they stand."""

    def enter(self, raw: object, forget: Callable[[ResourceId], None]) -> ResourceId | None:
        """The text of an id; None where its resource does not count.

        Args:
            raw: The `_id`, of any type.
            forget: Called with the text where the resource takes the place of one that was entered before.
        """
        text = identity(raw)
        if text is None:
            return None
        resource = ResourceId(text)
        if raw != resource and resource in self._exact:
            return None
        if raw == resource:
            forget(resource)
            self._exact.add(resource)
        return resource


@dataclass(slots=True)
class Limits:
    """Capacities (1 where none is listed), former capacities and capacity modes of resources, by `IdTexts`."""

    capacities: dict[ResourceId, int] = field(default_factory=dict)
    former: dict[ResourceId, Former] = field(default_factory=dict)
    by_guest: set[ResourceId] = field(default_factory=set)
    _ids: IdTexts = field(default_factory=IdTexts)

    def learn(self, found: Row) -> None:
        """Add a stored resource."""
        resource = self._ids.enter(found.get("_id"), self._forget)
        if resource is None:
            return
        stated = stated_capacity(found)
        capacity = 1 if isinstance(stated, LeftOut) else stated
        if capacity != 1:
            self.capacities[resource] = capacity
        if counts_guests(found):
            self.by_guest.add(resource)
        if former := former_capacities(found.get("formerCapacities"), capacity):
            self.former[resource] = former

    def _forget(self, resource: ResourceId) -> None:
        self.capacities.pop(resource, None)
        self.former.pop(resource, None)
        self.by_guest.discard(resource)


def stated_capacity(found: Row) -> int | LeftOut:
    """The capacity of a stored resource, 1 where it has none; `LeftOut` where it cannot be read."""
    stated = found.get("quantity") if found.get("quantity") is not None else found.get("capacity")
    capacity = 1 if stated is None else count(stated, 0)
    return LeftOut("capacity is not a whole number", excerpt(stated)) if capacity is None else capacity


def counts_guests(found: Row) -> bool:
    """Whether the capacity of a stored resource counts guests, not reservations."""
    return found.get("capacityMode") in _BY_GUEST


def former_capacities(stored: object, current: int) -> Former:
    """The former capacities of a resource that are higher than all later ones, by the instant until which they held."""
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
    store: Store, resources: Sequence[ResourceId] | None = None, session: AsyncIOMotorClientSession | None = None
) -> Limits:
    """The limits of some resources, by the text of their ids, or of all."""
    where = {} if resources is None else {"_id": {"$in": [form for each in resources for form in forms(each)]}}
    limits = Limits()
    async for found in store.lenient("resources").find(where, dict.fromkeys(FIELDS, 1), session=session):
        limits.learn(found)
    return limits
