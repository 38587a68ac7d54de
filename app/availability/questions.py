"""Questions about free times: the parameters of a query, and the spans and lengths that they mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from app.availability.queries import BookableResource
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import DAY, MINUTE, Duration, Millis
from app.domain.lengths import UNDETERMINED_END, end_by_service, length_fault
from app.domain.rules import ServiceRules
from app.domain.schedule_json import read_span
from app.domain.slots import SlotQuery
from app.domain.zones import ONE_DAY, day_of, start_of_day, zone
from app.errors import Fault, Problem, invalid_parameter

SPAN_DAYS = 92


@dataclass(frozen=True, slots=True)
class Question:
    """The parameters of a question which times of a span are free."""

    service: ServiceId | None
    resource: ResourceId | None
    from_: str
    to: str
    timezone: str | None = None
    guests: int = 1
    minutes: int | None = None
    days: int | None = None
    ignore: str | None = None


@dataclass(frozen=True, slots=True)
class TimeQuestion:
    """The parameters of a question whether one time can be booked."""

    resource: ResourceId
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


def span_of(question: Question, tz: ZoneInfo) -> tuple[Millis, Millis]:
    """The span `[after, before)` in which the slots start.

    Raises:
        Problem: `invalid`.
    """
    (after, before), found = read_span(question.from_, question.to, tz)
    if found:
        faults = [Fault(path, detail, in_query=True) for path, detail in found]
        raise Problem("invalid", faults[0].detail, faults=faults)
    longest = SPAN_DAYS * DAY
    if len(question.from_) == len("2026-03-08"):  # 92 local days may have an hour more
        longest = start_of_day(day_of(after, tz) + SPAN_DAYS * ONE_DAY, tz) - after
    if before - after > longest:
        raise invalid_parameter("to", f"Ask for at most {SPAN_DAYS} days at a time.")
    return after, before
