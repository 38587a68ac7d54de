"""What can be asked about findings, for whoever asks: the API and the terminal."""

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
from app.reconciliation.findings.context import Surroundings, surroundings
from app.reconciliation.findings.listing import Filters, Listed, Order
from app.reconciliation.findings.transitions import Said
from app.reconciliation.proposals import Proposal
from app.storage.client import Store
from app.storage.documents import Finding

AT_ONCE = 8
"""Words of one request that are on their way at the same time."""

RESERVE_SECONDS = 0.7
"""What an answer about many findings needs at its end; no further word is begun then."""


class Shown(NamedTuple):
    """Findings with all that is shown of them."""

    findings: Sequence[Finding]
    beside: Surroundings
    now: datetime
    proposals: Sequence[Proposal] | None = None

    @property
    def parts(self) -> int:
        """About how many models an answer with them is made of."""
        return sum(1 + min(len(each.reservations), listing.SHOWN_RESERVATIONS) + len(each.history) for each in self[0])


class Findings:
    """The findings of one store.

    Args:
        store: Where they are kept.
        availability: Where times that are free are looked for.
    """

    def __init__(self, store: Store, availability: Availability) -> None:
        self.store = store
        self._availability = availability

    async def page(self, filters: Filters, order: Order, limit: int, cursor: str | None) -> tuple[Listed, Shown]:
        """A page of findings, with their reservations as they are now.

        Raises:
            Problem: `invalid` for filters that make no sense, and a cursor of another list.
        """
        found = await listing.listed(self.store, filters, order, limit, cursor)
        return found, await self.shown(found.findings)

    async def read(self, identity: str) -> Shown:
        """One finding, with what could be done about it.

        Raises:
            Problem: `not-found`.
        """
        return await self._whole(await transitions.read(self.store, identity))

    async def transition(self, identity: str, said: Said, matching: IfMatch) -> Shown:
        """Say something of a finding.

        Raises:
            Problem: `not-found`, `stale`, `forbidden-transition`, `overloaded`, `invalid`.
        """
        return await self._whole(await transitions.transition(self.store, identity, said, matching))

    async def transition_many(self, identities: Sequence[str], said: Said) -> tuple[list[Finding | Problem], Shown]:
        """Say the same of many; what came of it, in their order, and those of which it was said.

        Each is by itself: a refusal keeps nobody else from being heard. What is not reached before the time of the
        request is over is `overloaded`.

        Raises:
            Problem: `invalid` for what can be said of none.
        """
        transitions.check_until(self.store, said)
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(identity: str) -> Finding | Problem:
            async with turns:
                return await self._try(identity, said)

        came = await asyncio.gather(*map(one, identities), return_exceptions=True)
        heard: list[Finding | Problem] = []
        for each in came:
            if isinstance(each, BaseException) and not isinstance(each, Problem):
                raise each
            heard.append(each)
        return heard, await self.shown([each for each in heard if isinstance(each, Finding)])

    async def shown(self, findings: Sequence[Finding]) -> Shown:
        """Findings with what is beside them."""
        return Shown(findings, await surroundings(self.store, findings), self.store.clock.now())

    async def _try(self, identity: str, said: Said) -> Finding | Problem:
        limit = deadline.current()
        if limit is not None and limit.left() < RESERVE_SECONDS:
            return Problem("overloaded", "There was no time left for this one; nothing was done, so say it again.")
        try:
            return await transitions.transition(self.store, identity, said)
        except Problem as problem:
            return problem
        except PyMongoError as error:
            known = problem_of(error)
            if known is None:
                raise
            return known

    async def _whole(self, finding: Finding) -> Shown:
        could = await proposals.proposals(self.store, self._availability, finding)
        return (await self.shown([finding]))._replace(proposals=could)
