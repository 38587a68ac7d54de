"""Events: what has changed, for those who mirror it; first in the outbox, then at a place in the log."""

from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field
from pymongo import ASCENDING, IndexModel

from app.storage.documents.base import Name, StoredDocument


class OutboxEvent(StoredDocument):
    """An event that waits for its place; it is written in the transaction of its change.

    The id begins with the subject and its version, so that the order of ids is the order of the versions.

    `subject` is the id of the reservation, the finding or the customer that has changed, `version` the one that the
    change has made. `former_resource` is the one on which a moved reservation was.
    """

    id: Name  # see `app.storage.outbox`
    type: str
    subject: Any
    version: int
    resource: str | None = None
    former_resource: str | None = None
    at: datetime
    by: str
    changed: list[str] | None = None

    class Settings(StoredDocument.Settings):
        name = "outbox"


class Event(StoredDocument):
    """An event in the log: its id is its place, `key` the id that it had in the outbox.

    `state` is the subject as it was stored when the event got its place; None where it was not there any more, or where
    there is nothing to show of it.
    """

    id: int = Field(alias="_id")
    key: str
    type: str
    subject: Any
    version: int
    resource: str | None = None
    former_resource: str | None = None
    at: datetime
    by: str
    changed: list[str] | None = None
    state: dict[str, Any] | None = None

    class Settings(StoredDocument.Settings):
        """Readers go along the places; an erasure looks for the events of its subjects."""

        name = "events"
        indexes: ClassVar = [IndexModel([("subject", ASCENDING)], name="event_subject")]
