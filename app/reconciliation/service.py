"""Reconciliation: looks for what the write path should never let happen, and tells. It never changes a reservation."""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

import structlog
from pymongo.errors import PyMongoError

from app.reconciliation import runs, scan
from app.reconciliation.runs import Kind, LostRun
from app.reconciliation.settle import settled
from app.storage.client import Store
from app.storage.documents import Run
from app.timeline.instants import render
from app.timeline.sweep import Row, Window, sweep

LATE_COMMITS = timedelta(minutes=5)
"""How far before the last run an incremental one begins: `updatedAt` is set before its transaction commits."""

SUSPECTS, SUSPECT_ROWS = 32, 10_000
"""Resources, and rows of them, that are read again together; one snapshot serves them all."""

log = structlog.get_logger()

OWNER = f"{socket.gethostname()}:{os.getpid()}"


@dataclass(slots=True)
class Progress:
    """How far a run is."""

    tally: scan.Tally = field(default_factory=scan.Tally)
    findings: int = 0
    conflicts: int = 0
    new: int = 0
    overbooked: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, Any]:
        """As the run's document has it."""
        return {
            "scanned": self.tally.scanned,
            "resources": self.tally.resources,
            "findings": self.findings,
            "conflicts": self.conflicts,
            "new": self.new,
            "overbooked": self.overbooked,
        }


Watcher: TypeAlias = Callable[[Progress], None]


async def reconcile_reservations(
    store: Store, kind: Kind, resource: str | None = None, watch: Watcher | None = None
) -> Run:
    """Run a reconciliation now, in this process; see `execute`. One that waits already is the one that is run."""
    while True:
        asked = await runs.ask_for(store, kind, resource)
        run = await runs.claim(store, OWNER, asked.id)
        if run is not None:
            return await execute(store, run, watch)


async def is_known(store: Store, resource: str) -> bool:
    """Whether there is such a resource, or at least a reservation of it."""
    if await store.database["resources"].find_one({"_id": resource}, {"_id": 1}) is not None:
        return True
    return await store.database["reservations"].find_one({"resource": resource}, {"_id": 1}) is not None


async def due_kind(store: Store) -> Kind:
    """What a scheduled run has to be: the day's first one (UTC) is full."""
    midnight = store.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return "incremental" if await runs.full_since(store, midnight) else "full"


async def execute(store: Store, run: Run, watch: Watcher | None = None) -> Run:
    """Carry out a claimed run to its end and return it as it then stands: succeeded, or failed with its error.

    Raises:
        LostRun: it was given up by somebody else meanwhile.
        asyncio.CancelledError: this process is ending; the run waits again.
    """
    progress = Progress()
    beats = asyncio.create_task(_beat(store, run, progress))

    def step() -> None:
        if beats.done():
            beats.result()
        if watch is not None:
            watch(progress)

    try:
        await _look(store, run, progress, step)
        await runs.write(store, run, state="succeeded", finishedAt=store.clock.now(), **progress.counts())
    except LostRun:
        raise
    except asyncio.CancelledError:
        await asyncio.shield(runs.give_back(store, run))
        raise
    except Exception as error:  # whatever it was, the record must say so
        log.exception("reconciliation failed", run=str(run.id))
        said = f"{type(error).__name__}: {error}"[:500]
        with suppress(PyMongoError):
            await runs.write(store, run, state="failed", finishedAt=store.clock.now(), error=said, **progress.counts())
    finally:
        beats.cancel()
        await asyncio.gather(beats, return_exceptions=True)
    return await runs.get(store, str(run.id))


async def _beat(store: Store, run: Run, progress: Progress) -> None:
    """Say that the run lives, until it ends or is not ours any more; then `step` hears of it."""
    while True:
        await asyncio.sleep(runs.BEAT_SECONDS)
        with suppress(PyMongoError):
            await runs.write(store, run, **progress.counts())


async def _look(store: Store, run: Run, progress: Progress, step: Callable[[], None]) -> None:
    """The run itself: sweep chunk by chunk, look again where something is wrong, record what stands."""
    capacities = await scan.capacities(store)
    suspects: dict[str, int] = {}
    async for rows in _chunks(store, run, progress.tally):
        suspected = {window.resource for window in sweep(rows, capacities)}
        if suspected:
            suspects |= Counter(row.resource for row in rows if row.resource in suspected)
        if len(suspects) >= SUSPECTS or sum(suspects.values()) >= SUSPECT_ROWS:
            await _settle(store, run, progress, suspects)
        step()
    await _settle(store, run, progress, suspects)
    if progress.tally.left_out:
        log.warning("reservations without usable times were left out", run=str(run.id), count=progress.tally.left_out)


async def _settle(store: Store, run: Run, progress: Progress, suspects: dict[str, int]) -> None:
    """Look again at those in which something seemed wrong, and record what is; nobody is suspect afterwards."""
    windows = await settled(store, list(suspects)) if suspects else []
    suspects.clear()
    progress.overbooked += dict.fromkeys(window.resource for window in windows)
    for window in windows:
        _record(run, window)
    progress.findings += len(windows)
    progress.new += len(windows)
    progress.conflicts += sum(window.conflicts for window in windows)


async def _chunks(store: Store, run: Run, tally: scan.Tally) -> AsyncIterator[list[Row]]:
    """The rows that a run has to look at, in chunks of whole resources."""
    last = await runs.watermark(store) if run.kind == "incremental" else None
    if run.kind == "resource" and run.resource is not None:
        yield (await scan.these(store, [run.resource], tally))[0]
    elif last is not None and last.started_at is not None:
        again = sorted({*await scan.changed(store, last.started_at - LATE_COMMITS), *last.overbooked})
        for place in range(0, len(again), SUSPECTS):
            yield (await scan.these(store, again[place : place + SUSPECTS], tally))[0]
    else:
        async for rows in scan.everything(store, tally):
            yield rows


def _record(run: Run, window: Window) -> None:
    """Tell of a window; the seed's line, with all that it left out."""
    first, *others = (str(reservation) for reservation in window.reservations)
    said = f"{first} overlaps {', '.join(others)}" if others else f"{first} is more than the resource holds"
    event = f"Conflict detected: {said}"
    log.warning(
        event,
        run=str(run.id),
        resource=window.resource,
        start=render(window.start),
        end=render(window.end),
        peak=window.peak,
        capacity=window.capacity,
        reservations=[str(reservation) for reservation in window.reservations],
    )
