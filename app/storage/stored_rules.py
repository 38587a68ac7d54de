"""From stored resources and services to their rules.

A schedule of the largest size has 3,660 overrides, so its stored form is read straight from the document, without a
model per window.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from app.domain.instants import DAY, MINUTE
from app.domain.rules import ResourceRules, ServiceRules
from app.domain.schedule import ALWAYS, Schedule, TimeOff
from app.domain.schedule_json import read_span, stored_schedule
from app.domain.zones import zone
from app.errors import Problem, invalid_field
from app.storage.bson_types import Row
from app.storage.documents import Resource, Service
from app.storage.stored_catalogue import DESCRIBING_FIELDS, LONG_FIELDS
from app.storage.values import excerpt, shown_text

CAPACITY_MAX, DAYS_MAX = 2**31, 366 * 100
MINUTES_MAX = DAYS_MAX * 24 * 60

_UNJUDGED = LONG_FIELDS | (DESCRIBING_FIELDS - {"name"})
"""What other programs store there is nothing to the rules; without a name an object is none of the catalogue's."""
_MINUTES = [name for name in Service.model_fields if name.endswith("_minutes")]


def resource_rules_of(row: Mapping[str, Any], schedule: Schedule | None = None) -> ResourceRules:
    """The rules of a stored resource; `schedule` is its parsed schedule where that is known.

    Raises:
        Problem: `invalid` where another program stored it so that it cannot be read.
    """
    with _readable("resource", row):
        resource = Resource.model_validate({name: value for name, value in row.items() if name not in _UNJUDGED})
        _bounded(capacity=(resource.capacity, CAPACITY_MAX), max_guests=(resource.max_guests, CAPACITY_MAX))
        tz = zone(resource.timezone)
        if schedule is None:
            schedule = stored_schedule(row["schedule"]) if row.get("schedule") is not None else ALWAYS
        return ResourceRules(
            id=resource.id,
            capacity=resource.capacity,
            by_guests=resource.capacity_mode == "guests",
            max_guests=resource.max_guests,
            services=frozenset(resource.services),
            service_only=resource.service_only,
            active=resource.active,
            timezone=resource.timezone,
            schedule=schedule,
            time_off=tuple(time_off_of(off, tz) for off in row.get("timeOff") or ()),
        )


@contextmanager
def _readable(noun: str, row: Row) -> Generator[None]:
    """Turn errors within into a problem that names the field at fault."""
    try:
        yield
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        why = f"its {name} is missing" if row.get(name) is None else f"its {name} is {excerpt(row[name])}"
        raise unreadable_object(noun, row.get("_id"), why) from None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise unreadable_object(noun, row.get("_id"), excerpt(str(error))) from None


def unreadable_object(noun: str, identity: object, why: str) -> Problem:
    """The problem of an object of the catalogue that another program stored so that it cannot be read."""
    return invalid_field(
        noun, f"The {noun} {shown_text(identity)!r} cannot be read: {why}. Correct it where it was written."
    )


def _bounded(**values: tuple[int | None, int]) -> None:
    """Refuse numbers beyond all that the API takes, which calculations could not bear."""
    for name, (value, most) in values.items():
        if value is not None and not 0 <= value <= most:
            raise ValueError(f"{name} is {value}")


def time_off_of(stored: Mapping[str, Any], tz: ZoneInfo) -> TimeOff:
    """A stored time off as instants; local dates are those of the resource's present time zone."""
    (start, end), _ = read_span(stored["from"], stored["to"], tz)
    return TimeOff(stored["id"], start, end)


def service_rules_of(row: Row) -> ServiceRules:
    """The rules of a stored service.

    Raises:
        Problem: `invalid` where another program stored it so that it cannot be read.
    """
    with _readable("service", row):
        service = Service.model_validate({name: value for name, value in row.items() if name not in _UNJUDGED})
        minutes = {name: value for name in _MINUTES if (value := getattr(service, name)) is not None}
        _bounded(**{name: (value, MINUTES_MAX) for name, value in minutes.items()})
        _bounded(max_days=(service.max_days, DAYS_MAX), horizon_days=(service.horizon_days, DAYS_MAX))
        length = service.duration_minutes or service.min_minutes or 0
        if not length and service.duration_type != "full-day":
            raise ValueError("it takes no time")
    return ServiceRules(
        id=service.id,
        kind=service.duration_type,
        duration=(service.duration_minutes or 0) * MINUTE,
        duration_min=(service.min_minutes or 0) * MINUTE,
        duration_step=(service.step_minutes or 1) * MINUTE,
        duration_max=(service.max_minutes or 0) * MINUTE,
        max_days=service.max_days or 1,
        buffer_before=service.buffer_before_minutes * MINUTE,
        buffer_after=service.buffer_after_minutes * MINUTE,
        interval=(service.slot_interval_minutes or length) * MINUTE,
        notice=service.minimum_notice_minutes * MINUTE,
        horizon=None if service.horizon_days is None else service.horizon_days * DAY,
        cancellation_notice=service.cancellation_notice_minutes * MINUTE,
        requires_approval=service.approval,
        active=service.active,
        assignment=service.assignment,
        hours=service.hours,
    )
