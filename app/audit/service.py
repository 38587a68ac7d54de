"""The audit itself: read everything once, then sweep one resource after the other.

Items lie on other resources than their reservation, so no order of the collection is that of the sweep, and nothing
is asked of its indexes. What occupies is kept in memory meanwhile: 24 bytes of numbers and an id each, about 100
bytes with ObjectIds, so a gigabyte holds some ten million. It is no snapshot: bookings that move between two
resources while they are read may show on both, so run it again before you act on a database in use.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bson import ObjectId

from app.audit.capacities import Resources, read_resources
from app.audit.report import Report
from app.audit.shape import PLAIN, Shape
from app.audit.translation import NO_STATUS, Translated, Translation
from app.domain.instants import Millis, to_millis
from app.domain.lifecycle import BLOCKING
from app.domain.sweep import Row, sweep
from app.storage.readonly import ReadOnlyDatabase
from app.storage.row_reader import TRASH, LeftOut, OccupiedTime, Reader, folded, occupancies
from app.storage.values import excerpt, instant, label

_STATUS = 60
"""Letters of an unknown status that are kept."""


class MisspeltError(ValueError):
    """Fields were named that no document has.

    Attributes:
        paths: Those fields.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(f"no document has {', '.join(paths)}")
        self.paths = tuple(paths)


@dataclass(slots=True)
class _Load:
    """What occupies one resource: start, end and units in threes, and whose they are."""

    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    ids: list[Any] = field(default_factory=list)

    def add(self, taken: OccupiedTime, identity_: object) -> None:
        self.numbers.extend(taken[1:4])
        self.ids.append(identity_)

    def rows(self, resource: str) -> list[Row]:
        """In the order of the sweep."""
        starts, ends, units = (self.numbers[place::3] for place in range(3))
        parts = zip(starts, self.ids, ends, units, strict=True)
        return sorted(
            Row(resource, Millis(start), _text(whose), Millis(end), taken) for start, whose, end, taken in parts
        )


async def audit(
    reading: ReadOnlyDatabase,
    collection: str = "reservations",
    blocking: Sequence[str] = BLOCKING,
    watch: Callable[[Report], None] = lambda _: None,
    shape: Shape = PLAIN,
    pipeline: Sequence[Mapping[str, object]] = (),
) -> Report:
    """Judge a collection of reservations.

    Args:
        reading: The database.
        collection: Where the reservations are.
        blocking: The statuses that occupy a resource.
        watch: Told how far it is, now and then.
        shape: Where the documents have what is asked; by default where payload-reserve and Reserva have it.
        pipeline: An aggregation that goes before everything; it must only read.

    Raises:
        DeniedError: if the reservations may not be read.
        MisspeltError: if no document has a field that the shape names.
        ShapeError: if the shape's capacities are not there.
        pymongo.errors.PyMongoError: if the server fails on the way.
    """
    report = Report((NO_STATUS,) if shape.no_status else tuple(blocking))
    resources = await read_resources(reading, shape, report)
    reader = Reader(to_millis(await reading.now()), resources.by_guest, report.blocking)
    entry = _Entry(reader, Translation(shape), report)
    async for batch in reading.documents(collection, entry.translation.fields, pipeline=pipeline):
        for found in batch:
            entry.enter(found)
        watch(report)
    if report.read and (unseen := [path for path in shape.named if path in entry.translation.unseen]):
        raise MisspeltError(unseen)
    _judge(entry.loads, resources, report)
    return report


def _judge(loads: dict[str, _Load], resources: Resources, report: Report) -> None:
    """Sweep one resource after the other; what was swept is no longer kept."""
    report.resources = len(loads)
    capacities = resources.of(loads)
    for resource in sorted(loads):
        if resources.lacks(resource):
            report.notes.add(f"not in {resources.collection}, so capacity 1", resource)
        for window in sweep(loads.pop(resource).rows(resource), capacities, resources.eras):
            report.windows.append(replace(window, reservations=tuple(dict.fromkeys(window.reservations))))
    report.names = {window.resource: resources.names.get(window.resource, "") for window in report.windows}


@dataclass(slots=True)
class _Entry:
    """Takes in documents: what they are, and what they occupy."""

    reader: Reader
    translation: Translation
    report: Report
    loads: dict[str, _Load] = field(default_factory=dict)

    def enter(self, found: dict[str, object]) -> None:
        """Count a document, and take in its rows."""
        self.report.read += 1
        for translated in self.translation.rows(found):
            if isinstance(translated, LeftOut):
                self._leave_out(found, translated)
            elif translated.free:
                self.report.idles(translated.free)
            else:
                self._row(translated)

    def _row(self, translated: Translated) -> None:
        row, report = translated.row, self.report
        standing = self.reader.standing(row)
        if standing == "active":
            report.blocks(row["status"])
            expires = row.get("expiresAt")
            if expires is not None and folded(row["status"]) == "pending" and instant(expires) is None:
                report.notes.add("expiresAt is not an instant, so never", _example(row, excerpt(expires)))
            self._place(row, translated.place())
        elif isinstance(standing, LeftOut):
            self._leave_out(row, standing)
        elif standing == "trash":
            report.left_out.add(TRASH, _example(row, ""))
        elif standing == "lapsed":
            report.lapsed += 1
        elif standing == "unknown":
            report.unknown_statuses.add(row["status"][:_STATUS], _example(row, ""))
        else:
            report.idles(row["status"])

    def _place(self, row: dict[str, object], place: dict[str, object] | LeftOut) -> None:
        if isinstance(place, LeftOut):
            self._leave_out(row, place)
            return
        whose = _packed(row.get("_id"))
        for taken in occupancies(place, self.reader.by_guest):
            if isinstance(taken, LeftOut):
                self._leave_out(row, taken)
                continue
            self.report.taken += 1
            if taken.resource not in self.loads:
                self.loads[taken.resource] = _Load()
            self.loads[taken.resource].add(taken, whose)

    def _leave_out(self, row: dict[str, object], left: LeftOut) -> None:
        self.report.left_out.add(self.translation.named(left.reason), _example(row, left.value))


def _example(found: dict[str, object], value: str) -> str:
    return _text(_packed(found.get("_id"))) + (f" ({value})" if value else "")


def _packed(value: object) -> bytes | str:
    """An id as it is kept meanwhile: twelve bytes, where it is an ObjectId, else text."""
    return value.binary if isinstance(value, ObjectId) else label(value)


def _text(packed: bytes | str) -> str:
    return packed.hex() if isinstance(packed, bytes) else packed
