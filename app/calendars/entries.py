"""Reservations as the events of a calendar: when somebody comes, or also who and what for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.calendars.rendering import CalendarEvent
from app.domain.lifecycle import STATUSES
from app.reservations.rendering import shown
from app.storage.bson_types import BsonDocument
from app.storage.catalogue import CatalogueStore
from app.storage.client import Store
from app.storage.documents import Customer, Reservation, Resource, Service
from app.storage.stored_reservations import brief_reservation
from app.storage.values import identity

SEQUENCE_MAX = 2**31 - 1
"""Of the whole numbers of RFC 5545."""
BUSY = "Busy"
"""What an event is called that names nobody."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the objects that reservations refer to, by id."""

    resources: Mapping[str, str]
    services: Mapping[str, str]
    customers: Mapping[str, str]

    @classmethod
    async def read(cls, store: Store, rows: Sequence[BsonDocument]) -> "Names":
        """The names for some stored reservations, by one read for each kind."""

        def ids(field: str) -> set[str]:
            return {text for row in rows if (text := identity(row.get(field))) is not None}

        catalogue = CatalogueStore(store)
        return cls(
            resources=await catalogue.find_names(Resource, ids("resource")),
            services=await catalogue.find_names(Service, ids("service")),
            customers=await catalogue.find_names(Customer, ids("customer")),
        )


def calendar_event(row: BsonDocument, now: datetime, names: Names | None) -> CalendarEvent | None:
    """A stored reservation in a calendar; None for one of another program whose times or status cannot be read.

    Args:
        row: The reservation as it is stored, without its long fields.
        now: When a hold is over.
        names: What names it; None: it says when alone.
    """
    stored = brief_reservation(row)
    read_as = shown(stored, now)
    status = read_as.fields.get("status")
    times: tuple[object, ...] = (stored.start_time, stored.end_time, stored.created_at, stored.updated_at)
    if status not in STATUSES or not all(isinstance(time, datetime) for time in times):
        return None
    if stored.end_time <= stored.start_time:  # programs refuse a whole calendar for it
        return None
    is_over = read_as.changed_by_time and stored.expires_at is not None
    return CalendarEvent(
        id=str(stored.id),
        start=stored.start_time,
        end=stored.end_time,
        status=status,
        sequence=_sequence(stored.version, changed=read_as.changed_by_time),
        created_at=stored.created_at,
        changed_at=stored.expires_at if is_over and stored.expires_at is not None else stored.updated_at,
        summary=BUSY if names is None else _summary(stored, names),
        location=None if names is None else names.resources.get(stored.resource),
        description=None if names is None else stored.notes,
        series=None if names is None or stored.series is None else str(stored.series),
    )


def _sequence(version: object, *, changed: bool) -> int:
    """The sequence of a version, which another program may have written."""
    return min(max((version if isinstance(version, int) else 0) + changed, 0), SEQUENCE_MAX)


def _summary(stored: Reservation, names: Names) -> str:
    """What is booked and for whom, as far as it is known."""
    service = None if stored.service is None else names.services.get(stored.service)
    customer = None if stored.customer is None else names.customers.get(stored.customer)
    return " · ".join(name for name in (service, customer) if name) or BUSY
