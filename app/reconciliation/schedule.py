"""The schedule of reconciliations: which run is due and has not begun.

That follows from the clock and from the stored runs. So it does not matter how often and by how many workers it is
evaluated, and a time that passed while no worker ran is caught up as soon as one starts.
"""

from datetime import datetime

import structlog

from app.cron import CronLine, last_until
from app.storage.client import Store
from app.storage.documents import Run, RunKind
from app.storage.runs import STATES, RunStore

log = structlog.get_logger()


async def enqueue_due(store: Store, times: CronLine) -> Run | None:
    """Enqueue the run that is due; None if it has begun, or waits already.

    Two workers may do so at the same moment: both get the same run, or the second one gets another, incremental run.
    """
    time = last_until(times, store.clock.now())
    kind = await kind_at(store, time)
    if await _is_covered(store, kind, time):
        return None
    log.info("a reconciliation is due", kind=kind, since=time.isoformat())
    return await RunStore(store).enqueue(kind)


async def kind_at(store: Store, time: datetime) -> RunKind:
    """The kind of the run of that time: the day's first one (UTC) is full."""
    midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
    full = await RunStore(store).last(["queued", "running", "succeeded"], ["full"], created_since=midnight)
    return "full" if full is None else "incremental"


async def _is_covered(store: Store, kind: RunKind, time: datetime) -> bool:
    """Whether a run that reads as much waits, or has begun since then. Failed runs are retried by `RunStore`."""
    kinds: list[RunKind] = ["full"] if kind == "full" else ["full", "incremental"]
    if await RunStore(store).last(["queued"], kinds) is not None:
        return True
    return await RunStore(store).last(STATES, kinds, started_since=time) is not None
