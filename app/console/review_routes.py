"""The queue of findings and one finding, with forms for browsers without JavaScript."""

from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from app.access.routes import caller_of, in_session
from app.console.pages import page, refused_page, see
from app.console.review import LISTS, ORDERS, VERBS, Listed, read_queue, review
from app.console.wall_times import stamp, wall, zones_of
from app.domain.instants import from_millis
from app.domain.zones import parse_day, start_of_day, zone
from app.errors import Problem, invalid_field, not_found
from app.http.etags import IfMatch, read_version
from app.http.forms import read_form
from app.http.models import read_body
from app.http.paging import CursorParameter
from app.http.request import Request
from app.http.routing import get, post
from app.reconciliation.findings.schemas import FindingAcceptance, FindingAssignment
from app.reconciliation.findings.service import Findings
from app.reconciliation.findings.transitions import FindingTransition
from app.reconciliation.findings.transitions import read as read_finding
from app.reservations.move_schemas import NewMoves
from app.reservations.moves import Moves
from app.storage.finding_pages import FindingOrder

ListedParameter = Annotated[Listed, QueryParameter(name="state", description="Findings in this state.")]
OrderParameter = Annotated[FindingOrder, QueryParameter(description="As in the API.")]
ResourceParameter = Annotated[str, QueryParameter(description="Findings of this resource; empty: of all.")]
Done = Annotated[str | None, QueryParameter(description="What a form has done.")]

_DONE = ("move", *VERBS)
_TIMES: dict[str, Any] = {"wall": wall, "stamp": stamp}


@get("/console/review", guards=[in_session("findings:review")])
async def queue(
    request: Request,
    findings: NamedDependency[Findings],
    listed: ListedParameter = "open",
    order: OrderParameter = "from",
    resource: ResourceParameter = "",
    cursor: CursorParameter = None,
) -> Response[Any]:
    """The queue: findings in one state, in one of the orders of the API."""

    def address(**changed: str) -> str:
        wanted = {"state": listed, "order": order, "resource": resource} | changed
        return "/console/review?" + urlencode({name: value for name, value in wanted.items() if value})

    return page(
        request,
        "review",
        queue=await read_queue(findings, request.work_pool, listed, order, resource.strip() or None, cursor),
        lists=LISTS,
        orders=ORDERS,
        listed=listed,
        order=order,
        resource=resource,
        address=address,
        **_TIMES,
    )


@get("/console/review/{finding_id:str}", guards=[in_session("findings:review")])
async def finding(
    request: Request, finding_id: FromPath[str], findings: NamedDependency[Findings], done: Done = None
) -> Response[Any]:
    """One finding."""
    return await _finding(request, findings, finding_id, done=done if done in _DONE else None)


@post("/console/review/{finding_id:str}/move", guards=[in_session("findings:review", "reservations:write")])
async def move(
    request: Request,
    finding_id: FromPath[str],
    findings: NamedDependency[Findings],
    moves: NamedDependency[Moves],
) -> Response[Any]:
    """Make a move that was proposed, then show the finding again."""
    form = await read_form(request)
    wanted: dict[str, object] = {name: form.get(name, "") for name in ("reservation", "resource", "startTime")}
    wanted["version"] = read_version(form.get("version", "")) or 0
    try:
        await moves.move(read_body(NewMoves, {"moves": [wanted]}), caller_of(request), None)
    except Problem as problem:
        return await _finding(request, findings, finding_id, problem=problem)
    return see(f"/console/review/{finding_id}?done=move")


@post("/console/review/{finding_id:str}/{verb:str}", guards=[in_session("findings:review")])
async def decide(
    request: Request, finding_id: FromPath[str], verb: FromPath[str], findings: NamedDependency[Findings]
) -> Response[Any]:
    """Make a decision about the version that was seen, then show the finding again."""
    if verb not in VERBS:
        raise not_found("verb", verb)
    form = {name: text.strip() for name, text in (await read_form(request)).items()}
    try:
        transition = await _transition(request, findings, finding_id, verb, form)
        seen = IfMatch.read_optional(f'"{form["version"]}"' if form.get("version") else None)
        await findings.transition(finding_id, transition, seen)
    except Problem as problem:
        if problem.name == "not-found":
            raise
        return await _finding(request, findings, finding_id, problem=problem)
    return see(f"/console/review/{finding_id}?done={verb}")


async def _transition(
    request: Request, findings: Findings, finding_id: str, verb: str, form: dict[str, str]
) -> FindingTransition:
    """The decision in a form; its `until` is a date, from whose beginning at the resource the finding is open again."""
    sent = {name: form[name] for name in ("note", "actor", "assignee") if form.get(name)}
    data = read_body(FindingAssignment if verb == "assign" else FindingAcceptance, sent)
    until = None
    if verb == "accept" and form.get("until"):
        resource = (await read_finding(findings.store, finding_id)).resource
        timezone = (await zones_of(findings.store, [resource]))[resource]
        try:
            until = from_millis(start_of_day(parse_day(form["until"]), zone(timezone)))
        except ValueError as error:
            raise invalid_field("until", str(error)) from None
    key = caller_of(request).prefix
    return FindingTransition(VERBS[verb], data.actor or key, key, data.note, until, getattr(data, "assignee", None))


async def _finding(
    request: Request, findings: Findings, finding_id: str, *, done: str | None = None, problem: Problem | None = None
) -> Response[Any]:
    """The page of a finding; with a problem that says why something was not done."""
    shown = await review(findings, await findings.read(finding_id), caller_of(request))
    context: dict[str, Any] = {"section": "review", "shown": shown, "done": done, **_TIMES}
    if problem is None:
        return page(request, "finding", problem=None, **context)
    return refused_page(request, "finding", problem, **context)


router = Router("/", route_handlers=[queue, finding, move, decide])
