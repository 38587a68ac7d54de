"""Closures of many resources, and those that are being made or changed."""

from datetime import datetime
from typing import Annotated

from beanie import PydanticObjectId
from pydantic import Field

from app.domain.ids import ResourceId, ServiceId
from app.storage.documents.base import Name, StoredDocument
from app.storage.documents.catalogue import CatalogueObject
from app.storage.documents.changes import ChangeHistory

CLOSURES_ROW = "closures:all"
"""The id of the row of all closures among the guards, with `rules`; ids of resources have no colon."""

EdgeField = Annotated[str, Field(alias="from")]


class Closure(CatalogueObject):
    """A time at which resources are closed: two local dates (`to` excluded) or two instants.

    Closed are the resources that it names and those that offer one of its services; all, where it names neither.
    """

    from_: EdgeField
    to: str
    resources: list[ResourceId] | None = None
    services: list[ServiceId] | None = None
    history: ChangeHistory

    class Settings(StoredDocument.Settings):
        """They are few, and read as a whole."""

        name = "closures"


class PendingClosure(StoredDocument):
    """What a closure is about to be, while the bookings that it would strand are looked for.

    It already closes what it will close. It has the id of the closure; `attempt` is the id of the request, which has
    died if it is there after `until`.
    """

    id: Name
    attempt: PydanticObjectId
    until: datetime
    from_: EdgeField
    to: str
    resources: list[ResourceId] | None = None
    services: list[ServiceId] | None = None

    class Settings(StoredDocument.Settings):
        name = "pendingClosures"
