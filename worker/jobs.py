"""The jobs of the worker, each a thin wrapper around the room that does the work."""

import socket
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from bson import ObjectId

from app.booking import BookingService, complete_ended, expire_lapsed
from app.cluster import worker_heartbeat
from app.cron import parse
from app.operations import pruning
from app.operations.pruning import PrunedKind
from app.privacy.erasure import carry_out_pending
from app.reconciliation import engine, schedule
from app.reconciliation.alerts import Alerts
from app.storage.client import Store
from app.storage.documents import Run
from app.storage.leases import OWNER
from app.storage.missing_events import MissingEvents
from app.storage.pending_closures import PendingClosures
from app.storage.runs import RunStore

log = structlog.get_logger(__name__)

Context = dict[Any, Any]
"""arq's, with our `store`, `booking`, `alerts` and `settings`."""


async def beat(ctx: Context) -> None:
    """Write the heartbeat of this worker: its schedule runs, and the database accepts writes."""
    await worker_heartbeat.beat(ctx["store"], OWNER, socket.gethostname())


async def reconcile_reservations(ctx: Context) -> dict[str, int]:
    """Carry out the reconciliation that is due, unless another worker has begun it. Returns its counts."""
    due = await _due(ctx)
    return {} if due is None else await run_reconciliation(ctx, str(due.id))


async def run_reconciliation(ctx: Context, identity: str) -> dict[str, int]:
    """Carry out a run by its id, then all others that wait. Returns its counts; none if it does not wait any more."""
    run = await engine.carry_out(ctx["store"], ObjectId(identity), on_findings=ctx["alerts"])
    if run is None:
        return {}
    await _carry_out_all(ctx)
    return _counts(run)


async def pick_up_reconciliations(ctx: Context) -> int:
    """Carry out the runs that wait in MongoDB. Returns how many.

    Among them are replacements of runs whose process died or that failed, and the run that was due while no worker ran.
    """
    await RunStore(ctx["store"]).abandon_dead()
    await RunStore(ctx["store"]).enqueue_retries()
    await _due(ctx)
    return await _carry_out_all(ctx)


async def _due(ctx: Context) -> Run | None:
    return await schedule.enqueue_due(ctx["store"], parse(ctx["settings"].reconcile_cron))


async def send_alerts(ctx: Context) -> int:
    """Send alerts for new findings, and reminders for those still open. Returns the number of findings."""
    store: Store = ctx["store"]
    alerts: Alerts = ctx["alerts"]
    return await alerts.announce(store) + await alerts.remind(store)


async def tidy_up(ctx: Context) -> dict[str, int]:
    """Store expired holds, complete what has ended where that is configured, and tidy up what a crash has left.

    That are events that were left out, and closures that were never settled.
    """
    store: Store = ctx["store"]
    booking: BookingService = ctx["booking"]
    hours: int = ctx["settings"].complete_after_hours
    missing = 0 if store.mode == "strict" else await MissingEvents(store).write_missing()
    return {
        "events": missing,
        "closures": await PendingClosures(store).withdraw_abandoned(),
        "expired": await _repeat_until_none(lambda: expire_lapsed(store, booking.committer)),
        "completed": await complete_ended(store, booking.committer, hours),
    }


async def erase(ctx: Context) -> int:
    """Clear what is left of customers that were erased. Returns how many."""
    return await carry_out_pending(ctx["store"])


async def prune(ctx: Context) -> dict[PrunedKind, int]:
    """Remove what is older than the settings say. Returns how many of each kind."""
    removed = await pruning.prune(ctx["store"], ctx["settings"])
    log.info("removed what is older than the settings say", **removed)
    return removed


async def _carry_out_all(ctx: Context) -> int:
    count = 0
    while await engine.carry_out(ctx["store"], on_findings=ctx["alerts"]):
        count += 1
    return count


async def _repeat_until_none(batch: Callable[[], Awaitable[int]]) -> int:
    """Call what handles a batch until it finds nothing to do; how many in all."""
    total = 0
    while count := await batch():
        total += count
    return total


def _counts(run: Run) -> dict[str, int]:
    return {"conflicts": run.conflicts, "findings": run.findings, "scanned": run.scanned}
