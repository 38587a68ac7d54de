"""Events: what has changed, for those who mirror it; first in the outbox, then at a place in the log."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, Strict
from pymongo import ASCENDING, IndexModel

from app.storage.documents.base import Name, StoredDocument


class ChangeEvent(StoredDocument):
    """What an event says of its change.

    `subject` is the id of the reservation, the finding or the customer that has changed, `version` the one that the
    change has made. `former_resource` is the one on which a moved reservation was.
    """

    if TYPE_CHECKING:
        id: Any  # each kind declares its own

    type: str
    subject: Any
    version: Annotated[int, Strict()]  # as it is stored, it is compared with others
    resource: str | None = None
    former_resource: str | None = None
    at: Annotated[datetime, Strict()]
    by: str
    changed: list[str] | None = None


class OutboxEvent(ChangeEvent):
    """An event that waits for its place; it is written in the transaction of its change.

    The id begins with the subject and its version, so that the order of ids is the order of the versions.
    """

    id: Name  # see `app.storage.outbox`

    class Settings(StoredDocument.Settings):
        name = "outbox"


class Event(ChangeEvent):
    """An event in the log: its id is its place, `key` the id that it had in the outbox, `placed_at` when it got it.

    `state` is the subject as it was stored when the event got its place; None where it was not there any more, or where
    there is nothing to show of it.
    """

    id: int = Field(alias="_id")
    key: str
    placed_at: datetime | None = None
    state: dict[str, Any] | None = None

    class Settings(StoredDocument.Settings):
        """Readers go along the places; an erasure looks for the events of its subjects, and for states of its customer.

        The latter are found also where the reservation itself is gone, or is another customer's by now.
        """

        name = "events"
        indexes: ClassVar = [
            IndexModel([("subject", ASCENDING)], name="event_subject"),
            IndexModel([("state.customer", ASCENDING)], name="event_customer", sparse=True),
        ]
