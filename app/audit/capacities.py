"""The capacity of each resource: from its collection, or one that an option sets for all."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.audit.paths import outermost, value_at
from app.audit.report import Report
from app.audit.shape import Shape, ShapeError
from app.domain.ids import ResourceId
from app.storage.capacities import FIELDS, Former, IdTexts, counts_guests, former_capacities, stated_capacity
from app.storage.readonly import DeniedError, ReadOnlyDatabase
from app.storage.row_reader import LeftOut

RESOURCES = "resources"
_NAMES = ("name", "title", "label", "number")


@dataclass(slots=True)
class Resources:
    """Capacities, modes and names of the resources.

    Attributes:
        collection: The collection that they were read from.
        capacities: By the resource's id; a resource without an entry has capacity 1.
        former: Higher capacities that Reserva's own resources had before, by id.
        every: The capacity of every resource, where `--capacity` sets it.
        by_guest: The ids of the resources whose capacity counts guests instead of reservations.
        names: Their names by id, where they have one.
        ids: The texts of their ids; an id that is a text takes the place of an ObjectId with the same text.
    """

    collection: str = RESOURCES
    capacities: dict[ResourceId, int] = field(default_factory=dict)
    former: dict[ResourceId, Former] = field(default_factory=dict)
    every: int | None = None
    by_guest: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    ids: IdTexts = field(default_factory=IdTexts)

    def capacities_of(self, resources: Iterable[ResourceId]) -> Mapping[ResourceId, int]:
        """The capacity of each of the resources."""
        return self.capacities if self.every is None else dict.fromkeys(resources, self.every)

    @property
    def capacities_before(self) -> Mapping[ResourceId, Former]:
        """The former capacities; none where one capacity is set for all."""
        return self.former if self.every is None else {}

    def forget(self, resource: ResourceId) -> None:
        """Remove what was read of a resource."""
        for known in (self.capacities, self.former, self.names):
            known.pop(resource, None)
        self.by_guest.discard(resource)

    def lacks(self, resource: ResourceId) -> bool:
        """Whether the collection has capacities, but none for this resource."""
        return self.every is None and bool(self.capacities) and resource not in self.capacities


async def read_resources(reading: ReadOnlyDatabase, shape: Shape, report: Report) -> Resources:
    """Read the capacity, mode and name of each resource.

    Raises:
        ShapeError: if the collection or field of `--capacity-from` is not there.
        DeniedError: if the collection of `--capacity-from` may not be read.
    """
    collection, path = RESOURCES, ""
    if shape.capacity_from is not None:
        collection, path = await _split_option(reading, shape.capacity_from)
    wanted = outermost([*FIELDS, *_NAMES, *([path] if path else [])])
    resources = Resources(collection, every=shape.capacity)
    seen = False
    try:
        async for batch in reading.documents(collection, wanted):
            for document in batch:
                seen |= bool(path) and value_at(document, path) is not None
                _add_resource(document, path, resources, report)
    except DeniedError as error:
        if shape.capacity_from is not None:
            raise
        report.notes.add("resources cannot be read, so every capacity is 1", str(error))
    if shape.capacity_from is not None and not seen:
        raise ShapeError(await _missing_message(reading, collection, path))
    return resources


async def _split_option(reading: ReadOnlyDatabase, given: str) -> tuple[str, str]:
    """Collection and field of `--capacity-from`; the names of collections may have dots as well."""
    known = [name for name in await reading.collections() if given.startswith(f"{name}.")]
    collection = max(known, key=len, default=given.partition(".")[0])
    return collection, given[len(collection) + 1 :]


async def _missing_message(reading: ReadOnlyDatabase, collection: str, path: str) -> str:
    known = await reading.collections()
    if known and collection not in known:
        return f"--capacity-from: there is no collection {collection!r}; there are: {', '.join(known)}."
    return f"--capacity-from: no document of {collection!r} has a field {path!r}."


def _add_resource(document: Mapping[str, object], path: str, resources: Resources, report: Report) -> None:
    """Add a resource, with the capacity at `path`, or where payload-reserve and Reserva keep it if that is empty."""
    resource = resources.ids.enter(document.get("_id"), resources.forget)
    if resource is None:
        return
    capacity = stated_capacity({"capacity": value_at(document, path)} if path else document)
    if isinstance(capacity, LeftOut):
        report.notes.add(f"{capacity.reason}, so 1", f"{resource} ({capacity.value})")
        capacity = 1
    resources.capacities[resource] = capacity
    if not path and (former := former_capacities(document.get("formerCapacities"), capacity)):
        resources.former[resource] = former
    if counts_guests(document):
        resources.by_guest.add(resource)
    name = next((document[each] for each in _NAMES if isinstance(document.get(each), str | int)), None)
    if name is not None:
        resources.names[resource] = str(name)
