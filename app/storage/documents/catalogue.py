"""Resources, services and customers."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pymongo import ASCENDING, IndexModel

from app.domain.ids import ResourceId, ServiceId
from app.domain.rules import AskedHours, Assignment
from app.storage.documents.base import Name, StoredDocument, SubDocument
from app.storage.documents.changes import ChangeHistory


class CatalogueObject(StoredDocument):
    """The base of resources, services and customers; `version` counts changes from 1."""

    id: Name  # the catalogue's ids are the callers' strings
    name: str
    description: str | None = None
    metadata: dict[str, object] | None = None
    version: int = 1
    created_at: datetime
    updated_at: datetime


class DailyWindow(SubDocument):
    """Opening hours, `HH:MM` in local wall time; `to` at or before `from` is on the next day."""

    from_: str = Field(alias="from")
    to: str


class WeeklyWindow(DailyWindow):
    """Opening hours that begin on each of some days of the week."""

    days: list[str]


class Override(SubDocument):
    """The opening hours of one local date, in place of the weekly ones; without windows the resource is closed."""

    date: str
    windows: list[DailyWindow]


class Schedule(SubDocument):
    """When a resource is open: always where `weekly` is unset, never where it is empty."""

    weekly: list[WeeklyWindow] | None = None
    overrides: list[Override] | None = None


class TimeOff(SubDocument):
    """A time at which a resource is not available: two local dates (`to` excluded) or two instants."""

    id: str
    from_: str = Field(alias="from")
    to: str
    reason: str | None = None


class FormerCapacity(SubDocument):
    """The capacity of a resource until an instant, where it was higher than what came after."""

    until: datetime
    capacity: int


class Resource(CatalogueObject):
    """Something that can be booked."""

    id: Annotated[ResourceId, Field(alias="_id")]
    timezone: str = "UTC"
    capacity: int = 1
    former_capacities: list[FormerCapacity] | None = None
    """Higher capacities of the past, ordered by `until`, each lower than the one before it. Load before an `until` is
    judged by its capacity."""
    capacity_mode: Literal["reservations", "guests"] = "reservations"
    max_guests: int | None = None
    services: list[ServiceId] = Field(default_factory=list)
    service_only: bool = False
    active: bool = True
    schedule: Schedule | None = None
    time_off: list[TimeOff] | None = None
    history: ChangeHistory

    class Settings(StoredDocument.Settings):
        """Pools are made by what resources offer; an incremental reconciliation finds what was updated."""

        name = "resources"
        indexes: ClassVar = [
            IndexModel([("services", ASCENDING), ("_id", ASCENDING)], name="resource_services"),
            IndexModel([("updatedAt", ASCENDING)], name="resource_updated"),
        ]


class Service(CatalogueObject):
    """What resources are booked for: its lengths, buffers and limits, in whole minutes or days as their names say."""

    id: Annotated[ServiceId, Field(alias="_id")]
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
    hours: AskedHours = "throughout"
    history: ChangeHistory

    class Settings(StoredDocument.Settings):
        name = "services"


class Customer(CatalogueObject):
    """Who books."""

    email: str | None = None
    phone: str | None = None
    external_id: str | None = None
    """The id that another system gave to this customer alone."""
    erased_at: datetime | None = None
    erased_by: str | None = None
    erasing: bool | None = None
    """Whether texts of an erased customer may be left; see `app.storage.erased_customers`."""
    sweep_at: datetime | None = None
    """From when on the texts of an erased customer are to be looked for a last time; unset once that was done."""

    class Settings(StoredDocument.Settings):
        name = "customers"
        indexes: ClassVar = [
            IndexModel([("externalId", ASCENDING)], name="customer_external", unique=True, sparse=True),
            IndexModel([("email", ASCENDING), ("_id", ASCENDING)], name="customer_email"),
            IndexModel([("sweepAt", ASCENDING)], name="customer_sweep", sparse=True),
        ]
