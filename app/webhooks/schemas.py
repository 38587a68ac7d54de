"""Webhooks on the wire."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, Field

from app.events.event_ids import event_id
from app.http.bounds import Bounded
from app.http.models import Answer, Body, Instant, NeverNull, ResourceReference, ShownHistory
from app.outgoing.urls import URL_CHARACTERS_MAX, url_fault
from app.storage.documents import Webhook, WebhookDelivery
from app.storage.outbox import EVENT_TYPES, EventType
from app.webhooks.secret_box import live_former_secrets

OVERLAP_MINUTES_MAX = 10_080
"""A week."""
RESOURCES_MAX = 200


def _checked_url(text: str) -> str:
    if fault := url_fault(text):
        raise ValueError(f"this is no address of a receiver: {fault}.")
    return text


def _each_once(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise ValueError("name each once.")
    return values


Url = Annotated[
    str,
    Field(min_length=1, max_length=URL_CHARACTERS_MAX),
    AfterValidator(_checked_url),
]
Types = Annotated[
    list[EventType],
    Bounded(len(EVENT_TYPES), least=1),
    AfterValidator(_each_once),
]
Resources = Annotated[
    list[ResourceReference],
    Bounded(RESOURCES_MAX, least=1),
    AfterValidator(_each_once),
]
OverlapMinutes = Annotated[
    int,
    Field(ge=0, le=OVERLAP_MINUTES_MAX, description="For how long the old secret signs as well; 0 if left out."),
]
EventId = Annotated[str, Field(pattern=r"^[0-9]{16}$", description="The id of an event, or of none: all zeros.")]


class WebhookPatch(Body):
    """A merge patch of a webhook: what is left out stays, null unsets."""

    url: Annotated[Url | None, NeverNull()] = None
    """Where events are posted to: `http` or `https`."""
    types: Types | None = None
    """The types of events that it gets; all if unset."""
    resources: Resources | None = None
    """The resources of whose events it gets; all if unset, and then also events without a resource."""
    active: Annotated[bool | None, NeverNull()] = None
    """Whether events are sent. `true` also takes up one that was paused, without a gap."""


class NewWebhook(WebhookPatch):
    """A webhook; it gets the events after its creation."""

    url: Url
    """Where events are posted to: `http` or `https`."""


class WebhookRotation(Body):
    """How the old secret ends."""

    overlap_minutes: OverlapMinutes | None = None


class WebhookReplay(Body):
    """Where it goes on."""

    after: EventId


class WebhookAnswer(Answer):
    """A webhook, without its secret."""

    id: str
    """Its id."""
    url: str
    """Where events are posted to."""
    types: list[str] | None = None
    """The types of events that it gets; all if there are none."""
    resources: list[str] | None = None
    """The resources of whose events it gets; all if there are none."""
    active: bool
    """Whether events are sent to it."""
    version: int
    """From 1, one more with each change; its `ETag`. What follows `history` changes without it."""
    created_at: Instant
    """When it was made."""
    updated_at: Instant
    """When it was last changed."""
    history: ShownHistory = None
    """Its last 50 changes, the oldest first."""
    old_secret_until: Instant | None = None
    """Until when the secret from before a rotation signs as well, if it does."""
    cursor: str
    """The id of the last event that was delivered, or that it did not want."""
    failures: int
    """Attempts that failed since the last success."""
    failing_since: Instant | None = None
    """When the first of them failed."""
    next_at: Instant | None = None
    """When the next attempt is."""
    paused_at: Instant | None = None
    """When the attempts ended, after three days. `active: true` or a replay takes it up again, without a gap."""
    paused_because: str | None = None
    """Why the last attempt failed then."""
    delivered_at: Instant | None = None
    """When the last event was delivered."""

    @classmethod
    def of(cls, webhook: Webhook, now: datetime, **more: str) -> Self:
        """The answer about a webhook as it is at an instant; `more` are fields of a subclass."""
        ends = [each.until for each in live_former_secrets(webhook, now)]
        return cls.model_validate(
            webhook.model_dump(include={*WebhookAnswer.model_fields} - {"id", "cursor"})
            | {"id": str(webhook.id), "cursor": event_id(webhook.cursor)}
            | {"old_secret_until": max(ends, default=None), **more}
        )


class IssuedWebhookAnswer(WebhookAnswer):
    """A webhook with its secret, which is shown this once."""

    secret: str
    """The secret that signs its requests, as the libraries of Standard Webhooks take it: `whsec_…`."""


class WebhookTestAnswer(Answer):
    """What came of a test."""

    delivered: bool
    """Whether the answer was a success."""
    event: str
    """The `webhook-id` of the request."""
    status: int | None = None
    """The status of the answer, if there was one."""
    error: str | None = None
    """Why it was no success."""
    milliseconds: int
    """How long it took."""


class WebhookDeliveryAnswer(WebhookTestAnswer):
    """An attempt to deliver an event."""

    type: str
    """The type of the event."""
    at: Instant
    """When it began."""
    attempt: int
    """Which attempt in a row it was, from 1."""

    @classmethod
    def of(cls, delivery: WebhookDelivery) -> Self:
        """The answer about a stored attempt."""
        fields = delivery.model_dump(include={"event", "type", "at", "status", "error", "milliseconds"})
        return cls.model_validate(fields | {"attempt": delivery.number, "delivered": delivery.error is None})
