"""Runs: the documents that say which reconciliation waits, which process carries one out, and what came of it.

Every change of a run names the state and the owner that it expects, so that a process that was paused and taken for
dead cannot write over what happened since.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

import structlog
from bson import ObjectId
from pymongo import ReturnDocument

from app.deadline import sending
from app.domain.ids import ResourceId
from app.errors import not_found
from app.storage.bson_types import Filter
from app.storage.bulk_inserts import insert_new
from app.storage.client import Store
from app.storage.documents import QueuedRun, Run, RunKind, RunState
from app.storage.leases import DEAD_SECONDS, OwnershipLost
from app.storage.values import object_id

KINDS: tuple[RunKind, ...] = get_args(RunKind)
STATES: tuple[RunState, ...] = get_args(RunState)
ENDED: tuple[RunState, ...] = ("succeeded", "failed", "abandoned")

BEAT_SECONDS = 3.0
"""How often the owner of a run writes that it lives, with the counts of the run."""
RETRY_MINUTES = (1, 5, 15)
"""After how long another run comes in the place of one that failed. After the last of them, only a request or the
schedule starts another run."""
PRUNE_BATCH = 1_000
"""Runs that are removed at once."""

_RUNS, _QUEUED = Run.Settings.name, QueuedRun.Settings.name

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunStore:
    """The runs of a database.

    They are read through Beanie. They are written past it: a claim is one guarded `find_one_and_update`, and every
    other change is guarded by state and owner, which Beanie's `save` is not.
    """

    store: Store

    async def enqueue(self, kind: RunKind, resource: ResourceId | None = None, tries: int = 1) -> Run:
        """The run of that kind and resource that waits, made if there is none."""
        sending()
        while True:
            wanted = Run(id=ObjectId(), kind=kind, resource=resource, created_at=self.store.clock.now(), tries=tries)
            identity = await self._queued_id(wanted)
            # A process that dies between the two inserts leaves a queue entry without a run: the next one makes it.
            await insert_new(self.store, _RUNS, [{**wanted.to_mongo(), "_id": identity}])
            run = await self.get(str(identity))
            if run.state == "queued":
                return run
            await self._dequeue(run)

    async def _queued_id(self, wanted: Run) -> ObjectId:
        """The id of the run that waits for the same; that of the wanted one, if there was none."""
        while True:
            await insert_new(self.store, _QUEUED, [{"_id": _queue_name(wanted), "run": wanted.id}])
            entry: QueuedRun | None = await self.store.of(QueuedRun).find_one({"_id": _queue_name(wanted)})
            if entry is not None:  # else that run has begun in between, and has left the queue
                return entry.run

    async def _dequeue(self, run: Run) -> None:
        """Take a run that has begun out of the queue: the next request makes another one."""
        await self.store.database[_QUEUED].delete_one({"_id": _queue_name(run), "run": run.id})

    async def claim(self, owner: str, identity: ObjectId | None = None) -> Run | None:
        """Take a waiting run, the oldest unless one is named; None if there is none (any more)."""
        wanted = {"state": "queued"} if identity is None else {"_id": identity, "state": "queued"}
        now = self.store.clock.now()
        taken = await self.store.database[_RUNS].find_one_and_update(
            wanted,
            {"$set": {"state": "running", "owner": owner, "startedAt": now, "beatAt": now}},
            sort=[("_id", 1)],
            return_document=ReturnDocument.AFTER,
        )
        if taken is None:
            return None
        run: Run = Run.model_validate(taken)
        await self._dequeue(run)
        return run

    async def write_progress(self, run: Run, **counts: object) -> None:
        """Write that the run lives, and how far it is, by the names of the counts in the database.

        Raises:
            OwnershipLost: another process has given the run up.
        """
        await self._update_owned(run, counts)

    async def succeed(self, run: Run, **counts: object) -> None:
        """Write that the run has succeeded.

        Raises:
            OwnershipLost: another process has given the run up.
        """
        await self._update_owned(run, {"state": "succeeded", "finishedAt": self.store.clock.now(), **counts})

    async def fail(self, run: Run, error: str, **counts: object) -> None:
        """Write that the run has failed, and when another comes in its place, if one does.

        Raises:
            OwnershipLost: another process has given the run up.
        """
        now = self.store.clock.now()
        retry = {"retryAt": now + timedelta(minutes=RETRY_MINUTES[run.tries - 1])} if _may_be_retried(run) else {}
        await self._update_owned(run, {"state": "failed", "finishedAt": now, "error": error, **retry, **counts})

    async def _update_owned(self, run: Run, fields: Mapping[str, object]) -> None:
        result = await self.store.database[_RUNS].update_one(
            _owned(run), {"$set": {"beatAt": self.store.clock.now(), **fields}}
        )
        if not result.matched_count:
            raise OwnershipLost(f"The reconciliation {run.id} was given up.")

    async def requeue(self, run: Run) -> None:
        """Let the run wait again, for whichever process claims it next: this one is about to end."""
        await self.store.database[_RUNS].update_one(
            _owned(run), {"$set": {"state": "queued"}, "$unset": {"owner": "", "startedAt": "", "beatAt": ""}}
        )

    async def enqueue_retries(self) -> list[Run]:
        """Enqueue another run in the place of each that failed, once its pause is over. Returns those that now wait.

        No retry is made where a run that reads the same was requested or scheduled since.
        """
        waiting = []
        runs = self.store.of(Run)
        async for run in runs.find({"state": "failed", "retryAt": {"$lte": self.store.clock.now()}}):
            same = {"kind": run.kind, "resource": run.resource}
            if await runs.find_one({"_id": {"$gt": run.id}, "$or": [same, {"kind": "full"}]}) is None:
                waiting.append(await self.enqueue(run.kind, run.resource, run.tries + 1))
            await self.store.database[_RUNS].update_one({"_id": run.id}, {"$unset": {"retryAt": ""}})
        return waiting

    async def abandon_dead(self) -> list[Run]:
        """Mark runs whose process fell silent as abandoned, and enqueue each anew. Returns those that now wait.

        Every process that reads runs does so. A run that has ended processes again and again is left to the schedule.
        """
        now = self.store.clock.now()
        silent = {"state": "running", "beatAt": {"$lt": now - timedelta(seconds=DEAD_SECONDS)}}
        waiting = []
        async for run in self.store.of(Run).find(silent):
            retry = _may_be_retried(run)
            outcome = "another run takes its place" if retry else f"it is not retried after {run.tries} tries"
            error = f"The process that ran it ({run.owner}) stopped answering; {outcome}."
            result = await self.store.database[_RUNS].update_one(
                {**_owned(run), "beatAt": run.beat_at},
                {"$set": {"state": "abandoned", "finishedAt": self.store.clock.now(), "error": error}},
            )
            if result.matched_count:
                log.warning("reconciliation abandoned", run=str(run.id), kind=run.kind, reason=error)
                if retry:
                    waiting.append(await self.enqueue(run.kind, run.resource, run.tries + 1))
        return waiting

    async def get(self, identity: str) -> Run:
        """One run.

        Raises:
            Problem: `not-found`.
        """
        run: Run | None = None
        if (known := object_id(identity)) is not None:
            run = await self.store.of(Run).find_one({"_id": known})
        if run is None:
            raise not_found("reconciliation", identity)
        return run

    async def newest(
        self, states: Collection[RunState], kinds: Collection[RunKind], before: ObjectId | None, limit: int
    ) -> Sequence[Run]:
        """Up to `limit` runs, the newest first, those older than one; of all states or kinds if none is named."""
        where = _of([*(states or STATES)], [*(kinds or KINDS)]) if states or kinds else {}
        if before is not None:
            where["_id"] = {"$lt": before}
        found: list[Run] = await self.store.of(Run).find(where).sort("-_id").limit(limit).to_list()
        return found

    async def last(
        self,
        states: Sequence[RunState],
        kinds: Sequence[RunKind],
        *,
        created_since: datetime | None = None,
        started_since: datetime | None = None,
    ) -> Run | None:
        """The newest run of these states and kinds, made or begun at these instants or later."""
        where = _of(states, kinds)
        if created_since is not None:
            where["createdAt"] = {"$gte": created_since}
        if started_since is not None:
            where["startedAt"] = {"$gte": started_since}
        found: Run | None = await self.store.of(Run).find(where).sort("-_id").first_or_none()
        return found

    async def watermark(self) -> Run | None:
        """The last run that succeeded and read whatever had changed: the next one starts from there."""
        return await self.last(["succeeded"], ["full", "incremental"])

    async def queued(self) -> tuple[int, Run | None]:
        """How many runs wait, and the oldest of them."""
        waiting = self.store.of(Run).find(queued_runs())
        oldest: Run | None = await waiting.sort("_id").first_or_none()
        return await self.store.of(Run).find(queued_runs()).count(), oldest

    async def prune(self, days: int) -> int:
        """Remove runs that were asked for so many days ago and have ended; how many. 0 days: none.

        The last of each kind that succeeded stays, because the next run starts from there.
        """
        if not days:
            return 0
        successes = [await self.last(["succeeded"], [kind]) for kind in KINDS]
        before = ObjectId.from_datetime(self.store.clock.now() - timedelta(days=days))
        ids = {"$lt": before, "$nin": [run.id for run in successes if run is not None]}
        old = self.store.of(Run).find({"_id": ids, "state": {"$in": [*ENDED]}}).sort("_id").limit(PRUNE_BATCH)
        found = [run.id async for run in old]
        if found:
            await self.store.database[_RUNS].delete_many({"_id": {"$in": found}})
        return len(found)


def queued_runs() -> Filter:
    """The filter of the runs that wait."""
    return {"state": "queued"}


def _queue_name(run: Run) -> str:
    """The id of a run's entry in the queue: the same for all runs that would read the same."""
    return run.kind if run.resource is None else f"{run.kind}:{run.resource}"


def _owned(run: Run) -> Filter:
    return {"_id": run.id, "state": "running", "owner": run.owner}


def _may_be_retried(run: Run) -> bool:
    return run.tries <= len(RETRY_MINUTES)


def _of(states: Sequence[RunState], kinds: Sequence[RunKind]) -> Filter:
    """The filter by states and kinds; each of them is named, so that the index gives the newest first."""
    return {"kind": {"$in": list(kinds)}, "state": {"$in": list(states)}}
