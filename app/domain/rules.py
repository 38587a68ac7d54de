"""Whether a time can be booked, and why not: one verdict for slots, for explanations and for the write path.

Every rule is judged every time, in one fixed order, so that a refusal names all that is wrong at once. Nothing here
knows a database or a clock: `now` is the caller's.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import inf
from types import MappingProxyType
from typing import Literal, TypeAlias

from app.domain.closures import NO_CLOSURES, Closures
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import DAY, MINUTE, Duration, Millis
from app.domain.load import Calendar, Occupancy, conflicts_in
from app.domain.schedule import (
    ALWAYS,
    Openness,
    Schedule,
    TimeOff,
    TimeOffIndex,
    Window,
    is_open,
    is_open_at_ends,
    is_open_daily,
)
from app.domain.zones import days_between, is_day_start, zone

RULES = (
    "resource-active",
    "service-active",
    "service-offered",
    "duration",
    "notice",
    "horizon",
    "schedule",
    "time-off",
    "guests",
    "capacity",
)
LIFTED_BY_FORCE = frozenset({"notice", "horizon", "schedule", "time-off"})
"""The rules that `force` lifts; capacity is never lifted."""
LEAD_TIME_RULES = frozenset({"notice", "horizon"})
"""The rules about how far ahead a start lies; a change that keeps the start is not judged by them."""
Assignment: TypeAlias = Literal["even", "first", "smallest"]
"""Which free member of a pool is booked: the least used, the first by id, or the smallest that suffices."""
AskedHours: TypeAlias = Literal["throughout", "ends"]
"""When the schedule has to be open: all the time, or at the start and at the end alone."""


@dataclass(frozen=True, slots=True)
class ResourceRules:
    """What the rules need to know of a resource."""

    id: ResourceId
    capacity: int = 1
    by_guests: bool = False
    max_guests: int | None = None
    """The most guests of one reservation, if they are limited."""
    services: frozenset[ServiceId] = frozenset()
    service_only: bool = False
    """Whether it cannot be booked without a service."""
    active: bool = True
    timezone: str = "UTC"
    schedule: Schedule = ALWAYS
    time_off: tuple[TimeOff, ...] = ()
    closures: Closures = field(default=NO_CLOSURES, repr=False)
    """All closures, of this and of other resources."""
    time_off_index: TimeOffIndex = field(init=False, repr=False, compare=False)
    """`time_off`, indexed for searches."""
    closed_index: TimeOffIndex = field(init=False, repr=False, compare=False)
    """When closures close this resource."""

    def __post_init__(self) -> None:
        """Index the times off once."""
        object.__setattr__(self, "time_off_index", TimeOffIndex(self.time_off))
        object.__setattr__(self, "closed_index", self.closures.of(self.id, self.services, self.timezone))

    def is_off(self, start: Millis, end: Millis) -> bool:
        """Whether a time off or a closure shares an instant with `[start, end)`."""
        return (self.time_off_index.first(start, end) or self.closed_index.first(start, end)) is not None

    @property
    def settled(self) -> "ResourceRules":
        """The same without the closures that may yet be withdrawn."""
        closures = self.closures.settled
        return self if closures is self.closures else replace(self, closures=closures)

    @property
    def guests_limit(self) -> float:
        """The most guests that one reservation can have: as many as are allowed, and as fit where they are counted."""
        allowed = inf if self.max_guests is None else self.max_guests
        return min(allowed, self.capacity if self.by_guests else inf)

    def units(self, guests: int) -> int:
        """The units of capacity that a reservation for so many guests takes."""
        return guests if self.by_guests else 1


def before_and_after(before: ResourceRules, after: ResourceRules) -> tuple[ResourceRules, ResourceRules]:
    """The rules before and after an edit by which to judge whom it strands.

    A pending closure excuses nothing, because it may yet be withdrawn. After an edit by which it may newly close the
    resource it counts, because it may have looked for the bookings there before.
    """
    comes_under = (before.services, before.timezone) != (after.services, after.timezone)
    return before.settled, after if comes_under else after.settled


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """What the rules need to know of a service; lengths are milliseconds, `max_days` local days."""

    id: ServiceId
    kind: Literal["fixed", "flexible", "full-day"]
    duration: Duration = 0
    duration_min: Duration = 0
    duration_step: Duration = MINUTE
    duration_max: Duration = 0
    max_days: int = 1
    buffer_before: Duration = 0
    buffer_after: Duration = 0
    interval: Duration = 0
    notice: Duration = 0
    horizon: Duration | None = None
    cancellation_notice: Duration = 0
    requires_approval: bool = False
    active: bool = True
    assignment: Assignment = "even"
    hours: AskedHours = "throughout"

    @property
    def at_ends(self) -> bool:
        """Whether the schedule is asked at the start and at the end alone."""
        return self.hours == "ends"


ServicesById: TypeAlias = Mapping[ServiceId, ServiceRules]
NO_SERVICES: ServicesById = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class BookingRequest:
    """A requested time. `lifted` names the rules that do not apply; `ignore` is the reservation that is to be moved."""

    start: Millis
    end: Millis
    guests: int = 1
    lifted: frozenset[str] = frozenset()
    ignore: Hashable | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One rule's verdict; where it fails, the reservation, time off, closure or override date to blame."""

    rule: str
    ok: bool
    detail: str
    reservation: Hashable | None = None
    time_off: str | None = None
    closure: str | None = None
    override: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """All rules' verdicts on a request and its block, with the conflicting occupancies where the block is too full."""

    request: BookingRequest
    checks: tuple[Check, ...]
    block_start: Millis
    block_end: Millis
    units: int
    conflicts: tuple[Occupancy, ...] = ()
    load: int = 0
    """The peak load in the block, without the request's own units."""

    @property
    def bookable(self) -> bool:
        """Whether every rule holds."""
        return all(check.ok for check in self.checks)

    @property
    def failed(self) -> list[Check]:
        """The rules that do not hold."""
        return [check for check in self.checks if not check.ok]

    @property
    def is_conflict(self) -> bool:
        """Whether the capacity alone refuses the request: the time is taken, the request itself is in order."""
        return [check.rule for check in self.failed] == ["capacity"]


def block_of(start: Millis, end: Millis, service: ServiceRules | None) -> tuple[Millis, Millis]:
    """The block that `[start, end)` occupies: the service's buffers added on both sides."""
    return (Millis(start - service.buffer_before), Millis(end + service.buffer_after)) if service else (start, end)


def openness(
    resource: ResourceRules,
    service: ServiceRules | None,
    start: Millis,
    end: Millis,
    open_windows: Sequence[Window] = (),
) -> Openness:
    """Whether the schedule of a resource is open when the service asks for it; `open_windows` are as in `judge`."""
    tz = zone(resource.timezone)
    if service is not None and service.kind == "full-day":
        return is_open_daily(resource.schedule, tz, start, end, at_ends=service.at_ends)
    is_open_then = is_open_at_ends if service is not None and service.at_ends else is_open
    return is_open_then(resource.schedule, tz, start, end, open_windows)


def judge(
    request: BookingRequest,
    resource: ResourceRules,
    service: ServiceRules | None,
    calendar: Calendar,
    *,
    block: tuple[Millis, Millis] | None = None,
    open_windows: Sequence[Window] = (),
    list_conflicts: bool = True,
) -> Verdict:
    """Judge every rule. Notice and horizon include their bounds; buffers may reach outside the schedule.

    Args:
        request: The requested time.
        resource: The resource that it is to be booked on.
        service: The service, if one is requested.
        calendar: The occupancies of the resource, and `now`.
        block: What the request would occupy, where that is not what the service says now: stored buffers stay.
        open_windows: Stretches that `schedule.windows` gave for the resource, for callers that judge many requests.
        list_conflicts: Whether the verdict names the conflicting occupancies.
    """
    block_start, block_end = block or block_of(request.start, request.end, service)
    units = resource.units(request.guests)
    load = calendar.peak(block_start, block_end, request.ignore)
    capacity, conflicts = _capacity(request, resource, calendar, (block_start, block_end), load, blame=list_conflicts)
    checks: tuple[Check, ...] = (
        _resource_active(resource),
        _service_active(service),
        _service_offered(resource, service),
        _duration(request, resource, service),
        _notice(request, service, calendar.now),
        _horizon(request, service, calendar.now),
        _schedule(request, resource, service, open_windows),
        _time_off(request, resource),
        _guests(request, resource),
        capacity,
    )
    if request.lifted:
        checks = tuple(_lift(check) if check.rule in request.lifted and not check.ok else check for check in checks)
    return Verdict(request, checks, block_start, block_end, units, conflicts, load)


@lru_cache(maxsize=1 << 14)
def _passes(rule: str, detail: str) -> Check:
    """The verdict of a rule that holds, cached: a month of slots needs many thousands of them."""
    return Check(rule, ok=True, detail=detail)


def _lift(check: Check) -> Check:
    return replace(check, ok=True, detail=f"Lifted: {check.detail}")


def _resource_active(resource: ResourceRules) -> Check:
    if resource.active:
        return _passes("resource-active", "The resource takes bookings.")
    return Check(
        "resource-active", ok=False, detail=f"The resource {resource.id!r} is deactivated and takes no bookings."
    )


def _service_active(service: ServiceRules | None) -> Check:
    if service is None:
        return _passes("service-active", "No service is asked for.")
    if service.active:
        return _passes("service-active", "The service can be booked.")
    return Check("service-active", ok=False, detail=f"The service {service.id!r} is deactivated and cannot be booked.")


def _service_offered(resource: ResourceRules, service: ServiceRules | None) -> Check:
    if service is None:
        if resource.service_only:
            detail = f"The resource {resource.id!r} is booked only with a service; name one that it offers."
            return Check("service-offered", ok=False, detail=detail)
        return _passes("service-offered", "No service is asked for.")
    if service.id in resource.services:
        return _passes("service-offered", "The resource offers the service.")
    detail = f"The resource {resource.id!r} does not offer the service {service.id!r}."
    return Check("service-offered", ok=False, detail=detail)


def _duration(request: BookingRequest, resource: ResourceRules, service: ServiceRules | None) -> Check:
    detail = _wrong_length(request, resource, service) if service else None
    return (
        _passes("duration", "The length is allowed.") if detail is None else Check("duration", ok=False, detail=detail)
    )


def _wrong_length(request: BookingRequest, resource: ResourceRules, service: ServiceRules) -> str | None:
    length = request.end - request.start
    if service.kind == "fixed":
        return None if length == service.duration else f"The service takes {service.duration // MINUTE} minutes."
    if service.kind == "full-day":
        tz = zone(resource.timezone)
        if not (is_day_start(request.start, tz) and is_day_start(request.end, tz)):
            return f"The service takes whole local days: both ends are first instants of days in {resource.timezone}."
        days = days_between(request.start, request.end, tz)
        return None if days <= service.max_days else f"The service takes at most {service.max_days} days."
    if (
        service.duration_min <= length <= service.duration_max
        and (length - service.duration_min) % service.duration_step == 0
    ):
        return None
    return (
        f"The service takes {service.duration_min // MINUTE} to {service.duration_max // MINUTE} minutes"
        f" in steps of {service.duration_step // MINUTE}."
    )


def _notice(request: BookingRequest, service: ServiceRules | None, now: Millis) -> Check:
    if service is None:
        return _passes("notice", "Without a service there is no notice.")
    if request.start < now:
        return Check("notice", ok=False, detail="The start lies in the past.")
    if request.start < now + service.notice:
        detail = f"The service wants to be booked at least {service.notice // MINUTE} minutes ahead."
        return Check("notice", ok=False, detail=detail)
    return _passes("notice", "The start is far enough ahead.")


def _horizon(request: BookingRequest, service: ServiceRules | None, now: Millis) -> Check:
    if service is None or service.horizon is None:
        return _passes("horizon", "There is no horizon.")
    if request.start > now + service.horizon:
        detail = f"The service can be booked at most {service.horizon // DAY} days ahead."
        return Check("horizon", ok=False, detail=detail)
    return _passes("horizon", "The start is near enough.")


def _schedule(
    request: BookingRequest, resource: ResourceRules, service: ServiceRules | None, open_windows: Sequence[Window]
) -> Check:
    open_then = openness(resource, service, request.start, request.end, open_windows)
    if open_then.ok:
        return _passes("schedule", open_then.detail)
    override = open_then.override.isoformat() if open_then.override else None
    return Check("schedule", ok=open_then.ok, detail=open_then.detail, override=override)


def _time_off(request: BookingRequest, resource: ResourceRules) -> Check:
    if (off := resource.time_off_index.first(request.start, request.end)) is not None:
        return Check("time-off", ok=False, detail="The resource has time off then.", time_off=off.id)
    if (closed := resource.closed_index.first(request.start, request.end)) is not None:
        return Check("time-off", ok=False, detail="The resource is closed then, by a closure.", closure=closed.id)
    return _passes("time-off", "The resource has no time off then.")


def _guests(request: BookingRequest, resource: ResourceRules) -> Check:
    limit = resource.guests_limit
    if limit == inf:
        return _passes("guests", "The resource does not limit guests.")
    if request.guests > limit:
        detail = f"{request.guests} guests are more than the {limit} that the resource can take."
        return Check("guests", ok=False, detail=detail)
    return _passes("guests", f"The resource can take {limit} guests.")


def _capacity(
    request: BookingRequest,
    resource: ResourceRules,
    calendar: Calendar,
    block: tuple[Millis, Millis],
    load: int,
    *,
    blame: bool,
) -> tuple[Check, tuple[Occupancy, ...]]:
    units = resource.units(request.guests)
    if load + units <= resource.capacity:
        return _passes("capacity", f"{resource.capacity - load} of {resource.capacity} are free."), ()
    conflicts: tuple[Occupancy, ...] = ()
    if blame:
        conflicts = tuple(conflicts_in(calendar.others(request.ignore), *block, resource.capacity - units))
    free = max(resource.capacity - load, 0)
    wanted = "1 is" if units == 1 else f"{units} are"
    detail = f"{wanted} wanted, {free} of {resource.capacity} are free at the fullest moment of that time."
    return Check("capacity", ok=False, detail=detail, reservation=conflicts[0].id if conflicts else None), conflicts
