"""Updates of guards by a run, before it writes findings: how far the conflict lookup must reach, and what it misses.

So no booking is accepted over a row that a finding reports: a later booking reads far enough, and a booking in progress
conflicts on the guard and reads again.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import structlog
from bson import ObjectId
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random

from app.domain.ids import ResourceId
from app.storage import foreign_occupancies, reach
from app.storage.client import Store
from app.storage.foreign_occupancies import ForeignOccupancy, Step
from app.storage.leases import Grant, LeaseStore
from app.storage.reach import Reach
from app.storage.transactions import is_transient

PATIENCE_SECONDS = 20.0
"""How long a run tries to write a guard before it fails: on a busy resource a booking may be first again and again."""
PAUSE_SECONDS_MAX = 0.05
"""The longest between two attempts."""

log = structlog.get_logger()


async def raise_reaches(store: Store, reaches: Mapping[ResourceId, Reach]) -> None:
    """Raise the reach of those guards that do not reach over all that is booked; it is never lowered."""
    short = await reach.guards_short_of(store, reaches)
    if short:
        await reach.raise_reaches(store, {resource: reaches[resource] for resource in short})
        log.warning("guards did not reach over all that is booked; they do now", resources=len(short))


async def replace_foreign_occupancies(
    store: Store, lease: Grant, run: ObjectId, resources: Sequence[ResourceId], foreign: Sequence[ForeignOccupancy]
) -> None:
    """Store these as all occupancies of these resources that the conflict lookup does not find.

    Raises:
        OwnershipLost: another process has the lease.
    """
    difference = await foreign_occupancies.compare(store, resources, foreign)
    for step in foreign_occupancies.steps(difference, run):
        await _write_under_lease(store, lease, step)
    await raise_reaches(store, reach.listed_reaches(difference.missing))  # for guards that were made meanwhile


async def _write_under_lease(store: Store, lease: Grant, step: Step) -> None:
    """Write a step as the owner of the lease, again and again while bookings win the guard."""
    attempts = AsyncRetrying(
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_random(0, PAUSE_SECONDS_MAX),
        retry=retry_if_exception(is_transient),
        reraise=True,
    )
    await attempts(LeaseStore(store).under, lease, partial(step, store))
