"""Webhooks: where events are posted to, how far that has come, and what came of each attempt."""

from datetime import datetime
from typing import ClassVar

from beanie import PydanticObjectId
from pydantic import Field
from pymongo import ASCENDING, DESCENDING, IndexModel

from app.storage.documents.base import StoredDocument, SubDocument
from app.storage.documents.changes import ChangeHistory


class FormerWebhookSecret(SubDocument):
    """The secret that a webhook had before a rotation, which signs as well until an instant."""

    secret: str
    until: datetime


class Webhook(StoredDocument):
    """A receiver of events, and the state of their delivery.

    `types` and `resources` are those that it wants; all if unset. A secret is stored as
    `app.webhooks.secret_box` has sealed it. `version` counts changes from 1.

    What follows `cursor` changes with the deliveries and is no change of the webhook, except that it is paused or taken
    up again, or that its cursor is set. `cursor` is the place of the last event that was delivered or not wanted,
    `replays` counts how often a person has set it. In a row of `failures`, `failing_since` is the instant of the first
    and `next_at` that of the next attempt. `delivered` and `failed` count attempts of all time, `missed` events that
    were removed from the log before their turn.
    """

    id: PydanticObjectId = Field(alias="_id")
    url: str
    types: list[str] | None = None
    resources: list[str] | None = None
    active: bool = True
    secret: str
    former_secrets: list[FormerWebhookSecret] | None = None
    created_at: datetime
    updated_at: datetime
    version: int = 1
    history: ChangeHistory
    cursor: int
    replays: int | None = None
    failures: int = 0
    failing_since: datetime | None = None
    next_at: datetime | None = None
    paused_at: datetime | None = None
    paused_because: str | None = None
    delivered_at: datetime | None = None
    delivered: int = 0
    failed: int = 0
    missed: int = 0

    class Settings(StoredDocument.Settings):
        name = "webhooks"


class WebhookDelivery(StoredDocument):
    """One attempt to deliver one event to a webhook: no body, so no personal data.

    `event` is the id of the event as the request carried it, `number` counts its attempts in a row. `status` is that of
    the answer, `error` says why it was no success, `milliseconds` how long it took.
    """

    id: PydanticObjectId = Field(alias="_id")
    webhook: PydanticObjectId
    event: str
    type: str
    at: datetime
    number: int
    status: int | None = None
    error: str | None = None
    milliseconds: int

    class Settings(StoredDocument.Settings):
        """Those of a webhook are listed, the newest first; old ones are removed."""

        name = "webhook_deliveries"
        indexes: ClassVar = [
            IndexModel(
                [("webhook", ASCENDING), ("at", DESCENDING), ("_id", DESCENDING)], name="webhook_delivery_newest"
            ),
            IndexModel([("at", ASCENDING)], name="webhook_delivery_age"),
        ]
