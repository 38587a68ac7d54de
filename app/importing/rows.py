"""Rows: records that were found to be reservations, held to the same shapes and bounds as a request."""

from dataclasses import dataclass

from pydantic import Field

from app.errors import Problem
from app.importing.records import Record
from app.reservations.schemas import METADATA_VALUE_LENGTH, Guests, Notes
from app.reservations.times import check_span
from app.timeline.lifecycle import Status
from app.wire.models import Body, CatalogueId, Instant, read_body


class Columns(Body):
    """What a record can say; its columns are `records.COLUMNS`."""

    reference: str = Field(min_length=1, max_length=METADATA_VALUE_LENGTH)
    resource: CatalogueId
    start_time: Instant
    end_time: Instant | None = None
    customer: CatalogueId | None = None
    service: CatalogueId | None = None
    guests: Guests = 1
    status: Status = "confirmed"
    notes: Notes | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A reservation that somebody else has booked and wants to see here."""

    line: int
    wanted: Columns

    @property
    def reference(self) -> str:
        """How the file knows it."""
        return self.wanted.reference


def read_row(record: Record) -> Row | Problem:
    """The row of a record, or why there is none."""
    if isinstance(record.values, Problem):
        return record.values
    try:
        wanted = read_body(Columns, record.values)
        check_span(wanted.start_time, wanted.end_time)
    except Problem as problem:
        return problem
    return Row(record.line, wanted)


def reference_of(record: Record) -> str | None:
    """The reference that a record has, readable or not, for the report."""
    values = record.values
    reference = None if isinstance(values, Problem) else values.get("reference")
    return reference if isinstance(reference, str) else None
