"""The stored documents, as Beanie documents with their indexes: one module per noun.

Field names in MongoDB and JSON are camelCase, here snake_case with aliases. Optional fields are left out, never null:
a sparse unique index still indexes explicit nulls. Nothing here is written with `save()`, which upserts every field and
revives what was deleted: creates are inserts, changes are guarded updates.

Fields that only guarded updates use are not declared, and these updates leave them in place: `operations` of resources
and services (the ids of the last edits, see `app.storage.catalogue_updates`), `members` and `complete` of pools (see
`app.storage.pools`), and the document that the clock stamps (see `app.storage.clock`).
"""

from app.storage.documents.base import Name, StoredDocument, SubDocument, bound
from app.storage.documents.calendars import CalendarAddress, CalendarKind
from app.storage.documents.catalogue import (
    CatalogueObject,
    Customer,
    DailyWindow,
    FormerCapacity,
    Override,
    Resource,
    Schedule,
    Service,
    TimeOff,
    WeeklyWindow,
)
from app.storage.documents.changes import CHANGES_MAX, ChangeEntry, ChangeHistory, read_changes, with_change
from app.storage.documents.closures import CLOSURES_ROW, Closure, PendingClosure
from app.storage.documents.events import Event, OutboxEvent
from app.storage.documents.findings import Acceptance, Finding, FindingEntry, FindingPart
from app.storage.documents.guards import Guard, GuardRow, Occupancy, RulesId, service_row
from app.storage.documents.keys import FormerSecret, Key
from app.storage.documents.processes import Beat, Deployment, Process
from app.storage.documents.reservations import (
    Group,
    HistoryEntry,
    IdempotencyRecord,
    Reservation,
    Series,
    SeriesOccurrence,
    StoredAnswer,
)
from app.storage.documents.runs import Delivery, Lease, QueuedRun, Run, RunKind, RunState, Watermark
from app.storage.documents.sessions import Session, SignInLink
from app.storage.documents.webhooks import FormerWebhookSecret, Webhook, WebhookDelivery

DOCUMENTS: tuple[type[StoredDocument], ...] = (
    Resource,
    Service,
    Customer,
    Closure,
    PendingClosure,
    Reservation,
    Group,
    Series,
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
    Watermark,
    OutboxEvent,
    Event,
    Webhook,
    WebhookDelivery,
    Session,
    SignInLink,
    CalendarAddress,
)
"""Every kind of document; each names its collection and its indexes."""

__all__ = [
    "CHANGES_MAX",
    "CLOSURES_ROW",
    "DOCUMENTS",
    "Acceptance",
    "Beat",
    "CalendarAddress",
    "CalendarKind",
    "CatalogueObject",
    "ChangeEntry",
    "ChangeHistory",
    "Closure",
    "Customer",
    "DailyWindow",
    "Delivery",
    "Deployment",
    "Event",
    "Finding",
    "FindingEntry",
    "FindingPart",
    "FormerCapacity",
    "FormerSecret",
    "FormerWebhookSecret",
    "Group",
    "Guard",
    "GuardRow",
    "HistoryEntry",
    "IdempotencyRecord",
    "Key",
    "Lease",
    "Name",
    "Occupancy",
    "OutboxEvent",
    "Override",
    "PendingClosure",
    "Process",
    "QueuedRun",
    "Reservation",
    "Resource",
    "RulesId",
    "Run",
    "RunKind",
    "RunState",
    "Schedule",
    "Series",
    "SeriesOccurrence",
    "Service",
    "Session",
    "SignInLink",
    "StoredAnswer",
    "StoredDocument",
    "SubDocument",
    "TimeOff",
    "Watermark",
    "Webhook",
    "WebhookDelivery",
    "WeeklyWindow",
    "bound",
    "read_changes",
    "service_row",
    "with_change",
]
