"""What each resource holds at once: as its collection says, or as somebody says for all of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.audit.paths import dig, outermost
from app.audit.report import Report
from app.audit.shape import Shape, ShapeError
from app.storage.capacities import FIELDS, Former, counts_guests, former_capacities, stated_capacity
from app.storage.readonly import DeniedError, ReadOnlyDatabase
from app.storage.row_reader import LeftOut
from app.storage.values import identity

RESOURCES = "resources"
_NAMES = ("name", "title", "label", "number")


@dataclass(slots=True)
class Resources:
    """What is known of the resources.

    Attributes:
        collection: Where that comes from.
        capacities: By the resource's id; of those that are not known, the capacity is one.
        former: Higher capacities that Reserva's own resources had before.
        every: The capacity of all, if somebody says so.
        by_guest: Those on which guests are counted, not reservations.
        names: What they are called, where they have a name.
        texts: Those whose id is a text: they go before others whose id has the same one.
    """

    collection: str = RESOURCES
    capacities: dict[str, int] = field(default_factory=dict)
    former: dict[str, Former] = field(default_factory=dict)
    every: int | None = None
    by_guest: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)

    def of(self, resources: Iterable[str]) -> Mapping[str, int]:
        """The capacities of these resources."""
        return self.capacities if self.every is None else dict.fromkeys(resources, self.every)

    @property
    def eras(self) -> Mapping[str, Former]:
        """The former capacities, unless somebody says one for all."""
        return self.former if self.every is None else {}

    def forget(self, resource: str) -> None:
        """Nothing is known of it any more."""
        for known in (self.capacities, self.former, self.names):
            known.pop(resource, None)
        self.by_guest.discard(resource)

    def lacks(self, resource: str) -> bool:
        """Whether the capacity of a resource should be known, and is not."""
        return self.every is None and bool(self.capacities) and resource not in self.capacities


async def read_resources(reading: ReadOnlyDatabase, shape: Shape, report: Report) -> Resources:
    """The capacity, mode and name of each.

    Raises:
        ShapeError: if the collection or field that should say it is not there.
        DeniedError: if that collection may not be read.
    """
    collection, path = RESOURCES, ""
    if shape.capacity_from is not None:
        collection, path = await _split(reading, shape.capacity_from)
    wanted = outermost([*FIELDS, *_NAMES, *([path] if path else [])])
    resources = Resources(collection, every=shape.capacity)
    seen = False
    try:
        async for batch in reading.documents(collection, wanted):
            for found in batch:
                seen |= bool(path) and dig(found, path) is not None
                _learn(found, path, resources, report)
    except DeniedError as error:
        if shape.capacity_from is not None:
            raise
        report.notes.add("resources cannot be read, so every capacity is 1", str(error))
    if shape.capacity_from is not None and not seen:
        raise ShapeError(await _why_not(reading, collection, path))
    return resources


async def _split(reading: ReadOnlyDatabase, given: str) -> tuple[str, str]:
    """Collection and field: the names of collections may have dots as well."""
    known = [name for name in await reading.collections() if given.startswith(f"{name}.")]
    collection = max(known, key=len, default=given.partition(".")[0])
    return collection, given[len(collection) + 1 :]


async def _why_not(reading: ReadOnlyDatabase, collection: str, path: str) -> str:
    known = await reading.collections()
    if known and collection not in known:
        return f"--capacity-from: there is no collection {collection!r}; there are: {', '.join(known)}."
    return f"--capacity-from: no document of {collection!r} has a field {path!r}."


def _learn(found: Mapping[str, object], path: str, resources: Resources, report: Report) -> None:
    """Take in a resource that says at a path what it holds, or where payload-reserve and Reserva say it."""
    raw = found.get("_id")
    resource = identity(raw)
    if resource is None or (raw != resource and resource in resources.texts):
        return
    if raw == resource:
        resources.forget(resource)
        resources.texts.add(resource)
    capacity = stated_capacity({"capacity": dig(found, path)} if path else found)
    if isinstance(capacity, LeftOut):
        report.notes.add(f"{capacity.reason}, so 1", f"{resource} ({capacity.value})")
        capacity = 1
    resources.capacities[resource] = capacity
    if not path and (former := former_capacities(found.get("formerCapacities"), capacity)):
        resources.former[resource] = former
    if counts_guests(found):
        resources.by_guest.add(resource)
    name = next((found[each] for each in _NAMES if isinstance(found.get(each), str | int)), None)
    if name is not None:
        resources.names[resource] = str(name)
