"""Guards of resources and services, and occupancies that the conflict lookup cannot find."""

from datetime import datetime
from typing import ClassVar, NotRequired, TypedDict

from beanie import PydanticObjectId
from bson import ObjectId
from pydantic import Field
from pymongo import ASCENDING, IndexModel

from app.domain.ids import ResourceId, ServiceId
from app.storage.documents.base import Name, StoredDocument


class Guard(StoredDocument):
    """The document that every writer of a resource changes, so that two concurrent writers cannot both commit.

    There is one for each resource, made with it, and one for each service (`service:<id>`), which only has `rules`.
    The same collection has the pools of services (`pool:<id>`), see `app.storage.pools`.
    `foreign` says that something occupies the resource which the conflict lookup does not find (see `Occupancy`).
    `rules` is a random id, changed in the transaction of every edit, under which processes cache what they read;
    `at` is the database's clock at the last change; `reach_back` and `reach_ahead` are milliseconds and `long` says
    that something long was booked, see `app.storage.reach`. Until `yield_until` others leave the guard to the writer
    `yield_to`, see `app.booking.priority`.
    """

    id: Name  # a guard has the id of what it guards
    seq: int = 0
    rules: str
    at: datetime | None = None
    reach_back: int | None = None
    reach_ahead: int | None = None
    long: bool | None = None
    foreign: bool | None = None
    yield_until: datetime | None = None
    yield_to: PydanticObjectId | None = None

    class Settings(StoredDocument.Settings):
        name = "guards"


class RulesId(TypedDict):
    """The id of the rules of a resource or a service, in its guard."""

    rules: str


class GuardRow(RulesId):
    """The guard of a resource as it is stored; that of a service has only an id and `rules`."""

    _id: str
    seq: int
    at: NotRequired[datetime]
    reachBack: int
    reachAhead: int
    long: NotRequired[bool]
    foreign: NotRequired[bool]
    yieldUntil: NotRequired[datetime]
    yieldTo: NotRequired[ObjectId]


class Occupancy(StoredDocument):
    """A time that a reservation of another program occupies where the conflict lookup cannot find it.

    Its resource has another form there, its status another spelling, its times are no dates, or it is one of `items`.
    Or it is so long that the lookup would read the whole history for it. Reconciliations and `migrate` write these
    rows; a booking reads the reservation itself again, which may have changed. `long` rows are looked up whatever
    their start.
    """

    id: PydanticObjectId = Field(alias="_id")
    resource: ResourceId
    start_time: datetime
    end_time: datetime
    reservation: object
    long: bool | None = None
    run: PydanticObjectId | None = None

    class Settings(StoredDocument.Settings):
        name = "occupancies"
        indexes: ClassVar = [
            IndexModel([("resource", ASCENDING), ("startTime", ASCENDING)], name="occupancy_resource"),
            IndexModel(
                [("resource", ASCENDING), ("startTime", ASCENDING), ("endTime", ASCENDING)],
                name="occupancy_long",
                partialFilterExpression={"long": True},
            ),
        ]


def service_row(service_id: ServiceId) -> str:
    """The id of a service's row among the guards; ids of resources have no colon."""
    return f"service:{service_id}"
