"""Reservations, their groups and series, and the stored answers of requests about them."""

from datetime import datetime
from typing import ClassVar

from beanie import PydanticObjectId
from pydantic import Field
from pymongo import ASCENDING, DESCENDING, IndexModel

from app.domain.ids import ResourceId, ServiceId
from app.domain.lifecycle import Status
from app.storage.documents.base import Name, StoredDocument, SubDocument


class HistoryEntry(SubDocument):
    """One change of a reservation. `operation` is the id of the intent that made the change; clients never see it."""

    at: datetime
    by: str
    operation: PydanticObjectId
    from_: Status | None = Field(default=None, alias="from")
    to: Status | None = None
    changed: list[str] | None = None
    reason: str | None = None


class StoredAnswer(SubDocument):
    """The answer to a request with an Idempotency-Key, byte for byte; `request_hash` is that of the request's body."""

    request_hash: str
    status: int
    headers: dict[str, str]
    body: str


class Reservation(StoredDocument):
    """A booking of one resource, in any status. `[blockStart, blockEnd)`, with the buffers, occupies the resource."""

    id: PydanticObjectId = Field(alias="_id")
    resource: ResourceId
    service: ServiceId | None = None
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
    """The caller's own name of the reservation; it need not be unique."""
    metadata: dict[str, object] | None = None
    group: PydanticObjectId | None = None
    series: PydanticObjectId | None = None
    expires_at: datetime | None = None
    holder: str | None = None
    """The visitor who made the hold, as the key names them; clients never see it."""
    version: int = 1
    created_at: datetime
    updated_at: datetime
    history: list[HistoryEntry]
    key: str
    """The prefix of the API key that made the reservation."""
    idempotency_key: str | None = None
    idempotency: StoredAnswer | None = None
    former_customers: list[str] | None = None
    """Whose it was before it was handed over; their texts in the stored answer and the history are found by this."""
    import_key: str | None = None
    """The row of an import of which the reservation was made, see `app.booking.import_rows`."""

    class Settings(StoredDocument.Settings):
        """The first three indexes are those of payload-reserve: same names, keys, order and options."""

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
            # Reservations of payload-reserve may have `items`, on other resources than their own; Reserva's have none.
            IndexModel([("items.resource", ASCENDING)], name="reservation_items", sparse=True),
            IndexModel([("metadata.reference", ASCENDING)], name="reservation_reference", sparse=True),
            IndexModel([("importKey", ASCENDING)], name="reservation_import", unique=True, sparse=True),
            IndexModel([("formerCustomers", ASCENDING)], name="reservation_former_customers", sparse=True),
            IndexModel([("series", ASCENDING)], name="reservation_series", sparse=True),
            # Pending holds alone, so that the expiry job does not read past all holds that ever were.
            IndexModel(
                [("status", ASCENDING), ("expiresAt", ASCENDING)],
                name="reservation_holds",
                partialFilterExpression={"status": "pending"},
            ),
            # Holds are counted by customer.
            IndexModel(
                [("status", ASCENDING), ("customer", ASCENDING), ("expiresAt", ASCENDING)],
                name="reservation_customer_holds",
                partialFilterExpression={"status": "pending"},
            ),
        ]
        planner_indexes: ClassVar = [
            # Holds without a customer are counted by key, and so are those of its visitors.
            IndexModel(
                [
                    ("status", ASCENDING),
                    ("key", ASCENDING),
                    ("holder", ASCENDING),
                    ("customer", ASCENDING),
                    ("expiresAt", ASCENDING),
                ],
                name="reservation_key_holds",
                partialFilterExpression={"status": "pending"},
            ),
            IndexModel([("group", ASCENDING)], name="reservation_group", sparse=True),
            # Lists of one resource, of one customer, and of those in one status.
            IndexModel(
                [("resource", ASCENDING), ("startTime", ASCENDING), ("_id", ASCENDING)], name="reservation_resource"
            ),
            IndexModel(
                [("customer", ASCENDING), ("startTime", ASCENDING), ("_id", ASCENDING)],
                name="reservation_customer",
                partialFilterExpression={"customer": {"$exists": True}},
            ),
            IndexModel(
                [("status", ASCENDING), ("startTime", ASCENDING), ("_id", ASCENDING)], name="reservation_status"
            ),
            IndexModel(
                [("reference", ASCENDING), ("startTime", ASCENDING), ("_id", ASCENDING)],
                name="reservation_own_reference",
                partialFilterExpression={"reference": {"$exists": True}},
            ),
            # What can go on for longer than a week: marked so, or written by another program, without a block.
            IndexModel(
                [("startTime", ASCENDING), ("_id", ASCENDING)],
                name="reservation_long_start",
                partialFilterExpression={"long": True},
            ),
            IndexModel(
                [("startTime", ASCENDING), ("_id", ASCENDING)],
                name="reservation_foreign_start",
                partialFilterExpression={"blockEnd": None},
            ),
        ]


class Group(StoredDocument):
    """Reservations that were booked together, in the order of the request."""

    id: PydanticObjectId = Field(alias="_id")
    reservations: list[PydanticObjectId]

    class Settings(StoredDocument.Settings):
        name = "groups"


class SeriesOccurrence(SubDocument):
    """A local time that the rule of a series gives; without a reservation where it was left out."""

    local_start: str
    reservation: PydanticObjectId | None = None


class Series(StoredDocument):
    """A reservation that recurs, as it was booked: what becomes of its reservations is in these alone.

    It has no text of a customer, so an erasure has nothing to clear here.
    """

    id: PydanticObjectId = Field(alias="_id")
    rule: str
    timezone: str
    except_: list[str] | None = Field(default=None, alias="except")
    occurrences: list[SeriesOccurrence]

    class Settings(StoredDocument.Settings):
        name = "series"


class IdempotencyRecord(StoredDocument):
    """The stored answer of a request about several reservations; its id is the hash of the Idempotency-Key.

    It is written in the transaction of the reservations, with the fields of a `StoredAnswer`, the ids of the
    reservations, and the time of the request.
    """

    id: Name  # this is a hash
    at: datetime | None = None
    reservations: list[PydanticObjectId] | None = None
    request_hash: str
    status: int
    headers: dict[str, str]
    body: str

    class Settings(StoredDocument.Settings):
        """Old answers are pruned by their time; those about a customer's reservations are found when it is erased."""

        name = "answers"
        indexes: ClassVar = [
            IndexModel([("at", ASCENDING)], name="answer_at"),
            IndexModel([("reservations", ASCENDING)], name="answer_reservations"),
        ]
