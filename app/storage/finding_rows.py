"""Stored findings as runs match them: raw, since a resource may have a hundred thousand, and only runs write them."""

from datetime import datetime
from typing import NotRequired, TypedDict

from bson import ObjectId

from app.domain.finding_identity import State
from app.domain.ids import ResourceId
from app.storage.bson_types import BsonDocument


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
