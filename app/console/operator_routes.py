"""The operator's page."""

from collections import Counter
from typing import Any

from litestar import Response, Router
from litestar.di import NamedDependency

from app.access.routes import in_session
from app.console.operator import Figures, cards
from app.console.pages import page
from app.http.request import Request
from app.http.routing import get
from app.operations.doctor.service import Doctor
from app.operations.metrics import Scrape
from app.operations.service import Operations
from app.reconciliation.service import Reconciliations

RUNS_SHOWN = 8
"""The last reconciliations that the page lists."""


@get("/console/operator", guards=[in_session("admin")])
async def operator(
    request: Request,
    operations: NamedDependency[Operations],
    scrape: NamedDependency[Scrape],
    reconciliations: NamedDependency[Reconciliations],
) -> Response[Any]:
    """Whether all is well: readiness, figures, the last runs, refusals by rule."""
    readiness = await operations.readiness()
    figures = Figures(await scrape.samples())
    return page(
        request,
        "operator",
        readiness=readiness,
        cards=[*cards(readiness, figures)],
        refusals=figures.shares("reserva_booking_refusals_total", "rule"),
        problems=figures.shares("reserva_http_problems_total", "problem"),
        runs=await reconciliations.page([], [], RUNS_SHOWN, None),
    )


@get("/console/operator/doctor", guards=[in_session("admin")])
async def doctor(request: Request, doctor: NamedDependency[Doctor]) -> Response[Any]:
    """What `reserva doctor` sees, in the time of a request. Nothing that it writes stays."""
    examination = await doctor.examination()
    states = Counter(line.observation.state for line in examination.lines)
    return page(request, "doctor", section="operator", examination=examination, states=states)


router = Router("/", route_handlers=[operator, doctor])
