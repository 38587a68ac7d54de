"""What people who review see: the queue of findings, and one finding with its picture and what may be done with it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from app.caller import Caller
from app.console.picture import Picture, Taken, picture
from app.console.wall_times import zones_of
from app.domain.finding_identity import State
from app.domain.instants import to_millis
from app.http.answers import made
from app.reconciliation.findings.answers import finding_answers
from app.reconciliation.findings.schemas import FindingAnswer, FindingReservation, TransitionTarget
from app.reconciliation.findings.service import Findings, ShownFindings
from app.reconciliation.findings.transitions import FROM
from app.storage.catalogue import CatalogueStore
from app.storage.documents import Finding, Reservation, Resource
from app.storage.finding_pages import FindingFilters, FindingOrder
from app.storage.row_reader import OccupiedTime, Reader
from app.storage.rows_by_id import rows_by_id
from app.storage.values import object_id, row_key
from app.work import WorkPool

PAGE = 100
"""Findings of a page of the queue."""
NAMED_MAX = 3
"""Reservations of a finding whose customers the queue names: a page of a hundred findings has ten thousand."""

Listed: TypeAlias = Literal["open", "acknowledged", "accepted", "resolved", "all"]
LISTS: tuple[Listed, ...] = ("open", "acknowledged", "accepted", "resolved", "all")
ORDERS: tuple[FindingOrder, ...] = ("from", "-from", "newest", "excess")

VERBS: Mapping[str, TransitionTarget] = {
    "acknowledge": "acknowledged",
    "accept": "accepted",
    "resolve": "resolved",
    "reopen": "open",
    "assign": "assigned",
}
"""The decisions as the API's addresses name them, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A page of the queue.

    Args:
        findings: Those of the page.
        zones: The time zones of their resources.
        following: The cursor of the next page.
        total: How many the list has on all pages.
        counts: How many each of the lists has.
    """

    findings: Sequence[FindingAnswer]
    zones: Mapping[str, str]
    following: str | None
    total: int
    counts: Mapping[Listed, int]


async def read_queue(
    findings: Findings,
    work: WorkPool,
    listed: Listed,
    order: FindingOrder,
    resource: str | None,
    cursor: str | None,
) -> Queue:
    """A page of the queue, and how long the other lists are.

    Raises:
        Problem: `invalid` for a cursor of another list; `overloaded` where too much work waits for a thread.
    """
    wanted = _filters(listed, resource)
    (page, shown), *others = await asyncio.gather(
        findings.page(wanted, order, PAGE, cursor, reservations_max=NAMED_MAX),
        *(findings.page(_filters(each, resource), order, 1, None, reservations_max=0) for each in LISTS[:-1]),
    )
    counts: dict[Listed, int] = {name: found.total for name, (found, _) in zip(LISTS, others, strict=False)}
    counts["all"] = sum(counts.values())
    zones = await zones_of(findings.store, {each.resource for each in page.findings})
    answers = await made(work, lambda: finding_answers(shown), parts=shown.parts)
    return Queue(answers, zones, page.following, page.total, counts)


def _filters(listed: Listed, resource: str | None) -> FindingFilters:
    states: tuple[State, ...] = () if listed == "all" else (listed,)
    return FindingFilters(states, (resource,) if resource else ())  # type: ignore[arg-type]  # any text; unknown ones match nothing


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A finding as its page shows it.

    Args:
        finding: As the API answers it.
        timezone: Of its resource.
        picture: Its load over time.
        names: Of the resources that proposals move to.
        versions: Of the reservations that proposals would move, by their ids, as they are read with the proposals.
        accepted_until: When it is open again, where it was accepted until then.
        verbs: The decisions that its state allows.
        may_move: Whether the key may move reservations.
    """

    finding: FindingAnswer
    timezone: str
    picture: Picture
    names: Mapping[str, str]
    versions: Mapping[str, int]
    accepted_until: datetime | None
    verbs: Sequence[str]
    may_move: bool

    def reservation(self, identity: str) -> FindingReservation:
        """One of its reservations, by the id in a proposal."""
        known = (each for each in self.finding.reservations if each.id == identity)
        return next(known, FindingReservation(id=identity))


async def review(findings: Findings, shown: ShownFindings, caller: Caller) -> Reviewed:
    """A finding for a caller, with what may be done about it."""
    (finding,), (answer,) = shown.findings, finding_answers(shown)
    timezone = (await zones_of(findings.store, [finding.resource]))[finding.resource]
    return Reviewed(
        answer,
        timezone,
        picture(
            (to_millis(finding.from_), to_millis(finding.to)),
            finding.capacity,
            _taken(finding, answer, shown),
            timezone,
        ),
        await CatalogueStore(findings.store).find_names(Resource, {each.resource for each in answer.proposals or ()}),
        await _versions(findings, answer),
        finding.acceptance.until if finding.state == "accepted" and finding.acceptance else None,
        [
            verb
            for verb, to in VERBS.items()
            if verb != "assign" and (finding.state in FROM[to] or _is_again(finding, to))
        ],
        caller.may("reservations:write"),
    )


def _is_again(finding: Finding, to: TransitionTarget) -> bool:
    """Whether a decision takes a finding as it is by now that was accepted as it was."""
    return finding.state == to == "accepted"


def _taken(finding: Finding, answer: FindingAnswer, shown: ShownFindings) -> list[Taken]:
    """What the reservations take of the resource by now, as a run counts it."""
    reader = Reader(to_millis(shown.now), shown.context.by_guest)
    taken: list[Taken] = []
    for identity, each in zip(finding.reservations, answer.reservations, strict=False):
        row = shown.context.reservations.get(row_key(identity), {})
        name = each.customer_name or each.customer or each.id
        taken += [
            Taken(name, found.start, found.end, found.units, row.get("expiresAt") is not None)
            for found in reader.occupancies(row)
            if isinstance(found, OccupiedTime) and found.resource == finding.resource
        ]
    return taken


async def _versions(findings: Findings, answer: FindingAnswer) -> dict[str, int]:
    ids = {object_id(each.reservation) for each in answer.proposals or ()}
    rows = await rows_by_id(findings.store, Reservation, ids, {"version": 1})
    return {str(row["_id"]): row["version"] for row in rows if isinstance(row.get("version"), int)}
