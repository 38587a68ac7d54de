"""The occupancies of stored rows, whichever program wrote them, and of a reservation that is about to be stored."""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import to_millis
from app.domain.lifecycle import BLOCKING, Status
from app.domain.load import Occupancy
from app.storage import row_reader
from app.storage.bson_types import Row
from app.storage.documents import Reservation
from app.storage.row_reader import EXPIRY_IGNORING, OccupiedTime, folded
from app.storage.values import COUNT_MAX, count, identity, instant, row_key, shown_text

_FIELDS_OF_OTHERS = frozenset({"items", "deletedAt", "isDeleted", "_status"})
_TEXT = frozenset({str, type(None)})
_BY_FOLDED: Mapping[str, Status] = {folded(status): status for status in BLOCKING}


def occupancies_of(row: Row, by_guest: Container[str] = ()) -> Sequence[tuple[ResourceId, Occupancy]]:
    """What a stored reservation occupies, each with the id of the resource.

    Rows with exactly the types that Reserva writes are taken as they are; all others go through `row_reader`.

    Args:
        row: The document, with at least `conflict_lookup.FIELDS`.
        by_guest: The resources on which guests are counted, not reservations.
    """
    own = _own(row)
    return [(ResourceId(str(row["resource"])), own)] if own is not None else _foreign(row, by_guest)


def occupancies_on(resource: ResourceId, found: Iterable[Row], *, by_guests: bool) -> list[Occupancy]:
    """What stored reservations occupy of one resource."""
    by_guest = (resource,) if by_guests else ()
    return [each for row in found for name, each in occupancies_of(row, by_guest) if name == resource]


def _own(row: Mapping[str, Any]) -> Occupancy | None:
    """The occupancy of a row with exactly the types that Reserva writes; None for any other."""
    get = row.get
    resource, status, units, version = get("resource"), get("status"), get("units"), get("version")
    start, end, block_start, block_end = get("startTime"), get("endTime"), get("blockStart"), get("blockEnd")
    customer, service, expires, guests = get("customer"), get("service"), get("expiresAt"), get("guests")
    if not (
        type(resource) is str
        and (status == "confirmed" or (status == "pending" and (expires is None or type(expires) is datetime)))
        and type(start) is datetime
        and type(end) is datetime
        and type(block_start) is datetime
        and type(block_end) is datetime
        and block_start < block_end
        and type(units) is int
        and type(version) is int
        and 0 < units <= COUNT_MAX
        and type(customer) in _TEXT
        and type(service) in _TEXT
        and _FIELDS_OF_OTHERS.isdisjoint(row)
    ):
        return None
    begins, ends = to_millis(start), to_millis(end)
    return Occupancy(
        row_key(row["_id"]),
        begins if block_start == start else to_millis(block_start),
        ends if block_end == end else to_millis(block_end),
        units,
        to_millis(expires) if expires is not None and status == "pending" else None,
        begins,
        ends,
        status,
        customer,
        service,
        version,
        0,
        guests if type(guests) is int else 1,
    )


def _foreign(row: Row, by_guest: Container[str]) -> list[tuple[ResourceId, Occupancy]]:
    """The occupancies that `row_reader` finds in a row of another program."""
    if EXPIRY_IGNORING.standing(row) != "active":
        return []
    found: list[tuple[ResourceId, Occupancy]] = []
    status = _BY_FOLDED[folded(str(row["status"]))]
    for taken in row_reader.occupancies(row, by_guest):
        if not isinstance(taken, OccupiedTime):
            continue
        start, end = (instant(row.get(name)) if not taken.place else None for name in ("startTime", "endTime"))
        service = _name(row.get("service"))
        occupancy = Occupancy(
            id=row_key(row["_id"]),
            start=taken.start,
            end=taken.end,
            units=taken.units,
            expires=instant(row.get("expiresAt")) if status == "pending" else None,
            own_start=taken.start if start is None else start,
            own_end=taken.end if end is None else end,
            status=status,
            customer=_name(row.get("customer")),
            service=None if service is None else ServiceId(service),
            version=_version(row),
            item=taken.place,
            guests=count(row.get("guestCount")) or count(row.get("guests")) or 1,
        )
        found.append((taken.resource, occupancy))
    return found


def _name(value: object) -> str | None:
    return None if value is None else identity(value) or shown_text(value)


def _version(row: Row) -> int | None:
    """The version at which its hold can be marked as expired; None where its status has another spelling."""
    version = row.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or row["status"] not in BLOCKING:
        return None
    return int(version)


def occupancy(reservation: Reservation) -> Occupancy:
    """An occupancy from a reservation that is about to be stored."""
    expires = reservation.expires_at if reservation.status == "pending" else None
    return Occupancy(
        id=reservation.id,
        start=to_millis(reservation.block_start),
        end=to_millis(reservation.block_end),
        units=reservation.units,
        expires=None if expires is None else to_millis(expires),
        own_start=to_millis(reservation.start_time),
        own_end=to_millis(reservation.end_time),
        status=reservation.status,
        customer=reservation.customer,
        service=reservation.service,
        version=reservation.version,
        guests=reservation.guests,
    )
