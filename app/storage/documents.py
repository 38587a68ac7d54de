"""Everything that MongoDB keeps, as Beanie documents with their indexes.

Field names in MongoDB and JSON are the seed's camelCase, here snake_case with aliases. Optional fields are left out,
never null: a sparse unique index still indexes explicit nulls. Nothing here is written with `save()`, which upserts
every field and revives what was deleted: creates are inserts, changes are guarded updates.
"""

from abc import ABCMeta
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from beanie import Document, PydanticObjectId
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pymongo import ASCENDING, DESCENDING, IndexModel

from app.domain.finding_identity import State
from app.domain.lifecycle import Status
from app.domain.rules import Assignment

Name = Annotated[str, Field(alias="_id")]
"""The id of a catalogue object: a string, the caller's or made."""

_CAMEL = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class SubDocument(BaseModel):
    """A piece of a document."""

    model_config = _CAMEL


class StoredDocument(Document):
    """What all documents share. An instance is a value; a class that a store has bound reads."""

    model_config = _CAMEL

    def __init__(self, **values: Any) -> None:
        """Make one without a database, which Beanie's own constructor asks for."""
        BaseModel.__init__(self, **values)

    def to_mongo(self) -> dict[str, Any]:
        """The document as MongoDB keeps it: camelCase, without what is unset."""
        kept: dict[str, Any] = self.model_dump(by_alias=True, exclude_none=True)
        return kept

    class Settings:
        """Nulls are never stored. Each document says where it is kept, and which indexes it needs."""

        keep_nulls = False
        name: ClassVar[str]
        indexes: ClassVar[list[IndexModel]] = []


def bound(document: type[StoredDocument]) -> type[Any]:
    """A subclass of a document for Beanie to bind to one database. What it reads are instances of the document.

    It is made past pydantic's metaclass: it has the fields and the validator of the document, and takes no time.
    """
    made: type[Any] = ABCMeta.__new__(type(document), document.__name__, (document,), {"__module__": __name__})
    return made


class CatalogueObject(StoredDocument):
    """What resources, services and customers share; `version` counts changes from 1."""

    id: Name  # type: ignore[assignment]  # Beanie declares an ObjectId; the catalogue's ids are the callers' strings
    name: str
    version: int = 1
    created_at: datetime
    updated_at: datetime


class DailyWindow(SubDocument):
    """Opening hours of one window, local wall time; `to` at or before `from` runs past midnight."""

    from_: str = Field(alias="from")
    to: str


class WeeklyWindow(DailyWindow):
    """A window that starts on each of these days of the week."""

    days: list[str]


class Override(SubDocument):
    """Replaces the windows that start on a local date; none closes it."""

    date: str
    windows: list[DailyWindow]


class Schedule(SubDocument):
    """When a resource is open. No `weekly`: always; an empty one: never."""

    weekly: list[WeeklyWindow] | None = None
    overrides: list[Override] | None = None


class TimeOff(SubDocument):
    """A time at which a resource is away: two local dates (`to` excluded) or two instants."""

    id: str
    from_: str = Field(alias="from")
    to: str
    reason: str | None = None


class FormerCapacity(SubDocument):
    """A higher capacity that held until an instant."""

    until: datetime
    capacity: int


class Resource(CatalogueObject):
    """Something that can be booked. `rules` is the id under which the write path caches it (see `Guard`)."""

    timezone: str = "UTC"
    capacity: int = 1
    former_capacities: list[FormerCapacity] | None = None
    """Those that were higher, by `until`, each lower than the one before: what lies before is judged by them."""
    capacity_mode: Literal["reservations", "guests"] = "reservations"
    services: list[str] = Field(default_factory=list)
    active: bool = True
    schedule: Schedule | None = None
    time_off: list[TimeOff] | None = None

    class Settings(StoredDocument.Settings):
        """Where it is kept; a service's pool is found by what its members offer, and by reconciliation what changed."""

        name = "resources"
        indexes: ClassVar = [
            IndexModel([("services", ASCENDING), ("_id", ASCENDING)], name="resource_services"),
            IndexModel([("updatedAt", ASCENDING)], name="resource_updated"),
        ]


class Service(CatalogueObject):
    """What can be done with a resource: lengths, buffers and limits. All lengths are whole minutes."""

    duration_type: Literal["fixed", "flexible", "full-day"]
    duration_minutes: int | None = None
    min_minutes: int | None = None
    step_minutes: int | None = None
    max_minutes: int | None = None
    max_days: int | None = None
    buffer_before_minutes: int = 0
    buffer_after_minutes: int = 0
    slot_interval_minutes: int | None = None
    minimum_notice_minutes: int = 0
    horizon_days: int | None = None
    cancellation_notice_minutes: int = 0
    approval: bool = False
    active: bool = True
    assignment: Assignment = "even"

    class Settings(StoredDocument.Settings):
        """Where it is kept."""

        name = "services"


class Customer(CatalogueObject):
    """Who books."""

    email: str | None = None
    phone: str | None = None
    external_id: str | None = None

    class Settings(StoredDocument.Settings):
        """Where it is kept."""

        name = "customers"
        indexes: ClassVar = [IndexModel([("externalId", ASCENDING)], name="customer_external", sparse=True)]


class HistoryEntry(SubDocument):
    """One change of a reservation. `operation` is the id of the intent that made it; it is never shown."""

    at: datetime
    by: str
    operation: PydanticObjectId
    from_: Status | None = Field(default=None, alias="from")
    to: Status | None = None
    changed: list[str] | None = None
    reason: str | None = None


class StoredAnswer(SubDocument):
    """What a request with an Idempotency-Key was answered, byte for byte."""

    request_hash: str
    status: int
    headers: dict[str, str]
    body: str


class Reservation(StoredDocument):
    """A time taken, or once taken, on one resource. `[blockStart, blockEnd)` is what occupies the resource."""

    id: PydanticObjectId = Field(alias="_id")
    resource: str
    service: str | None = None
    customer: str | None = None
    status: Status
    start_time: datetime
    end_time: datetime
    block_start: datetime
    block_end: datetime
    long: bool | None = None
    guests: int = 1
    units: int = 1
    timezone: str
    notes: str | None = None
    reference: str | None = None
    """The number that the caller knows it by; others may have the same."""
    metadata: dict[str, Any] | None = None
    group: PydanticObjectId | None = None
    expires_at: datetime | None = None
    version: int = 1
    created_at: datetime
    updated_at: datetime
    history: list[HistoryEntry]
    key: str
    """The prefix of the API key that made it."""
    idempotency_key: str | None = None
    idempotency: StoredAnswer | None = None
    import_key: str | None = None
    """The row of an import that it was made of, see `app.booking.import_rows`."""

    class Settings(StoredDocument.Settings):
        """The first three indexes are the seed's: same names, keys, order and options."""

        name = "reservations"
        indexes: ClassVar = [
            IndexModel(
                [("resource", ASCENDING), ("status", ASCENDING), ("startTime", ASCENDING), ("endTime", ASCENDING)],
                name="reservation_conflict_lookup",
            ),
            IndexModel([("customer", ASCENDING), ("startTime", DESCENDING)], name="reservation_customer_history"),
            IndexModel([("idempotencyKey", ASCENDING)], name="reservation_idempotency", unique=True, sparse=True),
            # `long` leads although it is always true here: SecantusDB of PyPI answers a range from an index only if
            # every field of the filter is among its keys.
            IndexModel(
                [("long", ASCENDING), ("resource", ASCENDING), ("status", ASCENDING), ("startTime", ASCENDING)],
                name="reservation_long",
                partialFilterExpression={"long": True},
            ),
            IndexModel([("startTime", ASCENDING), ("_id", ASCENDING)], name="reservation_start"),
            IndexModel([("updatedAt", ASCENDING), ("_id", ASCENDING)], name="reservation_updated"),
            # Ours have no items; others' lie on other resources than their reservation.
            IndexModel([("items.resource", ASCENDING)], name="reservation_items", sparse=True),
            IndexModel([("group", ASCENDING)], name="reservation_group", sparse=True),
            IndexModel([("metadata.reference", ASCENDING)], name="reservation_reference", sparse=True),
            IndexModel([("importKey", ASCENDING)], name="reservation_import", unique=True, sparse=True),
            # Only holds that nobody has ended: who looks for those that are over does not meet all that ever were.
            IndexModel(
                [("status", ASCENDING), ("expiresAt", ASCENDING)],
                name="reservation_holds",
                partialFilterExpression={"status": "pending"},
            ),
            # Who may hold how much: a customer, and a key without one.
            IndexModel(
                [("status", ASCENDING), ("customer", ASCENDING), ("expiresAt", ASCENDING)],
                name="reservation_customer_holds",
                partialFilterExpression={"status": "pending"},
            ),
            IndexModel(
                [("status", ASCENDING), ("key", ASCENDING), ("customer", ASCENDING), ("expiresAt", ASCENDING)],
                name="reservation_key_holds",
                partialFilterExpression={"status": "pending"},
            ),
        ]


class Group(StoredDocument):
    """Reservations that were booked together, in the order of the request."""

    id: PydanticObjectId = Field(alias="_id")
    reservations: list[PydanticObjectId]

    class Settings(StoredDocument.Settings):
        """Where it is kept."""

        name = "groups"


class IdempotencyRecord(StoredDocument):
    """The stored answer of a request about several reservations, none of which could keep it; its id is the key's hash.

    It commits in the transaction of what it answers, in the form of a `StoredAnswer`.
    """

    id: Name  # type: ignore[assignment]  # Beanie declares an ObjectId; this is a hash
    request_hash: str
    status: int
    headers: dict[str, str]
    body: str

    class Settings(StoredDocument.Settings):
        """Where it is kept."""

        name = "answers"


class Guard(StoredDocument):
    """The document that every writer of a resource changes, so that two of them cannot both commit.

    One a resource, made with it; and one a service (`service:<id>`), which only carries `rules`. Beside them lies a
    service's pool (`pool:<id>`), which nobody books under, see `pools`.
    `foreign` says that something occupies it which the conflict lookup does not find (see `Occupancy`).
    `rules` is a random id, changed in the transaction of every edit, under which processes cache what they read;
    `at` is the database's clock at the last change; `reach_back` and `reach_ahead` are milliseconds, and `long` says
    that something long was booked, see `booking`.
    """

    id: Name  # type: ignore[assignment]  # Beanie declares an ObjectId; a guard has the id of what it guards
    seq: int = 0
    rules: str
    at: datetime | None = None
    reach_back: int | None = None
    reach_ahead: int | None = None
    long: bool | None = None
    foreign: bool | None = None
    yield_until: datetime | None = None
    yield_to: PydanticObjectId | None = None

    class Settings(StoredDocument.Settings):
        """Where it is kept."""

        name = "guards"


class Occupancy(StoredDocument):
    """What a reservation that others wrote occupies where the conflict lookup cannot find it.

    Its resource has another form there, its status another spelling, its times are no dates, or it is one of `items`.
    Or it is so long that the lookup would read the whole history for it. Runs and `migrate` keep these rows; whoever
    books reads the reservation itself again, which may have changed. `long` ones are looked up whatever their start.
    """

    id: PydanticObjectId = Field(alias="_id")
    resource: str
    start_time: datetime
    end_time: datetime
    reservation: Any
    long: bool | None = None
    run: PydanticObjectId | None = None

    class Settings(StoredDocument.Settings):
        """Where it is kept."""

        name = "occupancies"
        indexes: ClassVar = [
            IndexModel([("resource", ASCENDING), ("startTime", ASCENDING)], name="occupancy_resource"),
            IndexModel(
                [("resource", ASCENDING), ("startTime", ASCENDING), ("endTime", ASCENDING)],
                name="occupancy_long",
                partialFilterExpression={"long": True},
            ),
        ]


def service_row(service_id: str) -> str:
    """The id of a service's row among the guards; ids of resources have no colon."""
    return f"service:{service_id}"


class Run(StoredDocument):
    """One reconciliation, from its request to its end.

    `left_out` counts what could not be read, by reason, and `unreadable` the rows of which nothing could; `owner` is
    the process that runs it and `beat_at` when it last said so; `unaccepted` are those of its findings that nobody
    accepted. `tries` is how often it was begun with the runs in whose place it came; of one that failed, `retry_at` is
    when another comes in its place.
    """

    id: PydanticObjectId = Field(alias="_id")
    kind: Literal["full", "incremental", "resource"]
    resource: str | None = None
    state: Literal["queued", "running", "succeeded", "failed", "abandoned"] = "queued"
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
        """Where it is kept."""

        name = "reconciliations"
        indexes: ClassVar = [
            IndexModel([("state", ASCENDING), ("_id", ASCENDING)], name="reconciliation_state"),
            IndexModel(
                [("kind", ASCENDING), ("state", ASCENDING), ("_id", ASCENDING)], name="reconciliation_kind_state"
            ),
        ]


class FindingEntry(SubDocument):
    """One word on a finding, or one change of it: the sweep's (`worker`) or a person's.

    `by` is the person's name where they said it, else the prefix of their key, which `key` always is. `from` to
    `capacity` are the window as it was then, `joined` and `left` the ids of reservations, as text.
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
    """What a person accepted: these reservations or fewer of them, up to that peak and that excess over capacity.

    It holds until `until`; without it, for good. Of a finding that does not list all of its reservations it has the
    digest, and is for exactly those.
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
    """A stretch of one resource with load above its capacity, as the last run saw it.

    Which window is which finding says `app.domain.finding_identity`.
    `reservations` are ids, of whatever type they have; of very many only a sample, with the digest of all. `acceptance`
    and `acknowledged` (since when, only where it is) are what people said of it; a finding that was merged into another
    keeps them, for when the windows part again. `own` is what it was before others merged into it. `told_at` is when an
    alert with it was taken, `alert` the id of the one that carries it until then; whoever opens it again unsets both.
    `excess` (peak less capacity) and `reservation_count` are kept for lists; `updated_at` is
    the last change, which a run that sees it as it was is not.
    """

    id: PydanticObjectId = Field(alias="_id")
    resource: str
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
        """Where it is kept. Lists that nothing narrows name all states, so each of their orders is that of an index."""

        name = "findings"
        indexes: ClassVar = [
            IndexModel([("resource", ASCENDING), ("from", ASCENDING), ("_id", ASCENDING)], name="finding_place"),
            IndexModel([("resource", ASCENDING), ("state", ASCENDING), ("from", ASCENDING)], name="finding_run"),
            IndexModel([("state", ASCENDING), ("from", ASCENDING), ("_id", ASCENDING)], name="finding_state_from"),
            IndexModel([("state", ASCENDING), ("firstSeen", ASCENDING), ("_id", ASCENDING)], name="finding_state_seen"),
            IndexModel([("state", ASCENDING), ("excess", ASCENDING), ("_id", ASCENDING)], name="finding_state_excess"),
            IndexModel([("reservations", ASCENDING)], name="finding_reservations"),
            IndexModel([("digest", ASCENDING)], name="finding_digest", sparse=True),
            IndexModel([("updatedAt", ASCENDING), ("_id", ASCENDING)], name="finding_updated"),
            IndexModel([("state", ASCENDING), ("toldAt", ASCENDING), ("_id", ASCENDING)], name="finding_told"),
        ]


class Delivery(SubDocument):
    """How sending alerts goes, in whatever process: what failed since it last succeeded, and when to try again.

    `receiver` is a fingerprint of the address and secret that failed; another receiver is tried at once. `reminded_at`
    is the time of the last reminder that is done with.
    """

    failures: int = 0
    failing_since: datetime | None = None
    next_at: datetime | None = None
    receiver: str | None = None
    succeeded_at: datetime | None = None
    reminded_at: datetime | None = None


class Lease(StoredDocument):
    """The right to do what one process does at a time: to reconcile, to send alerts. Without an owner it is free.

    `epoch` counts the owners, `proofs` the times that one of them proved to be it. Whatever a run writes, it writes
    under its epoch, so that one that was paused and given up can write no more.
    """

    id: Name = "reconciliation"  # type: ignore[assignment]  # Beanie declares an ObjectId; a lease is named
    epoch: int = 0
    proofs: int = 0
    owner: str | None = None
    beat_at: datetime | None = None
    delivery: Delivery | None = None

    class Settings(StoredDocument.Settings):
        """Where it is kept."""

        name = "leases"


class QueuedRun(StoredDocument):
    """The one run of a kind and resource that waits: the id is what it will look at (`full`, `resource:room-1`)."""

    id: Name  # type: ignore[assignment]  # Beanie declares an ObjectId; what is awaited is named
    run: PydanticObjectId

    class Settings(StoredDocument.Settings):
        """Where it is kept."""

        name = "awaited"


class Key(StoredDocument):
    """An API key. Only a hash of its secret is kept; `prefix` is how people and histories name it."""

    id: Name  # type: ignore[assignment]  # Beanie declares an ObjectId; a key's id is its prefix
    name: str
    secret_hash: str
    scopes: list[str]
    customer: str | None = None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    class Settings(StoredDocument.Settings):
        """Where it is kept."""

        name = "keys"


class Process(StoredDocument):
    """A process that books, as long as it lives.

    `beat` grows while it does. `sessions` are the ids of those in which it may hold guards: whoever finds it dead ends
    them. `place` says where its `pid` means something (see `app.pids`), `host` tells people where that is;
    `started` tells it from another one with its pid.
    """

    id: PydanticObjectId = Field(alias="_id")
    host: str
    place: str
    pid: int
    started: str
    sessions: list[bytes]
    beat: int
    mode: Literal["strict", "optimistic"]
    lifecycle: str

    class Settings(StoredDocument.Settings):
        """Where it is kept."""

        name = "processes"


class Beat(StoredDocument):
    """When a worker last said that it lives; the id names its process, `host` its machine. See `beats`."""

    id: Name  # type: ignore[assignment]  # Beanie declares an ObjectId; a worker is named
    host: str
    at: datetime

    class Settings(StoredDocument.Settings):
        """Where it is kept."""

        name = "beats"


class Deployment(StoredDocument):
    """What all processes of a database must agree on, in one document; see `deployment`."""

    id: Name = "deployment"  # type: ignore[assignment]  # Beanie declares an ObjectId; there is only this one
    mode: Literal["strict", "optimistic"]
    lifecycle: str

    class Settings(StoredDocument.Settings):
        """Where it is kept."""

        name = "deployment"


DOCUMENTS: tuple[type[StoredDocument], ...] = (
    Resource,
    Service,
    Customer,
    Reservation,
    Group,
    IdempotencyRecord,
    Guard,
    Occupancy,
    Run,
    Finding,
    Lease,
    QueuedRun,
    Key,
    Process,
    Beat,
    Deployment,
)
