"""The export of a customer on the wire."""

from app.catalogue.customer_schemas import CustomerAnswer
from app.events.schemas import EventAnswer
from app.http.models import Answer, Instant
from app.reservations.schemas import ReservationAnswer


class ExportedNote(Answer):
    """What a person noted on a finding."""

    at: Instant
    """When."""
    by: str
    """Who noted it."""
    note: str
    """The note."""


class ExportedFinding(Answer):
    """A finding with reservations of the customer."""

    id: str
    """Its id."""
    notes: list[ExportedNote]
    """What people noted on it, the oldest first."""


class ExportedReservation(ReservationAnswer):
    """A reservation of the customer, and what happened to it."""

    events: list[EventAnswer]
    """Its events that are still in the log, the oldest first; one from a time when it was another customer's has its id
    alone."""


class CustomerExport(Answer):
    """All that is stored about a customer."""

    customer: CustomerAnswer
    """The customer."""
    reservations: list[ExportedReservation]
    """Its reservations, with their texts, histories and events, the newest start first."""
    findings: list[ExportedFinding]
    """The findings of these reservations on which people noted something."""
    next: str | None = None
    """The `cursor` of the rest, if there were more reservations than one request can send."""
