"""A full reconciliation, a resource at a time, that stands still at a stage, for tests that kill it there.

    python -m tests.support.reconciling_process URL STAGE

It says `at STAGE` and then does nothing until it is killed.
"""

import asyncio
import sys
from typing import Any

import click

from app.reconciliation import reconciler
from app.reconciliation.engine import reconcile_reservations
from app.storage.client import connect
from app.storage.runs import RunStore

STAGES = {
    "read": (reconciler, "confirm_windows", 1),
    "read again": (reconciler, "confirm_windows", 2),
    "settled": (reconciler, "write_findings", 2),
    "recorded": (RunStore, "succeed", 1),
}
"""Before which call of what: rows read, some resources written down and others not, all but the run's own end."""


def stop_at(stage: str) -> None:
    """Have the run stand still there."""
    module, name, call = STAGES[stage]
    original, calls = getattr(module, name), 0

    async def pausing(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            click.echo(f"at {stage}")
            await asyncio.Event().wait()
        return await original(*arguments, **options)

    setattr(module, name, pausing)  # the pause is the point of this script


async def main(url: str, stage: str) -> None:
    """Reconcile, and stop there."""
    stop_at(stage)
    reconciler.SUSPECTS_MAX = 1
    await reconcile_reservations(await connect(url), "full")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
