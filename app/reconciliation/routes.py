"""`/v1/reconciliations`, and beside them `/v1/findings`."""

from litestar import Controller, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from app.access.routes import needs
from app.reconciliation.desk import Reconciliations
from app.reconciliation.findings.routes import FindingRoutes
from app.reconciliation.schemas import NewRun, RunAnswer
from app.storage.documents import Run
from app.wire.openapi import problems
from app.wire.paging import LIMIT, CursorParameter, LimitParameter, Page, read_cursor


class ReconciliationRoutes(Controller):
    """Looking for what the write path should never let happen."""

    path = "/reconciliations"
    tags = ("Reconciliation",)
    guards = (needs("findings:review"),)

    @post(operation_id="askForReconciliation", status_code=202, responses=problems(body=True))
    async def ask(
        self, reconciliations: NamedDependency[Reconciliations], data: JSONBody[NewRun | None] = None
    ) -> Response[RunAnswer]:
        """Ask for a reconciliation: `{"full": true}`, of one `resource`, or of what has changed.

        The worker runs it soon; read it at its `Location`. If the same is waiting already, it is that one.
        """
        run = await reconciliations.ask(data or NewRun())
        return Response(
            RunAnswer.model_validate(run), status_code=202, headers={"Location": f"/v1/reconciliations/{run.id}"}
        )

    @get(operation_id="listReconciliations", responses=problems())
    async def find(
        self,
        reconciliations: NamedDependency[Reconciliations],
        limit: LimitParameter = LIMIT,
        cursor: CursorParameter = None,
    ) -> Page[RunAnswer]:
        """List reconciliations by id, the oldest first."""
        after = None if cursor is None else str(read_cursor(cursor, str)[0])
        return Page[RunAnswer].of(await reconciliations.page(limit + 1, after), limit, _mark)

    @get("/{reconciliation_id:str}", operation_id="readReconciliation", responses=problems("not-found"))
    async def read(
        self, reconciliation_id: FromPath[str], reconciliations: NamedDependency[Reconciliations]
    ) -> RunAnswer:
        """Read a reconciliation; its counts grow while it runs."""
        return RunAnswer.model_validate(await reconciliations.read(reconciliation_id))


def _mark(found: Run) -> tuple[str]:
    return (str(found.id),)


router = Router("/v1", route_handlers=[ReconciliationRoutes, FindingRoutes])
