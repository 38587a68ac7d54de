"""The audit itself: read the collection once, then sweep one resource after the other.

Items can be on other resources than their reservation, so no order of the collection is the order of the sweep, and
the audit needs no index. Occupied times stay in memory until their sweep: 24 bytes of numbers and an id each, about 100
bytes with ObjectIds, so a gigabyte holds some ten million. The read is no snapshot: bookings that move between two
resources meanwhile may show on both, so run the audit again before you act on a database in use.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bson import ObjectId

from app.audit.capacities import Resources, read_resources
from app.audit.report import Report
from app.audit.shape import DEFAULT_SHAPE, Shape
from app.audit.translation import NO_STATUS, TranslatedRow, Translator
from app.domain.ids import ResourceId
from app.domain.instants import Millis, to_millis
from app.domain.lifecycle import BLOCKING
from app.domain.sweep import Row, sweep
from app.storage.readonly import ReadOnlyDatabase
from app.storage.row_reader import TRASH, LeftOut, OccupiedTime, Reader, folded, occupancies
from app.storage.values import excerpt, instant, label

_STATUS_LENGTH_MAX = 60
"""Characters of an unknown status that the report shows."""


class UnknownFieldsError(ValueError):
    """Options name fields that no document has.

    Attributes:
        paths: Those fields.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(f"no document has {', '.join(paths)}")
        self.paths = tuple(paths)


@dataclass(slots=True)
class _OccupiedTimes:
    """The occupied times of one resource: start, end and units in threes, and the ids of their documents."""

    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    ids: list[bytes | str] = field(default_factory=list)

    def add(self, occupied: OccupiedTime, identity: bytes | str) -> None:
        self.numbers.extend(occupied[1:4])
        self.ids.append(identity)

    def rows(self, resource: ResourceId) -> list[Row]:
        """The rows, sorted as the sweep needs them."""
        starts, ends, units = (self.numbers[place::3] for place in range(3))
        parts = zip(starts, map(_id_text, self.ids), ends, units, strict=True)
        return sorted(
            Row(resource, Millis(start), identity, Millis(end), occupied) for start, identity, end, occupied in parts
        )


async def audit(
    reading: ReadOnlyDatabase,
    collection: str = "reservations",
    blocking: Sequence[str] = BLOCKING,
    on_progress: Callable[[Report], None] = lambda _: None,
    shape: Shape = DEFAULT_SHAPE,
    pipeline: Sequence[Mapping[str, object]] = (),
) -> Report:
    """Judge a collection of reservations.

    Args:
        reading: The database.
        collection: Where the reservations are.
        blocking: The statuses that occupy a resource.
        on_progress: Called with the report so far after each batch.
        shape: The fields of the documents; by default those of payload-reserve and Reserva.
        pipeline: Aggregation stages that run first; they must only read.

    Raises:
        DeniedError: if the reservations may not be read.
        MisspeltError: if no document has a field that the shape names.
        ShapeError: if the collection or field of the shape's capacities does not exist.
        pymongo.errors.PyMongoError: if the server fails on the way.
    """
    report = Report((NO_STATUS,) if shape.no_status else tuple(blocking))
    resources = await read_resources(reading, shape, report)
    reader = Reader(to_millis(await reading.now()), resources.by_guest, report.blocking)
    intake = _Intake(reader, Translator(shape), report)
    async for batch in reading.documents(collection, intake.translation.fields, pipeline=pipeline):
        for document in batch:
            intake.add(document)
        on_progress(report)
    if report.read and (missing := [path for path in shape.paths if path in intake.translation.missing_paths]):
        raise UnknownFieldsError(missing)
    _sweep_resources(intake.loads, resources, report)
    return report


def _sweep_resources(loads: dict[ResourceId, _OccupiedTimes], resources: Resources, report: Report) -> None:
    """Sweep one resource after the other, and free the memory of each."""
    report.resources = len(loads)
    capacities = resources.capacities_of(loads)
    for resource in sorted(loads):
        if resources.lacks(resource):
            report.notes.add(f"not in {resources.collection}, so capacity 1", resource)
        for window in sweep(loads.pop(resource).rows(resource), capacities, resources.capacities_before):
            report.windows.append(replace(window, reservations=tuple(dict.fromkeys(window.reservations))))
    report.names = {window.resource: resources.names.get(window.resource, "") for window in report.windows}


@dataclass(slots=True)
class _Intake:
    """Counts documents, and collects the times that they occupy."""

    reader: Reader
    translation: Translator
    report: Report
    loads: dict[ResourceId, _OccupiedTimes] = field(default_factory=dict)

    def add(self, document: dict[str, object]) -> None:
        """Count a document, and add its rows."""
        self.report.read += 1
        for translated in self.translation.rows(document):
            if isinstance(translated, LeftOut):
                self._leave_out(document, translated)
            elif translated.idle_because:
                self.report.count_idle(translated.idle_because)
            else:
                self._add_row(translated)

    def _add_row(self, translated: TranslatedRow) -> None:
        row, report = translated.row, self.report
        standing = self.reader.standing(row)
        status = str(row.get("status"))
        if standing == "active":
            report.count_active(status)
            expires = row.get("expiresAt")
            if expires is not None and folded(status) == "pending" and instant(expires) is None:
                report.notes.add("expiresAt is not an instant, so never", _example(row, excerpt(expires)))
            self._add_place(row, translated.place())
        elif isinstance(standing, LeftOut):
            self._leave_out(row, standing)
        elif standing == "trash":
            report.left_out.add(TRASH, _example(row, ""))
        elif standing == "lapsed":
            report.lapsed += 1
        elif standing == "unknown":
            report.unknown_statuses.add(status[:_STATUS_LENGTH_MAX], _example(row, ""))
        else:
            report.count_idle(status)

    def _add_place(self, row: dict[str, object], place: dict[str, object] | LeftOut) -> None:
        if isinstance(place, LeftOut):
            self._leave_out(row, place)
            return
        identity = _compact_id(row.get("_id"))
        for occupied in occupancies(place, self.reader.by_guest):
            if isinstance(occupied, LeftOut):
                self._leave_out(row, occupied)
                continue
            self.report.occupancies += 1
            if occupied.resource not in self.loads:
                self.loads[occupied.resource] = _OccupiedTimes()
            self.loads[occupied.resource].add(occupied, identity)

    def _leave_out(self, row: dict[str, object], left_out: LeftOut) -> None:
        self.report.left_out.add(self.translation.translate_reason(left_out.reason), _example(row, left_out.value))


def _example(document: dict[str, object], value: str) -> str:
    return _id_text(_compact_id(document.get("_id"))) + (f" ({value})" if value else "")


def _compact_id(value: object) -> bytes | str:
    """An id in little memory: the twelve bytes of an ObjectId, else text."""
    return value.binary if isinstance(value, ObjectId) else label(value)


def _id_text(packed: bytes | str) -> str:
    return packed.hex() if isinstance(packed, bytes) else packed
