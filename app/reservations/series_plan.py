"""From the body of a series to its intent: the local times that the rule gives, and a booking for each of them."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bson import ObjectId

from app.booking import SERIES_VERDICTS_MAX, Book, BookedSeries, BookSeries, Token, missing_guard
from app.caller import Caller
from app.domain.ids import ResourceId
from app.domain.instants import Duration, Millis, from_millis
from app.domain.rules import ServiceRules
from app.domain.zones import parse_day, parse_wall, render_wall, resolve, zone
from app.errors import Problem, invalid_field
from app.reservations.group_refusals import Occurrences
from app.reservations.pools import Pools
from app.reservations.recurrence import occurrences, parse_rule
from app.reservations.schemas import ANY, NewReservation
from app.reservations.series_schemas import NewSeries, SeriesReservation
from app.reservations.service import Reservations
from app.storage.catalogue import CatalogueStore
from app.storage.documents import Resource, Series, SeriesOccurrence
from app.storage.rule_cache import RuleReader, Rules

IN_RESERVATION = Occurrences(paths={"startTime": "localStart", "endTime": "localEnd"}, below=("reservation",))
"""Where the fields of an occurrence are in the body of a new series."""
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class RecurringTime:
    """The time of a series: its first local time, its zone, and its length by the clock; None: the service sets it."""

    first: datetime
    length: timedelta | None
    tz: ZoneInfo

    def of(self, wall: datetime) -> tuple[datetime, datetime | None]:
        """The start and the end of the occurrence at a local time.

        Both keep their local times when the clocks change, as those of schedules do. Where the clocks spring forward
        over the end alone would leave nothing, the occurrence lasts as long as the others.
        """
        start = resolve(wall, self.tz)
        if self.length is None:
            return from_millis(start), None
        end = resolve(wall + self.length, self.tz)
        return from_millis(start), from_millis(end if end > start else Millis(start + self.duration))

    @property
    def duration(self) -> Duration:
        """The length by the clock, in milliseconds."""
        return 0 if self.length is None else self.length // _MILLISECOND


class SeriesPlanner:
    """Makes the intents of series.

    Args:
        reservations: Makes the intent of one reservation.
        rules: Reads the rules of resources and services.
    """

    def __init__(self, reservations: Reservations, rules: RuleReader) -> None:
        self._reservations = reservations
        self._rules = rules

    async def intent_of(self, wanted: NewSeries, caller: Caller, token: Token[BookedSeries] | None) -> BookSeries:
        """The intent of a new series.

        Raises:
            Problem: `invalid`, `forbidden`, `overloaded`, `unavailable`.
        """
        rule = parse_rule(wanted.rule)
        excluded = frozenset(map(parse_day, wanted.except_ or ()))
        pools = self._reservations.pools()
        with in_reservation():
            time = await self._time_of(wanted.reservation, pools)
        walls = occurrences(rule, time.first, time.tz, excluded)
        series = Series(
            id=ObjectId(),  # pyright: ignore[reportArgumentType]  # Beanie's ObjectId
            rule=wanted.rule,
            timezone=time.tz.key,
            except_=sorted(str(each) for each in excluded) or None,
            occurrences=[SeriesOccurrence(local_start=render_wall(wall)) for wall in walls],
        )
        with in_reservation():
            first = await self._reservations.to_intent(
                _as_reservation(wanted.reservation, time, walls[0]), caller, series=series.id, pools=pools
            )
            _check_work(first, len(walls))
        members = [
            replace(first, start=start, end=end, reservation=ObjectId(), operation=ObjectId())
            for start, end in map(time.of, walls)
        ]
        return BookSeries(by=caller.prefix, members=members, series=series, token=token)

    async def _time_of(self, body: SeriesReservation, pools: Pools) -> RecurringTime:
        """The local times of a body, with the zone of its resources where it names none.

        Raises:
            Problem: `invalid`; `overloaded`, `unavailable`.
        """
        resources: Iterable[ResourceId]
        if body.resource is None or body.resource == ANY:
            resources = await pools.of(body.service)
        else:
            resources = (body.resource,)
        services = () if body.service is None else (body.service,)
        rules = await self._rules.read([*resources], services)
        service = rules.services.get(body.service) if body.service else None
        tz = await self._zone_of(body, rules)
        first = _wall("startTime", body.local_start)
        length = None if body.local_end is None else _wall("endTime", body.local_end) - first
        if length is not None and length <= timedelta(0):
            raise invalid_field("endTime", "`localEnd` must lie after `localStart`.")
        return _by_service(RecurringTime(first, length, tz), service)

    async def _zone_of(self, body: SeriesReservation, rules: Rules) -> ZoneInfo:
        if body.timezone is not None:
            try:
                return zone(body.timezone)
            except ValueError as error:
                raise invalid_field("timezone", str(error)) from None
        for problem in rules.unreadable.values():
            raise problem
        zones = {resource.timezone for resource in rules.resources.values()}
        if not zones and body.resource is not None:
            if await CatalogueStore(self._reservations.store).exists(Resource, body.resource):
                raise missing_guard(body.resource)
            raise invalid_field("resource", f"There is no resource {body.resource!r}.")
        if len(zones) != 1:
            raise invalid_field("timezone", "The resources of the pool are in several time zones; name one.")
        return zone(zones.pop())


def _by_service(time: RecurringTime, service: ServiceRules | None) -> RecurringTime:
    """The time of a series; a length that a service fixes is elapsed time, also over a change of the clocks."""
    if service is not None and service.kind == "fixed" and time.duration == service.duration:
        return replace(time, length=None)
    return time


def _as_reservation(body: SeriesReservation, time: RecurringTime, wall: datetime) -> NewReservation:
    """The body of one occurrence."""
    start, end = time.of(wall)
    fields: dict[str, Any] = {
        name: value for name, value in body.sent_fields().items() if not name.startswith("local_")
    }
    fields |= {"start_time": start, "end_time": end, "timezone": time.tz.key}
    return NewReservation.model_construct(_fields_set=None, **fields)


def _check_work(first: Book, count: int) -> None:
    """Refuse a pool that is too large for so many occurrences.

    Raises:
        Problem: `invalid`.
    """
    if len(first.candidates) * count > SERIES_VERDICTS_MAX:
        detail = (
            f"{count} occurrences on {len(first.candidates)} resources are more than can be judged at once; name a"
            " resource, or make several series."
        )
        raise invalid_field("resource", detail)


def _wall(field: str, text: str) -> datetime:
    try:
        return parse_wall(text)
    except ValueError as error:
        raise invalid_field(field, str(error)) from None


@contextmanager
def in_reservation() -> Generator[None]:
    """Let problems of a reservation blame the fields of the body of a series.

    Raises:
        Problem: the one of the block, with other paths.
    """
    try:
        yield
    except Problem as problem:
        if not problem.faults:
            raise
        faults = [IN_RESERVATION.fault(each) for each in problem.faults]
        raise Problem(problem.name, problem.detail, faults=faults, **problem.extra) from None
