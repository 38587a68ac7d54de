"""Closures on the wire."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from app.catalogue.schedule_schemas import Edge
from app.catalogue.schemas import CatalogueAnswer, Name, NewId
from app.domain.ids import ResourceId, ServiceId
from app.domain.schedule_json import read_span
from app.domain.zones import zone
from app.errors import Fault
from app.http.bounds import Bounded
from app.http.models import Body, CatalogueId, NeverNull, ShownHistory
from app.http.validation_messages import from_faults

CLOSURES_MAX = 1_000
"""Closures, past ones included."""
NAMED_MAX = 1_000
"""Resources, or services, that one closure names."""
NAMED_IN_ALL_MAX = 50_000
"""Resources and services that all closures name together: every process has them in memory."""


def _each_once(identities: list[str]) -> list[str]:
    if len(set(identities)) != len(identities):
        raise ValueError("name each id once.")
    return identities


_Named = Annotated[list[CatalogueId], Bounded(NAMED_MAX, least=1), AfterValidator(_each_once)]
ClosedResources = Annotated[
    _Named, Field(description="The resources that are closed; with neither these nor `services` all are, new ones too.")
]
ClosedServices = Annotated[
    _Named,
    Field(description="Closed are the resources that offer one of these services, for whatever they are booked."),
]


class ClosurePatch(Body):
    """A merge patch of a closure: what is left out stays, null unsets, arrays are replaced."""

    name: Annotated[Name | None, NeverNull()] = None
    """What people call it."""
    from_: Annotated[Edge | None, NeverNull(), Field(alias="from")] = None
    """A local date, which is one of each resource's own time zone, or an instant."""
    to: Annotated[Edge | None, NeverNull()] = None
    """A local date or an instant, as `from` is; excluded."""
    resources: ClosedResources | None = None
    """The resources that are closed."""
    services: ClosedServices | None = None
    """The services whose resources are closed."""


class NewClosure(ClosurePatch):
    """A time at which many resources cannot be booked, whatever their schedules say: `to` is excluded."""

    id: NewId | None = None
    """Made if left out; never `any`, `.` or `..`."""
    name: Name
    """What people call it."""
    from_: Annotated[Edge, Field(alias="from")]
    """A local date, which is one of each resource's own time zone, or an instant."""
    to: Edge
    """A local date or an instant, as `from` is; excluded."""

    @model_validator(mode="after")
    def _is_a_span(self) -> "NewClosure":
        """Both edges are of one kind, and in their order."""
        _, faults = read_span(self.from_, self.to, zone("UTC"))
        if faults:
            raise from_faults([Fault(*found) for found in faults])
        return self


class ClosureAnswer(CatalogueAnswer):
    """A time at which many resources cannot be booked, `to` excluded: dates as requested, instants in UTC."""

    from_: Annotated[str, Field(alias="from")]
    """When it begins: a local date of each resource, or an instant."""
    to: str
    """When it is over, excluded: a local date of each resource, or an instant."""
    resources: list[ResourceId] | None = None
    """The resources that it closes."""
    services: list[ServiceId] | None = None
    """It closes the resources that offer one of these services. With neither these nor `resources` it closes all."""
    history: ShownHistory = None
    """Its last 50 changes, the oldest first. Keys that are bound to a customer do not see it."""
