"""What the worker does, each a thin wrapper: the nouns know how."""

import socket
from collections.abc import Awaitable, Callable
from typing import Any

from bson import ObjectId

from app.booking import complete_ended, expire_lapsed
from app.cluster import worker_heartbeat
from app.cron import parse
from app.reconciliation import engine, schedule
from app.reconciliation.alerts import Alerts
from app.storage.client import Store
from app.storage.documents import Run
from app.storage.leases import OWNER
from app.storage.runs import RunStore

Context = dict[Any, Any]
"""arq's; `store`, `alerts` and `settings` are ours."""


async def beat(ctx: Context) -> None:
    """Say in MongoDB that this worker lives: its schedule goes on, and the database takes what it writes."""
    await worker_heartbeat.beat(ctx["store"], OWNER, socket.gethostname())


async def reconcile_reservations(ctx: Context) -> dict[str, int]:
    """The scheduled reconciliation, unless another worker has begun it; what the seed's handler returns, and more."""
    due = await _due(ctx)
    return {} if due is None else await run_reconciliation(ctx, str(due.id))


async def run_reconciliation(ctx: Context, identity: str) -> dict[str, int]:
    """Carry out a run that somebody asked for, then what waits behind it; nothing, if it does not wait any more."""
    run = await engine.carry_out(ctx["store"], ObjectId(identity), tell=ctx["alerts"])
    if run is None:
        return {}
    await _carry_out_all(ctx)
    return _output(run)


async def pick_up_reconciliations(ctx: Context) -> int:
    """Carry out what waits in MongoDB. Returns how many.

    That is also what a dead process left behind, what failed a while ago, and what was due while no worker ran.
    """
    await RunStore(ctx["store"]).abandon_dead()
    await RunStore(ctx["store"]).enqueue_retries()
    await _due(ctx)
    return await _carry_out_all(ctx)


async def _due(ctx: Context) -> Run | None:
    return await schedule.ask(ctx["store"], parse(ctx["settings"].reconcile_cron))


async def send_alerts(ctx: Context) -> int:
    """Tell the alert URL what it was not told yet, and remind it of what is still open. Returns how many findings."""
    store: Store = ctx["store"]
    alerts: Alerts = ctx["alerts"]
    return await alerts.announce(store) + await alerts.remind(store)


async def tidy_up(ctx: Context) -> dict[str, int]:
    """Write down what time has done: holds that are over, and where it is wanted what took place. Prune old runs."""
    store: Store = ctx["store"]
    hours: int = ctx["settings"].complete_after_hours
    days: int = ctx["settings"].runs_kept_days
    return {
        "expired": await _until_none(lambda: expire_lapsed(store)),
        "completed": await complete_ended(store, hours),
        "pruned": await _until_none(lambda: RunStore(store).prune(days)),
    }


async def _carry_out_all(ctx: Context) -> int:
    done = 0
    while await engine.carry_out(ctx["store"], tell=ctx["alerts"]):
        done += 1
    return done


async def _until_none(some: Callable[[], Awaitable[int]]) -> int:
    """Call what does some at a time until it finds none; how many in all."""
    total = 0
    while count := await some():
        total += count
    return total


def _output(run: Run) -> dict[str, int]:
    return {"conflicts": run.conflicts, "findings": run.findings, "scanned": run.scanned}
