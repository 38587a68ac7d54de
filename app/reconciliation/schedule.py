"""The schedule of reconciliations: which run is due by now and was not begun, whoever should have asked for it.

What is due follows from the clock and from the runs there are. So it does not matter how often this is asked and by how
many workers, and a time that passed while none of them ran is caught up as soon as one starts.
"""

from datetime import datetime

import structlog

from app.cron import Times, previous
from app.storage.client import Store
from app.storage.documents import Run, RunKind
from app.storage.runs import STATES, RunStore

log = structlog.get_logger()


async def ask(store: Store, times: Times) -> Run | None:
    """The run that is due, which waits now; None if it has been begun, or waits already.

    At the same moment two workers may both ask; then they get the same run, or the second one looks once more at what
    changed.
    """
    time = previous(times, store.clock.now())
    kind = await kind_at(store, time)
    if await _is_met(store, kind, time):
        return None
    log.info("a reconciliation is due", kind=kind, since=time.isoformat())
    return await RunStore(store).enqueue(kind)


async def kind_at(store: Store, time: datetime) -> RunKind:
    """What the run of that time has to be: the day's first one (UTC) is full."""
    midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
    full = await RunStore(store).last(["queued", "running", "succeeded"], ["full"], created_since=midnight)
    return "full" if full is None else "incremental"


async def _is_met(store: Store, kind: RunKind, time: datetime) -> bool:
    """Whether a run that looks at as much waits, or was begun since then. Of one that failed, `runs` takes care."""
    kinds: list[RunKind] = ["full"] if kind == "full" else ["full", "incremental"]
    if await RunStore(store).last(["queued"], kinds) is not None:
        return True
    return await RunStore(store).last(STATES, kinds, started_since=time) is not None
