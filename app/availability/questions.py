"""Questions about free times: the parameters of a query, and the spans and lengths that they mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from app.availability.queries import BookableResource
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import DAY, LATEST, MINUTE, Duration, Millis, parse, to_millis
from app.domain.lengths import UNDETERMINED_END, end_by_service, length_fault
from app.domain.rules import ServiceRules
from app.domain.schedule_json import read_span
from app.domain.slots import SlotQuery
from app.domain.zones import ONE_DAY, day_of, parse_day, start_of_day, zone
from app.errors import Fault, Problem, invalid_parameter

SPAN_DAYS = 92
SOONEST_DAYS = 366
SOONEST_DAYS_AT_FIRST = 7
"""So many days are searched first for the soonest slots, and then each time twice as many as before."""

Span: TypeAlias = tuple[Millis, Millis]
"""`[after, before)`, in which slots start."""


@dataclass(frozen=True, slots=True)
class Question:
    """The parameters of a question which times of a span are free."""

    service: ServiceId | None
    resource: ResourceId | None
    from_: str
    to: str | None
    timezone: str | None = None
    guests: int = 1
    minutes: int | None = None
    days: int | None = None
    ignore: str | None = None
    per: Literal["day"] | None = None
    distinct: Literal["start"] | None = None
    limit: int | None = None
    first: bool = False

    @property
    def most(self) -> int | None:
        """How many items the answer has at most; None: as many as there are."""
        return 1 if self.first and self.limit is None else self.limit


@dataclass(frozen=True, slots=True)
class TimeQuestion:
    """The parameters of a question whether one time can be booked, on a resource or on those of a service's pool."""

    resource: ResourceId | None
    service: ServiceId | None
    start: datetime
    end: datetime | None
    guests: int = 1
    ignore: str | None = None


def asked_of(question: Question, service: ServiceRules | None) -> SlotQuery:
    """The length of the slots to search for, and the number of guests.

    Raises:
        Problem: `invalid`.
    """
    if question.days is not None and (service is None or service.kind != "full-day"):
        raise invalid_parameter("days", "`days` is for full-day services.")
    if service is not None and service.kind == "full-day":
        if question.minutes is not None:
            raise invalid_parameter("minutes", "A full-day service is asked for by `days`.")
        return SlotQuery(DAY, question.guests, question.days or 1)
    return SlotQuery(_length(question.minutes, service), question.guests)


def _length(minutes: int | None, service: ServiceRules | None) -> Duration:
    if service is None:
        if minutes is None:
            raise invalid_parameter("minutes", "Without a service, say how long: `minutes`.")
        return minutes * MINUTE
    if service.kind == "flexible":
        return service.duration_min if minutes is None else minutes * MINUTE
    if minutes not in (None, service.duration // MINUTE):
        raise invalid_parameter(
            "minutes", f"The service takes {service.duration // MINUTE} minutes; leave `minutes` out."
        )
    return service.duration


def end_of(start: Millis, end: Millis | None, service: ServiceRules | None, timezone: str) -> Millis:
    """The end of a time; where none is given, the service of fixed length or full days sets it.

    Raises:
        Problem: `invalid` where nothing sets it, or the length is one that no reservation can have.
    """
    if end is None:
        end = end_by_service(start, service, timezone)
        if end is None:
            raise invalid_parameter("endTime", UNDETERMINED_END)
        return end
    if (flaw := length_fault(start, end)) is not None:
        raise invalid_parameter("endTime", flaw)
    return end


def answer_zone(question: Question, resources: Sequence[BookableResource]) -> ZoneInfo:
    """The zone of the answer: the requested one, else that of all its resources if they agree, else UTC.

    Raises:
        Problem: `invalid`.
    """
    if question.timezone is not None:
        try:
            return zone(question.timezone)
        except ValueError as error:
            raise invalid_parameter("timezone", str(error)) from None
    names = {resource.rules.timezone for resource in resources}
    return zone(names.pop() if len(names) == 1 else "UTC")


def spans_of(question: Question, tz: ZoneInfo, service: ServiceRules | None, now: Millis) -> list[Span]:
    """The spans to search one after the other: one, or for the soonest slots parts of a year, each of whole days.

    Raises:
        Problem: `invalid`.
    """
    if not question.first:
        return [_span_of(question, tz)]
    if question.to is not None:
        raise invalid_parameter("to", f"`first` searches {SOONEST_DAYS} days from `from` on; leave `to` out.")
    after = _instant_of(question.from_, tz)
    if service is not None:
        after = max(after, now)
    end = min(Millis(after + SOONEST_DAYS * DAY), LATEST)
    if service is not None and service.horizon is not None:
        end = min(end, Millis(now + service.horizon + 1))
    spans: list[Span] = []
    days = SOONEST_DAYS_AT_FIRST
    while after < end:
        before = min(start_of_day(day_of(after, tz) + days * ONE_DAY, tz), end)
        spans.append((after, before))
        after, days = before, 2 * days
    return spans


def _instant_of(text: str, tz: ZoneInfo) -> Millis:
    try:
        return start_of_day(parse_day(text), tz) if _is_date(text) else to_millis(parse(text))
    except ValueError as error:
        raise invalid_parameter("from", str(error)) from None


def _is_date(text: str) -> bool:
    return len(text) == len("2026-03-08")


def _span_of(question: Question, tz: ZoneInfo) -> Span:
    """The span `[after, before)` in which the slots start.

    Raises:
        Problem: `invalid`.
    """
    if question.to is None:
        raise invalid_parameter("to", "Say until when with `to`, or ask for the soonest with `first=true`.")
    (after, before), found = read_span(question.from_, question.to, tz)
    if found:
        faults = [Fault(path, detail, in_query=True) for path, detail in found]
        raise Problem("invalid", faults[0].detail, faults=faults)
    longest = SPAN_DAYS * DAY
    if _is_date(question.from_):  # 92 local days may have an hour more
        longest = start_of_day(day_of(after, tz) + SPAN_DAYS * ONE_DAY, tz) - after
    if before - after > longest:
        raise invalid_parameter("to", f"Ask for at most {SPAN_DAYS} days at a time.")
    return after, before
