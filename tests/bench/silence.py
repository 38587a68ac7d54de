"""A full reconciliation in this process, and the longest silence of its event loop meanwhile.

    python -m tests.bench.silence URL

It prints one line of JSON: seconds, the longest silence of the event loop in seconds (a signal waits that long), the
most memory in KiB, and what the run found.
"""

import asyncio
import json
import resource
import sys
import time

import click

from app.reconciliation.engine import reconcile_reservations
from app.storage.client import connect

TICK_SECONDS = 0.005


async def main(url: str) -> None:
    """Reconcile beside a clock that ticks."""
    store = await connect(url)
    clock = asyncio.create_task(_tick())
    began = time.monotonic()
    run = await reconcile_reservations(store, "full")
    seconds = time.monotonic() - began
    clock.cancel()
    (silence,) = await asyncio.gather(clock)
    await store.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {"seconds": seconds, "silence": silence, "memory": memory, "state": run.state, "error": run.error}
    click.echo(json.dumps(figures | {"findings": run.findings, "new": run.new}))


async def _tick() -> float:
    longest, last = 0.0, time.monotonic()
    try:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            longest = max(longest, time.monotonic() - last - TICK_SECONDS)
            last = time.monotonic()
    except asyncio.CancelledError:
        return longest


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
