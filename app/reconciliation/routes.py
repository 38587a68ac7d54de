"""`/v1/reconciliations` and `/v1/findings`."""

from typing import Annotated, Any

from litestar import Controller, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK

from app.access.routes import caller_of, needs
from app.reconciliation.desk import Findings, Reconciliations
from app.reconciliation.schemas import FindingAnswer, NewRun, RunAnswer, Word
from app.storage.documents import Run
from app.timeline.matching import State
from app.wire.answers import versioned
from app.wire.conventions import HARMLESS_KEY
from app.wire.openapi import problems
from app.wire.paging import LIMIT, CursorParameter, LimitParameter, Page, read_cursor
from app.wire.request import Request

_WORD: dict[str, Any] = {
    "opt": HARMLESS_KEY,
    "status_code": HTTP_200_OK,
    "responses": problems("not-found", "forbidden-transition", "overloaded", body=True),
}
StateParameter = Annotated[State | None, QueryParameter(name="state", description="In this state.")]
ResourceParameter = Annotated[str | None, QueryParameter(description="Of this resource.")]


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


class FindingRoutes(Controller):
    """Resources that are booked above their capacity, and what people have said of that."""

    path = "/findings"
    tags = ("Reconciliation",)
    guards = (needs("findings:review"),)

    @get(operation_id="listFindings", responses=problems())
    async def find(
        self,
        findings: NamedDependency[Findings],
        in_state: StateParameter = None,
        resource: ResourceParameter = None,
        limit: LimitParameter = LIMIT,
        cursor: CursorParameter = None,
    ) -> Page[FindingAnswer]:
        """List findings by id, the oldest first."""
        after = None if cursor is None else str(read_cursor(cursor, str)[0])
        return Page[FindingAnswer].of(await findings.page(in_state, resource, limit + 1, after), limit, _mark)

    @get("/{finding_id:str}", operation_id="readFinding", responses=problems("not-found"))
    async def read(self, finding_id: FromPath[str], findings: NamedDependency[Findings]) -> Response[FindingAnswer]:
        """Read a finding: its reservations side by side, and `proposals`, moves that would be done at this moment."""
        return _answer(await findings.read(finding_id))

    @post("/{finding_id:str}/acknowledge", operation_id="acknowledgeFinding", **_WORD)
    async def acknowledge(
        self,
        request: Request,
        finding_id: FromPath[str],
        findings: NamedDependency[Findings],
        data: JSONBody[Word | None] = None,
    ) -> Response[FindingAnswer]:
        """Say that somebody has seen an open finding; repeating it is harmless."""
        return await _say("acknowledged", request, finding_id, findings, data)

    @post("/{finding_id:str}/accept", operation_id="acceptFinding", **_WORD)
    async def accept(
        self,
        request: Request,
        finding_id: FromPath[str],
        findings: NamedDependency[Findings],
        data: JSONBody[Word | None] = None,
    ) -> Response[FindingAnswer]:
        """Say that it may stay like this, up to the peak that it has now; above it the finding is open again."""
        return await _say("accepted", request, finding_id, findings, data)

    @post("/{finding_id:str}/resolve", operation_id="resolveFinding", **_WORD)
    async def resolve(
        self,
        request: Request,
        finding_id: FromPath[str],
        findings: NamedDependency[Findings],
        data: JSONBody[Word | None] = None,
    ) -> Response[FindingAnswer]:
        """Say that it is over; refused while the reservations still overlap. The next run would see it by itself."""
        return await _say("resolved", request, finding_id, findings, data)


async def _say(
    to: State, request: Request, identity: str, findings: Findings, data: Word | None
) -> Response[FindingAnswer]:
    return _answer(await findings.say(identity, to, caller_of(request).prefix, data.note if data else None))


def _answer(finding: FindingAnswer) -> Response[FindingAnswer]:
    return versioned(finding, finding.version)


def _mark(found: Run | FindingAnswer) -> tuple[str]:
    return (str(found.id),)


router = Router("/v1", route_handlers=[ReconciliationRoutes, FindingRoutes])
