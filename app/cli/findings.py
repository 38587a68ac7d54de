"""`reserva findings`: lists findings, and changes their state, on the terminal."""

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypedDict, TypeVar, Unpack, get_args

import click
from typing_extensions import override

from app.availability.service import Availability
from app.cli.common import asynchronous, console, open_store, render_text, result, write_line
from app.cli.configuration import DONE, FOUND
from app.cli.finding_tables import about, load, parts_of, who
from app.cli.tables import table, when
from app.cli.user import user_name
from app.domain.finding_identity import State
from app.domain.ids import ResourceId
from app.domain.instants import parse
from app.errors import Problem
from app.http.models import read_body
from app.http.paging import MAX_LIMIT
from app.reconciliation.findings.answers import finding_answers
from app.reconciliation.findings.schemas import (
    FindingAcceptance,
    FindingAnswer,
    FindingAssignment,
    FindingNote,
    TransitionTarget,
)
from app.reconciliation.findings.service import Findings
from app.reconciliation.findings.transitions import FindingTransition
from app.storage.finding_pages import FindingFilters, FindingOrder
from app.storage.rule_cache import RuleCache, RuleReader
from app.work import WorkPool

C = TypeVar("C", bound=Callable[..., object])

FINDINGS_MAX = 10_000
"""The maximum of `--limit`."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_OK = 200


class Instant(click.ParamType[datetime]):
    """A parameter: an instant as in the API, or a date, which means its first instant in UTC."""

    name = "instant"

    @override
    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse it, or fail with a sentence."""
        try:
            return parse(f"{value}T00:00:00Z" if _DATE.fullmatch(value) else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _TransitionOptions(TypedDict):
    """The options that all changes of state share."""

    ids: tuple[str, ...]
    actor: str | None
    note: str | None
    as_json: bool


def _transition_options(command: C) -> C:
    """Add the options that all changes of state share."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one line of JSON."),
        click.option("--actor", metavar="NAME", help="The person who decides; by default the user of this terminal."),
        click.option("--note", metavar="TEXT", help="The reason, for the history."),
        click.argument("ids", metavar="ID...", nargs=-1, required=True),
    ):
        command = option(command)
    return command


@click.group(epilog="Example:  reserva findings list --state open --order excess")
def findings() -> None:
    """Review findings, the stretches of time that are booked above capacity: list and show them, change their state.

    Exit codes: 0 done, 1 a change was refused, 2 the command could not do its work.
    """


@findings.command("list", epilog="Example:  reserva findings list --state open --resource room-1 --order newest")
@click.option("--state", "states", multiple=True, type=click.Choice(get_args(State)), help="In this state; repeatable.")
@click.option("--resource", "resources", metavar="ID", multiple=True, help="Of this resource; repeatable.")
@click.option("--customer", metavar="ID", help="With a reservation of this customer.")
@click.option("--from", "from_", type=Instant(), help="Windows that end after this instant (or date, in UTC).")
@click.option("--to", type=Instant(), help="Windows that begin before this instant (or date, in UTC).")
@click.option(
    "--order", type=click.Choice(get_args(FindingOrder)), default="from", show_default=True, help="What comes first."
)
@click.option("--limit", type=click.IntRange(1, FINDINGS_MAX), default=50, show_default=True, help="How many at most.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@asynchronous
async def list_(
    *,
    states: tuple[State, ...],
    resources: tuple[str, ...],
    customer: str | None,
    from_: datetime | None,
    to: datetime | None,
    order: FindingOrder,
    limit: int,
    as_json: bool,
) -> int:
    """List findings: resource, window, load and capacity, state, assignee, customers."""
    filters = FindingFilters(states, [*map(ResourceId, resources)], customer, from_, to)
    async with _open_findings() as review:
        answers, total = await _read(review, filters, order, limit)
    if as_json:
        result({"items": [_json(each) for each in answers], "total": total})
        return DONE
    rows = [
        (each.id, each.resource, when(each.from_), when(each.to), load(each), each.state, each.assignee, who(each))
        for each in answers
    ]
    write_line(render_text(table(("id", "resource", "from", "to", "load", "state", "assignee", "who"), rows)))
    if len(answers) < total:
        console.print(f"{len(answers):,} of {total:,} findings; --limit shows more.", markup=False)
    return DONE


@findings.command(epilog="Example:  reserva findings show 65f0c0ffee65f0c0ffee65f0")
@click.argument("identity", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@asynchronous
async def show(identity: str, *, as_json: bool) -> int:
    """Show a finding: its reservations side by side, moves that would resolve it, and its history."""
    async with _open_findings() as review:
        page = await review.read(identity)
    (answer,) = finding_answers(page)
    if as_json:
        result(_json(answer))
        return DONE
    (finding,) = page.findings
    for number, part in enumerate(parts_of(answer, finding)):
        write_line(("\n" if number else "") + part)
    return DONE


@findings.command(epilog='Example:  reserva findings acknowledge 65f0c0ffee65f0c0ffee65f0 --note "calling them"')
@_transition_options
@asynchronous
async def acknowledge(**options: Unpack[_TransitionOptions]) -> int:
    """Acknowledge open findings."""
    return await _transition("acknowledged", FindingNote, **options)


@findings.command(epilog="Example:  reserva findings accept 65f0c0ffee65f0c0ffee65f0 --until 2030-02-01")
@_transition_options
@click.option("--until", type=Instant(), help="The finding is open again from this instant (or date, in UTC) on.")
@asynchronous
async def accept(*, until: datetime | None, **options: Unpack[_TransitionOptions]) -> int:
    """Accept findings as they are: for their reservations or fewer, up to their peak and excess."""
    return await _transition("accepted", FindingAcceptance, **options, until=until)


@findings.command(epilog="Example:  reserva findings resolve 65f0c0ffee65f0c0ffee65f0")
@_transition_options
@asynchronous
async def resolve(**options: Unpack[_TransitionOptions]) -> int:
    """Resolve findings; refused while their reservations still overlap."""
    return await _transition("resolved", FindingNote, **options)


@findings.command(epilog="Example:  reserva findings reopen 65f0c0ffee65f0c0ffee65f0")
@_transition_options
@asynchronous
async def reopen(**options: Unpack[_TransitionOptions]) -> int:
    """Reopen findings that were acknowledged, accepted or resolved."""
    return await _transition("open", FindingNote, **options)


@findings.command(epilog="Example:  reserva findings assign 65f0c0ffee65f0c0ffee65f0 --assignee zoe")
@_transition_options
@click.option(
    "--assignee", metavar="NAME", help="The person who deals with them; without it, the assignment is removed."
)
@asynchronous
async def assign(*, assignee: str | None, **options: Unpack[_TransitionOptions]) -> int:
    """Assign findings to a person, or remove the assignment."""
    return await _transition("assigned", FindingAssignment, **options, assignee=assignee)


@asynccontextmanager
async def _open_findings() -> AsyncGenerator[Findings]:
    """Open the findings of the database, with what the search for proposals needs."""
    work = WorkPool()
    try:
        async with open_store() as store:
            rules = RuleReader(store.database, RuleCache(atomic=store.mode == "strict"), work)
            yield Findings(store, Availability(store, rules, work))
    finally:
        work.close()


async def _read(
    review: Findings, filters: FindingFilters, order: FindingOrder, limit: int
) -> tuple[list[FindingAnswer], int]:
    """The first findings, read page by page, and the total number."""
    answers: list[FindingAnswer] = []
    cursor: str | None = None
    while True:
        listed, page = await review.page(filters, order, min(limit - len(answers), MAX_LIMIT), cursor)
        answers += finding_answers(page)
        cursor = listed.following
        if cursor is None or len(answers) >= limit:
            return answers, listed.total


async def _transition(
    to: TransitionTarget,
    model: type[FindingNote],
    *,
    until: datetime | None = None,
    assignee: str | None = None,
    **options: Unpack[_TransitionOptions],
) -> int:
    """Change findings one by one; exit code 1 if a change was refused."""
    fields = {"actor": options["actor"] or user_name(), "note": options["note"], "until": until, "assignee": assignee}
    body = read_body(model, {name: value for name, value in fields.items() if value is not None})
    transition = FindingTransition(to, body.actor or user_name(), None, body.note, until, assignee)
    distinct = [*dict.fromkeys(options["ids"])]
    async with _open_findings() as review:
        outcomes, page = await review.transition_many(distinct, transition)
    answers = iter(finding_answers(page))
    results = [
        (identity, each if isinstance(each, Problem) else next(answers))
        for identity, each in zip(distinct, outcomes, strict=True)
    ]
    if options["as_json"]:
        result({"items": [_result_json(identity, each) for identity, each in results]})
    else:
        rows = [
            (each, "refused", answer.detail) if isinstance(answer, Problem) else (each, answer.state, about(answer))
            for each, answer in results
        ]
        write_line(render_text(table(("id", "state", ""), rows)))
    return FOUND if any(isinstance(each, Problem) for each in outcomes) else DONE


def _result_json(identity: str, answer: Problem | FindingAnswer) -> dict[str, object]:
    """The result for one finding, as in the answer of `POST /v1/findings/words`."""
    if isinstance(answer, FindingAnswer):
        return {"id": identity, "status": _OK, "finding": _json(answer)}
    kind = answer.kind
    problem = {"type": f"/problems/{answer.name}", "title": kind.title, "status": kind.status, "detail": answer.detail}
    return {"id": identity, "status": kind.status, "problem": problem}


def _json(answer: FindingAnswer) -> dict[str, object]:
    return answer.model_dump(mode="json", exclude_none=True)
