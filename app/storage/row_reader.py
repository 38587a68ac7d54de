"""The reader of rows of any program: what a stored reservation occupies, or why it cannot be read.

Reconciliation, audit, findings and the write path all use it. It takes ids of any type, whole numbers of any BSON
type, instants as dates, texts or numbers, and statuses however they are spelled; nothing in a row makes it fail.

An item lies on its own resource and time; what it lacks is the reservation's. The reservation's own resource and time
count as well, unless an item on the same resource starts with them or overlaps them: then they are that item.
"""

from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from bson import ObjectId

from app.domain.ids import ResourceId
from app.domain.instants import DAY, Duration, Millis
from app.domain.lifecycle import BLOCKING, STATUSES
from app.storage.bson_types import Row
from app.storage.values import count, excerpt, identity, instant

FIELDS = (
    "resource",
    "status",
    "startTime",
    "endTime",
    "blockStart",
    "blockEnd",
    "units",
    "guestCount",
    "guests",
    "expiresAt",
    "items",
    "deletedAt",
    "isDeleted",
    "_status",
)
"""All that is read of a document, beside its id."""

TRASH = "lies in the trash"
UNKNOWN_STATUS = "status is not a known one"


def folded(status: str) -> str:
    """A status as it is compared: without case, blanks, `_` and `-`."""
    return "".join(status.split()).replace("_", "").replace("-", "").casefold()


_NEVER = {
    "canceled",
    "declined",
    "deleted",
    "denied",
    "draft",
    "failed",
    "refunded",
    "rejected",
    "void",
    "voided",
}
_OVER = {"abandoned", "archived", "checkedout", "ended", "finished", "returned", "timedout"}
IDLE_FOLDED = frozenset(_NEVER | _OVER | {*map(folded, STATUSES)} - {*BLOCKING})
"""Statuses, folded, that are known not to occupy anything, of Reserva and of others."""

IDLE_AS_WRITTEN = tuple(status for status in STATUSES if status not in BLOCKING)
"""Statuses, as Reserva writes them, that a query may exclude without losing a row that occupies a resource."""

_HOLD = "pending"

LONG: Duration = 7 * DAY
LONGEST_BLOCK: Duration = 2 * 366 * DAY
"""No block of Reserva's ends or begins farther from its start: the longest reservation and the longest buffer."""


class LeftOut(NamedTuple):
    """An occupancy that cannot be read: the reason, and the value that causes it, as an example."""

    reason: str
    value: str = ""


class OccupiedTime(NamedTuple):
    """`units` of a resource, taken during `[start, end)`.

    `place`: 0 for the reservation's own resource and time, n for its nth item; with the id it names an occupancy.
    """

    resource: ResourceId
    start: Millis
    end: Millis
    units: int
    place: int = 0


Standing: TypeAlias = Literal["active", "idle", "lapsed", "unknown", "trash"]
"""The meaning of a row's status: it occupies; it does not; it is an expired hold; its status is unknown and counts as
one that does not occupy; it is in the trash."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads rows as they count at an instant.

    Args:
        now: A hold that expires then or before occupies nothing.
        by_guest: The resources, as text, on which guests are counted, not reservations.
        blocking: The statuses that occupy a resource, however they are spelled.
    """

    now: Millis
    by_guest: Container[str] = frozenset()
    blocking: Collection[str] = BLOCKING

    def __post_init__(self) -> None:
        """Fold the statuses once."""
        object.__setattr__(self, "blocking", frozenset(folded(status) for status in self.blocking))

    def standing(self, found: Row) -> Standing | LeftOut:
        """Whether a row occupies anything, by its status, its hold and the trash."""
        if found.get("deletedAt") is not None or found.get("isDeleted") is True or found.get("_status") == "draft":
            return "trash"
        status = found.get("status")
        if type(status) is not str:  # BSON's code is a kind of text, and no status
            return LeftOut("status is missing") if status is None else LeftOut("status is not text", excerpt(status))
        plain = folded(status)
        if plain not in self.blocking:
            return "idle" if plain in IDLE_FOLDED else "unknown"
        if plain == _HOLD and (expires := instant(found.get("expiresAt"))) is not None and expires <= self.now:
            return "lapsed"
        return "active"

    def occupancies(self, found: Row) -> Iterator[OccupiedTime | LeftOut]:
        """What an active row occupies, and what of it cannot be placed; nothing of one that is not active."""
        standing = self.standing(found)
        if isinstance(standing, LeftOut):
            yield standing
        elif standing == "active":
            yield from occupancies(found, self.by_guest)


def is_found_by_lookup(found: Row, taken: OccupiedTime) -> bool:
    """Whether the conflict lookup finds this occupancy of a row, given a guard that reaches far enough.

    It asks for a resource's id as text and as an ObjectId, for the blocking statuses as they are spelled here, and for
    a range of dates that one row must not stretch over the whole history. What it misses has to be in `occupancies`,
    and the resource's guard `foreign`.
    """
    return (
        not taken.place
        and type(found.get("resource")) in {str, ObjectId}  # BSON's code is a kind of text, and not equal to it
        and found.get("status") in BLOCKING
        and isinstance(found.get("startTime"), datetime)
        and max(stretch(found, taken)) <= LONGEST_BLOCK
    )


def is_long(block_start: Millis, block_end: Millis) -> bool:
    """Whether a block is looked up by the branch of the long ones."""
    return block_end - block_start > LONG


def stretch(found: Row, taken: OccupiedTime) -> tuple[Duration, Duration]:
    """How far an occupancy lies from the `startTime` of its row: to its end, and back to its beginning."""
    own = instant(found["startTime"])
    start = taken.start if own is None else own
    return taken.end - start, start - taken.start


EXPIRY_IGNORING = Reader(now=Millis(-(2**63)))
"""Counts every hold as live, for callers that compare its expiry themselves."""


@dataclass(frozen=True, slots=True)
class _Place:
    """The resource and the time of a reservation or an item, each as far as it could be read."""

    resource: ResourceId | LeftOut
    start: Millis | LeftOut
    end: Millis | LeftOut


def occupancies(found: Row, by_guest: Container[str]) -> Iterator[OccupiedTime | LeftOut]:
    """What a document occupies, and what of it is left out.

    Args:
        found: A reservation.
        by_guest: The resources on which guests are counted, not reservations.
    """
    items = found.get("items")
    if items is not None and not isinstance(items, list):
        yield LeftOut("items is not a list", excerpt(items))
    own = _own(found)
    if not items or not isinstance(items, list):
        yield _occupied(own, found, found, by_guest)
        return
    places = []
    for number, item in enumerate(items, 1):
        if not isinstance(item, Mapping):
            yield LeftOut("item is not an object", excerpt(item))
            continue
        places.append(_item(item, own))
        yield _occupied(places[-1], item, found, by_guest, number)
    absent = found.get("resource") is None and bool(places)
    if not absent and not any(_is_same(place, own) for place in places):
        yield _occupied(own, found, found, by_guest)


def _own(found: Row) -> _Place:
    """The reservation's; what blocks, if it says so, else from its start to its end."""
    start, end = instant(found.get("blockStart")), instant(found.get("blockEnd"))
    resource = _resource(found)
    if start is None or end is None:
        return _Place(resource, _instant(found, "startTime"), _instant(found, "endTime"))
    return _Place(resource, start, end)


def _item(item: Row, own: _Place) -> _Place:
    return _Place(
        own.resource if item.get("resource") is None else _resource(item),
        own.start if item.get("startTime") is None else _instant(item, "startTime"),
        own.end if item.get("endTime") is None else _instant(item, "endTime"),
    )


def _resource(part: Row) -> ResourceId | LeftOut:
    value = part.get("resource")
    if value is None:
        return LeftOut("resource is missing")
    known = identity(value)
    return ResourceId(known) if known else LeftOut("resource is not an id", excerpt(value))


def _instant(part: Row, name: str) -> Millis | LeftOut:
    value = part.get(name)
    if value is None:
        return LeftOut(f"{name} is missing")
    moment = instant(value)
    return LeftOut(f"{name} is not an instant", excerpt(value)) if moment is None else moment


def _is_same(item: _Place, own: _Place) -> bool:
    """Whether an item repeats the reservation's own resource and time."""
    if item.resource != own.resource:
        return False
    if item.start == own.start:
        return True
    if isinstance(item.start, LeftOut) or isinstance(item.end, LeftOut) or isinstance(own.start, LeftOut):
        return False
    if isinstance(own.end, LeftOut):  # no span that could overlap, but a start that lies in one
        return item.start <= own.start < item.end
    return item.start < own.end and own.start < item.end


def _occupied(
    place: _Place, part: Row, whole: Row, by_guest: Container[str], number: int = 0
) -> OccupiedTime | LeftOut:
    what = "item: " if number else ""
    units = _units(part, whole, by_guest=not isinstance(place.resource, LeftOut) and place.resource in by_guest)
    for read in (place.resource, place.start, place.end, units):
        if isinstance(read, LeftOut):
            return LeftOut(what + read.reason, read.value)
    taken = OccupiedTime(place.resource, place.start, place.end, units, number)  # type: ignore[arg-type]  # none is LeftOut
    return LeftOut(f"{what}endTime is not after startTime") if taken.end <= taken.start else taken


def _units(part: Row, whole: Row, *, by_guest: bool) -> int | LeftOut:
    """As many as the document says it takes; else its guests, where guests are counted; else one."""
    for name in ("units", "guestCount", "guests") if by_guest else ("units",):
        for where in (part, whole):
            if (value := where.get(name)) is not None:
                return count(value) or LeftOut(f"{name} is not a whole number from 1", excerpt(value))
    return 1
