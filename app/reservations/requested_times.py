"""The time that a body requests, by instants or by the local clocks of a time zone.

A local time that does not exist, or exists twice, is refused with the two instants that it could mean, by the offset
before and after the change. RFC 5545 and Temporal choose one of them, which is no basis for a booking.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from app.domain.instants import from_millis, render, to_millis
from app.domain.lengths import length_fault
from app.domain.zones import choices, parse_wall, zone
from app.errors import Fault, Problem, invalid_field
from app.reservations.schemas import ReservationTime


@dataclass(frozen=True, slots=True)
class RequestedTime:
    """A requested time: `end` is None where the service sets it, `timezone` is that of local times, if any."""

    start: datetime
    end: datetime | None
    timezone: str | None


def requested_time(wanted: ReservationTime) -> RequestedTime:
    """The time that a body requests.

    Raises:
        Problem: `invalid`, or `local-time` with the choices.
    """
    tz = _zone(wanted)
    start = _instant(wanted.start_time, wanted.local_start, tz, "Start")
    if start is None:
        raise invalid_field("startTime", "Say when it starts: `startTime`, or `localStart` with `timezone`.")
    end = _instant(wanted.end_time, wanted.local_end, tz, "End")
    check_span(start, end)
    return RequestedTime(start, end, None if tz is None else tz.key)


def check_span(start: datetime, end: datetime | None) -> None:
    """Refuse an end that no reservation can have: before the start, too near it or too far from it.

    Raises:
        Problem: `invalid`.
    """
    if end is None:
        return
    if (flaw := length_fault(to_millis(start), to_millis(end))) is not None:
        raise invalid_field("endTime", flaw)


def _zone(wanted: ReservationTime) -> ZoneInfo | None:
    if wanted.timezone is None:
        if wanted.local_start is not None or wanted.local_end is not None:
            raise invalid_field("timezone", "A local time needs the `timezone` of its clock, like Europe/Berlin.")
        return None
    try:
        return zone(wanted.timezone)
    except ValueError as error:
        raise invalid_field("timezone", str(error)) from None


def _instant(instant: datetime | None, local: str | None, tz: ZoneInfo | None, which: str) -> datetime | None:
    if local is None or tz is None:
        return instant
    field = f"local{which}"
    if instant is not None:
        raise invalid_field(field, f"Give `{field}` or the instant, not both.")
    try:
        wall = parse_wall(local)
    except ValueError as error:
        raise invalid_field(field, str(error)) from None
    meant = choices(wall, tz)
    if len(meant) == 1:
        return from_millis(meant[0])
    what = "exists twice" if meant[0] < meant[1] else "does not exist"
    detail = f"{local} {what} in {tz.key}; send one of the choices as an instant."
    raise Problem("local-time", detail, faults=[Fault((field,), detail)], choices=[render(each) for each in meant])
