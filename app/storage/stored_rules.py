"""From stored resources and services to what the rules need to know of them.

A schedule of the largest size has 3,660 overrides, so its stored form is read straight from the document, without a
model per window.
"""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from app.storage.documents import Resource, Service
from app.timeline.instants import DAY, MINUTE
from app.timeline.rules import Offer, Room
from app.timeline.schedule import ALWAYS, Schedule, TimeOff
from app.timeline.schedule_json import read_span, stored_schedule
from app.timeline.zones import zone

_LONG_PARTS = frozenset({"schedule", "timeOff"})


def room_of_row(row: Mapping[str, Any], schedule: Schedule | None = None) -> Room:
    """What the rules need to know of a resource as it is stored; `schedule` is its parsed one where that is known."""
    resource = Resource.model_validate({name: value for name, value in row.items() if name not in _LONG_PARTS})
    tz = zone(resource.timezone)
    if schedule is None:
        schedule = stored_schedule(row["schedule"]) if row.get("schedule") is not None else ALWAYS
    return Room(
        id=resource.id,
        capacity=resource.capacity,
        by_guests=resource.capacity_mode == "guests",
        services=frozenset(resource.services),
        active=resource.active,
        timezone=resource.timezone,
        schedule=schedule,
        time_off=tuple(time_off_of_row(off, tz) for off in row.get("timeOff") or ()),
    )


def time_off_of_row(stored: Mapping[str, Any], tz: ZoneInfo) -> TimeOff:
    """Stored as it was said, so that a day stays that day when the zone of the resource changes."""
    (start, end), _ = read_span(stored["from"], stored["to"], tz)
    return TimeOff(stored["id"], start, end)


def offer_of_row(row: Mapping[str, Any]) -> Offer:
    """What the rules need to know of a service as it is stored."""
    service = Service.model_validate(row)
    length = service.duration_minutes or service.min_minutes or 0
    return Offer(
        id=service.id,
        kind=service.duration_type,
        duration=(service.duration_minutes or 0) * MINUTE,
        minimum=(service.min_minutes or 0) * MINUTE,
        step=(service.step_minutes or 1) * MINUTE,
        maximum=(service.max_minutes or 0) * MINUTE,
        max_days=service.max_days or 1,
        before=service.buffer_before_minutes * MINUTE,
        after=service.buffer_after_minutes * MINUTE,
        interval=(service.slot_interval_minutes or length) * MINUTE,
        notice=service.minimum_notice_minutes * MINUTE,
        horizon=None if service.horizon_days is None else service.horizon_days * DAY,
        cancellation_notice=service.cancellation_notice_minutes * MINUTE,
        approval=service.approval,
        active=service.active,
        assignment=service.assignment,
    )
