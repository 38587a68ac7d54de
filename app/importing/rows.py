"""Rows: records that are valid reservations, by the same shapes and bounds as a request."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias
from zoneinfo import ZoneInfo

from pydantic import Field

from app.booking import import_key
from app.domain.instants import render
from app.domain.lifecycle import Status
from app.domain.zones import choices, parse_wall
from app.errors import Fault, Problem, invalid_field
from app.http.models import Body, CatalogueId, Instant, ResourceReference, ServiceReference, read_body
from app.importing.records import Record
from app.reservations.requested_times import check_span
from app.reservations.schemas import Guests, Notes

REFERENCE_LENGTH = 200

Zone: TypeAlias = ZoneInfo | None
"""The zone of a file's local times, if it has any."""

_OFFSET = re.compile(r".*(?:[Zz]|[+-]\d{2}:\d{2})", re.DOTALL)


class Columns(Body):
    """The valid values of a record; its columns are `column_names.COLUMNS`."""

    reference: str = Field(min_length=1, max_length=REFERENCE_LENGTH)
    resource: ResourceReference
    start_time: Instant
    end_time: Instant | None = None
    customer: CatalogueId | None = None
    service: ServiceReference | None = None
    guests: Guests = 1
    status: Status = "confirmed"
    notes: Notes | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A reservation of another system that an import books here."""

    line: int
    wanted: Columns
    key: str
    """The key by which every run of an import finds it again: a hash of its reference and its resource."""

    @property
    def reference(self) -> str:
        """Its reference in the file."""
        return self.wanted.reference


def read_row(record: Record, timezone: Zone = None) -> Row | Problem:
    """The row of a record, or the problem why it is none. With a `timezone`, times without offset are local to it."""
    if isinstance(record.values, Problem):
        return record.values
    try:
        wanted = read_body(Columns, record.values if timezone is None else _with_instants(record.values, timezone))
        check_span(wanted.start_time, wanted.end_time)
    except Problem as problem:
        return problem
    return Row(record.line, wanted, import_key(wanted.resource, wanted.reference))


def names_of(record: Record, row: Row | None) -> dict[str, object]:
    """The reference and the resource of a record, readable or not, for the report."""
    if row is not None:
        return {"reference": row.reference, "resource": row.wanted.resource}
    values = {} if isinstance(record.values, Problem) else record.values
    return {name: values[name] for name in ("reference", "resource") if isinstance(values.get(name), str)}


def _with_instants(values: Mapping[str, object], timezone: ZoneInfo) -> dict[str, object]:
    """The values with instants for local times.

    Raises:
        Problem: `invalid`; `local-time` where the clocks show that time twice or never, with the instants to choose.
    """
    changed = dict(values)
    for name in ("startTime", "endTime"):
        text = changed.get(name)
        if isinstance(text, str) and not _OFFSET.fullmatch(text):
            changed[name] = _instant(name, text, timezone)
    return changed


def _instant(name: str, text: str, timezone: ZoneInfo) -> str:
    try:
        wall = parse_wall(text.replace(" ", "T", 1))
    except ValueError as error:
        raise invalid_field(name, str(error)) from None
    meant = [render(each) for each in choices(wall, timezone)]
    if len(meant) == 1:
        return meant[0]
    what = "exists twice" if meant[0] < meant[1] else "does not exist"
    detail = f"{text} {what} in {timezone.key}; write one of {' and '.join(meant)} instead."
    raise Problem("local-time", detail, faults=[Fault((name,), detail)], choices=meant)
