"""The audit itself: read everything once, then sweep one resource after the other.

Items lie on other resources than their reservation, so no order of the collection is that of the sweep, and nothing
is asked of its indexes. What occupies is kept in memory meanwhile: 24 bytes of numbers and an id each, about 100
bytes with ObjectIds, so a gigabyte holds some ten million. It is no snapshot: bookings that move between two
resources while they are read may show on both, so run it again before you act on a database in use.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bson import ObjectId

from app.audit.report import Report
from app.storage.reading import DeniedError, Reading
from app.storage.rows import FIELDS, TRASH, LeftOut, Reader, Taken, folded, occupancies
from app.storage.values import count, excerpt, identity, instant
from app.timeline.instants import to_millis
from app.timeline.lifecycle import BLOCKING
from app.timeline.sweep import Row, sweep

RESOURCES = "resources"
NAMELESS = "(no _id)"
_BY_GUEST = ("per-guest", "guests")


@dataclass(slots=True)
class _Load:
    """What occupies one resource: start, end and units in threes, and whose they are."""

    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    ids: list[Any] = field(default_factory=list)

    def add(self, taken: Taken, identity_: Any) -> None:
        self.numbers.extend(taken[1:4])
        self.ids.append(identity_)

    def rows(self, resource: str) -> list[Row]:
        """In the order of the sweep."""
        starts, ends, units = (self.numbers[place::3] for place in range(3))
        parts = zip(starts, self.ids, ends, units, strict=True)
        return sorted(Row(resource, start, _text(whose), end, taken) for start, whose, end, taken in parts)


@dataclass(slots=True)
class _Resources:
    """What is known of the resources; of those that are not known, the capacity is one."""

    capacities: dict[str, int] = field(default_factory=dict)
    by_guest: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)


async def audit(
    reading: Reading,
    collection: str = "reservations",
    blocking: Sequence[str] = BLOCKING,
    watch: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Judge a collection of reservations.

    Args:
        reading: The database.
        collection: Where the reservations are.
        blocking: The statuses that occupy a resource.
        watch: Told how far it is, now and then.

    Raises:
        DeniedError: if the reservations may not be read.
        pymongo.errors.PyMongoError: if the server fails on the way.
    """
    report = Report(tuple(blocking))
    resources = await _resources(reading, report)
    reader = Reader(to_millis(await reading.now()), resources.by_guest, report.blocking)
    loads: dict[str, _Load] = {}
    async for batch in reading.documents(collection, FIELDS):
        for found in batch:
            _enter(found, reader, resources, loads, report)
        watch(report)
    report.resources = len(loads)
    for resource in sorted(loads):
        if resources.capacities and resource not in resources.capacities:
            report.notes.add("not in resources, so capacity 1", resource)
        for window in sweep(loads.pop(resource).rows(resource), resources.capacities):
            report.windows.append(replace(window, reservations=tuple(dict.fromkeys(window.reservations))))
    report.names = {window.resource: resources.names.get(window.resource, "") for window in report.windows}
    return report


async def _resources(reading: Reading, report: Report) -> _Resources:
    """The capacity, mode and name of each; `quantity` is payload-reserve's word for the capacity."""
    resources = _Resources()
    fields = ("quantity", "capacity", "capacityMode", "name")
    try:
        async for batch in reading.documents(RESOURCES, fields):
            for found in batch:
                _learn(found, resources, report)
    except DeniedError as error:
        report.notes.add("resources cannot be read, so every capacity is 1", str(error))
    return resources


def _learn(found: dict[str, Any], resources: _Resources, report: Report) -> None:
    resource = identity(found.get("_id"))
    if resource is None:
        return
    stated = found.get("quantity") if found.get("quantity") is not None else found.get("capacity")
    capacity = 1 if stated is None else count(stated, 0)
    if capacity is None:
        report.notes.add("capacity is not a whole number, so 1", f"{resource} ({excerpt(stated)})")
    resources.capacities[resource] = 1 if capacity is None else capacity
    if found.get("capacityMode") in _BY_GUEST:
        resources.by_guest.add(resource)
    if isinstance(found.get("name"), str):
        resources.names[resource] = found["name"]


def _enter(
    found: dict[str, Any], reader: Reader, resources: _Resources, loads: dict[str, _Load], report: Report
) -> None:
    """Take in what a reservation occupies, and count what it is."""
    report.read += 1
    standing = reader.standing(found)
    if isinstance(standing, LeftOut):
        report.left_out.add(standing.reason, _example(found, standing.value))
    elif standing == "trash":
        report.left_out.add(TRASH, _example(found, ""))
    elif standing == "lapsed":
        report.lapsed += 1
    elif standing == "unknown":
        report.unknown_statuses.add(found["status"], _example(found, ""))
    elif standing == "idle":
        report.idles(found["status"])
    else:
        report.active[found["status"]] += 1
        expires = found.get("expiresAt")
        if folded(found["status"]) == "pending" and expires is not None and instant(expires) is None:
            report.notes.add("expiresAt is not an instant, so never", _example(found, excerpt(expires)))
        _load(found, resources, loads, report)


def _load(found: dict[str, Any], resources: _Resources, loads: dict[str, _Load], report: Report) -> None:
    whose = _packed(found.get("_id"))
    for taken in occupancies(found, resources.by_guest):
        if isinstance(taken, LeftOut):
            report.left_out.add(taken.reason, _example(found, taken.value))
            continue
        report.taken += 1
        if taken.resource not in loads:
            loads[taken.resource] = _Load()
        loads[taken.resource].add(taken, whose)


def _example(found: dict[str, Any], value: str) -> str:
    return _text(_packed(found.get("_id"))) + (f" ({value})" if value else "")


def _packed(value: Any) -> bytes | str:
    """An id as it is kept meanwhile: twelve bytes, where it is an ObjectId, else text."""
    if isinstance(value, ObjectId):
        return value.binary
    return NAMELESS if value is None else identity(value) or excerpt(value)


def _text(packed: bytes | str) -> str:
    return packed.hex() if isinstance(packed, bytes) else packed
