"""The bodies and answers of `/v1/reservations`."""

from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field
from pydantic.alias_generators import to_camel

from app.domain.ids import ResourceId, ServiceId
from app.domain.lifecycle import Status
from app.http.metadata import Metadata, MetadataPatch
from app.http.models import Answer, Body, CatalogueId, Instant, NeverNull, ResourceReference, ServiceReference

SHORTEST_HOLD_SECONDS, LONGEST_HOLD_SECONDS = 10, 86_400


Guests: TypeAlias = Annotated[int, Field(ge=1, le=10_000)]
Notes: TypeAlias = Annotated[str, Field(max_length=2_000)]


def _without_outer_blanks(text: str) -> str:
    if text != text.strip():
        raise ValueError("it has no blanks at its ends")
    return text


ExternalReference: TypeAlias = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="Your own number or name of it; it need not be unique.",
        json_schema_extra={"pattern": r"^\S([\s\S]*\S)?$"},
    ),
    AfterValidator(_without_outer_blanks),
]
Holder: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^[!-~]{1,64}$",
        description="The visitor who holds, in 1 to 64 visible ASCII characters, as with a session. Its live holds are "
        "counted together; it is never shown. Only with `expiresInSeconds`.",
    ),
]
HoldSeconds: TypeAlias = Annotated[
    int,
    Field(
        ge=SHORTEST_HOLD_SECONDS,
        le=LONGEST_HOLD_SECONDS,
        description="Makes it a hold, which expires after so many seconds.",
    ),
]
Reason: TypeAlias = Annotated[str, Field(min_length=1, max_length=500)]


ANY = "any"
"""Stands for a free resource of the service's pool."""


class ReservationTime(Body):
    """A time: instants, or local times of a time zone."""

    start_time: Annotated[Instant | None, NeverNull()] = None
    """When it begins."""
    end_time: Annotated[Instant | None, NeverNull()] = None
    """When it ends."""
    local_start: Annotated[
        str | None,
        NeverNull(),
        Field(max_length=30, description="Like `2026-03-08T09:30`, in `timezone`, for `startTime`."),
    ] = None
    local_end: Annotated[str | None, NeverNull(), Field(max_length=30, description="The same for `endTime`.")] = None
    timezone: Annotated[
        str | None,
        NeverNull(),
        Field(
            max_length=64,
            description="The zone of the local times; stored. Left out: the resource's own, where one is named.",
        ),
    ] = None


class ReservationDetails(Body):
    """What is booked, for whom, and where; without the time."""

    resource: Annotated[
        ResourceReference | None, Field(description="Left out, or `any`: a free resource of the service's pool.")
    ] = None
    service: Annotated[
        ServiceReference | None,
        Field(description="Required for keys that are bound to a customer, and without `resource`."),
    ] = None
    customer: CatalogueId | None = None
    """Whose it is."""
    guests: Guests = 1
    """How many people come; 1 if left out."""
    notes: Notes | None = None
    """For people."""
    metadata: Metadata | None = None
    reference: ExternalReference | None = None
    expires_in_seconds: HoldSeconds | None = None
    holder: Holder | None = None


class NewReservation(ReservationDetails, ReservationTime):
    """A time to book on a resource, or on any that offers the service."""

    start_time: Annotated[Instant | None, Field(description="Required, or `localStart` instead.")] = None
    end_time: Annotated[Instant | None, Field(description="May be left out where the service sets it.")] = None


class ReservationPatch(ReservationTime):
    """The changes: absent fields stay as they are, null unsets; metadata merges by key."""

    resource: Annotated[
        ResourceReference | None,
        NeverNull(),
        Field(description="Its new resource; `any`: a free resource of its service's pool, as in a booking."),
    ] = None
    start_time: Annotated[
        Instant | None,
        NeverNull(),
        Field(description="Its new start, or `localStart` instead; alone it keeps the length."),
    ] = None
    service: ServiceReference | None = None
    """Its new service; null: none."""
    customer: CatalogueId | None = None
    """Whose it is."""
    guests: Guests | None = None
    """How many people come; null: 1."""
    notes: Notes | None = None
    """For people."""
    metadata: MetadataPatch = None


class HoldExtension(Body):
    """How long the hold is to last, from now."""

    expires_in_seconds: HoldSeconds


class StatusChange(Body):
    """The reason for a change of status."""

    reason: Reason | None = None
    """The reason, for the history."""


class Confirmation(StatusChange):
    """What the reservation has from its confirmation on, beside the reason for it; what is left out stays."""

    customer: CatalogueId | None = None
    """Whose it is."""
    notes: Notes | None = None
    """For people."""
    metadata: Annotated[Metadata | None, Field(description="Merged by key with what is there.")] = None
    reference: ExternalReference | None = None

    def details(self) -> dict[str, Any]:
        """The new values, by the names that the fields are stored under."""
        return {to_camel(name): value for name, value in self.sent_fields().items() if name != "reason"}


class Reopening(Body):
    """Why a reservation that has ended is confirmed again."""

    reason: Reason
    """The reason, for the history."""


def reason_of(change: StatusChange | None) -> str | None:
    """The reason that a caller gave; none without a body."""
    return None if change is None else change.reason


class ReservationHistoryEntry(Answer):
    """One change: by whom (a key's prefix, `import`, `operator` or `worker`), when, and of what."""

    at: Instant
    """When."""
    by: str
    """Who: the prefix of a key, `import`, `operator` or `worker`."""
    from_: Annotated[Status | None, Field(alias="from")] = None
    """The status before."""
    to: Status | None = None
    """The status after."""
    changed: list[str] | None = None
    """The names of the fields that were changed."""
    reason: str | None = None
    """The reason, if one was given."""


class ReservationAnswer(Answer):
    """A reservation. `[blockStart, blockEnd)` is what occupies the resource: the service's buffers added.

    Of a reservation that another program wrote, a value that cannot be read is shown as text, whatever its type here.
    """

    id: str
    """Its id."""
    resource: ResourceId
    """The resource that it takes."""
    service: ServiceId | None = None
    """The service that it is booked for."""
    customer: str | None = None
    """Whose it is."""
    reference: Annotated[str | None, Field(description="Your own number of it, or that of an imported row.")] = None
    status: Status
    """`pending` is a hold if it has `expiresAt`, else a request."""
    start_time: Instant
    """When it begins."""
    end_time: Instant
    """When it ends, excluded."""
    block_start: Instant
    """When its block begins: `startTime` less the buffer before it."""
    block_end: Instant
    """When its block ends, excluded: `endTime` and the buffer after it."""
    guests: int
    """How many people come."""
    units: int
    """The units of the capacity that it takes."""
    timezone: str
    """The time zone in which it was booked."""
    notes: str | None = None
    """For people."""
    metadata: dict[str, Any] | None = None
    """Yours."""
    group: str | None = None
    """The group that it was booked with."""
    series: str | None = None
    """The series of which it is an occurrence."""
    expires_at: Instant | None = None
    """When the hold expires."""
    version: int
    """From 1, one more with each change; its `ETag`."""
    created_at: Instant
    """When it was made."""
    updated_at: Instant
    """When it was last changed."""
    history: list[ReservationHistoryEntry]
    """Its changes, the oldest first."""
