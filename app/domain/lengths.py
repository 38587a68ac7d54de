"""How long reservations last, and where one ends that gives no end of its own."""

from app.domain.instants import DAY, MINUTE, Duration, Millis
from app.domain.rules import ServiceRules
from app.domain.zones import days_between, next_day, zone

LENGTH_MAX: Duration = 366 * DAY
LENGTH_MIN: Duration = MINUTE
UNDETERMINED_END = "Say when it ends: without a service of fixed length nothing else tells."
"""The sentence for the client where `end_by_service` finds no end."""


def length_fault(start: Millis, end: Millis, shortest: Duration = LENGTH_MIN) -> str | None:
    """A sentence for the client about a length that no reservation can have; None if it is in order."""
    if end <= start:
        return "`endTime` must lie after `startTime`."
    if end - start < shortest:
        return "A reservation lasts at least a minute."
    if end - start > LENGTH_MAX:
        return f"A reservation lasts at most {LENGTH_MAX // DAY} days."
    return None


def end_of_same_length(
    start: Millis, before: tuple[Millis, Millis], service: ServiceRules | None, zone_before: str, zone_after: str
) -> Millis:
    """Where a reservation ends that is moved to `start` and keeps its length: elapsed time, or for whole days as many.

    Days are those of the resource, before and after: in another zone a day of 25 hours may touch two dates.
    """
    if service is not None and service.kind == "full-day":
        days = days_between(*before, zone(zone_before))
        return next_day(start, zone(zone_after), max(days, 1))
    return Millis(start + before[1] - before[0])


def end_by_service(start: Millis, service: ServiceRules | None, timezone: str) -> Millis | None:
    """Where a reservation ends by its service alone; None where the service leaves its length open.

    A service of whole days takes one: the local day, in the time zone of the resource, that begins at `start`.
    """
    if service is None or service.kind == "flexible":
        return None
    if service.kind == "full-day":
        return next_day(start, zone(timezone))
    return Millis(start + service.duration)
