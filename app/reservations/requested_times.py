"""The times that a body requests, by instants or by the local clocks of a time zone.

A local time without `timezone` is one of the clocks of the resource, which the write path knows; see `booking.moments`.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from app.booking import LocalField, LocalTime, Moment, check_length
from app.domain.instants import from_millis, to_millis
from app.domain.zones import parse_wall, zone
from app.errors import invalid_field
from app.reservations.schemas import ReservationTime


@dataclass(frozen=True, slots=True)
class RequestedTimes:
    """What a body says of its times; None where it says nothing. `timezone` is the one that it names."""

    start: Moment | None
    end: Moment | None
    timezone: str | None

    @property
    def of_resource(self) -> bool:
        """Whether one of them is a time of the clocks of the resource."""
        return isinstance(self.start, LocalTime) or isinstance(self.end, LocalTime)


def requested_times(wanted: ReservationTime, *, resource_named: bool) -> RequestedTimes:
    """The times that a body requests.

    Args:
        wanted: The body.
        resource_named: Whether it is about a single resource, whose zone stands for a `timezone` that is left out.

    Raises:
        Problem: `invalid`, or `local-time` with the choices.
    """
    tz = _zone(wanted)
    times = RequestedTimes(
        _moment(wanted.start_time, wanted.local_start, tz, "localStart"),
        _moment(wanted.end_time, wanted.local_end, tz, "localEnd"),
        None if tz is None else tz.key,
    )
    if times.of_resource and not resource_named:
        detail = "A local time needs the `timezone` of its clock, like Europe/Berlin, where no resource is named."
        raise invalid_field("timezone", detail)
    if isinstance(times.start, datetime) and isinstance(times.end, datetime):
        check_length(to_millis(times.start), to_millis(times.end))
    return times


def _zone(wanted: ReservationTime) -> ZoneInfo | None:
    if wanted.timezone is None:
        return None
    try:
        return zone(wanted.timezone)
    except ValueError as error:
        raise invalid_field("timezone", str(error)) from None


def _moment(instant: datetime | None, local: str | None, tz: ZoneInfo | None, field: LocalField) -> Moment | None:
    if local is None:
        return instant
    if instant is not None:
        raise invalid_field(field, f"Give `{field}` or the instant, not both.")
    try:
        moment = LocalTime(parse_wall(local), local, field)
    except ValueError as error:
        raise invalid_field(field, str(error)) from None
    return moment if tz is None else from_millis(moment.instant(tz))
