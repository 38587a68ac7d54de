"""What each resource holds at once: as its collection says, or as somebody says for all of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.audit.paths import dig, outermost
from app.audit.report import Report
from app.audit.shape import Shape, ShapeError
from app.storage.reading import DeniedError, Reading
from app.storage.values import count, excerpt, identity

RESOURCES = "resources"
_OURS = ("quantity", "capacity")
"""payload-reserve's word for it, and Reserva's."""
_NAMES = ("name", "title", "label", "number")
_BY_GUEST = ("per-guest", "guests")


@dataclass(slots=True)
class Resources:
    """What is known of the resources.

    Attributes:
        collection: Where that comes from.
        capacities: By the resource's id; of those that are not known, the capacity is one.
        every: The capacity of all, if somebody says so.
        by_guest: Those on which guests are counted, not reservations.
        names: What they are called, where they have a name.
    """

    collection: str = RESOURCES
    capacities: dict[str, int] = field(default_factory=dict)
    every: int | None = None
    by_guest: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)

    def of(self, resources: Iterable[str]) -> Mapping[str, int]:
        """The capacities of these resources."""
        return self.capacities if self.every is None else dict.fromkeys(resources, self.every)

    def lacks(self, resource: str) -> bool:
        """Whether the capacity of a resource should be known, and is not."""
        return self.every is None and bool(self.capacities) and resource not in self.capacities


async def read_resources(reading: Reading, shape: Shape, report: Report) -> Resources:
    """The capacity, mode and name of each.

    Raises:
        ShapeError: if the collection or field that should say it is not there.
        DeniedError: if that collection may not be read.
    """
    collection: str = RESOURCES
    fields: tuple[str, ...] = _OURS
    if shape.capacity_from is not None:
        collection, path = await _split(reading, shape.capacity_from)
        fields = (path,)
    resources = Resources(collection, every=shape.capacity)
    seen = False
    try:
        async for batch in reading.documents(collection, outermost([*fields, "capacityMode", *_NAMES])):
            for found in batch:
                seen |= _learn(found, fields, resources, report)
    except DeniedError as error:
        if shape.capacity_from is not None:
            raise
        report.notes.add("resources cannot be read, so every capacity is 1", str(error))
    if shape.capacity_from is not None and not seen:
        raise ShapeError(await _why_not(reading, collection, fields[0]))
    return resources


async def _split(reading: Reading, given: str) -> tuple[str, str]:
    """Collection and field: the names of collections may have dots as well."""
    known = [name for name in await reading.collections() if given.startswith(f"{name}.")]
    collection = max(known, key=len, default=given.partition(".")[0])
    return collection, given[len(collection) + 1 :]


async def _why_not(reading: Reading, collection: str, path: str) -> str:
    known = await reading.collections()
    if known and collection not in known:
        return f"--capacity-from: there is no collection {collection!r}; there are: {', '.join(known)}."
    return f"--capacity-from: no document of {collection!r} has a field {path!r}."


def _learn(found: Mapping[str, Any], fields: Sequence[str], resources: Resources, report: Report) -> bool:
    """Take in a resource; whether it says what it holds."""
    stated = next((value for name in fields if (value := dig(found, name)) is not None), None)
    resource = identity(found.get("_id"))
    if resource is None:
        return stated is not None
    capacity = 1 if stated is None else count(stated, 0)
    if capacity is None:
        report.notes.add("capacity is not a whole number, so 1", f"{resource} ({excerpt(stated)})")
    resources.capacities[resource] = 1 if capacity is None else capacity
    if found.get("capacityMode") in _BY_GUEST:
        resources.by_guest.add(resource)
    name = next((found[each] for each in _NAMES if isinstance(found.get(each), str | int)), None)
    if name is not None:
        resources.names[resource] = str(name)
    return stated is not None
