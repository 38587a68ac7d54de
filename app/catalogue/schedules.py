"""When a resource is open: its schedule and its times off.

Both are parts of the resource and share its version. Every change is an edit under the resource's guard, so that no
booking commits in between.
"""

from bson import ObjectId

from app.caller import Caller
from app.catalogue.changes import Wanted
from app.catalogue.schedule_schemas import TIMES_OFF_MAX, NewSchedule, NewTimeOff
from app.catalogue.service import Catalogue
from app.domain.ids import ResourceId
from app.domain.instants import parse, render
from app.domain.rules import ResourceRules
from app.domain.schedule import ALWAYS
from app.domain.schedule_json import read_span, stored_schedule
from app.domain.zones import parse_day, zone
from app.errors import Fault, Problem, not_found
from app.http.etags import IfMatch
from app.http.validation_messages import from_faults
from app.storage.bson_types import BsonDocument
from app.storage.catalogue_updates import Changes
from app.storage.documents import Resource, TimeOff


async def replace_schedule(
    catalogue: Catalogue, resource: ResourceId, wanted: NewSchedule, if_match: IfMatch, caller: Caller, *, force: bool
) -> tuple[BsonDocument, int]:
    """Replace the schedule of a resource; an empty one makes it always open. The stored schedule and the new version.

    Raises:
        Problem: `not-found`, `stale`, `stranded-bookings`, or what the write path answers.
    """

    def changes(row: BsonDocument, before: ResourceRules) -> Changes | None:
        del before
        stored = wanted.model_dump(by_alias=True, exclude_none=True) or None
        if row.get("schedule") == stored:
            return None
        return Changes({"schedule": stored}, schedule=stored_schedule(stored) if stored else ALWAYS)

    replaced = Wanted(changes, needs=frozenset({"schedule"}), heavy=True)
    row = await catalogue.change_resource(resource, replaced, if_match, caller, force=force)
    return row.get("schedule") or {}, row["version"]


async def add_time_off(
    catalogue: Catalogue, resource: ResourceId, wanted: NewTimeOff, if_match: IfMatch, caller: Caller, *, force: bool
) -> tuple[int, TimeOff]:
    """Add a time off, and return the resource's new version and the time off.

    Raises:
        Problem: `not-found`, `stale`, `invalid`, `stranded-bookings`, or what the write path answers.
    """
    identity = str(ObjectId())

    def changes(row: BsonDocument, before: ResourceRules) -> Changes:
        if len(before.time_off) >= TIMES_OFF_MAX:
            raise Problem("invalid", f"A resource has at most {TIMES_OFF_MAX:,} times off; delete some that are past.")
        _check(wanted, row.get("timezone", "UTC"))
        return Changes(added=_stored_time_off(identity, wanted).model_dump(by_alias=True, exclude_none=True))

    row = await catalogue.change_resource(resource, Wanted(changes), if_match, caller, force=force)
    return row["version"], _stored_time_off(identity, wanted)


async def remove_time_off(
    catalogue: Catalogue, resource: ResourceId, identity: str, if_match: IfMatch, caller: Caller
) -> int:
    """Remove a time off, which cannot strand a booking, and return the resource's new version.

    Raises:
        Problem: `not-found`, `stale`, or what the write path answers.
    """

    def changes(row: BsonDocument, before: ResourceRules) -> Changes:
        del row
        if all(off.id != identity for off in before.time_off):
            raise not_found("time off", identity)
        return Changes(removed=identity)

    row = await catalogue.change_resource(resource, Wanted(changes), if_match, caller)
    version: int = row["version"]
    return version


def time_off_of(resource: Resource, identity: str) -> TimeOff:
    """One time off.

    Raises:
        Problem: `not-found`.
    """
    for off in resource.time_off or ():
        if off.id == identity:
            return off
    raise not_found("time off", identity)


def times_off_after(resource: Resource, identity: str | None) -> list[TimeOff]:
    """The times off by id, in the order in which they were added; where an id is given, those after it."""
    times = sorted(resource.time_off or (), key=lambda off: off.id)
    return [off for off in times if identity is None or off.id > identity]


def _check(wanted: NewTimeOff, timezone: str) -> None:
    """Check that both edges exist in the zone of the resource, and are in order.

    Raises:
        Problem: `invalid`.
    """
    _, faults = read_span(wanted.from_, wanted.to, zone(timezone))
    if faults:
        raise from_faults([Fault(*found) for found in faults])


def _stored_time_off(identity: str, wanted: NewTimeOff) -> TimeOff:
    """A time off as it is stored; its edges are checked already."""
    edges = {"from": stored_edge(wanted.from_), "to": stored_edge(wanted.to)}
    return TimeOff.model_validate({"id": identity, **edges, "reason": wanted.reason})


def stored_edge(edge: str) -> str:
    """A date as it is, so that it stays that date when the time zone of the resource changes; an instant in UTC."""
    try:
        return parse_day(edge).isoformat()
    except ValueError:
        return render(parse(edge))
