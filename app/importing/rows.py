"""Rows: records that are valid reservations, by the same shapes and bounds as a request."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationInfo, field_validator

from app.booking import check_length, import_key, import_key_by_id
from app.domain.instants import render, to_millis
from app.domain.lifecycle import Status
from app.domain.zones import choices, parse_wall
from app.errors import Fault, Problem, invalid_field
from app.http.models import Body, CatalogueId, Instant, ResourceReference, ServiceReference, read_body
from app.importing.records import Record
from app.reservations.schemas import Guests, Notes

REFERENCE_LENGTH = ID_LENGTH = 200

Zone: TypeAlias = ZoneInfo | None
"""The zone of a file's local times, if it has any."""

_OFFSET = re.compile(r".*(?:[Zz]|[+-]\d{2}:\d{2})", re.DOTALL)


class Columns(Body):
    """The valid values of a record; its columns are `column_names.COLUMNS`."""

    id: str | None = Field(default=None, min_length=1, max_length=ID_LENGTH)
    reference: str | None = Field(default=None, min_length=1, max_length=REFERENCE_LENGTH, validate_default=True)
    resource: ResourceReference
    start_time: Instant
    end_time: Instant | None = None
    customer: CatalogueId | None = None
    service: ServiceReference | None = None
    guests: Guests = 1
    status: Status = "confirmed"
    notes: Notes | None = None

    @field_validator("reference")
    @classmethod
    def _identified(cls, reference: str | None, known: ValidationInfo) -> str | None:
        if reference is None and known.data.get("id") is None:
            raise ValueError("a row is known by its reference, or by the `id` that an export gave it")
        return reference


@dataclass(frozen=True, slots=True)
class Row:
    """A reservation of another system that an import books here."""

    line: int
    wanted: Columns
    key: str
    """The key by which every run of an import finds it again: a hash of its resource and its id or reference."""

    @property
    def reference(self) -> str | None:
        """Its reference in the file; one of an export may have none, but an id."""
        return self.wanted.reference

    @property
    def is_known_by_id(self) -> bool:
        """Whether it is known by the id that an export gave it, whatever its reference, which need not be unique."""
        return self.wanted.id is not None


def read_row(record: Record, timezone: Zone = None) -> Row | Problem:
    """The row of a record, or the problem why it is none. With a `timezone`, times without offset are local to it."""
    if isinstance(record.values, Problem):
        return record.values
    try:
        wanted = read_body(Columns, record.values if timezone is None else _with_instants(record.values, timezone))
        if wanted.end_time is not None:
            check_length(to_millis(wanted.start_time), to_millis(wanted.end_time))
    except Problem as problem:
        return problem
    return Row(record.line, wanted, _key_of(wanted))


def _key_of(wanted: Columns) -> str:
    if wanted.id is not None:
        return import_key_by_id(wanted.resource, wanted.id)
    return import_key(wanted.resource, wanted.reference or "")


def names_of(record: Record, row: Row | None) -> dict[str, object]:
    """The reference, the id and the resource of a record, readable or not, for the report."""
    if row is not None:
        wanted = row.wanted
        names = {"reference": wanted.reference, "id": wanted.id, "resource": wanted.resource}
        return {name: value for name, value in names.items() if value is not None}
    values = {} if isinstance(record.values, Problem) else record.values
    return {name: values[name] for name in ("reference", "id", "resource") if isinstance(values.get(name), str)}


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
