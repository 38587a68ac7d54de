"""Reconciliation: looks for what the write path should never let happen, and tells. It never changes a reservation."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from app.cluster.worker_heartbeat import BEAT_SECONDS
from app.reconciliation import scan
from app.reconciliation.alerts import WARNED, Teller, warn
from app.reconciliation.findings_writer import record
from app.reconciliation.guard_updates import keep_foreign, raise_reaches
from app.reconciliation.recheck import confirm_windows, windows_of
from app.reconciliation.row_batches import Example, Tally
from app.reconciliation.stored_findings import FINDINGS, unresolved_resources
from app.storage.capacities import read_limits
from app.storage.client import Store
from app.storage.documents import Run, RunKind
from app.storage.foreign_occupancies import OCCUPANCIES, resources_with_foreign_occupancies
from app.storage.leases import Grant, LeaseStore, OwnershipLost, new_owner
from app.storage.reach import Reach
from app.storage.row_reader import TRASH
from app.storage.runs import RunStore
from app.storage.values import forms

LATE_COMMITS = timedelta(minutes=5)
"""How far before the last run an incremental one begins: `updatedAt` is set before its transaction commits."""

SUSPECTS, SUSPECT_ROWS = 32, 10_000
"""Resources, and rows of them, that are read again together; one snapshot serves them all."""

GUARDS = 1_000
"""Guards that are compared at once."""

log = structlog.get_logger()

TURN_SECONDS = 0.5
"""Between two attempts to get the lease."""


@dataclass(slots=True)
class Progress:
    """How far a run is."""

    tally: Tally = field(default_factory=Tally)
    findings: int = 0
    conflicts: int = 0
    new: int = 0
    unaccepted: int = 0

    def counts(self) -> dict[str, Any]:
        """As the run's document has it."""
        return {
            "scanned": self.tally.scanned,
            "resources": self.tally.resources,
            "leftOut": dict(self.tally.left_out),
            "unreadable": self.tally.unreadable,
            "findings": self.findings,
            "conflicts": self.conflicts,
            "new": self.new,
            "unaccepted": self.unaccepted,
        }


Watcher: TypeAlias = Callable[[Progress], None]


async def reconcile_reservations(
    store: Store,
    kind: RunKind,
    resource: str | None = None,
    watch: Watcher | None = None,
    tell: Teller = warn,
) -> Run:
    """Run a reconciliation now, in this process; one that waits already is the one that is run.

    While another process reconciles, this waits for its turn. See `execute`.
    """
    await RunStore(store).abandon_dead()
    while True:
        asked = await RunStore(store).enqueue(kind, resource)
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
    owner = new_owner()
    lease = await LeaseStore(store).acquire(owner)
    if lease is None:
        return None
    try:
        run = await RunStore(store).claim(owner, identity)
        return None if run is None else await execute(store, run, lease, watch, tell)
    finally:
        with suppress(PyMongoError):
            await asyncio.shield(LeaseStore(store).release(lease))


async def is_known(store: Store, resource: str) -> bool:
    """Whether there is such a resource, or at least a reservation of it.

    One that names it by an object cannot be looked up: it counts once a run, or `migrate`, has listed it.
    """
    stored = forms(resource)
    for collection, field_ in (("resources", "_id"), ("reservations", "resource"), ("reservations", "items.resource")):
        for form in stored:
            if await store.lenient(collection).find_one({field_: form}, {"_id": 1}) is not None:
                return True
    for collection in (OCCUPANCIES, FINDINGS):
        if await store.database[collection].find_one({"resource": resource}, {"_id": 1}) is not None:
            return True
    return False


async def execute(store: Store, run: Run, lease: Grant, watch: Watcher | None = None, tell: Teller = warn) -> Run:
    """Carry out a claimed run to its end and return it as it then stands: succeeded, or failed with its error.

    Args:
        store: The database.
        run: The run, claimed by the owner of the lease.
        lease: What gives the right to write down findings.
        watch: Told how far it is, now and then.
        tell: Told of the findings that it opens, as soon as they are kept; must not wait for anybody.

    Raises:
        OwnershipLost: it was given up by somebody else meanwhile.
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

    about = {"run": str(run.id), "kind": run.kind} | ({} if run.resource is None else {"resource": run.resource})
    started = time.monotonic()
    log.info("reconciliation begins", **about, **({"tries": run.tries} if run.tries > 1 else {}))
    try:
        await work.look(step)
        await RunStore(store).succeed(run, **progress.counts())
    except OwnershipLost:
        raise
    except asyncio.CancelledError:
        await asyncio.shield(RunStore(store).requeue(run))
        raise
    except Exception as error:  # whatever it was, the record must say so
        log.exception("reconciliation failed", **about)
        said = f"{type(error).__name__}: {error}"[:500]
        with suppress(PyMongoError):
            await RunStore(store).fail(run, said, **progress.counts())
    finally:
        if progress.new > WARNED:
            log.warning("more findings than have a line each", **about, more=progress.new - WARNED)
        beats.cancel()
        await asyncio.gather(beats, return_exceptions=True)
    ended = await RunStore(store).get(str(run.id))
    log.info(
        "reconciliation ended",
        **about,
        state=ended.state,
        seconds=round(time.monotonic() - started, 3),
        **progress.counts(),
    )
    return ended


async def _beat(store: Store, run: Run, lease: Grant, progress: Progress) -> None:
    """Say that the run lives, until it ends or is not ours any more; then `step` hears of it."""
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        with suppress(PyMongoError):
            await LeaseStore(store).renew(lease)
            await RunStore(store).update(run, **progress.counts())


@dataclass(slots=True)
class _Work:
    """One run: sweep chunk by chunk, look again where something is or was wrong, write down what stands."""

    store: Store
    run: Run
    lease: Grant
    progress: Progress
    tell: Teller
    known: set[str] = field(default_factory=set)
    """Of which something is known that may not be so any more."""
    opaque: scan.Opaque = field(default_factory=dict)
    needs: dict[str, Reach] = field(default_factory=dict)
    """Of resources that were seen, and whose guards were not looked at yet."""
    done: set[str] = field(default_factory=set)

    async def look(self, step: Callable[[], None]) -> None:
        """The whole of it. Resources with findings are looked at again, whatever the cursor saw of them."""
        self.opaque = await scan.read_opaque(self.store)
        self.known = await self._known()
        last = await RunStore(self.store).watermark() if self.run.kind == "incremental" else None
        if self.run.resource is not None:
            await self._look_at([self.run.resource], step)
        elif last is not None and last.started_at is not None:
            changed = await scan.changed(self.store, last.started_at - LATE_COMMITS)
            await self._look_at(sorted(changed | self.known), step)
        else:
            await self._look_at_everything(step)
        left = sorted(self.known - self.done)  # of those no reservation blocks any more
        await self._settle_all(dict.fromkeys(left, 0), step)
        await self._raise_reaches()
        await self._say_what_was_left_out()

    async def _known(self) -> set[str]:
        """The resources of which earlier runs have said something that may not be so any more."""
        among = None if self.run.resource is None else [self.run.resource]
        return await unresolved_resources(self.store, among) | await resources_with_foreign_occupancies(
            self.store, among
        )

    async def _look_at_everything(self, step: Callable[[], None]) -> None:
        limits = await read_limits(self.store)
        passing = scan.Scan(self.store, limits, self.progress.tally)
        suspects: dict[str, int] = {}
        async for rows, needs in passing.chunks():
            self._need(needs)
            found = {window.resource for window in await windows_of(rows, limits)}
            found |= self.known.intersection(row[0] for row in rows)
            suspects |= {resource: passing.sizes[resource] for resource in found - self.done}
            if _are_enough(suspects):
                await self._settle(suspects)
            if len(self.needs) >= GUARDS:
                await self._raise_reaches()
            step()
        await self._settle(suspects)
        again = {each: passing.sizes[each] + count for each, count in passing.again.items() if each not in self.done}
        await self._settle_all(again, step)

    async def _look_at(self, resources: Sequence[str], step: Callable[[], None]) -> None:
        place, size = 0, SUSPECTS
        while some := resources[place : place + size]:
            if len(some) > 1 and await scan.are_many(self.store, some, self.opaque, SUSPECT_ROWS):
                size = len(some) // 2
                continue
            place, size = place + len(some), min(2 * size, SUSPECTS)
            seen = await scan.scan_resources(self.store, some, self.opaque, self.progress.tally)
            self._need(seen.needs)
            found = {window.resource for window in await windows_of(seen.rows, seen.limits)}
            found |= {each.resource for each in seen.foreign} | self.known.intersection(some)
            del seen
            await self._settle(dict.fromkeys(sorted(found), 0))
            step()

    async def _settle_all(self, resources: Mapping[str, int], step: Callable[[], None]) -> None:
        """Look again at all of these, a few at a time, by how many rows they have."""
        suspects: dict[str, int] = {}
        for resource, size in resources.items():
            suspects[resource] = size
            if _are_enough(suspects):
                await self._settle(suspects)
                step()
        await self._settle(suspects)

    async def _settle(self, suspects: dict[str, int]) -> None:
        """Look again at those in which something seemed wrong, and write down what is; nobody is suspect afterwards.

        The guards know of it before anybody else does.
        """
        if not suspects:
            return
        names = list(suspects)
        suspects.clear()
        self.done.update(names)
        stands = await confirm_windows(self.store, names, self.opaque)
        await raise_reaches(self.store, stands.needs)
        await keep_foreign(self.store, self.lease, self.run.id, names, stands.foreign)
        recorded = await record(self.store, self.lease, self.run, names, stands.windows, stands.ids)
        self.progress.findings += len(stands.windows)
        self.progress.conflicts += sum(window.conflicts for window in stands.windows)
        before = self.progress.new
        self.progress.new += len(recorded.opened)
        self.progress.unaccepted += recorded.unaccepted
        if recorded.opened:
            self.tell(recorded.opened, before)

    def _need(self, needs: Mapping[str, Reach]) -> None:
        for resource, need in needs.items():
            self.needs[resource] = self.needs[resource].or_more(need) if resource in self.needs else need

    async def _raise_reaches(self) -> None:
        needs, self.needs = self.needs, {}
        for names in (list(needs)[place : place + GUARDS] for place in range(0, len(needs), GUARDS)):
            await raise_reaches(self.store, {name: needs[name] for name in names})

    async def _say_what_was_left_out(self) -> None:
        tally = self.progress.tally
        puzzles = {reason: count for reason, count in tally.left_out.items() if reason != TRASH}
        examples = {reason: [await self._shown(each) for each in tally.examples[reason]] for reason in puzzles}
        if puzzles:
            log.warning("what cannot be read was left out", run=str(self.run.id), counts=puzzles, examples=examples)

    async def _shown(self, example: Example) -> str:
        return await scan.id_of(self.store, example.found) + (f" ({example.value})" if example.value else "")


def _are_enough(suspects: Mapping[str, int]) -> bool:
    return len(suspects) >= SUSPECTS or sum(suspects.values()) >= SUSPECT_ROWS
