"""Which occurrences of a series a request is about, and where a move of them leads."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.domain.ids import ServiceId
from app.domain.instants import EARLIEST, LATEST, Millis, from_millis, to_millis
from app.domain.lifecycle import BLOCKING, status_at
from app.domain.rules import ServiceRules
from app.domain.zones import local, parse_wall, resolve, zone
from app.errors import Problem, invalid_field
from app.reservations.series_plan import RecurringTime
from app.reservations.series_schemas import SeriesMove
from app.storage.documents import Reservation, Series
from app.storage.stored_reservations import unreadable
from app.storage.values import object_id


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """A series with its reservations, in the order of its rule, and the local time that the rule gives each."""

    series: Series
    reservations: Sequence[Reservation]
    local_starts: Sequence[str]

    def place_of(self, from_: str | None) -> int:
        """The place of the occurrence that a request names, or of the first after the local time that it names.

        Raises:
            Problem: `invalid`.
        """
        if from_ is None:
            return 0
        if (identity := object_id(from_)) is not None:
            for place, reservation in enumerate(self.reservations):
                if reservation.id == identity:
                    return place
            raise invalid_field("from", f"There is no reservation {from_!r} in this series.")
        try:
            wall = parse_wall(from_)
        except ValueError:
            detail = "Name a reservation of the series by its id, or a local time like 2026-06-01T00:00."
            raise invalid_field("from", detail) from None
        earlier = [start for start in self.local_starts if datetime.fromisoformat(start) < wall]
        return len(earlier)

    def upcoming(self, first: int, now: Millis) -> list[int]:
        """The places, from `first` on, of the occurrences that have neither begun nor ended."""
        return [place for place in self.lasting(first, now) if not has_begun(self.reservations[place], now)]

    def lasting(self, first: int, now: Millis) -> list[int]:
        """The places, from `first` on, of the occurrences whose status is not final."""
        return [
            place
            for place, reservation in enumerate(self.reservations)
            if place >= first and _status_of(reservation, now) in BLOCKING
        ]

    @property
    def tz(self) -> ZoneInfo:
        """The zone of its local times.

        Raises:
            Problem: `invalid` where another program has changed it.
        """
        try:
            return zone(self.series.timezone)
        except ValueError:
            raise unreadable({"timezone": self.series.timezone}) from None

    @property
    def rule_time(self) -> time:
        """The time of day that the rule gives."""
        return datetime.fromisoformat(self.local_starts[0]).time()


def has_begun(reservation: Reservation, now: Millis) -> bool:
    """Whether a reservation has begun; one whose start cannot be read has not."""
    return isinstance(reservation.start_time, datetime) and to_millis(reservation.start_time) <= now


def _status_of(reservation: Reservation, now: Millis) -> Any:
    expires = reservation.expires_at
    return status_at(reservation.status, to_millis(expires) if isinstance(expires, datetime) else None, now)


class Shift:
    """The move of a series: by how much local time its occurrences move, and how long they are from then on.

    Args:
        wanted: The request.
        moving: The occurrences; its local times refer to the first of them.
        rule_time: The time of day that the rule gives.
        tz: The zone of the series.
        services: The rules of the services of the occurrences.
    """

    def __init__(
        self,
        wanted: SeriesMove,
        moving: Sequence[Reservation],
        rule_time: time,
        tz: ZoneInfo,
        services: Mapping[ServiceId, ServiceRules],
    ) -> None:
        self._tz = tz
        self._services = services
        self._resource = wanted.resource
        shown = [self._shown(each) for each in moving]
        times, lengths = Counter(begins.time() for begins, _ in shown), Counter(length for _, length in shown)
        self._usual_time = max(times, key=lambda each: (times[each], each == rule_time))
        self._usual_length = max(lengths, key=lambda each: (lengths[each], each))
        begins = self._meant(moving[0])[0]
        start = begins if wanted.local_start is None else _wall("localStart", wanted.local_start)
        self._by = start - begins
        self._length = None if wanted.local_end is None else _wall("localEnd", wanted.local_end) - start
        if self._length is not None and self._length <= timedelta(0):
            raise invalid_field("localEnd", "`localEnd` must lie after the start.")

    def patch(self, reservation: Reservation) -> dict[str, Any]:
        """The change of one occurrence, with the names that the fields are stored under.

        Raises:
            Problem: `invalid` where it would leave the years of instants.
        """
        place = {} if self._resource is None else {"resource": self._resource}
        if not self._by and self._length is None:
            return place
        begins, length = self._meant(reservation)
        # A start that stays keeps its instant: its local time can be one that clocks show twice.
        start = self._instant(begins + self._by) if self._by else to_millis(reservation.start_time)
        patch = place | {"startTime": from_millis(start)}
        service = None if reservation.service is None else self._services.get(reservation.service)
        if self._length is None and service is not None and service.kind != "flexible":
            return patch  # the service sets the length: elapsed time, or whole days
        length = self._length or length
        if service is not None and service.kind == "fixed" and length == timedelta(milliseconds=service.duration):
            return patch
        end = self._instant(begins + self._by + length)
        shortest = Millis(start + length // timedelta(milliseconds=1))
        return patch | {"endTime": from_millis(end if end > start else shortest)}

    def _meant(self, reservation: Reservation) -> tuple[datetime, timedelta]:
        """The local start and the length of an occurrence, as they would be if no clocks changed meanwhile.

        One that lies in a gap begins or ends later than the others do, by the clock; elsewhere it is to be like them.
        """
        begins, length = self._shown(reservation)
        usual = datetime.combine(begins, self._usual_time)
        if resolve(usual, self._tz) == to_millis(reservation.start_time):
            begins = usual
        if RecurringTime(begins, self._usual_length, self._tz).of(begins)[1] == reservation.end_time:
            return begins, self._usual_length
        # Clocks that went back meanwhile may show an end that is not after the start.
        return begins, length if length > timedelta(0) else reservation.end_time - reservation.start_time

    def _shown(self, reservation: Reservation) -> tuple[datetime, timedelta]:
        """When an occurrence begins and how long it is, by the clock."""
        times = {"startTime": reservation.start_time, "endTime": reservation.end_time}
        if not all(isinstance(each, datetime) for each in times.values()):
            raise unreadable(times)
        begins, ends = (local(to_millis(each), self._tz) for each in times.values())
        return begins, ends - begins

    def _instant(self, wall: datetime) -> Millis:
        instant = resolve(wall, self._tz)
        if not EARLIEST <= instant < LATEST:
            raise invalid_field("localStart", "Instants lie in the years 1970 to 2200.")
        return instant


def check_reference(found: StoredSeries, place: int, now: Millis) -> None:
    """Refuse a move that refers to an occurrence that has begun.

    If the next one stood in for it, the same request a week later would move that one a week back.

    Raises:
        Problem: `invalid`.
    """
    if has_begun(found.reservations[place], now):
        detail = f"The occurrence of {found.local_starts[place]} has begun; name in `from` the first that is to move."
        raise invalid_field("from", detail)


def _wall(field: str, text: str) -> datetime:
    try:
        return parse_wall(text)
    except ValueError as error:
        raise invalid_field(field, str(error)) from None


def nothing_to_come(what: str) -> Problem:
    """The problem of a request about occurrences of which none is still to come."""
    return Problem("forbidden-transition", f"None of these occurrences is still to come, so none can be {what}.")
