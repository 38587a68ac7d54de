"""Runs of reconciliation, the queue of them, the leases of what one process does at a time, and watermarks."""

from datetime import datetime
from typing import ClassVar, Literal, TypeAlias

from beanie import PydanticObjectId
from pydantic import Field
from pymongo import ASCENDING, IndexModel

from app.domain.ids import ResourceId
from app.storage.documents.base import Name, StoredDocument, SubDocument

RunKind: TypeAlias = Literal["full", "incremental", "resource"]
"""What a run reads: everything, what has changed since the last run, or one resource."""
RunState: TypeAlias = Literal["queued", "running", "succeeded", "failed", "abandoned"]


class Run(StoredDocument):
    """One reconciliation, from its request to its end.

    `left_out` counts what could not be read, by reason, and `unreadable` the rows of which nothing could; `owner` is
    the process that runs it and `beat_at` the time of its last heartbeat; `unaccepted` counts those of its findings
    that are not accepted. `tries` is the number of the attempt, counting the failed runs that it replaces; `retry_at`
    is when a failed run is replaced.
    """

    id: PydanticObjectId = Field(alias="_id")
    kind: RunKind
    resource: ResourceId | None = None
    state: RunState = "queued"
    scanned: int = 0
    resources: int = 0
    findings: int = 0
    conflicts: int = 0
    new: int = 0
    left_out: dict[str, int] | None = None
    unreadable: int = 0
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    owner: str | None = None
    beat_at: datetime | None = None
    unaccepted: int = 0
    tries: int = 1
    retry_at: datetime | None = None

    class Settings(StoredDocument.Settings):
        name = "reconciliations"
        indexes: ClassVar = [
            IndexModel([("state", ASCENDING), ("_id", ASCENDING)], name="reconciliation_state"),
            IndexModel(
                [("kind", ASCENDING), ("state", ASCENDING), ("_id", ASCENDING)], name="reconciliation_kind_state"
            ),
        ]


class Delivery(SubDocument):
    """The state of sending alerts, shared by all processes: the failures since the last success, the next attempt.

    `receiver` is a fingerprint of the address and secret that failed; another receiver is tried at once. `reminded_at`
    is the time of the last reminder that was delivered or had nothing to remind of.
    """

    failures: int = 0
    failing_since: datetime | None = None
    next_at: datetime | None = None
    receiver: str | None = None
    succeeded_at: datetime | None = None
    reminded_at: datetime | None = None


class Lease(StoredDocument):
    """The right to do what one process does at a time: to reconcile, to send alerts, to place events; else it is free.

    `epoch` counts the owners, `proofs` how often one of them renewed the lease. A run writes under its epoch, so that
    one that was paused and given up can write no more.

    That of the events also has the last `place` that was given, and the `floor`: the last of the events that were
    removed.
    """

    id: Name = "reconciliation"  # a lease is named
    epoch: int = 0
    proofs: int = 0
    owner: str | None = None
    beat_at: datetime | None = None
    delivery: Delivery | None = None
    place: int | None = None
    floor: int | None = None

    class Settings(StoredDocument.Settings):
        name = "leases"


class QueuedRun(StoredDocument):
    """The one queued run of a scope; the id is the scope (`full`, `resource:room-1`)."""

    id: Name  # a queued run has its scope
    run: PydanticObjectId

    class Settings(StoredDocument.Settings):
        name = "awaited"


class Watermark(StoredDocument):
    """How far a task that goes through a collection by id has come: `reached` and everything before it is done."""

    id: Name  # a watermark has the name of its task
    reached: PydanticObjectId

    class Settings(StoredDocument.Settings):
        name = "watermarks"
