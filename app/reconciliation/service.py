"""Reconciliation: looks for what the write path should never let happen, and tells. It never changes a reservation."""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from secrets import token_hex
from typing import Any, TypeAlias

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from app.reconciliation import lease as leases
from app.reconciliation import runs, scan
from app.reconciliation.alerts import Teller, warn
from app.reconciliation.lease import Lease
from app.reconciliation.record import record, unresolved_resources
from app.reconciliation.runs import Kind, LostRun
from app.reconciliation.settle import settled
from app.storage.client import Store
from app.storage.documents import Run
from app.timeline.sweep import Row, sweep

LATE_COMMITS = timedelta(minutes=5)
"""How far before the last run an incremental one begins: `updatedAt` is set before its transaction commits."""

SUSPECTS, SUSPECT_ROWS = 32, 10_000
"""Resources, and rows of them, that are read again together; one snapshot serves them all."""

log = structlog.get_logger()

TURN_SECONDS = 0.5
"""Between two attempts to get the lease."""

OWNER = f"{socket.gethostname()}:{os.getpid()}"


@dataclass(slots=True)
class Progress:
    """How far a run is."""

    tally: scan.Tally = field(default_factory=scan.Tally)
    findings: int = 0
    conflicts: int = 0
    new: int = 0
    unaccepted: int = 0

    def counts(self) -> dict[str, Any]:
        """As the run's document has it."""
        return {
            "scanned": self.tally.scanned,
            "resources": self.tally.resources,
            "findings": self.findings,
            "conflicts": self.conflicts,
            "new": self.new,
            "unaccepted": self.unaccepted,
        }


Watcher: TypeAlias = Callable[[Progress], None]


async def reconcile_reservations(
    store: Store,
    kind: Kind,
    resource: str | None = None,
    watch: Watcher | None = None,
    tell: Teller = warn,
) -> Run:
    """Run a reconciliation now, in this process; one that waits already is the one that is run.

    While another process reconciles, this waits for its turn. See `execute`.
    """
    while True:
        asked = await runs.ask_for(store, kind, resource)
        run = await carry_out(store, asked.id, watch, tell)
        if run is not None:
            return run
        await asyncio.sleep(TURN_SECONDS)


async def carry_out(
    store: Store, identity: ObjectId | None = None, watch: Watcher | None = None, tell: Teller = warn
) -> Run | None:
    """Carry out a run that waits, the oldest unless one is named.

    None if there is none, or while another run has the lease; whoever looks into MongoDB finds it later.
    """
    owner = f"{OWNER}:{token_hex(4)}"
    lease = await leases.acquire(store, owner)
    if lease is None:
        return None
    try:
        run = await runs.claim(store, owner, identity)
        return None if run is None else await execute(store, run, lease, watch, tell)
    finally:
        with suppress(PyMongoError):
            await asyncio.shield(leases.release(store, lease))


async def is_known(store: Store, resource: str) -> bool:
    """Whether there is such a resource, or at least a reservation of it."""
    if await store.database["resources"].find_one({"_id": resource}, {"_id": 1}) is not None:
        return True
    return await store.database["reservations"].find_one({"resource": resource}, {"_id": 1}) is not None


async def due_kind(store: Store) -> Kind:
    """What a scheduled run has to be: the day's first one (UTC) is full."""
    midnight = store.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return "incremental" if await runs.full_since(store, midnight) else "full"


async def execute(store: Store, run: Run, lease: Lease, watch: Watcher | None = None, tell: Teller = warn) -> Run:
    """Carry out a claimed run to its end and return it as it then stands: succeeded, or failed with its error.

    Args:
        store: The database.
        run: The run, claimed by the owner of the lease.
        lease: What gives the right to write down findings.
        watch: Told how far it is, now and then.
        tell: Told of the findings that it opens, as soon as they are kept; must not wait for anybody.

    Raises:
        LostRun: it was given up by somebody else meanwhile.
        asyncio.CancelledError: this process is ending; the run waits again.
    """
    progress = Progress()
    work = _Work(store, run, lease, progress, tell)
    beats = asyncio.create_task(_beat(store, run, lease, progress))

    def step() -> None:
        if beats.done():
            beats.result()
        if watch is not None:
            watch(progress)

    try:
        await work.look(step)
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


async def _beat(store: Store, run: Run, lease: Lease, progress: Progress) -> None:
    """Say that the run lives, until it ends or is not ours any more; then `step` hears of it."""
    while True:
        await asyncio.sleep(runs.BEAT_SECONDS)
        with suppress(PyMongoError):
            await leases.prove(store, lease)
            await runs.write(store, run, **progress.counts())


@dataclass(slots=True)
class _Work:
    """One run: sweep chunk by chunk, look again where something is or was wrong, write down what stands."""

    store: Store
    run: Run
    lease: Lease
    progress: Progress
    tell: Teller

    async def look(self, step: Callable[[], None]) -> None:
        """The whole of it. Resources with findings are looked at again, whatever the cursor saw of them."""
        capacities = await scan.capacities(self.store)
        resource = self.run.resource
        known = await unresolved_resources(self.store, None if resource is None else [resource])
        suspects: dict[str, int] = {}
        async for rows in self._chunks(known):
            suspected = {window.resource for window in sweep(rows, capacities)} | known
            if suspected:
                suspects |= Counter(row.resource for row in rows if row.resource in suspected)
            if len(suspects) >= SUSPECTS or sum(suspects.values()) >= SUSPECT_ROWS:
                known.difference_update(suspects)
                await self._settle(suspects)
            step()
        known.difference_update(suspects)
        await self._settle(suspects)
        left = sorted(known)  # of those no reservation blocks any more
        for place in range(0, len(left), SUSPECTS):
            await self._settle(dict.fromkeys(left[place : place + SUSPECTS], 0))
        count = self.progress.tally.left_out
        if count:
            log.warning("reservations without usable times were left out", run=str(self.run.id), count=count)

    async def _settle(self, suspects: dict[str, int]) -> None:
        """Look again at those in which something seemed wrong, and write down what is; nobody is suspect afterwards."""
        if not suspects:
            return
        windows = await settled(self.store, list(suspects))
        recorded = await record(self.store, self.lease, self.run, list(suspects), windows)
        suspects.clear()
        self.progress.findings += len(windows)
        self.progress.conflicts += sum(window.conflicts for window in windows)
        self.progress.new += len(recorded.opened)
        self.progress.unaccepted += recorded.unaccepted
        if recorded.opened:
            self.tell(recorded.opened)

    async def _chunks(self, known: Iterable[str]) -> AsyncIterator[list[Row]]:
        """The rows that a run has to look at, in chunks of whole resources."""
        store, run, tally = self.store, self.run, self.progress.tally
        last = await runs.watermark(store) if run.kind == "incremental" else None
        if run.kind == "resource" and run.resource is not None:
            yield (await scan.these(store, [run.resource], tally))[0]
        elif last is not None and last.started_at is not None:
            again = sorted({*await scan.changed(store, last.started_at - LATE_COMMITS), *known})
            for place in range(0, len(again), SUSPECTS):
                yield (await scan.these(store, again[place : place + SUSPECTS], tally))[0]
        else:
            async for rows in scan.everything(store, tally):
                yield rows
