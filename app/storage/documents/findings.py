"""Findings of reconciliation, with their history and acceptance."""

from datetime import datetime
from typing import Any, ClassVar

from beanie import PydanticObjectId
from pydantic import Field
from pymongo import ASCENDING, IndexModel

from app.domain.finding_identity import State
from app.domain.ids import ResourceId
from app.storage.documents.base import StoredDocument, SubDocument


class FindingEntry(SubDocument):
    """One entry in the history of a finding: a note or a change, by a run (`worker`) or a person.

    `by` is the person's name where it was given, else the prefix of their API key; `key` is that prefix. `from` to
    `capacity` are the window at that time, `joined` and `left` the ids of reservations, as text.
    """

    at: datetime
    by: str
    key: str | None = None
    to: State
    note: str | None = None
    from_: datetime | None = Field(default=None, alias="from")
    until: datetime | None = None
    peak: int | None = None
    capacity: int | None = None
    joined: list[str] | None = None
    left: list[str] | None = None


class Acceptance(SubDocument):
    """What a person accepted: these reservations or fewer of them, up to a peak and an excess over the capacity.

    It is valid until `until`, without it for good. For a finding that does not list all of its reservations it has
    the digest, and is valid for exactly those.
    """

    reservations: list[Any]
    digest: str | None = None
    peak: int
    excess: int
    until: datetime | None = None
    by: str
    at: datetime


class FindingPart(SubDocument):
    """The window that a finding was before others merged into it."""

    from_: datetime = Field(alias="from")
    to: datetime
    reservations: list[Any]


class Finding(StoredDocument):
    """A window of one resource with load above its capacity, as the last run saw it.

    `app.domain.finding_identity` decides which window is which finding.
    `reservations` are ids, of whatever type they have; of very many only a sample, with the digest of all. `acceptance`
    and `acknowledged` (since when, only where it is) are what people did with it; a finding that was merged into
    another keeps them, for when the windows part again. `own` is what it was before others merged into it. `told_at`
    is when an alert about it was accepted, `alert` the id of the alert that carries it until then; both are unset
    when the finding is opened again. `excess` (peak less capacity) and `reservation_count` are stored for lists;
    `updated_at` is the last change: a run that sees the same window again is none.
    """

    id: PydanticObjectId = Field(alias="_id")
    resource: ResourceId
    from_: datetime = Field(alias="from")
    to: datetime
    peak: int
    capacity: int
    excess: int | None = None
    state: State
    reservations: list[Any]
    reservation_count: int | None = None
    digest: str | None = None
    own: FindingPart | None = None
    acceptance: Acceptance | None = None
    acknowledged: datetime | None = None
    assignee: str | None = None
    told_at: datetime | None = None
    alert: str | None = None
    split_from: PydanticObjectId | None = None
    merged_into: PydanticObjectId | None = None
    first_seen: datetime
    last_seen: datetime
    updated_at: datetime | None = None
    run: PydanticObjectId
    version: int = 1
    history: list[FindingEntry]

    class Settings(StoredDocument.Settings):
        """A list without a filter queries all states by name, so that an index has each of its orders."""

        name = "findings"
        indexes: ClassVar = [
            IndexModel([("resource", ASCENDING), ("from", ASCENDING), ("_id", ASCENDING)], name="finding_place"),
            IndexModel([("resource", ASCENDING), ("state", ASCENDING), ("from", ASCENDING)], name="finding_run"),
            IndexModel([("state", ASCENDING), ("from", ASCENDING), ("_id", ASCENDING)], name="finding_state_from"),
            IndexModel([("state", ASCENDING), ("firstSeen", ASCENDING), ("_id", ASCENDING)], name="finding_state_seen"),
            IndexModel([("state", ASCENDING), ("excess", ASCENDING), ("_id", ASCENDING)], name="finding_state_excess"),
            IndexModel([("reservations", ASCENDING)], name="finding_reservations"),
            IndexModel([("history.left", ASCENDING)], name="finding_left", sparse=True),
            IndexModel([("digest", ASCENDING)], name="finding_digest", sparse=True),
            IndexModel([("updatedAt", ASCENDING), ("_id", ASCENDING)], name="finding_updated"),
            IndexModel([("state", ASCENDING), ("toldAt", ASCENDING), ("_id", ASCENDING)], name="finding_told"),
        ]
