"""Resources and services on the wire, and what all objects of the catalogue share."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.alias_generators import to_camel

from app.domain.ids import ServiceId
from app.domain.rules import AskedHours, Assignment
from app.domain.zones import zone
from app.errors import Fault
from app.http.bounds import Bounded
from app.http.metadata import Metadata, MetadataPatch
from app.http.models import Answer, Body, CatalogueId, Instant, NeverNull, ShownHistory
from app.http.validation_messages import from_faults
from app.storage.values import plain_metadata

LONGEST_MINUTES = 366 * 24 * 60
"""The longest reservation, and so the longest length in the catalogue."""

MAX_HORIZON_DAYS = 366 * 100
MAX_SERVICES = 1_000


def _zone(name: str) -> str:
    return zone(name).key


def _new_id(identity: str) -> str:
    if identity == "any":
        raise ValueError("`any` stands for whichever is free; choose another id.")
    if identity in {".", ".."}:
        raise ValueError("`.` and `..` mean other things in a path; choose another id.")
    return identity


def _each_once(identities: list[str]) -> list[str]:
    if len(set(identities)) != len(identities):
        raise ValueError("name each service once.")
    return identities


NewId = Annotated[CatalogueId, AfterValidator(_new_id), Field(description="Made if left out.")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Description = Annotated[str, Field(max_length=2_000)]
Zone = Annotated[str, AfterValidator(_zone), Field(description="An IANA time zone; UTC if left out.")]
Capacity = Annotated[int, Field(ge=1, le=10_000, description="1 if left out.")]
CapacityMode: TypeAlias = Literal["reservations", "guests"]
Services = Annotated[
    list[CatalogueId],
    Bounded(MAX_SERVICES),
    AfterValidator(_each_once),
    Field(description="The services that can be booked here; none if left out."),
]
MaxGuests = Annotated[int, Field(ge=1, le=10_000, description="Of one reservation; no limit if left out.")]
DurationType: TypeAlias = Literal["fixed", "flexible", "full-day"]
Length = Annotated[int, Field(ge=1, le=LONGEST_MINUTES)]
Buffer = Annotated[int, Field(ge=0, le=LONGEST_MINUTES, description="Minutes; 0 if left out.")]
Days = Annotated[int, Field(ge=1, le=366)]
Horizon = Annotated[int, Field(ge=0, le=MAX_HORIZON_DAYS, description="Days of 24 hours; no limit if left out.")]


class ResourcePatch(Body):
    """A merge patch of a resource: what is left out stays, null unsets, arrays are replaced."""

    name: Annotated[Name | None, NeverNull()] = None
    """What people call it."""
    description: Description | None = None
    """More about it, for people."""
    metadata: MetadataPatch = None
    timezone: Zone | None = None
    """An IANA time zone; UTC if left out."""
    capacity: Capacity | None = None
    """How much can be booked at the same time; 1 if left out."""
    capacity_mode: CapacityMode | None = None
    """What the capacity counts: `reservations` (if left out), or their `guests`."""
    max_guests: MaxGuests | None = None
    """The most guests of one reservation; no limit if left out."""
    services: Services | None = None
    """The services that can be booked here; none if left out."""
    service_only: bool | None = None
    """Whether it cannot be booked without a service; false if left out."""
    active: bool | None = None
    """Whether it can be booked anew; true if left out."""


class NewResource(ResourcePatch):
    """Something that can be booked."""

    id: NewId | None = None
    """Made if left out; never `any`, `.` or `..`."""
    name: Name
    """What people call it."""
    metadata: Metadata | None = None


_ASSIGNMENT = (
    "Which free resource is taken where none is named: `even` (over many bookings each gets its share; so if left out),"
    " `first` by id, or `smallest`: the least `maxGuests`, then `capacity`, that fits; then even."
)
_HOURS = (
    "When the schedule has to be open: `throughout` the booking (so if left out), or at its `ends` alone, as for"
    " rentals over closed nights. With `ends` it starts while a window is open, `from` included and `to` not, and ends"
    " while one is, both included; of full days the first and the last need a window. Times off are judged over the"
    " whole booking."
)


class ServicePatch(Body):
    """A merge patch of a service: what is left out stays, null unsets."""

    name: Annotated[Name | None, NeverNull()] = None
    """What people call it."""
    description: Description | None = None
    """More about it, for people."""
    metadata: MetadataPatch = None
    duration_type: Annotated[DurationType | None, NeverNull()] = None
    """`fixed`: of one length; `flexible`: of the length that is asked for; `full-day`: of whole local days."""
    duration_minutes: Length | None = None
    """The length of a `fixed` service, in minutes."""
    min_minutes: Length | None = None
    """The least length of a `flexible` service, in minutes."""
    step_minutes: Length | None = None
    """By how many minutes a `flexible` service can be longer; 1 if left out."""
    max_minutes: Length | None = None
    """The greatest length of a `flexible` service, in minutes."""
    max_days: Days | None = None
    """How many days a `full-day` service can take; 1 if left out."""
    buffer_before_minutes: Buffer | None = None
    """Minutes before each booking in which nothing else fits; 0 if left out."""
    buffer_after_minutes: Buffer | None = None
    """Minutes after each booking in which nothing else fits; 0 if left out."""
    slot_interval_minutes: Length | None = None
    """Minutes from one slot to the next; the duration, or `minMinutes`, if left out."""
    minimum_notice_minutes: Buffer | None = None
    """How many minutes ahead it must be booked; 0 if left out."""
    horizon_days: Horizon | None = None
    """How many days of 24 hours ahead it can be booked; no limit if left out."""
    cancellation_notice_minutes: Buffer | None = None
    """Until how many minutes before its start it can be cancelled; 0 if left out."""
    approval: bool | None = None
    """Whether bookings are requests until they are confirmed; false if left out."""
    active: bool | None = None
    """Whether it can be booked anew; true if left out."""
    assignment: Annotated[Assignment | None, Field(description=_ASSIGNMENT)] = None
    hours: Annotated[AskedHours | None, Field(description=_HOURS)] = None


_NEEDED: Mapping[str, frozenset[str]] = {
    "fixed": frozenset({"duration_minutes"}),
    "flexible": frozenset({"min_minutes", "max_minutes"}),
    "full-day": frozenset(),
}
_ALLOWED: Mapping[str, frozenset[str]] = {
    "fixed": _NEEDED["fixed"],
    "flexible": _NEEDED["flexible"] | {"step_minutes"},
    "full-day": frozenset({"max_days"}),
}
_OF_A_TYPE = frozenset().union(*_ALLOWED.values())


class NewService(ServicePatch):
    """What can be done with a resource. Which lengths it has depends on `durationType`."""

    id: NewId | None = None
    """Made if left out; never `any`, `.` or `..`."""
    name: Name
    """What people call it."""
    metadata: Metadata | None = None
    duration_type: DurationType
    """`fixed` needs `durationMinutes`, `flexible` needs `minMinutes` and `maxMinutes`; `full-day` takes `maxDays`."""

    @model_validator(mode="after")
    def _lengths_fit_the_type(self) -> "NewService":
        """`fixed` has a duration, `flexible` a least and a most, `full-day` a number of days."""
        faults = [fault for name in sorted(_OF_A_TYPE) if (fault := self._fault_of(name)) is not None]
        if not faults and self.min_minutes and self.max_minutes and self.max_minutes < self.min_minutes:
            faults = [Fault(("maxMinutes",), "`maxMinutes` must be at least `minMinutes`.")]
        if faults:
            raise from_faults(faults)
        return self

    def _fault_of(self, name: str) -> Fault | None:
        alias = to_camel(name)
        given = getattr(self, name) is not None
        if given and name not in _ALLOWED[self.duration_type]:
            return Fault((alias,), f"A {self.duration_type} service has no `{alias}`; leave it out or unset it.")
        if not given and name in _NEEDED[self.duration_type]:
            return Fault((alias,), f"A {self.duration_type} service needs `{alias}`.")
        return None


ShownMetadata = Annotated[dict[str, Any] | None, BeforeValidator(plain_metadata)]


class CatalogueAnswer(Answer):
    """What all objects of the catalogue share."""

    id: str
    """Its id; it never changes."""
    name: str
    """What people call it."""
    version: int
    """From 1, one more with each change; its `ETag`."""
    created_at: Instant
    """When it was made."""
    updated_at: Instant
    """When it was last changed."""


class DescribedAnswer(CatalogueAnswer):
    """What resources, services and customers share."""

    description: str | None = None
    """More about it, for people."""
    metadata: ShownMetadata = None
    """Yours."""


class ResourceAnswer(DescribedAnswer):
    """A resource."""

    timezone: str
    """Its IANA time zone."""
    capacity: int
    """How much can be booked at the same time."""
    capacity_mode: CapacityMode
    """What the capacity counts: `reservations`, or their `guests`."""
    max_guests: int | None = None
    """The most guests of one reservation, if they are limited."""
    services: list[ServiceId]
    """The ids of the services that can be booked here."""
    service_only: bool
    """Whether it cannot be booked without a service."""
    active: bool
    """Whether it can be booked anew."""
    history: ShownHistory = None
    """Its last 50 changes, the oldest first, with those of its schedule and its times off. Keys that are bound to a
    customer do not see it."""


class ServiceAnswer(DescribedAnswer):
    """A service; lengths are whole minutes."""

    duration_type: DurationType
    """`fixed`, `flexible` or `full-day`."""
    duration_minutes: int | None = None
    """The length, if it is `fixed`."""
    min_minutes: int | None = None
    """The least length, if it is `flexible`."""
    step_minutes: int | None = None
    """By how much it can be longer, if it is `flexible`; 1 if there is none."""
    max_minutes: int | None = None
    """The greatest length, if it is `flexible`."""
    max_days: int | None = None
    """How many days it can take, if it is `full-day`; 1 if there is none."""
    buffer_before_minutes: int
    """Minutes before each booking in which nothing else fits."""
    buffer_after_minutes: int
    """Minutes after each booking in which nothing else fits."""
    slot_interval_minutes: int | None = None
    """Minutes from one slot to the next, if that is not its length."""
    minimum_notice_minutes: int
    """How many minutes ahead it must be booked."""
    horizon_days: int | None = None
    """How many days of 24 hours ahead it can be booked; no limit if there is none."""
    cancellation_notice_minutes: int
    """Until how many minutes before its start it can be cancelled."""
    approval: bool
    """Whether bookings are requests until they are confirmed."""
    active: bool
    """Whether it can be booked anew."""
    assignment: Assignment
    """Which free resource is taken where none is named."""
    hours: AskedHours
    """When the schedule has to be open: `throughout` a booking, or at its `ends`."""
    history: ShownHistory = None
    """Its last 50 changes, the oldest first. Keys that are bound to a customer do not see it."""
