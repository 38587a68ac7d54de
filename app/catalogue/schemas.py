"""Resources, services and customers on the wire."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from app.domain.rules import Assignment
from app.domain.zones import zone
from app.errors import Fault
from app.http.bounds import Bounded
from app.http.models import Answer, Body, CatalogueId, Instant
from app.http.validation_messages import from_faults

LONGEST_MINUTES = 366 * 24 * 60
"""No reservation is longer, so no length in the catalogue needs to be."""

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
Zone = Annotated[str, AfterValidator(_zone), Field(description="An IANA time zone; UTC if left out.")]
Capacity = Annotated[int, Field(ge=1, le=10_000, description="1 if left out.")]
CapacityMode: TypeAlias = Literal["reservations", "guests"]
Services = Annotated[
    list[CatalogueId],
    Bounded(MAX_SERVICES),
    AfterValidator(_each_once),
    Field(description="The services that can be booked here; none if left out."),
]
DurationType: TypeAlias = Literal["fixed", "flexible", "full-day"]
Length = Annotated[int, Field(ge=1, le=LONGEST_MINUTES)]
Buffer = Annotated[int, Field(ge=0, le=LONGEST_MINUTES, description="Minutes; 0 if left out.")]
Days = Annotated[int, Field(ge=1, le=366)]
Horizon = Annotated[int, Field(ge=0, le=MAX_HORIZON_DAYS, description="Days of 24 hours; no limit if left out.")]
Email = Annotated[str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]
Phone = Annotated[str, Field(min_length=1, max_length=50)]
ExternalId = Annotated[str, Field(min_length=1, max_length=200, description="Your own system's id.")]


class ResourcePatch(Body):
    """A merge patch of a resource: what is left out stays, null unsets, arrays are replaced."""

    name: Name | None = None
    timezone: Zone | None = None
    capacity: Capacity | None = None
    capacity_mode: CapacityMode | None = None
    services: Services | None = None
    active: bool | None = None


class NewResource(ResourcePatch):
    """Something that can be booked."""

    id: NewId | None = None
    name: Name


_ASSIGNMENT = (
    "Which free resource is taken where none is named: `even` (over many bookings each gets its share; so if left out),"
    " `first` by id, or `smallest`: the least capacity that fits, then even."
)


class ServicePatch(Body):
    """A merge patch of a service: what is left out stays, null unsets."""

    name: Name | None = None
    duration_type: DurationType | None = None
    duration_minutes: Length | None = None
    min_minutes: Length | None = None
    step_minutes: Length | None = None
    max_minutes: Length | None = None
    max_days: Days | None = None
    buffer_before_minutes: Buffer | None = None
    buffer_after_minutes: Buffer | None = None
    slot_interval_minutes: Length | None = None
    minimum_notice_minutes: Buffer | None = None
    horizon_days: Horizon | None = None
    cancellation_notice_minutes: Buffer | None = None
    approval: bool | None = None
    active: bool | None = None
    assignment: Annotated[Assignment | None, Field(description=_ASSIGNMENT)] = None


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
    name: Name
    duration_type: DurationType

    @model_validator(mode="after")
    def _lengths_fit_the_type(self) -> "NewService":
        """`fixed` has a duration, `flexible` a least and a most, `full-day` a number of days."""
        faults = [fault for name in sorted(_OF_A_TYPE) if (fault := self._fault_of(name)) is not None]
        if not faults and self.min_minutes and self.max_minutes and self.max_minutes < self.min_minutes:
            faults = [Fault("/maxMinutes", "`maxMinutes` must be at least `minMinutes`.")]
        if faults:
            raise from_faults(faults)
        return self

    def _fault_of(self, name: str) -> Fault | None:
        alias = type(self).model_fields[name].alias
        given = getattr(self, name) is not None
        if given and name not in _ALLOWED[self.duration_type]:
            return Fault(f"/{alias}", f"A {self.duration_type} service has no `{alias}`; leave it out or unset it.")
        if not given and name in _NEEDED[self.duration_type]:
            return Fault(f"/{alias}", f"A {self.duration_type} service needs `{alias}`.")
        return None


class CustomerPatch(Body):
    """A merge patch of a customer: what is left out stays, null unsets."""

    name: Name | None = None
    email: Email | None = None
    phone: Phone | None = None
    external_id: ExternalId | None = None


class NewCustomer(CustomerPatch):
    """Who books."""

    id: NewId | None = None
    name: Name


class CatalogueAnswer(Answer):
    """What resources, services and customers share."""

    id: str
    name: str
    version: int
    created_at: Instant
    updated_at: Instant


class ResourceAnswer(CatalogueAnswer):
    """A resource."""

    timezone: str
    capacity: int
    capacity_mode: CapacityMode
    services: list[str]
    active: bool


class ServiceAnswer(CatalogueAnswer):
    """A service; lengths are whole minutes."""

    duration_type: DurationType
    duration_minutes: int | None = None
    min_minutes: int | None = None
    step_minutes: int | None = None
    max_minutes: int | None = None
    max_days: int | None = None
    buffer_before_minutes: int
    buffer_after_minutes: int
    slot_interval_minutes: int | None = None
    minimum_notice_minutes: int
    horizon_days: int | None = None
    cancellation_notice_minutes: int
    approval: bool
    active: bool
    assignment: Assignment


class CustomerAnswer(CatalogueAnswer):
    """A customer."""

    email: str | None = None
    phone: str | None = None
    external_id: str | None = None
