"""The findings of a store, for the API and the terminal."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pymongo.errors import PyMongoError

from app import deadline
from app.availability.service import Availability
from app.errors import Problem
from app.http.etags import IfMatch
from app.outages import problem_of
from app.reconciliation import proposals
from app.reconciliation.findings import listing, transitions
from app.reconciliation.findings.context import FindingsContext, read_context
from app.reconciliation.findings.listing import ListedFindings
from app.reconciliation.findings.transitions import FindingTransition
from app.reconciliation.proposals import Proposal
from app.storage.client import Store
from app.storage.documents import Finding
from app.storage.finding_pages import SHOWN_RESERVATIONS, FindingFilters, FindingOrder

CONCURRENT_MAX = 8
"""Transitions of one request that are stored at the same time."""

RESERVE_SECONDS = 0.7
"""Time that is reserved for the answer about many findings; no further transition begins in it."""


class ShownFindings(NamedTuple):
    """Findings with what is shown beside them."""

    findings: Sequence[Finding]
    context: FindingsContext
    now: datetime
    proposals: Sequence[Proposal] | None = None

    @property
    def parts(self) -> int:
        """About how many models an answer with them is made of."""
        return sum(1 + min(len(each.reservations), SHOWN_RESERVATIONS) + len(each.history) for each in self[0])


class Findings:
    """The findings of one store.

    Args:
        store: The database.
        availability: Finds free times for proposals.
    """

    def __init__(self, store: Store, availability: Availability) -> None:
        self.store = store
        self._availability = availability

    async def page(
        self,
        filters: FindingFilters,
        order: FindingOrder,
        limit: int,
        cursor: str | None,
        *,
        reservations_max: int = SHOWN_RESERVATIONS,
    ) -> tuple[ListedFindings, ShownFindings]:
        """A page of findings, each with the first of its reservations as they are now.

        Raises:
            Problem: `invalid` for filters that make no sense, and a cursor of another list.
        """
        found = await listing.list_findings(self.store, filters, order, limit, cursor)
        return found, await self.with_context([_cut(each, reservations_max) for each in found.findings])

    async def read(self, identity: str) -> ShownFindings:
        """One finding, with proposals.

        Raises:
            Problem: `not-found`.
        """
        return await self._with_proposals(await transitions.read(self.store, identity))

    async def transition(self, identity: str, request: FindingTransition, matching: IfMatch) -> ShownFindings:
        """Apply a transition to a finding.

        Raises:
            Problem: `not-found`, `stale`, `forbidden-transition`, `overloaded`, `invalid`.
        """
        return await self._with_proposals(await transitions.transition(self.store, identity, request, matching))

    async def transition_many(
        self, identities: Sequence[str], request: FindingTransition
    ) -> tuple[list[Finding | Problem], ShownFindings]:
        """Apply the same transition to many; the results in their order, and the findings that it was applied to.

        Each finding is separate: a refusal stops no other. A finding that is not reached before the deadline of the
        request is `overloaded`.

        Raises:
            Problem: `invalid` for a transition that applies to none.
        """
        transitions.check_until(self.store, request)
        turns = asyncio.Semaphore(CONCURRENT_MAX)

        async def one(identity: str) -> Finding | Problem:
            async with turns:
                return await self._transition_or_problem(identity, request)

        outcomes = await asyncio.gather(*map(one, identities), return_exceptions=True)
        results: list[Finding | Problem] = []
        for each in outcomes:
            if isinstance(each, BaseException) and not isinstance(each, Problem):
                raise each
            results.append(each)
        return results, await self.with_context([each for each in results if isinstance(each, Finding)])

    async def with_context(self, findings: Sequence[Finding]) -> ShownFindings:
        """Findings with what is shown beside them."""
        return ShownFindings(findings, await read_context(self.store, findings), self.store.clock.now())

    async def _transition_or_problem(self, identity: str, request: FindingTransition) -> Finding | Problem:
        limit = deadline.current()
        if limit is not None and limit.left() < RESERVE_SECONDS:
            return Problem("overloaded", "There was no time left for this one; nothing was done, so say it again.")
        try:
            return await transitions.transition(self.store, identity, request)
        except Problem as problem:
            return problem
        except PyMongoError as error:
            problem_ = problem_of(error)
            if problem_ is None:
                raise
            return problem_

    async def _with_proposals(self, finding: Finding) -> ShownFindings:
        found = await proposals.proposals(self.store, self._availability, finding)
        return (await self.with_context([finding]))._replace(proposals=found)


def _cut(finding: Finding, most: int) -> Finding:
    """A finding with the first of its reservations alone."""
    if len(finding.reservations) <= most:
        return finding
    count = finding.reservation_count or len(finding.reservations)
    cut: Finding = finding.model_copy(update={"reservations": finding.reservations[:most], "reservation_count": count})
    return cut
