"""The export of a customer on the wire."""

from app.catalogue.schemas import CustomerAnswer
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


class CustomerExport(Answer):
    """All that is stored about a customer."""

    customer: CustomerAnswer
    """The customer."""
    reservations: list[ReservationAnswer]
    """Its reservations, with their texts and histories, the newest start first."""
    findings: list[ExportedFinding]
    """The findings of these reservations on which people noted something."""
    next: str | None = None
    """The `cursor` of the rest, if there were more reservations than one request can send."""
