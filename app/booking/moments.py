"""The times of a request: instants, or local times of the clocks of a resource.

A local time that does not exist, or exists twice, is refused with the two instants that it could mean, by the offset
before and after the change. RFC 5545 and Temporal choose one of them, which is no basis for a booking.

The write path takes the time zone of a resource from the rules by which it judges: whoever gives the resource another
zone meanwhile moves no booking that is being made.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from app.domain.instants import EARLIEST, LATEST, Duration, Millis, render, to_millis
from app.domain.lengths import LENGTH_MIN, length_fault
from app.domain.zones import choices, zone
from app.errors import Fault, Problem, invalid_field

LocalField: TypeAlias = Literal["localStart", "localEnd"]


@dataclass(frozen=True, slots=True)
class LocalTime:
    """A wall time in a field of a request; `text` is what was written there."""

    wall: datetime
    text: str
    field: LocalField

    def instant(self, tz: ZoneInfo) -> Millis:
        """The instant that it means on the clocks of a zone.

        Raises:
            Problem: `local-time`, with the choices, where it does not exist or exists twice; `invalid` where the
                instant lies in no year that there is here.
        """
        meant = choices(self.wall, tz)
        if not all(EARLIEST <= each < LATEST for each in meant):
            raise invalid_field(self.field, "Instants lie in the years 1970 to 2200.")
        if len(meant) == 1:
            return meant[0]
        what = "exists twice" if meant[0] < meant[1] else "does not exist"
        detail = f"{self.text} {what} in {tz.key}; send one of the choices as an instant."
        shown = [render(each) for each in meant]
        raise Problem("local-time", detail, faults=[Fault((self.field,), detail)], choices=shown)


Moment: TypeAlias = datetime | LocalTime
"""An instant, or a time of the clocks of the resource."""


def instant_of(moment: Moment, timezone: str) -> Millis:
    """The instant that is meant on a resource of a time zone.

    Raises:
        Problem: as `LocalTime.instant` says.
    """
    return moment.instant(zone(timezone)) if isinstance(moment, LocalTime) else to_millis(moment)


def rough_instant(moment: Moment) -> Millis:
    """An instant that is at most a day off, for estimates without the zone."""
    return to_millis(moment.wall.replace(tzinfo=UTC) if isinstance(moment, LocalTime) else moment)


def check_length(start: Millis, end: Millis, shortest: Duration = LENGTH_MIN) -> None:
    """Refuse an end that no reservation can have: before the start, too near it or too far from it.

    Raises:
        Problem: `invalid`.
    """
    if (flaw := length_fault(start, end, shortest)) is not None:
        raise invalid_field("endTime", flaw)
