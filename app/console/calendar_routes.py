"""The calendar: resources side by side on a day, and a week or a month of one resource or of a service's pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Response, Router
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from app.access.routes import caller_of, in_session
from app.availability.service import Availability
from app.console.calendar import Column, Drawing, read_drawing, zone_of
from app.console.calendar_dates import VIEWS, Dates, View, within_calendar
from app.console.pages import long_part, page
from app.domain.ids import ResourceId
from app.domain.zones import day_of, parse_day, zone
from app.errors import invalid_parameter, not_found
from app.http.request import Request
from app.http.routing import get
from app.storage.bson_types import BsonDocument
from app.storage.catalogue import CatalogueStore, with_active, with_any
from app.storage.client import Store
from app.storage.documents import Resource, Service
from app.storage.stored_catalogue import UNLISTED_FIELDS

CHOICES_MAX = 1_000
"""Resources, and services, that can be chosen from a list; others by their address."""
SIDE_BY_SIDE_MAX = 8
"""Resources that a day shows at a time."""
POOL_MAX = 50
"""Resources of a pool that are drawn together."""

ViewParameter = Annotated[View, QueryParameter(name="view", description="A day, a week or a month.")]
DateParameter = Annotated[str | None, QueryParameter(name="date", description="A local date in the view.")]
OfParameter = Annotated[
    str, QueryParameter(name="of", description="`all`, `resource:<id>`, or `service:<id>` for its pool.")
]
PageParameter = Annotated[int, QueryParameter(name="page", ge=0, le=CHOICES_MAX, description="Of the resources.")]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a calendar can be of: `key` is its value of the parameter `of`."""

    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What the calendar is of, and what else it could be of.

    Args:
        of: The value of the parameter.
        resources: The ids of all its resources.
        names: The names of all resources that can be chosen.
        resource_choices: Those.
        service_choices: The services whose pools can be chosen.
    """

    of: str
    resources: Sequence[ResourceId]
    names: Mapping[str, str]
    resource_choices: Sequence[Choice]
    service_choices: Sequence[Choice]

    def narrowed(self) -> "Subject":
        """Of one resource, where it was of all: a week of everything is nobody's."""
        if self.of != "all" or not self.resources:
            return self
        first = self.resources[0]
        choices = self.resource_choices, self.service_choices
        return Subject(f"resource:{first}", [first], self.names, *choices)


@get("/console/calendar", guards=[in_session("reservations:read")])
async def calendar(
    request: Request,
    availability: NamedDependency[Availability],
    view: ViewParameter = "day",
    on: DateParameter = None,
    of: OfParameter = "all",
    number: PageParameter = 0,
) -> Response[Any]:
    """The calendar."""
    store = availability.store
    subject = await _read_subject(store, of)
    if view != "day":
        subject = subject.narrowed()
    most = SIDE_BY_SIDE_MAX if view == "day" else POOL_MAX
    begin = number * most
    shown = subject.resources[begin : begin + most]
    read = await availability.rules.read(shown)
    resources = [read.resources[each] for each in shown if each in read.resources]
    today = day_of(store.clock.millis(), zone(zone_of(resources)))
    day = within_calendar(today if on is None else _day(on))
    dates = Dates.of(view, day)
    drawing = await read_drawing(store, request.work_pool, caller_of(request), view, dates, resources)

    def link(**changed: object) -> str:
        """The address of another calendar."""
        chosen = {"view": view, "date": day.isoformat(), "of": subject.of} | changed
        return f"/console/calendar?{urlencode(chosen)}"

    part = await long_part(
        request,
        "calendar-month" if view == "month" else "calendar-days",
        view=view,
        day=day,
        today=today,
        subject=subject,
        drawing=drawing,
        weeks=_weeks(drawing, dates) if view == "month" else [],
        link=link,
    )
    return page(
        request,
        "calendar",
        part=part,
        view=view,
        views=VIEWS,
        day=day,
        today=today,
        dates=dates,
        subject=subject,
        drawing=drawing,
        number=number,
        is_last=begin + most >= len(subject.resources),
        link=link,
        unreadable=[subject.names.get(each, each) for each in shown if each not in read.resources],
        timezone=zone_of(resources),
        now=store.clock.now(),
    )


def _weeks(drawing: Drawing, dates: Dates) -> list[list[Column]]:
    """The days of a month by weeks; a zone may have skipped one."""
    weeks: dict[int, list[Column]] = {}
    for column in drawing.columns:
        weeks.setdefault((column.day - dates.first).days // 7, []).append(column)
    return [*weeks.values()]


def _day(text: str) -> date:
    try:
        return parse_day(text)
    except ValueError as error:
        raise invalid_parameter("date", str(error)) from None


async def _read_subject(store: Store, of: str) -> Subject:
    """What a calendar is of.

    Raises:
        Problem: `invalid` for a value that names nothing; `not-found`.
    """
    stored = CatalogueStore(store)
    rows = await stored.find_rows(Resource, with_active(active=True), CHOICES_MAX, after=None, without=UNLISTED_FIELDS)
    services = await stored.find_rows(
        Service, with_active(active=True), CHOICES_MAX, after=None, without=UNLISTED_FIELDS
    )
    names = _names(rows)
    kind, _, identity = of.partition(":")
    if of == "all":
        found = [*names]
    elif kind == "service":
        offering = with_any("services", [identity]) | with_active(active=True)
        pool = await stored.find_rows(Resource, offering, CHOICES_MAX, after=None, without=UNLISTED_FIELDS)
        names = names | _names(pool)
        found = [row["_id"] for row in pool]
    elif kind == "resource":
        names = names | await stored.find_names(Resource, {identity})
        if identity not in names:
            raise not_found("resource", identity)
        found = [identity]
    else:
        raise invalid_parameter("of", "`of` is `all`, `resource:<id>` or `service:<id>`.")
    return Subject(
        of,
        [ResourceId(each) for each in found],
        names,
        [Choice(f"resource:{row['_id']}", names[row["_id"]]) for row in rows],
        [Choice(f"service:{key}", name) for key, name in _names(services).items()],
    )


def _names(rows: Sequence[BsonDocument]) -> dict[str, str]:
    """The names of objects by their ids; what has none is known by its id."""
    return {row["_id"]: str(row.get("name", row["_id"])) for row in rows}


router = Router("/", route_handlers=[calendar])
