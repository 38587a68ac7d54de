"""The secret addresses of calendars."""

from datetime import datetime
from typing import ClassVar, Literal, TypeAlias

from pymongo import ASCENDING, IndexModel

from app.storage.documents.base import Name, StoredDocument

CalendarKind: TypeAlias = Literal["resource", "customer"]


class CalendarAddress(StoredDocument):
    """The address at which whoever knows its secret reads a calendar; a resource and a customer has one at most.

    It reads what its key reads, and ends with that key.
    """

    id: Name  # whose calendar it is: `resource:room-1`
    kind: CalendarKind
    owner: str
    """The id of the resource or customer."""
    secret_hash: str
    names: bool
    """Whether it says who comes and what for, or only when somebody does."""
    key: str
    """The prefix of the API key that made it."""
    created_at: datetime

    class Settings(StoredDocument.Settings):
        name = "calendarAddresses"
        indexes: ClassVar = [IndexModel([("secretHash", ASCENDING)], name="calendar_address_secret", unique=True)]
