"""Reports of the use of resources: bounded in days, resources, reservations and time."""

import time
from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

import msgspec
import pymongo

from app.availability.admission import Admission
from app.availability.queries import BookableResource, read_resources
from app.caller import Caller
from app.deadline import LEAST_SECONDS, within
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import MINUTE, Duration, Millis, render
from app.domain.rules import ResourceRules
from app.domain.utilisation import Period, PeriodLength, Use, periods, utilisation
from app.domain.zones import parse_day, zone
from app.errors import Problem, invalid_parameter
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.rule_cache import RuleReader, took_too_long
from app.utilisation.queries import booking_of, read_reservations, services_of
from app.work import WorkPool

DAYS_MAX = 366
RESOURCES_MAX = 1_000
ITEMS_MAX = 20_000
ROWS_MAX = 100_000
"""Reservations that one report reads."""
REPORT_SECONDS = 8.5
"""How long a report may wait, read and compute."""
READ_SECONDS_MIN = 0.5
"""No read begins with less time left, so that a timeout means a slow database and not a late start."""
SHARE_DIGITS = 4


class UtilisationQuestion(NamedTuple):
    """The parameters of a report, as they came."""

    resource: ResourceId | None
    service: ServiceId | None
    from_: str
    to: str
    per: PeriodLength


class Reports:
    """Reports of the use of resources.

    Args:
        store: The database.
        rules: Reads the rules of resources and services.
        work: The threads in which reports are computed.
    """

    def __init__(self, store: Store, rules: RuleReader, work: WorkPool) -> None:
        self._store = store
        self._rules = rules
        self._work = work
        self._admission = Admission(permits=1)

    async def utilisation(self, question: UtilisationQuestion, caller: Caller) -> bytes:
        """The report as JSON.

        Raises:
            Problem: `invalid`; `forbidden` for a key that sees one customer alone; `overloaded`.
        """
        if caller.customer is not None:
            raise Problem("forbidden", "A key that is bound to a customer does not see how much others have booked.")
        first, last = _days(question)
        until = time.monotonic() + within(REPORT_SECONDS)
        async with self._admission.permit(caller.key_id):
            with pymongo.timeout(max(until - time.monotonic(), LEAST_SECONDS)):
                resources = await self._resources(question, until)
                spans = {each: periods(first, last, question.per, zone(each)) for each in _zones(resources)}
                if sum(len(spans[each.rules.timezone]) for each in resources) > ITEMS_MAX:
                    detail = f"It would have more than {ITEMS_MAX:,} items; ask for fewer days or longer periods."
                    raise invalid_parameter("per", detail)
                uses = await self._uses(resources, spans, until)
            return await self._work.run(_encoded, uses)

    async def _uses(
        self, resources: Sequence[BookableResource], spans: dict[str, list[Period]], until: float
    ) -> list[tuple[ResourceRules, list[Use]]]:
        """The use of each resource, by one read for each.

        Raises:
            Problem: `invalid` where there are too many reservations; `overloaded`.
        """
        found: list[tuple[ResourceRules, list[Use]]] = []
        rows_left = ROWS_MAX
        for each in resources:
            _require_time(until)
            span = spans[each.rules.timezone]
            rows = await self._rows(each.rules.id, span, rows_left + 1)
            rows_left -= len(rows)
            if rows_left < 0:
                raise invalid_parameter("to", f"More than {ROWS_MAX:,} reservations lie there; ask for fewer days.")
            services = await self._rules.read([], services_of(rows), until=until)
            notices = {name: rules.cancellation_notice for name, rules in services.services.items()}
            now = self._store.clock.millis()
            found.append((each.rules, await self._work.run(_computed, each.rules, span, rows, now, notices)))
        return found

    async def _rows(self, resource: ResourceId, span: Sequence[Period], rows_max: int) -> list[BsonDocument]:
        if not span:
            return []
        return await read_reservations(self._store, resource, span[0].start, span[-1].end, rows_max=rows_max)

    async def _resources(self, question: UtilisationQuestion, until: float) -> Sequence[BookableResource]:
        if (question.resource is None) is (question.service is None):
            raise invalid_parameter("resource", "Name a resource, or a service for the resources that offer it.")
        wanted = None if question.resource is None else [question.resource]
        service, resources = await read_resources(
            self._store, self._rules, resources=wanted, service=question.service, until=until - READ_SECONDS_MIN
        )
        if question.service is not None and service is None:
            raise invalid_parameter("service", f"There is no service {question.service!r}.")
        if question.resource is not None and not resources:
            raise invalid_parameter("resource", f"There is no resource {question.resource!r}.")
        if len(resources) > RESOURCES_MAX:
            raise invalid_parameter("service", f"More than {RESOURCES_MAX:,} resources offer it; ask for each of them.")
        return resources


def _days(question: UtilisationQuestion) -> tuple[date, date]:
    """The days of a report.

    Raises:
        Problem: `invalid`.
    """
    found: dict[str, date] = {}
    for name, text in (("from", question.from_), ("to", question.to)):
        try:
            found[name] = parse_day(text)
        except ValueError as error:
            raise invalid_parameter(name, str(error)) from None
    if found["to"] <= found["from"]:
        raise invalid_parameter("to", "`to` must lie after `from`.")
    if found["to"] - found["from"] > timedelta(days=DAYS_MAX):
        raise invalid_parameter("to", f"A report has at most {DAYS_MAX} days; ask for fewer.")
    return found["from"], found["to"]


def _zones(resources: Sequence[BookableResource]) -> set[str]:
    return {each.rules.timezone for each in resources}


def _computed(
    resource: ResourceRules,
    span: Sequence[Period],
    rows: Sequence[BsonDocument],
    now: Millis,
    notices: dict[ServiceId, Duration],
) -> list[Use]:
    bookings = (booking_of(row, now, notices) for row in rows)
    return utilisation(resource, span, (each for each in bookings if each is not None))


def _encoded(uses: Sequence[tuple[ResourceRules, list[Use]]]) -> bytes:
    """The items as JSON, as `UtilisationAnswer` describes it."""
    items = [(use, resource) for resource, found in uses for use in found]
    items.sort(key=lambda item: (item[0].period.first, item[1].id))
    return msgspec.json.encode({"items": [_item(use, resource) for use, resource in items]})


def _item(use: Use, resource: ResourceRules) -> dict[str, object]:
    share = use.share(resource.capacity)
    return {
        "resource": resource.id,
        "from": use.period.first.isoformat(),
        "to": use.period.last.isoformat(),
        "startTime": render(use.period.start),
        "endTime": render(use.period.end),
        "capacity": resource.capacity,
        "openMinutes": use.open // MINUTE,
        "bookedMinutes": use.booked // MINUTE,
        "outsideMinutes": use.outside // MINUTE,
        **({} if share is None else {"share": round(share, SHARE_DIGITS)}),
        "bookings": use.bookings,
        "noShows": use.no_shows,
        "cancelledLate": use.cancelled_late,
    }


def _require_time(until: float) -> None:
    """Refuse to begin a read with so little time left.

    Raises:
        Problem: `overloaded`.
    """
    if time.monotonic() > until - READ_SECONDS_MIN:
        raise took_too_long()
