"""A series as a page: its occurrences with their dates and what has become of them."""

from typing import Any

from litestar import Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.access.routes import caller_of, in_session
from app.console.names import names_in
from app.console.pages import page
from app.console.wall_times import known_zone, stamp, wall
from app.http.request import Request
from app.http.routing import get
from app.reservations.rendering import shown
from app.reservations.series import AllSeries, shown_series


@get("/console/series/{identity:str}", guards=[in_session("reservations:read")])
async def one(request: Request, identity: FromPath[str], series: NamedDependency[AllSeries]) -> Response[Any]:
    """A series, in the order of its rule."""
    found = await series.read(identity, caller_of(request))
    now = series.store.clock.now()
    answer = shown_series(found.series, [shown(each, now) for each in found.reservations])
    occurrences = [each.fields for each in answer.members]
    return page(
        request,
        "series",
        section="calendar",
        rule=found.series.rule,
        zone=known_zone(found.series.timezone),
        occurrences=occurrences,
        names=await names_in(series.store, occurrences),
        skipped=[each["localStart"] for each in answer.skipped],
        wall=wall,
        stamp=stamp,
    )


router = Router("/", route_handlers=[one])
