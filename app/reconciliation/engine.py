"""Reconciliation searches for resources that are booked above their capacity. It changes no reservation.

This module runs one reconciliation at a time: it takes the lease, claims a run, keeps both alive, and stores how the
run ended. What a run does is in `reconciler`.
"""

import asyncio
import time
from contextlib import suppress

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError
from structlog.contextvars import bound_contextvars

from app.domain.ids import ResourceId
from app.reconciliation.alerts import LOGGED_FINDINGS_MAX, OnFindings, log_findings
from app.reconciliation.progress import OnProgress, RunProgress
from app.reconciliation.reconciler import Reconciler
from app.storage.client import Store
from app.storage.documents import Run, RunKind
from app.storage.leases import Grant, LeaseStore, OwnershipLost, new_owner
from app.storage.runs import BEAT_SECONDS, RunStore

LEASE_POLL_SECONDS = 0.5
"""Between two attempts to get the lease."""

_ERROR_LENGTH_MAX = 500

log = structlog.get_logger()


async def reconcile_reservations(
    store: Store,
    kind: RunKind,
    resource: ResourceId | None = None,
    on_progress: OnProgress | None = None,
    on_findings: OnFindings = log_findings,
) -> Run:
    """Run a reconciliation now, in this process; if the same waits already, that run is carried out.

    While another process reconciles, this one waits for the lease. See `execute`.
    """
    runs = RunStore(store)
    await runs.abandon_dead()
    while True:
        queued = await runs.enqueue(kind, resource)
        run = await carry_out(store, queued.id, on_progress, on_findings)
        if run is not None:
            return run
        await asyncio.sleep(LEASE_POLL_SECONDS)


async def carry_out(
    store: Store,
    identity: ObjectId | None = None,
    on_progress: OnProgress | None = None,
    on_findings: OnFindings = log_findings,
) -> Run | None:
    """Carry out a run that waits, the oldest unless one is named.

    None if no run waits, or while another run has the lease: a worker finds it in MongoDB later.
    """
    owner = new_owner()
    lease = await LeaseStore(store).acquire(owner)
    if lease is None:
        return None
    try:
        run = await RunStore(store).claim(owner, identity)
        if run is None:
            return None
        with bound_contextvars(run=str(run.id)):
            return await execute(store, run, lease, on_progress, on_findings)
    finally:
        with suppress(PyMongoError):
            await asyncio.shield(LeaseStore(store).release(lease))


async def execute(
    store: Store,
    run: Run,
    lease: Grant,
    on_progress: OnProgress | None = None,
    on_findings: OnFindings = log_findings,
) -> Run:
    """Carry out a claimed run to its end and return it as it then stands: succeeded, or failed with its error.

    Args:
        store: The database.
        run: The run, claimed by the owner of the lease.
        lease: The right to write findings.
        on_progress: Called between steps with the counts of the run.
        on_findings: Called with the findings that the run opens, as soon as they are stored; must return at once.

    Raises:
        OwnershipLost: another process took this one for dead, and abandoned the run.
        asyncio.CancelledError: this process is ending; the run waits again.
    """
    runs, progress = RunStore(store), RunProgress()
    heartbeat = asyncio.create_task(_keep_alive(store, run, lease, progress))

    def on_step() -> None:
        if heartbeat.done():
            heartbeat.result()
        if on_progress is not None:
            on_progress(progress)

    about = {"run": str(run.id), "kind": run.kind} | ({} if run.resource is None else {"resource": run.resource})
    started = time.monotonic()
    log.info("reconciliation begins", **about, **({"tries": run.tries} if run.tries > 1 else {}))
    try:
        await Reconciler(store, run, lease, progress, on_findings).reconcile(on_step)
        await runs.succeed(run, **progress.counts())
    except OwnershipLost:
        raise
    except asyncio.CancelledError:
        await asyncio.shield(runs.requeue(run))
        raise
    except Exception as error:  # the run must end as failed, whatever the error was
        log.exception("reconciliation failed", **about)
        message = f"{type(error).__name__}: {error}"[:_ERROR_LENGTH_MAX]
        with suppress(PyMongoError):
            await runs.fail(run, message, **progress.counts())
    finally:
        if progress.new > LOGGED_FINDINGS_MAX:
            log.warning("more findings than have a line each", **about, more=progress.new - LOGGED_FINDINGS_MAX)
        heartbeat.cancel()
        await asyncio.gather(heartbeat, return_exceptions=True)
    ended = await runs.get(str(run.id))
    seconds = round(time.monotonic() - started, 3)
    log.info("reconciliation ended", **about, state=ended.state, seconds=seconds, **progress.counts())
    return ended


async def _keep_alive(store: Store, run: Run, lease: Grant, progress: RunProgress) -> None:
    """Renew the lease and the run every few seconds.

    Raises:
        OwnershipLost: another process has one of them; the run learns of it at its next step.
    """
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        with suppress(PyMongoError):
            await LeaseStore(store).renew(lease)
            await RunStore(store).write_progress(run, **progress.counts())
