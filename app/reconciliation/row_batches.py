"""Documents as rows of the sweep: fast for those that are as we write them, by the one reader for all others."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from app.domain.instants import Millis, from_millis
from app.domain.sweep import PlainRow
from app.storage.capacities import Limits
from app.storage.foreign_occupancies import ForeignOccupancy, foreign_occupancy
from app.storage.reach import Reach, doubled
from app.storage.row_reader import (
    FIELDS,
    LONGEST_BLOCK,
    SURE,
    TRASH,
    UNKNOWN_STATUS,
    LeftOut,
    OccupiedTime,
    Reader,
    is_found_by_lookup,
    occupancies,
)
from app.storage.values import MOST, excerpt, identity, is_opaque, label

PROJECTION = {**dict.fromkeys(FIELDS, 1), "long": 1}
"""All that is read of a reservation; its id comes with it."""
PASSING = {**PROJECTION, "_id": 0}
"""What a pass over everything reads: ids would take it a third more of the time of a row."""

NOWHERE = Reach()
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- BSON's instants decode fastest without a zone; they are all UTC
_MILLIS = 1_000


EXAMPLES = 3
"""Of each reason for which something is left out."""


class Example(NamedTuple):
    """A row that was left out, as far as it was read, and the value that is to blame."""

    found: Mapping[str, Any]
    value: str


@dataclass(slots=True)
class Tally:
    """What was read: rows, the resources that they are of, and why some could not be placed.

    A row has several parts if it has items: `left_out` counts parts, `unreadable` rows of which none could be placed.
    """

    scanned: int = 0
    unreadable: int = 0
    resources: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[Example]] = field(default_factory=dict)

    def leave_out(self, reason: str, example: Example) -> None:
        """Count one by its reason, of which a few are shown."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES:
            shown.append(example)


@dataclass(slots=True)
class Rows:
    """Reads batches of documents, and collects what they occupy.

    Args:
        now: A hold that is over then occupies nothing.
        limits: On which resources guests are counted.
        tally: Counts what is read.
        wanted: The resources that are looked at; None: each row's own.
    """

    now: Millis
    limits: Limits
    tally: Tally
    wanted: Collection[str] | None = None
    rows: list[PlainRow] = field(default_factory=list)
    """Of `wanted`, or of each row's own resource where the cursor meets it in its place."""
    again: Counter[str] = field(default_factory=Counter)
    """Resources that have to be read by themselves: rows that lie elsewhere, or that a booking could not find, count
    for them."""
    needs: dict[str, Reach] = field(default_factory=dict)
    foreign: list[ForeignOccupancy] = field(default_factory=list)
    ids: dict[str, Any] | None = None
    """By the text of an id, what it is in the database; filled only where it is there."""
    _reader: Reader = field(init=False)
    _lapse: datetime = field(init=False)

    def __post_init__(self) -> None:
        """Prepare the one reader, and the instant at which holds are over as it is stored."""
        self._reader = Reader(self.now, self.limits.by_guest)
        self._lapse = from_millis(self.now).replace(tzinfo=None)

    def read(self, documents: Iterable[Mapping[str, Any]]) -> None:  # noqa: C901, PLR0912 -- a call a row costs a tenth
        """Take in a batch. What is exactly as we write it costs little; of a million rows nearly all are."""
        current, most_back, most_ahead, scanned = "", 0, 0, 0
        append, epoch, lapse, ids, by_guest = self.rows.append, _EPOCH, self._lapse, self.ids, self.limits.by_guest
        for found in documents:
            scanned += 1
            resource, status, begin = found.get("resource"), found.get("status"), found.get("startTime")
            start, end, units = found.get("blockStart"), found.get("blockEnd"), found.get("units")
            if start is None and end is None:
                start, end = begin, found.get("endTime")
            if type(resource) is not str or not resource:
                self._other(found)
                continue
            if units is None and resource not in by_guest:
                units = 1
            if (
                (status != "confirmed" and status != "pending")  # noqa: PLR1714 -- half of the time of a tuple
                or type(begin) is not datetime
                or type(start) is not datetime
                or type(end) is not datetime
                or end <= start
                or type(units) is not int
                or not 1 <= units <= MOST
                or "items" in found
                or "deletedAt" in found
                or "isDeleted" in found
                or "_status" in found
                or "long" in found
            ):
                self._other(found)
                continue
            if status == "pending" and (expires := found.get("expiresAt")) is not None:
                if type(expires) is not datetime:
                    self._other(found)
                    continue
                if expires <= lapse:
                    continue
            since = round((start - epoch).total_seconds() * _MILLIS)
            until = round((end - epoch).total_seconds() * _MILLIS)
            if begin == start:
                back, ahead = until - since, 0
            else:
                at = round((begin - epoch).total_seconds() * _MILLIS)
                back, ahead = until - at, at - since
            if back > LONGEST_BLOCK or ahead > LONGEST_BLOCK:
                self._other(found)
                continue
            name = ""
            if ids is not None:
                name = label(raw := found.get("_id"))
                ids[name] = raw
            append((resource, since, name, until, units))
            if resource != current:
                if current:
                    self._need(current, most_back, most_ahead)
                current, most_back, most_ahead = resource, back, ahead
            else:
                most_back = max(most_back, back)
                most_ahead = max(most_ahead, ahead)
        if current:
            self._need(current, most_back, most_ahead)
        self.tally.scanned += scanned

    def _need(self, resource: str, back: Millis, ahead: Millis) -> None:
        known = self.needs.get(resource, NOWHERE)
        if back > known.back or ahead > known.ahead:
            self.needs[resource] = known.or_more(Reach(doubled(back), doubled(ahead)))

    def _other(self, found: Mapping[str, Any]) -> None:
        """Take in a row as others may have written it."""
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
            self._active(found)

    def _leave_out(self, left_out: LeftOut, found: Mapping[str, Any]) -> None:
        self.tally.leave_out(left_out.reason, Example(found, left_out.value))

    def _active(self, found: Mapping[str, Any]) -> None:
        raw = found.get("_id")
        name = "" if self.ids is None else label(raw)
        placed, readable = False, False
        for taken in occupancies(found, self.limits.by_guest):
            readable = readable or isinstance(taken, OccupiedTime)
            if isinstance(taken, LeftOut):
                self._leave_out(taken, found)
            elif self.wanted is None or taken.resource in self.wanted:
                placed = self._place(found, taken, name) or placed
        self.tally.unreadable += not readable
        if placed and self.ids is not None:
            self.ids[name] = raw

    def _place(self, found: Mapping[str, Any], taken: OccupiedTime, name: str) -> bool:
        """Enter one occupancy, and what follows for the lookup; whether it is a row here."""
        outside = foreign_occupancy(found, taken, self.now)
        if outside or is_found_by_lookup(found, taken):
            self.needs[taken.resource] = self.needs.get(taken.resource, NOWHERE).including(found, taken)
        if self.wanted is None and (outside or not self._in_its_place(found, taken)):
            self.again[taken.resource] += 1
            if not self._in_its_place(found, taken):
                return False
        elif outside:
            self.foreign.append(outside)
        self.rows.append((taken.resource, taken.start, name, taken.end, taken.units))
        return True

    def _in_its_place(self, found: Mapping[str, Any], taken: OccupiedTime) -> bool:
        """Whether a cursor in the order of `resource` meets it beside the others on its resource."""
        resource = found.get("resource")
        return not is_opaque(resource) and not isinstance(resource, list) and taken.resource == identity(resource)


def is_idle(found: Mapping[str, Any]) -> bool:
    """Whether a row has one of the statuses that a database leaves out by itself."""
    return found.get("status") in SURE


def without_zone(found: Mapping[str, Any]) -> dict[str, Any]:
    """A document of a server that cannot give instants without a zone, as the others give it."""
    return {name: _bare(value) for name, value in found.items()}


def _bare(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value
