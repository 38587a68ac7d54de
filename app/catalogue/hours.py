"""When a resource is there: its schedule and its times off.

Both are parts of the resource and share its version. Every change is an edit under the resource's guard, so that
"close the day" and "book" cannot cross.
"""

from typing import Any

from bson import ObjectId

from app.access.caller import Caller
from app.catalogue.hours_schemas import TIMES_OFF_MAX, NewSchedule, NewTimeOff
from app.catalogue.service import Catalogue
from app.errors import Fault, Problem, not_found
from app.storage.documents import Resource, Schedule, TimeOff
from app.timeline.instants import parse, render
from app.timeline.schedule_json import read_span
from app.timeline.zones import parse_day, zone
from app.wire.sentences import from_faults
from app.wire.versions import IfMatch


async def replace_schedule(
    catalogue: Catalogue, resource: str, wanted: NewSchedule, if_match: IfMatch, caller: Caller, *, force: bool
) -> Resource:
    """Give a resource this schedule; one that says nothing makes it always open.

    Raises:
        Problem: `not-found`, `stale`, `stranded-bookings`, or what the write path answers.
    """
    said = wanted.model_dump(by_alias=True, exclude_none=True)
    schedule = Schedule.model_validate(said) if said else None

    def apply(current: Resource) -> Resource:
        return _with(current, schedule=schedule)

    return await catalogue.change_resource(resource, apply, if_match, caller, force=force)


async def add_time_off(
    catalogue: Catalogue, resource: str, wanted: NewTimeOff, if_match: IfMatch, caller: Caller, *, force: bool
) -> tuple[Resource, TimeOff]:
    """Add a time off: the resource, and what was added.

    Raises:
        Problem: `not-found`, `stale`, `invalid`, `stranded-bookings`, or what the write path answers.
    """
    identity = str(ObjectId())

    def apply(current: Resource) -> Resource:
        known = current.time_off or []
        if len(known) >= TIMES_OFF_MAX:
            raise Problem("invalid", f"A resource has at most {TIMES_OFF_MAX:,} times off; delete some that are past.")
        return _with(current, time_off=[*known, _read(identity, wanted, current.timezone)])

    edited = await catalogue.change_resource(resource, apply, if_match, caller, force=force)
    return edited, time_off_of(edited, identity)


async def remove_time_off(
    catalogue: Catalogue, resource: str, identity: str, if_match: IfMatch, caller: Caller
) -> Resource:
    """Take a time off out; that opens time, so it strands nobody.

    Raises:
        Problem: `not-found`, `stale`, or what the write path answers.
    """

    def apply(current: Resource) -> Resource:
        gone = time_off_of(current, identity)
        kept = [off for off in current.time_off or () if off.id != gone.id]
        return _with(current, time_off=kept or None)

    return await catalogue.change_resource(resource, apply, if_match, caller)


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
    """All times off by id, which is the order in which they were added; those after one where it is given."""
    times = sorted(resource.time_off or (), key=lambda off: off.id)
    return [off for off in times if identity is None or off.id > identity]


def _with(resource: Resource, **changes: Any) -> Resource:
    edited: Resource = resource.model_copy(update=changes)
    return edited


def _read(identity: str, wanted: NewTimeOff, timezone: str) -> TimeOff:
    _, flaws = read_span(wanted.from_, wanted.to, zone(timezone))
    if flaws:
        raise from_faults([Fault(*flaw) for flaw in flaws])
    edges = {"from": _said(wanted.from_), "to": _said(wanted.to)}
    return TimeOff.model_validate({"id": identity, **edges, "reason": wanted.reason})


def _said(edge: str) -> str:
    """A date as it is, so that it stays that day when the resource changes its zone; an instant in UTC."""
    try:
        return parse_day(edge).isoformat()
    except ValueError:
        return render(parse(edge))
