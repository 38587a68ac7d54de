"""The reservations of a resource that count for its use."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import Duration, Millis, from_millis
from app.domain.lifecycle import status_at
from app.domain.utilisation import Booking
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.reservation_filters import ReservationFilters
from app.storage.reservations import ReservationStore
from app.storage.stored_reservations import known_status
from app.storage.values import count, identity, instant

_UNREAD = ("notes", "metadata", "idempotency", "formerCustomers", "reference")
_UNREAD_OF_LIVE = (*_UNREAD, "history")

NoticeOf = Callable[[ServiceId], Duration]
"""The cancellation notice of a service; 0 if it has none."""


async def read_reservations(
    store: Store, resource: ResourceId, start: Millis, end: Millis, *, rows_max: int
) -> list[BsonDocument]:
    """All reservations of a resource that overlap a span, up to `rows_max`; cancelled ones with their histories."""
    reservations = ReservationStore(store)
    filters = ReservationFilters([resource], from_=from_millis(start), to=from_millis(end))
    rows = await reservations.list_by_start(filters, None, rows_max=rows_max, without=_UNREAD_OF_LIVE)
    cancelled = {row["_id"] for row in rows if _is_cancelled(row) and row.get("service") is not None}
    if not cancelled:
        return rows
    filters = ReservationFilters([resource], statuses=["cancelled"], from_=filters.from_, to=filters.to)
    whole = await reservations.list_by_start(filters, None, rows_max=rows_max, without=_UNREAD)
    return [row for row in rows if row["_id"] not in cancelled] + [row for row in whole if row["_id"] in cancelled]


def services_of(rows: Sequence[BsonDocument]) -> set[ServiceId]:
    """The services of those that were cancelled."""
    named = {identity(row.get("service")) for row in rows if _is_cancelled(row)}
    return {ServiceId(name) for name in named if name is not None}


def booking_of(row: BsonDocument, now: Millis, notices: Mapping[ServiceId, Duration]) -> Booking | None:
    """A stored reservation as it counts; None for one that does not, or that cannot be read.

    A hold counts for nobody: it is no booking yet.
    """
    start, end, status = instant(row.get("startTime")), instant(row.get("endTime")), known_status(row.get("status"))
    if start is None or end is None or status is None:
        return None
    expires = instant(row.get("expiresAt"))
    units = count(row.get("units")) or 1
    if status == "cancelled":
        service = identity(row.get("service"))
        notice = notices.get(ServiceId(service), 0) if service is not None else 0
        at = _confirmed_until(row)
        late = bool(notice) and at is not None and at > start - notice
        return Booking(start, end, units, "cancelled-late") if late else None
    if status_at(status, expires, now) == "expired" or (status == "pending" and expires is not None):
        return None
    return Booking(start, end, units, "no-show" if status == "no-show" else "booked")


def _is_cancelled(row: BsonDocument) -> bool:
    return known_status(row.get("status")) == "cancelled"


def _confirmed_until(row: BsonDocument) -> Millis | None:
    """When a confirmed reservation was cancelled; None for one that was none, as far as its history goes back."""
    history = row.get("history")
    for entry in reversed(history if isinstance(history, list) else []):
        if isinstance(entry, dict) and entry.get("to") == "cancelled":
            at = entry.get("at")
            return instant(at) if entry.get("from") == "confirmed" and isinstance(at, datetime) else None
    return None
