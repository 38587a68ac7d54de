"""What the worker does, each a thin wrapper: the nouns know how."""

from typing import Any

from bson import ObjectId

from app.reconciliation import runs, service
from app.storage.client import Store
from app.storage.documents import Run

Context = dict[Any, Any]
"""arq's; `store` is ours."""


async def reconcile_reservations(ctx: Context) -> dict[str, int]:
    """The scheduled reconciliation: the day's first one is full. Returns what the seed's handler returns, and more."""
    store: Store = ctx["store"]
    return _output(await service.reconcile_reservations(store, await service.due_kind(store)))


async def run_reconciliation(ctx: Context, identity: str) -> dict[str, int]:
    """Carry out a run that somebody asked for; nothing, if it does not wait any more."""
    store: Store = ctx["store"]
    run = await runs.claim(store, service.OWNER, ObjectId(identity))
    return {} if run is None else _output(await service.execute(store, run))


async def pick_up_reconciliations(ctx: Context) -> int:
    """Carry out what waits in MongoDB, first of all what a dead process left behind. Returns how many."""
    store: Store = ctx["store"]
    await runs.give_up_dead(store)
    done = 0
    while run := await runs.claim(store, service.OWNER):
        await service.execute(store, run)
        done += 1
    return done


def _output(run: Run) -> dict[str, int]:
    return {"conflicts": run.conflicts, "findings": run.findings, "scanned": run.scanned}
