"""Whether a time can be booked, and why not: one verdict for slots, for explain and for the write path.

Every rule is judged every time, in one fixed order, so that a refusal names all that is wrong at once. Nothing here
knows a database or a clock: `now` is the caller's.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, TypeAlias

from app.domain.instants import DAY, MINUTE, Millis
from app.domain.load import Calendar, Occupancy, conflicts_in
from app.domain.schedule import ALWAYS, Schedule, TimeOff, TimeOffIndex, Window, is_open, is_open_daily
from app.domain.zones import days_between, is_day_start, next_day, zone

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
FORCED = frozenset({"notice", "horizon", "schedule", "time-off"})
"""What `force` lifts. Capacity is never lifted."""
AHEAD = frozenset({"notice", "horizon"})
"""The rules about how far ahead a start is booked: not judged of a start that stays."""
LONGEST = 366 * DAY
SHORTEST = MINUTE
Assignment: TypeAlias = Literal["even", "first", "smallest"]
"""Which free member of a pool is taken: each as often, the first by id, or the one of the least capacity that fits."""


@dataclass(frozen=True, slots=True)
class ResourceRules:
    """What the rules need to know of a resource."""

    id: str
    capacity: int = 1
    by_guests: bool = False
    services: frozenset[str] = frozenset()
    active: bool = True
    timezone: str = "UTC"
    schedule: Schedule = ALWAYS
    time_off: tuple[TimeOff, ...] = ()
    times_off: TimeOffIndex = field(init=False, repr=False, compare=False)
    """`time_off`, to be searched."""

    def __post_init__(self) -> None:
        """Sort the times off once for all who search them."""
        object.__setattr__(self, "times_off", TimeOffIndex(self.time_off))

    def units(self, guests: int) -> int:
        """What a reservation of so many guests takes of the capacity."""
        return guests if self.by_guests else 1


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """What the rules need to know of a service; lengths are milliseconds, `max_days` local days."""

    id: str
    kind: Literal["fixed", "flexible", "full-day"]
    duration: Millis = 0
    minimum: Millis = 0
    step: Millis = MINUTE
    maximum: Millis = 0
    max_days: int = 1
    before: Millis = 0
    after: Millis = 0
    interval: Millis = 0
    notice: Millis = 0
    horizon: Millis | None = None
    cancellation_notice: Millis = 0
    approval: bool = False
    active: bool = True
    assignment: Assignment = "even"


@dataclass(frozen=True, slots=True)
class BookingRequest:
    """A time that somebody wants; `lifted` names the rules that are not to be judged for it."""

    start: Millis
    end: Millis
    guests: int = 1
    lifted: frozenset[str] = frozenset()
    ignore: Hashable | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One rule's verdict, with what is in the way where it says no."""

    rule: str
    ok: bool
    detail: str
    reservation: Hashable | None = None
    time_off: str | None = None
    override: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """All rules' verdicts on a wish and its block, and those who occupy it where it is too full."""

    wish: BookingRequest
    checks: tuple[Check, ...]
    block_start: Millis
    block_end: Millis
    units: int
    conflicts: tuple[Occupancy, ...] = ()
    load: int = 0
    """The peak in the block, without ours."""

    @property
    def bookable(self) -> bool:
        """Whether every rule holds."""
        return all(check.ok for check in self.checks)

    @property
    def failed(self) -> list[Check]:
        """The rules that say no."""
        return [check for check in self.checks if not check.ok]

    @property
    def is_conflict(self) -> bool:
        """Whether nothing but the capacity is in the way: the time is taken, the wish itself is fine."""
        return [check.rule for check in self.failed] == ["capacity"]


def block_of(start: Millis, end: Millis, offer: ServiceRules | None) -> tuple[Millis, Millis]:
    """What `[start, end)` occupies: the service's buffers added on both sides."""
    return (start - offer.before, end + offer.after) if offer else (start, end)


def length_flaw(start: Millis, end: Millis, shortest: Millis = SHORTEST) -> str | None:
    """What is wrong with the length of a reservation, for whoever asked for it; None if it can be had."""
    if end <= start:
        return "`endTime` must lie after `startTime`."
    if end - start < shortest:
        return "A reservation lasts at least a minute."
    if end - start > LONGEST:
        return f"A reservation lasts at most {LONGEST // DAY} days."
    return None


def end_of_same_length(
    start: Millis, before: tuple[Millis, Millis], offer: ServiceRules | None, zone_before: str, zone_after: str
) -> Millis:
    """Where a reservation ends that is moved to `start` and keeps its length: elapsed time, or for whole days as many.

    Days are those of the resource, before and after: in another zone a day of 25 hours may touch two dates.
    """
    if offer is not None and offer.kind == "full-day":
        days = days_between(*before, zone(zone_before))
        return next_day(start, zone(zone_after), max(days, 1))
    return start + before[1] - before[0]


def judge(
    wish: BookingRequest,
    room: ResourceRules,
    offer: ServiceRules | None,
    calendar: Calendar,
    *,
    block: tuple[Millis, Millis] | None = None,
    open_windows: Sequence[Window] = (),
    blame: bool = True,
) -> Verdict:
    """Judge every rule. Notice and horizon include their ends; buffers may reach outside the schedule.

    `block` is what the wish would occupy where that is not what the service says now: buffers once stored stay.
    `open_windows` are stretches that `schedule.windows` gave for the room: who judges many times resolves them once.
    Without `blame` nobody is looked for who is in the way.
    """
    block_start, block_end = block or block_of(wish.start, wish.end, offer)
    units = room.units(wish.guests)
    load = calendar.peak(block_start, block_end, wish.ignore)
    capacity, conflicts = _capacity(wish, room, calendar, (block_start, block_end), load, blame=blame)
    checks: tuple[Check, ...] = (
        _resource_active(room),
        _service_active(offer),
        _service_offered(room, offer),
        _duration(wish, room, offer),
        _notice(wish, offer, calendar.now),
        _horizon(wish, offer, calendar.now),
        _schedule(wish, room, offer, open_windows),
        _time_off(wish, room),
        _guests(wish, room),
        capacity,
    )
    if wish.lifted:
        checks = tuple(_lift(check) if check.rule in wish.lifted and not check.ok else check for check in checks)
    return Verdict(wish, checks, block_start, block_end, units, conflicts, load)


@lru_cache(maxsize=1 << 14)
def _passes(rule: str, detail: str) -> Check:
    """The verdict of a rule that holds, made once: a month of slots asks for many thousands."""
    return Check(rule, ok=True, detail=detail)


def _lift(check: Check) -> Check:
    return replace(check, ok=True, detail=f"Lifted: {check.detail}")


def _resource_active(room: ResourceRules) -> Check:
    if room.active:
        return _passes("resource-active", "The resource takes bookings.")
    return Check("resource-active", ok=False, detail=f"The resource {room.id!r} is deactivated and takes no bookings.")


def _service_active(offer: ServiceRules | None) -> Check:
    if offer is None:
        return _passes("service-active", "No service is asked for.")
    if offer.active:
        return _passes("service-active", "The service can be booked.")
    return Check("service-active", ok=False, detail=f"The service {offer.id!r} is deactivated and cannot be booked.")


def _service_offered(room: ResourceRules, offer: ServiceRules | None) -> Check:
    if offer is None:
        return _passes("service-offered", "No service is asked for.")
    if offer.id in room.services:
        return _passes("service-offered", "The resource offers the service.")
    detail = f"The resource {room.id!r} does not offer the service {offer.id!r}."
    return Check("service-offered", ok=False, detail=detail)


def _duration(wish: BookingRequest, room: ResourceRules, offer: ServiceRules | None) -> Check:
    said = _wrong_length(wish, room, offer) if offer else None
    return _passes("duration", "The length is allowed.") if said is None else Check("duration", ok=False, detail=said)


def _wrong_length(wish: BookingRequest, room: ResourceRules, offer: ServiceRules) -> str | None:
    length = wish.end - wish.start
    if offer.kind == "fixed":
        return None if length == offer.duration else f"The service takes {offer.duration // MINUTE} minutes."
    if offer.kind == "full-day":
        tz = zone(room.timezone)
        if not (is_day_start(wish.start, tz) and is_day_start(wish.end, tz)):
            return f"The service takes whole local days: both ends are first instants of days in {room.timezone}."
        days = days_between(wish.start, wish.end, tz)
        return None if days <= offer.max_days else f"The service takes at most {offer.max_days} days."
    if offer.minimum <= length <= offer.maximum and (length - offer.minimum) % offer.step == 0:
        return None
    return (
        f"The service takes {offer.minimum // MINUTE} to {offer.maximum // MINUTE} minutes"
        f" in steps of {offer.step // MINUTE}."
    )


def _notice(wish: BookingRequest, offer: ServiceRules | None, now: Millis) -> Check:
    if offer is None:
        return _passes("notice", "Without a service there is no notice.")
    if wish.start < now:
        return Check("notice", ok=False, detail="The start lies in the past.")
    if wish.start < now + offer.notice:
        detail = f"The service wants to be booked at least {offer.notice // MINUTE} minutes ahead."
        return Check("notice", ok=False, detail=detail)
    return _passes("notice", "The start is far enough ahead.")


def _horizon(wish: BookingRequest, offer: ServiceRules | None, now: Millis) -> Check:
    if offer is None or offer.horizon is None:
        return _passes("horizon", "There is no horizon.")
    if wish.start > now + offer.horizon:
        detail = f"The service can be booked at most {offer.horizon // DAY} days ahead."
        return Check("horizon", ok=False, detail=detail)
    return _passes("horizon", "The start is near enough.")


def _schedule(
    wish: BookingRequest, room: ResourceRules, offer: ServiceRules | None, open_windows: Sequence[Window]
) -> Check:
    tz = zone(room.timezone)
    if offer and offer.kind == "full-day":
        open_then = is_open_daily(room.schedule, tz, wish.start, wish.end)
    else:
        open_then = is_open(room.schedule, tz, wish.start, wish.end, open_windows)
    if open_then.ok:
        return _passes("schedule", open_then.detail)
    override = open_then.override.isoformat() if open_then.override else None
    return Check("schedule", ok=open_then.ok, detail=open_then.detail, override=override)


def _time_off(wish: BookingRequest, room: ResourceRules) -> Check:
    off = room.times_off.first(wish.start, wish.end)
    if off is None:
        return _passes("time-off", "The resource has no time off then.")
    return Check("time-off", ok=False, detail="The resource has time off then.", time_off=off.id)


def _guests(wish: BookingRequest, room: ResourceRules) -> Check:
    if not room.by_guests:
        return _passes("guests", "The resource does not count guests.")
    if wish.guests > room.capacity:
        detail = f"{wish.guests} guests are more than the {room.capacity} that the resource can take."
        return Check("guests", ok=False, detail=detail)
    return _passes("guests", f"The resource can take {room.capacity} guests.")


def _capacity(
    wish: BookingRequest,
    room: ResourceRules,
    calendar: Calendar,
    block: tuple[Millis, Millis],
    load: int,
    *,
    blame: bool,
) -> tuple[Check, tuple[Occupancy, ...]]:
    units = room.units(wish.guests)
    if load + units <= room.capacity:
        return _passes("capacity", f"{room.capacity - load} of {room.capacity} are free."), ()
    conflicts: tuple[Occupancy, ...] = ()
    if blame:
        conflicts = tuple(conflicts_in(calendar.others(wish.ignore), *block, room.capacity - units))
    free = max(room.capacity - load, 0)
    wanted = "1 is" if units == 1 else f"{units} are"
    detail = f"{wanted} wanted, {free} of {room.capacity} are free at the fullest moment of that time."
    return Check("capacity", ok=False, detail=detail, reservation=conflicts[0].id if conflicts else None), conflicts
