"""The worker's releases: holds that have expired are marked as expired, bookings that ended as completed.

Neither adds load or changes what is free: a hold is over at its instant, whether or not that has been written.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from typing_extensions import override

from app.booking.committer import Committer
from app.booking.intents import View
from app.booking.outcomes import Accepted
from app.booking.release import Release, accept_release
from app.domain.ids import ResourceId
from app.domain.lifecycle import Status
from app.errors import Problem
from app.storage.catalogue import CatalogueStore
from app.storage.client import Store
from app.storage.clock import stamped
from app.storage.documents import Reservation, Resource
from app.storage.reservation_transitions import ReadVersion, ReservationTransitions, lapsed_by
from app.storage.reservation_updates import HistoryLine
from app.storage.reservations import RESERVATIONS
from app.storage.values import count

ACTOR_WORKER = "worker"
"""The name of the worker in a history."""
RESOURCES_PER_QUERY = 200
CLOSURES_AT_ONCE = 64
"""About as many as share a batch."""


@dataclass(slots=True, kw_only=True)
class Elapse(Release[Reservation | None]):
    """Close a reservation whose time has come, if it is as it was read: another writer's change since then prevails.

    `reservation` is its id, of any type, and `version` the one that was read. `lapsed_at` is an instant at which its
    hold must be over; None where it is no hold. The value is None where nothing was done: also for a row of another
    program that takes no new version or line of history.
    """

    reservation: Any
    version: object
    before: Status
    to: Status
    at: datetime
    lapsed_at: datetime | None = None

    @override
    def judge(self, view: View) -> Accepted[Reservation | None]:
        """The closed reservation, or None."""
        row = view.target(RESERVATIONS, self.reservation)
        if (
            row is None
            or row.get("version") != self.version
            or row.get("status") != self.before
            or not isinstance(row.get("history", []), list)
            or count(row.get("version", 1)) is None
            or (self.lapsed_at is not None and not _is_before(row.get("expiresAt"), self.lapsed_at))
        ):
            return Accepted(None, proof=(RESERVATIONS, {"_id": self.reservation}))
        line: HistoryLine = {
            "at": self.at,
            "by": self.by,
            "operation": self.operation,
            "from": self.before,
            "to": self.to,
        }
        return accept_release(row, line, None if self.lapsed_at is None else lapsed_by(self.lapsed_at))


async def expire_lapsed(store: Store, committer: Committer) -> int:
    """Mark the holds whose time has come, by the database's own clock; how many were marked.

    This process's estimate of that clock can be ahead of it, and a hold that was marked too early could not be
    confirmed. The index of holds contains only holds that are not marked.
    """
    now = await stamped(store.database)
    lapsed = ReservationTransitions(store).find_lapsed(now)
    return await _close_all(store, committer, lapsed, "pending", "expired", lapsed_at=now)


async def complete_ended(store: Store, committer: Committer, hours: int) -> int:
    """Complete the confirmed bookings that ended at least `hours` ago (0: never); how many were completed.

    The pass goes through the catalogue, some resources at a time. The conflict lookup finds what is confirmed there
    and began that long ago, however long the history is: all of it has to be completed or is still going on.
    """
    if not hours:
        return 0
    before = store.clock.now() - timedelta(hours=hours)
    completed = 0
    async for resources in CatalogueStore(store).portions_of_ids(Resource, RESOURCES_PER_QUERY):
        ended = ReservationTransitions(store).find_ended([ResourceId(each) for each in resources], before)
        completed += await _close_all(store, committer, ended, "confirmed", "completed")
    return completed


async def _close_all(
    store: Store,
    committer: Committer,
    rows: AsyncIterator[ReadVersion],
    before: Status,
    to: Status,
    *,
    lapsed_at: datetime | None = None,
) -> int:
    """Bring each of these reservations to a status; how many were."""
    now, closed = store.clock.now(), 0
    portion: list[Elapse] = []
    async for row in rows:
        if not isinstance(row.id, Hashable):  # an id of another program that is an object: it names no target
            continue
        portion.append(
            Elapse(
                by=ACTOR_WORKER,
                reservation=row.id,
                version=row.version,
                before=before,
                to=to,
                at=now,
                lapsed_at=lapsed_at,
            )
        )
        if len(portion) == CLOSURES_AT_ONCE:
            closed += await _submit(committer, portion)
            portion = []
    return closed + await _submit(committer, portion)


async def _submit(committer: Committer, intents: list[Elapse]) -> int:
    """Submit releases, of which none keeps another from being done; how many were done.

    Raises:
        Problem: the database cannot be reached, or too much waits.
    """
    values = await asyncio.gather(*(committer.submit(intent) for intent in intents), return_exceptions=True)
    for value in values:
        if isinstance(value, BaseException) and not (isinstance(value, Problem) and value.name == "internal"):
            raise value
    return sum(isinstance(value, Reservation) for value in values)


def _is_before(expires: object, at: datetime) -> bool:
    return isinstance(expires, datetime) and expires <= at
