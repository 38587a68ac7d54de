"""Stored findings as runs match them, and the names of their fields.

Runs read raw rows, since a resource may have a hundred thousand findings. Whoever changes a finding names its fields as
the document does; only the stores know how they are stored.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NotRequired, TypedDict

from bson import ObjectId

from app.domain.finding_identity import State
from app.domain.ids import ResourceId
from app.storage.bson_types import BsonDocument
from app.storage.documents import Finding


class AcceptanceRow(TypedDict):
    """What a person accepted, as it is stored."""

    reservations: list[object]
    digest: NotRequired[str]
    peak: int
    excess: int
    until: NotRequired[datetime]


WindowRow = TypedDict("WindowRow", {"from": datetime, "to": datetime, "reservations": list[object]})
"""The time of a finding, and the ids of its reservations."""


class FindingRow(WindowRow):
    """A finding as it is stored; `history` only where it was read as well."""

    _id: ObjectId
    resource: ResourceId
    peak: int
    capacity: int
    state: State
    reservationCount: NotRequired[int]  # noqa: N815  # as it is stored
    digest: NotRequired[str]
    own: NotRequired[WindowRow]
    acceptance: NotRequired[AcceptanceRow]
    acknowledged: NotRequired[datetime]
    mergedInto: NotRequired[ObjectId]  # noqa: N815  # as it is stored
    version: int
    history: list[BsonDocument]


_NAMES: Mapping[str, str] = {name: field.alias or name for name, field in Finding.model_fields.items()}
"""The stored names of the fields of the document."""


def stored_fields(fields: Mapping[str, object]) -> BsonDocument:
    """Fields by their names in the document, as they are stored."""
    return {_NAMES[name]: value for name, value in fields.items()}


def stored_names(names: Collection[str]) -> list[str]:
    """The stored names of some fields."""
    return [_NAMES[name] for name in names]


def present_fields(row: FindingRow, names: Collection[str]) -> tuple[str, ...]:
    """Those of some fields that a row has."""
    return tuple(sorted(name for name in names if _NAMES[name] in row))


def differing_fields(row: FindingRow, fields: Mapping[str, object]) -> dict[str, object]:
    """Those of some fields that have another value in a row, or none."""
    return {name: value for name, value in fields.items() if row.get(_NAMES[name]) != value}


def merged_into(row: FindingRow) -> ObjectId | None:
    """The finding of which a resolved one has become part."""
    return row.get("mergedInto")


def window_row(row: FindingRow) -> WindowRow:
    """The time and the reservations of a finding."""
    return {"from": row["from"], "to": row["to"], "reservations": row["reservations"]}
