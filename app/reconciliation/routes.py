"""`/v1/reconciliations`, and beside them `/v1/findings`."""

from typing import Annotated

from litestar import Controller, Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from app.access.routes import needs
from app.http.openapi import problems
from app.http.paging import LIMIT, CursorParameter, LimitParameter, Page, cursor_id, id_mark
from app.http.routing import get, post
from app.reconciliation.findings.routes import FindingRoutes
from app.reconciliation.schemas import NewReconciliation, ReconciliationAnswer
from app.reconciliation.service import Reconciliations
from app.storage.documents import RunKind, RunState

_MOST = 100
"""The largest number of values of one filter."""

StatesParameter = Annotated[
    list[RunState] | None, QueryParameter(name="state", max_items=_MOST, description="In one of these states.")
]
KindsParameter = Annotated[
    list[RunKind] | None, QueryParameter(name="kind", max_items=_MOST, description="Of one of these kinds.")
]


class ReconciliationRoutes(Controller):
    """Searches for resources that are booked above their capacity."""

    path = "/reconciliations"
    tags = ("Reconciliation",)
    guards = (needs("findings:review"),)

    @post(operation_id="createReconciliation", status_code=202, responses=problems(body=True))
    async def create(
        self, reconciliations: NamedDependency[Reconciliations], data: JSONBody[NewReconciliation | None] = None
    ) -> Response[ReconciliationAnswer]:
        """Create a reconciliation.

        Of all resources, of one, or of those that changed. The worker runs it soon; read it at its `Location`. If the
        same one is waiting already, the answer is that one.
        """
        run = await reconciliations.request(data or NewReconciliation())
        return Response(
            ReconciliationAnswer.model_validate(run),
            status_code=202,
            headers={"Location": f"/v1/reconciliations/{run.id}"},
        )

    @get(operation_id="listReconciliations", responses=problems())
    async def find(
        self,
        reconciliations: NamedDependency[Reconciliations],
        in_states: StatesParameter = None,
        of_kinds: KindsParameter = None,
        limit: LimitParameter = LIMIT,
        cursor: CursorParameter = None,
    ) -> Page[ReconciliationAnswer]:
        """List reconciliations.

        The newest first.
        """
        found = await reconciliations.page(in_states or [], of_kinds or [], limit + 1, cursor_id(cursor))
        return Page[ReconciliationAnswer].of(found, limit, id_mark)

    @get("/{reconciliation_id:str}", operation_id="getReconciliation", responses=problems("not-found"))
    async def read(
        self, reconciliation_id: FromPath[str], reconciliations: NamedDependency[Reconciliations]
    ) -> ReconciliationAnswer:
        """Get a reconciliation.

        Its counts grow while it runs. If its process is silent for half a minute, it is `abandoned`, and another one
        waits in its place.
        """
        return ReconciliationAnswer.model_validate(await reconciliations.read(reconciliation_id))


router = Router("/v1", route_handlers=[ReconciliationRoutes, FindingRoutes])
