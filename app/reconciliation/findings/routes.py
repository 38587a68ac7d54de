"""`/v1/findings`."""

from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Controller, Response
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK

from app.access.routes import caller_of, needs
from app.domain.finding_identity import State
from app.domain.ids import ResourceId
from app.errors import Problem, invalid_field
from app.http.answers import built, versioned
from app.http.etags import IfMatch, OptionalIfMatchHeader
from app.http.openapi import problems
from app.http.paging import LIMIT, CursorParameter, LimitParameter
from app.http.parameters import read_instant
from app.http.problem_schemas import ProblemAnswer
from app.http.problems import problem_body
from app.http.request import Request, request_id
from app.http.request_checks import HARMLESS_KEY
from app.http.routing import get, post
from app.reconciliation.findings.answers import finding_answers
from app.reconciliation.findings.listing import MAX_VALUES
from app.reconciliation.findings.schemas import (
    FindingAcceptance,
    FindingAnswer,
    FindingAssignment,
    FindingNote,
    FindingPage,
    FindingsTransition,
    FindingTransitionResult,
    FindingTransitionResults,
    TransitionTarget,
)
from app.reconciliation.findings.service import Findings, ShownFindings
from app.reconciliation.findings.transitions import FindingTransition
from app.storage.finding_pages import FindingFilters, FindingOrder


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision about the finding in the path of a request."""

    request: Request
    findings: Findings
    identity: str
    if_match: str | None

    async def take(self, to: TransitionTarget, data: FindingNote) -> Response[FindingAnswer]:
        """Apply the transition, and answer with the finding.

        Raises:
            Problem: what `Findings.transition` raises; `invalid` for an `If-Match` that is no tag.
        """
        transition = _transition_of(self.request, to, data)
        return _answer(await self.findings.transition(self.identity, transition, IfMatch.read_optional(self.if_match)))


def _decision(
    request: Request,
    finding_id: FromPath[str],
    findings: NamedDependency[Findings],
    if_match: OptionalIfMatchHeader = None,
) -> Decision:
    return Decision(request, findings, finding_id, if_match)


_WORD: dict[str, Any] = {
    "dependencies": {"decision": Provide(_decision, sync_to_thread=False)},
    "opt": HARMLESS_KEY,
    "status_code": HTTP_200_OK,
    "responses": problems("not-found", "forbidden-transition", "stale", "overloaded", "outcome-unknown", body=True),
}
_WORD_ON_MANY: dict[str, Any] = {**_WORD, "responses": problems("outcome-unknown", body=True)}
_ONLY: dict[str, TransitionTarget] = {"until": "accepted", "assignee": "assigned"}
"""Fields of a decision on many findings that only one kind of decision has."""

StatesParameter = Annotated[
    list[State] | None, QueryParameter(name="state", max_items=MAX_VALUES, description="In one of these states.")
]
ResourcesParameter = Annotated[
    list[ResourceId] | None,
    QueryParameter(name="resource", max_items=MAX_VALUES, description="Of one of these resources."),
]
CustomerParameter = Annotated[str | None, QueryParameter(description="With a reservation of this customer.")]
FromParameter = Annotated[str | None, QueryParameter(name="from", description="Windows that end after this instant.")]
ToParameter = Annotated[str | None, QueryParameter(description="Windows that begin before this instant.")]
OrderParameter = Annotated[
    FindingOrder,
    QueryParameter(
        description="By the start of the window (`from`, or `-from` with the latest first), by when it was first seen "
        "(`newest`), or by how far the peak is above the capacity (`excess`, the most first); then by id."
    ),
]
SinceParameter = Annotated[
    str | None,
    QueryParameter(
        name="updatedSince",
        description="Changed at that instant or later, by the database's clock; a run that sees a finding unchanged "
        "does not change it. A change by a run is visible up to a minute after its instant, so let two questions "
        "overlap by a minute.",
    ),
]


class FindingRoutes(Controller):
    """Resources that are booked above their capacity, and people's decisions about them."""

    path = "/findings"
    tags = ("Findings",)
    guards = (needs("findings:review"),)

    @get(operation_id="listFindings", responses=problems("overloaded"))
    async def find(
        self,
        request: Request,
        findings: NamedDependency[Findings],
        states: StatesParameter = None,
        resources: ResourcesParameter = None,
        customer: CustomerParameter = None,
        from_: FromParameter = None,
        to: ToParameter = None,
        updated_since: SinceParameter = None,
        order: OrderParameter = "from",
        limit: LimitParameter = LIMIT,
        cursor: CursorParameter = None,
    ) -> Response[FindingPage]:
        """List findings.

        Each with its first reservations as they are now. A cursor belongs to its order and filters; the size of the
        page may change.
        """
        filters = FindingFilters(
            states or (),
            resources or (),
            customer,
            read_instant("from", from_),
            read_instant("to", to),
            read_instant("updatedSince", updated_since),
        )
        listed, shown = await findings.page(filters, order, limit, cursor)

        def page() -> FindingPage:
            return FindingPage(items=finding_answers(shown), next=listed.following, total=listed.total)

        return await built(request, page, parts=shown.parts)

    @get("/{finding_id:str}", operation_id="getFinding", responses=problems("not-found", "overloaded"))
    async def read(
        self, request: Request, finding_id: FromPath[str], findings: NamedDependency[Findings]
    ) -> Response[FindingAnswer]:
        """Get a finding.

        With its reservations side by side, and with `proposals`: moves that would be possible at this moment.

        Its `ETag` is that of its version. Until it is resolved, its reservations and proposals can change while the
        version stays.
        """
        found = await findings.read(finding_id)
        if found.findings[0].state != "resolved":
            request.mark_changeable()
        return _answer(found)

    @post("/words", operation_id="transitionFindings", **_WORD_ON_MANY)
    async def transition_all(
        self, request: Request, findings: NamedDependency[Findings], data: JSONBody[FindingsTransition]
    ) -> Response[FindingTransitionResults]:
        """Transition many findings.

        Up to 200. Each is transitioned separately and has an answer of its own. A finding that is not reached within
        the time of a request is answered `overloaded`; repeat it.
        """
        for field, to in _ONLY.items():
            if field in data.model_fields_set and data.to != to:
                raise invalid_field(field, f"`{field}` is only for findings that are to be {to}.")
        came, shown = await findings.transition_many(data.ids, _transition_of(request, data.to, data))

        def answers() -> FindingTransitionResults:
            findings_ = iter(finding_answers(shown))
            items = [
                _refused(identity, each, request) if isinstance(each, Problem) else _taken(identity, next(findings_))
                for identity, each in zip(data.ids, came, strict=True)
            ]
            return FindingTransitionResults(items=items)

        return await built(request, answers, parts=shown.parts + len(came))

    @post("/{finding_id:str}/acknowledge", operation_id="acknowledgeFinding", **_WORD)
    async def acknowledge(
        self, decision: NamedDependency[Decision], data: JSONBody[FindingNote | None] = None
    ) -> Response[FindingAnswer]:
        """Acknowledge an open finding.

        A person is dealing with it. Repeating it is harmless.
        """
        return await decision.take("acknowledged", data or FindingNote())

    @post("/{finding_id:str}/accept", operation_id="acceptFinding", **_WORD)
    async def accept(
        self, decision: NamedDependency[Decision], data: JSONBody[FindingAcceptance | None] = None
    ) -> Response[FindingAnswer]:
        """Accept a finding.

        The overlap may stay: these reservations or fewer, up to the present peak and excess. Another reservation, a
        higher peak, a lower capacity, and the end of `until` open the finding again. Repeating it accepts the finding
        as it is then.
        """
        return await decision.take("accepted", data or FindingAcceptance())

    @post("/{finding_id:str}/resolve", operation_id="resolveFinding", **_WORD)
    async def resolve(
        self, decision: NamedDependency[Decision], data: JSONBody[FindingNote | None] = None
    ) -> Response[FindingAnswer]:
        """Resolve a finding.

        Refused while the reservations still overlap. The next run resolves it by itself once they no longer do.
        """
        return await decision.take("resolved", data or FindingNote())

    @post("/{finding_id:str}/reopen", operation_id="reopenFinding", **_WORD)
    async def reopen(
        self, decision: NamedDependency[Decision], data: JSONBody[FindingNote | None] = None
    ) -> Response[FindingAnswer]:
        """Reopen a finding that was acknowledged, accepted or resolved.

        A resolved one only if its reservations still overlap.
        """
        return await decision.take("open", data or FindingNote())

    @post("/{finding_id:str}/assign", operation_id="assignFinding", **_WORD)
    async def assign(
        self, decision: NamedDependency[Decision], data: JSONBody[FindingAssignment | None] = None
    ) -> Response[FindingAnswer]:
        """Assign a finding to a person.

        Without `assignee` the assignment is removed. The state stays as it is.
        """
        return await decision.take("assigned", data or FindingAssignment())


def _transition_of(request: Request, to: TransitionTarget, data: FindingNote) -> FindingTransition:
    """The transition that a body requests, by the person whom it names, else by the key."""
    key = caller_of(request).prefix
    until, assignee = getattr(data, "until", None), getattr(data, "assignee", None)
    return FindingTransition(to, data.actor or key, key, data.note, until, assignee)


def _answer(shown: ShownFindings) -> Response[FindingAnswer]:
    (answer,) = finding_answers(shown)
    return versioned(answer, answer.version)


def _taken(identity: str, finding: FindingAnswer) -> FindingTransitionResult:
    return FindingTransitionResult(id=identity, status=HTTP_200_OK, finding=finding)


def _refused(identity: str, problem: Problem, request: Request) -> FindingTransitionResult:
    body = problem_body(problem, request_id(request.scope))
    shown = ProblemAnswer.model_validate({**body, "request_id": body["requestId"]})
    return FindingTransitionResult(id=identity, status=problem.kind.status, problem=shown)
