"""What a run tells the guards before it tells people: how far what it saw reaches, and what no lookup finds.

So nobody books over what it has reported: whoever books after it looks far enough, and whoever was about to book
meanwhile loses the guard and looks again.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import structlog
from bson import ObjectId
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random

from app.storage import foreign_occupancies, reach
from app.storage.client import Store
from app.storage.foreign_occupancies import ForeignOccupancy, Step
from app.storage.leases import Grant, LeaseStore
from app.storage.reach import Reach
from app.storage.transactions import is_transient

PATIENCE_SECONDS = 20.0
"""For so long bookers may be faster before a run gives up: where many book, one of them always has the guard."""
PAUSE_SECONDS = 0.05
"""The longest between two attempts."""

log = structlog.get_logger()


async def raise_reaches(store: Store, needs: Mapping[str, Reach]) -> None:
    """Raise the reach of the guards that do not reach as far as these resources need; it is never lowered."""
    fields = {"reachBack": 1, "reachAhead": 1, "long": 1}
    guards = store.database["guards"].find({"_id": {"$in": [*needs]}}, fields)
    short = [guard["_id"] async for guard in guards if not reach.covers(guard, needs[guard["_id"]])]
    if short:
        await reach.raise_reaches(store, {resource: needs[resource] for resource in short})
        log.warning("guards did not reach over all that is booked; they do now", resources=len(short))


async def keep_foreign(
    store: Store, lease: Grant, run: ObjectId, resources: Sequence[str], those: Sequence[ForeignOccupancy]
) -> None:
    """Let these be all that is kept of what the conflict lookup does not find on these resources.

    Raises:
        OwnershipLost: somebody else has the lease.
    """
    difference = await foreign_occupancies.compare(store, resources, those)
    for step in foreign_occupancies.steps(difference, run):
        await _under(store, lease, step)
    await raise_reaches(store, reach.listed_reaches(difference.missing))  # for guards that were made meanwhile


async def _under(store: Store, lease: Grant, step: Step) -> None:
    """Write a step as the owner of the lease. Where many book, one of them may have the guard again and again."""
    attempts = AsyncRetrying(
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_random(0, PAUSE_SECONDS),
        retry=retry_if_exception(is_transient),
        reraise=True,
    )
    await attempts(LeaseStore(store).under, lease, partial(step, store))
