"""Documents as rows of the sweep: fast for those as Reserva writes them, through the lenient reader for all others."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from app.domain.ids import ResourceId
from app.domain.instants import Duration, Millis, from_millis
from app.domain.sweep import PlainRow
from app.storage.bson_types import Row
from app.storage.capacities import Limits
from app.storage.foreign_occupancies import ForeignOccupancy, foreign_occupancy
from app.storage.reach import Reach, doubled
from app.storage.row_reader import (
    IDLE_AS_WRITTEN,
    LONGEST_BLOCK,
    TRASH,
    UNKNOWN_STATUS,
    LeftOut,
    OccupiedTime,
    Reader,
    is_found_by_lookup,
    occupancies,
)
from app.storage.values import COUNT_MAX, excerpt, identity, is_opaque, label

NOWHERE = Reach()
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- BSON's instants decode fastest without a zone; they are all UTC
_MILLIS = 1_000


EXAMPLES_MAX = 3
"""Examples of each reason for which rows are left out."""


class LeftOutExample(NamedTuple):
    """A row that was left out, as far as it was read, and the value that caused it."""

    row: Row
    value: str


@dataclass(slots=True)
class Tally:
    """Counts of rows and resources that were read, and the reasons why rows could not be placed in time.

    A row has several parts if it has items: `left_out` counts parts, `unreadable` rows of which none could be placed.
    """

    scanned: int = 0
    unreadable: int = 0
    resources: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[LeftOutExample]] = field(default_factory=dict)

    def leave_out(self, reason: str, example: LeftOutExample) -> None:
        """Count a part by its reason, and remember the first few as examples."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES_MAX:
            shown.append(example)


@dataclass(slots=True)
class SweepReader:
    """Reads batches of documents, and collects what they occupy.

    Args:
        now: A hold that is over then occupies nothing.
        limits: On which resources guests are counted.
        tally: Counts what is read.
        resources: The resources that are read; None: those that each row names.
    """

    now: Millis
    limits: Limits
    tally: Tally
    resources: Collection[ResourceId] | None = None
    rows: list[PlainRow] = field(default_factory=list)
    """Of `wanted`, or of each row's own resource where the cursor meets it in its place."""
    rescans: Counter[ResourceId] = field(default_factory=Counter)
    """Resources that have to be read separately, with the number of their rows that the cursor meets elsewhere, or
    that the conflict lookup does not find."""
    reaches: dict[ResourceId, Reach] = field(default_factory=dict)
    foreign: list[ForeignOccupancy] = field(default_factory=list)
    ids: dict[str, object] | None = None
    """By the text of an id, what it is in the database; filled only where it is there."""
    _reader: Reader = field(init=False)
    _lapse: datetime = field(init=False)

    def __post_init__(self) -> None:
        """Prepare the lenient reader, and the instant at which holds are over, in the form in which it is stored."""
        self._reader = Reader(self.now, self.limits.by_guest)
        self._lapse = from_millis(self.now).replace(tzinfo=None)

    def read(self, documents: Iterable[Row]) -> None:  # noqa: C901, PLR0912 -- a call a row costs a tenth
        """Read a batch. Rows exactly as Reserva writes them cost little; of a million rows nearly all are."""
        current, most_back, most_ahead, scanned = ResourceId(""), 0, 0, 0
        append, epoch, lapse, ids, by_guest = self.rows.append, _EPOCH, self._lapse, self.ids, self.limits.by_guest
        for found in documents:
            scanned += 1
            resource, status, begin = found.get("resource"), found.get("status"), found.get("startTime")
            start, end, units = found.get("blockStart"), found.get("blockEnd"), found.get("units")
            if start is None and end is None:
                start, end = begin, found.get("endTime")
            if type(resource) is not str or not resource:
                self._read_foreign(found)
                continue
            resource = ResourceId(resource)
            if units is None and resource not in by_guest:
                units = 1
            if (
                (status != "confirmed" and status != "pending")  # noqa: PLR1714 -- half of the time of a tuple
                or type(begin) is not datetime
                or type(start) is not datetime
                or type(end) is not datetime
                or end <= start
                or type(units) is not int
                or not 1 <= units <= COUNT_MAX
                or "items" in found
                or "deletedAt" in found
                or "isDeleted" in found
                or "_status" in found
                or "long" in found
            ):
                self._read_foreign(found)
                continue
            if status == "pending" and (expires := found.get("expiresAt")) is not None:
                if type(expires) is not datetime:
                    self._read_foreign(found)
                    continue
                if expires <= lapse:
                    continue
            since = Millis(round((start - epoch).total_seconds() * _MILLIS))
            until = Millis(round((end - epoch).total_seconds() * _MILLIS))
            if begin == start:
                back, ahead = until - since, 0
            else:
                at = round((begin - epoch).total_seconds() * _MILLIS)
                back, ahead = until - at, at - since
            if back > LONGEST_BLOCK or ahead > LONGEST_BLOCK:
                self._read_foreign(found)
                continue
            name = ""
            if ids is not None:
                name = label(raw := found.get("_id"))
                ids[name] = raw
            append((resource, since, name, until, units))
            if resource != current:
                if current:
                    self._raise_need(current, most_back, most_ahead)
                current, most_back, most_ahead = resource, back, ahead
            else:
                most_back = max(most_back, back)
                most_ahead = max(most_ahead, ahead)
        if current:
            self._raise_need(current, most_back, most_ahead)
        self.tally.scanned += scanned

    def _raise_need(self, resource: ResourceId, back: Duration, ahead: Duration) -> None:
        known = self.reaches.get(resource, NOWHERE)
        if back > known.back or ahead > known.ahead:
            self.reaches[resource] = known.or_more(Reach(doubled(back), doubled(ahead)))

    def _read_foreign(self, found: Row) -> None:
        """Read a row as any program may have written it."""
        standing = self._reader.standing(found)
        if isinstance(standing, LeftOut):
            self._leave_out(standing, found)
            self.tally.unreadable += 1
        elif standing == "trash":
            self._leave_out(LeftOut(TRASH), found)
        elif standing == "unknown":
            self._leave_out(LeftOut(UNKNOWN_STATUS, excerpt(found["status"])), found)
            self.tally.unreadable += 1
        elif standing == "active":
            self._read_active(found)

    def _leave_out(self, left_out: LeftOut, found: Row) -> None:
        self.tally.leave_out(left_out.reason, LeftOutExample(found, left_out.value))

    def _read_active(self, found: Row) -> None:
        raw = found.get("_id")
        name = "" if self.ids is None else label(raw)
        placed, readable = False, False
        for taken in occupancies(found, self.limits.by_guest):
            readable = readable or isinstance(taken, OccupiedTime)
            if isinstance(taken, LeftOut):
                self._leave_out(taken, found)
            elif self.resources is None or taken.resource in self.resources:
                placed = self._add_occupancy(found, taken, name) or placed
        self.tally.unreadable += not readable
        if placed and self.ids is not None:
            self.ids[name] = raw

    def _add_occupancy(self, found: Row, taken: OccupiedTime, name: str) -> bool:
        """Add one occupancy, and what it means for the conflict lookup; whether it became a row."""
        outside = foreign_occupancy(found, taken, self.now)
        if outside or is_found_by_lookup(found, taken):
            self.reaches[taken.resource] = self.reaches.get(taken.resource, NOWHERE).including(found, taken)
        if self.resources is None and (outside or not self._is_met_in_order(found, taken)):
            self.rescans[taken.resource] += 1
            if not self._is_met_in_order(found, taken):
                return False
        elif outside:
            self.foreign.append(outside)
        self.rows.append((taken.resource, taken.start, name, taken.end, taken.units))
        return True

    def _is_met_in_order(self, found: Row, taken: OccupiedTime) -> bool:
        """Whether a cursor in the order of `resource` meets it beside the others on its resource."""
        resource = found.get("resource")
        return not is_opaque(resource) and not isinstance(resource, list) and taken.resource == identity(resource)


def is_idle(found: Row) -> bool:
    """Whether a row has one of the statuses that a database leaves out by itself."""
    return found.get("status") in IDLE_AS_WRITTEN
