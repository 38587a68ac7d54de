"""A process that sends alerts, for tests that kill it at a stage or let several of them run side by side.

    python -m tests.support.alert_process DATABASE RECEIVER STAGE

It prints `at STAGE` and then does nothing until it is killed; at `always` it goes on sending instead.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import click
from bson import ObjectId

from app.reconciliation import alerts
from app.reconciliation.alerts import Alerts
from app.reconciliation.engine import reconcile_reservations
from app.settings import Settings
from app.storage.client import connect

TURN_SECONDS = 0.01


def stop_at(stage: str) -> None:
    """Have the announcement stand still before it sends, before it notes that, or when that is noted by half."""
    mark, calls = alerts._mark, 0

    async def marking(sender: Any, ids: Sequence[ObjectId], write: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1 or stage == "half marked":
            await mark(sender, ids if calls == 1 else ids[: len(ids) // 2], write)
        if stage == "marked" or calls == 2:
            await stand_still(stage)

    alerts._mark = marking


async def stand_still(stage: str) -> None:
    """Print the stage and wait for ever."""
    click.echo(f"at {stage}")
    await asyncio.Event().wait()


async def main(database: str, receiver: str, stage: str) -> None:
    """Reconcile and send alerts, or send alerts for ever."""
    store = await connect(database)
    alerts = Alerts(Settings(alert_url=receiver))
    if stage == "always":
        click.echo("at always")
        while True:
            await alerts.announce(store)
            await asyncio.sleep(TURN_SECONDS)
    await reconcile_reservations(store, "full", on_findings=alerts)
    if stage == "committed":
        await stand_still(stage)
    stop_at(stage)  # the pause is the point of this script
    await alerts.announce(store)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
