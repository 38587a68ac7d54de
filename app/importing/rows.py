"""Rows: records that were found to be reservations, as any client would have to send them."""

from dataclasses import dataclass
from typing import cast

from app.errors import Problem, invalid
from app.importing.records import Record
from app.reservations.schemas import METADATA_VALUE_LENGTH, NewReservation
from app.reservations.service import check_times
from app.timeline.lifecycle import STATUSES, Status
from app.wire.models import read_body


@dataclass(frozen=True, slots=True)
class Row:
    """A reservation that somebody else has booked and wants to see here."""

    line: int
    reference: str
    status: Status
    wanted: NewReservation


def read_row(record: Record) -> Row | Problem:
    """The row of a record, or why there is none."""
    if isinstance(record.values, Problem):
        return record.values
    values = dict(record.values)
    reference, status = values.pop("reference", None), values.pop("status", "confirmed")
    try:
        if not isinstance(reference, str) or not 1 <= len(reference) <= METADATA_VALUE_LENGTH:
            raise invalid("/reference", f"`reference` must be a text of 1 to {METADATA_VALUE_LENGTH} characters.")
        if status not in STATUSES:
            raise invalid("/status", f"`status` must be one of {', '.join(STATUSES)}.")
        wanted = read_body(NewReservation, values | {"metadata": {"reference": reference}})
        check_times(wanted)
    except Problem as problem:
        return problem
    return Row(record.line, reference, cast("Status", status), wanted)


def reference_of(record: Record) -> str | None:
    """The reference that a record has, readable or not, for the report."""
    values = record.values
    reference = None if isinstance(values, Problem) else values.get("reference")
    return reference if isinstance(reference, str) else None
