"""The answers of `/v1/events`."""

from typing import Annotated

from pydantic import Field

from app.domain.finding_identity import State
from app.domain.ids import ResourceId
from app.http.models import Answer, Instant
from app.reservations.schemas import ReservationAnswer
from app.storage.outbox import EventType


class EventFinding(Answer):
    """A finding as it was when its event got its place."""

    id: str
    """Its id."""
    version: int
    """From 1, one more with each change."""
    resource: ResourceId
    """The resource above its capacity."""
    from_: Annotated[Instant, Field(alias="from", description="When the window begins.")]
    to: Instant
    """When the window ends, excluded."""
    peak: int
    """The greatest load within it."""
    capacity: int
    """The capacity of the resource."""
    state: State
    """What became of it so far."""
    assignee: str | None = None
    """Who deals with it."""
    reservation_count: int | None = None
    """How many reservations it has."""
    merged_into: str | None = None
    """The finding of which it has become part."""
    split_from: str | None = None
    """The finding of which it was part."""
    first_seen: Instant
    """When a run first saw it."""
    last_seen: Instant
    """When a run last saw it."""


class EventAnswer(Answer):
    """A change that was committed: of a reservation, of a finding, or the erasure of a customer.

    It has the one of `reservation`, `finding` and `customer` that its type begins with.
    """

    id: str
    """Its place: 16 digits, each event's greater than the last one's. It is a cursor as well."""
    type: EventType
    """What has happened."""
    at: Instant
    """When, by the clock of the one who did it; the order of events is that of their ids."""
    by: str
    """Who: the prefix of a key, `import`, `operator` or `worker`; of a finding a name where one was given."""
    version: int
    """The version that the change has made. Those of one reservation come in their order, each once."""
    resource: ResourceId | None = None
    """The resource that it is about."""
    former_resource: ResourceId | None = None
    """The resource on which a moved reservation was."""
    changed: list[str] | None = None
    """The names of the fields that were changed, where the status was not."""
    reservation: Annotated[
        ReservationAnswer | None,
        Field(
            description="The reservation as it was when the event got its place, a moment after the change: its "
            "`version` may be a later one, whose events follow. Of one that was not stored any more, the `id` alone."
        ),
    ] = None
    finding: Annotated[
        EventFinding | None,
        Field(description="The finding as it was then; of one that was not stored any more, the `id` alone."),
    ] = None
    customer: str | None = None
    """The id of the customer that was erased."""


class EventPage(Answer):
    """Events in their order."""

    items: list[EventAnswer]
    """What is on the page; it may be empty although there is more, where few events match the filters."""
    next: str
    """The `after` of the next page, always. It never lies behind what was looked at."""
