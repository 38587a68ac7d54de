"""The page of reconciliations: what they found, what they left out, and a button for another one."""

from typing import Any

from litestar import Response, Router
from litestar.di import NamedDependency

from app.access.routes import in_session
from app.console.pages import page, see
from app.http.forms import read_form
from app.http.models import read_body
from app.http.request import Request
from app.http.routing import get, post
from app.reconciliation.schemas import NewReconciliation, ReconciliationAnswer
from app.reconciliation.service import Reconciliations

RUNS = 50
"""The last reconciliations, which the page lists."""


@get("/console/runs", guards=[in_session("findings:review")])
async def runs(request: Request, reconciliations: NamedDependency[Reconciliations]) -> Response[Any]:
    """The last reconciliations, and the last one that has seen everything."""
    listed = await reconciliations.page([], [], RUNS, None)
    full = await reconciliations.page(["succeeded"], ["full"], 1, None)
    return page(
        request,
        "runs",
        runs=[(each.created_at, ReconciliationAnswer.model_validate(each)) for each in listed],
        last=next((ReconciliationAnswer.model_validate(each) for each in full), None),
    )


@post("/console/runs", guards=[in_session("findings:review")])
async def ask(request: Request, reconciliations: NamedDependency[Reconciliations]) -> Response[Any]:
    """Ask for a reconciliation, then show the page again."""
    form = await read_form(request)
    await reconciliations.request(read_body(NewReconciliation, {"full": form.get("kind") == "full"}))
    return see("/console/runs")


router = Router("/", route_handlers=[runs, ask])
