"""Runs: the documents that say which reconciliation waits, who runs one, how far it is and what came of it.

Every change of a run names the state and the owner that it expects, so that a process that was paused and given up
cannot write over what happened since.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Literal, TypeAlias, get_args

import structlog
from bson import ObjectId
from bson.errors import InvalidId
from pymongo import ReturnDocument

from app.deadline import sending
from app.errors import not_found
from app.storage.client import Store
from app.storage.documents import Run
from app.storage.guards import insert_new

Kind: TypeAlias = Literal["full", "incremental", "resource"]
RunState: TypeAlias = Literal["queued", "running", "succeeded", "failed", "abandoned"]

RUNS = "reconciliations"
KINDS: tuple[Kind, ...] = get_args(Kind)
STATES: tuple[RunState, ...] = get_args(RunState)
ENDED: tuple[RunState, ...] = ("succeeded", "failed", "abandoned")

BEAT_SECONDS = 3.0
"""How often whoever runs one says so, with its counts."""
DEAD_SECONDS = 30.0
"""Silence after which a run is given up: ten beats, and half of the minute within which another must take over."""
RETRY_MINUTES = (1, 5, 15)
"""After how long another run comes in the place of one that failed; after the last of them nobody tries again until
somebody asks, or the schedule does."""
PRUNED_AT_ONCE = 1_000

log = structlog.get_logger()


class LostRun(Exception):  # noqa: N818 -- an event, not a fault of the one who hears of it
    """The run is not ours any more: we were silent for too long, and somebody gave it up."""


async def ask_for(store: Store, kind: Kind, resource: str | None = None, tries: int = 1) -> Run:
    """The run of that kind and resource that waits, made if there is none."""
    sending()
    while True:
        wanted = Run(id=ObjectId(), kind=kind, resource=resource, created_at=store.clock.now(), tries=tries)
        identity = await _awaited(store, wanted)
        # Who finds another's run awaited but not there yet makes it: that one may have died in between.
        await insert_new(store, RUNS, [{**wanted.to_mongo(), "_id": identity}])
        run = await get(store, str(identity))
        if run.state == "queued":
            return run
        await _not_awaited(store, run)


async def _awaited(store: Store, wanted: Run) -> ObjectId:
    """The id of the run that waits for the same; ours, if there was none."""
    while True:
        await insert_new(store, "awaited", [{"_id": _name(wanted), "run": wanted.id}])
        found = await store.database["awaited"].find_one({"_id": _name(wanted)})
        if found is not None:  # else it has begun since, and is not awaited any more
            identity: ObjectId = found["run"]
            return identity


async def _not_awaited(store: Store, run: Run) -> None:
    """The run has begun: the next one who asks gets another."""
    await store.database["awaited"].delete_one({"_id": _name(run), "run": run.id})


def _name(run: Run) -> str:
    return run.kind if run.resource is None else f"{run.kind}:{run.resource}"


async def claim(store: Store, owner: str, identity: ObjectId | None = None) -> Run | None:
    """Take a waiting run, the oldest unless one is named; None if there is none (any more)."""
    wanted = {"state": "queued"} if identity is None else {"_id": identity, "state": "queued"}
    now = store.clock.now()
    taken = await store.database[RUNS].find_one_and_update(
        wanted,
        {"$set": {"state": "running", "owner": owner, "startedAt": now, "beatAt": now}},
        sort=[("_id", 1)],
        return_document=ReturnDocument.AFTER,
    )
    if taken is None:
        return None
    run = _run(taken)
    await _not_awaited(store, run)
    return run


async def write(store: Store, run: Run, **changes: Any) -> None:
    """Say that the run lives, and what else there is to say of it.

    Raises:
        LostRun: it is not ours any more.
    """
    result = await store.database[RUNS].update_one(
        {"_id": run.id, "state": "running", "owner": run.owner},
        {"$set": {"beatAt": store.clock.now(), **changes}},
    )
    if not result.matched_count:
        raise LostRun(f"The reconciliation {run.id} was given up.")


async def give_back(store: Store, run: Run) -> None:
    """Let the run wait again, for whoever takes it next: this process is about to end."""
    await store.database[RUNS].update_one(
        {"_id": run.id, "state": "running", "owner": run.owner},
        {"$set": {"state": "queued"}, "$unset": {"owner": "", "startedAt": "", "beatAt": ""}},
    )


async def fail(store: Store, run: Run, error: str, **counts: Any) -> None:
    """Write down that the run failed, and when another comes in its place, if one does.

    Raises:
        LostRun: it is not ours any more.
    """
    now = store.clock.now()
    again = {"retryAt": now + timedelta(minutes=RETRY_MINUTES[run.tries - 1])} if _may_be_tried_again(run) else {}
    await write(store, run, state="failed", finishedAt=now, error=error, **again, **counts)


async def ask_again(store: Store) -> list[Run]:
    """Ask for another run in the place of each that failed, once its pause is over. Returns those that now wait.

    None is needed where somebody, or the schedule, has asked since for a run that looks at the same.
    """
    waiting = []
    async for found in store.database[RUNS].find({"state": "failed", "retryAt": {"$lte": store.clock.now()}}):
        run = _run(found)
        same = {"kind": run.kind, "resource": run.resource}
        if await store.database[RUNS].find_one({"_id": {"$gt": run.id}, "$or": [same, {"kind": "full"}]}) is None:
            waiting.append(await ask_for(store, run.kind, run.resource, run.tries + 1))
        await store.database[RUNS].update_one({"_id": run.id}, {"$unset": {"retryAt": ""}})
    return waiting


async def give_up_dead(store: Store) -> list[Run]:
    """Mark runs whose process fell silent as abandoned, and ask for each anew. Returns those that now wait.

    Whoever looks does so. One that has ended processes again and again is left to the schedule.
    """
    silent = {"state": "running", "beatAt": {"$lt": store.clock.now() - timedelta(seconds=DEAD_SECONDS)}}
    waiting = []
    async for found in store.database[RUNS].find(silent):
        run = _run(found)
        again = _may_be_tried_again(run)
        then = "another run takes its place" if again else f"after {run.tries} tries nobody tries again by itself"
        error = f"The process that ran it ({run.owner}) stopped answering; {then}."
        result = await store.database[RUNS].update_one(
            {"_id": run.id, "state": "running", "owner": run.owner, "beatAt": run.beat_at},
            {"$set": {"state": "abandoned", "finishedAt": store.clock.now(), "error": error}},
        )
        if result.matched_count:
            log.warning("reconciliation abandoned", run=str(run.id), kind=run.kind, reason=error)
            if again:
                waiting.append(await ask_for(store, run.kind, run.resource, run.tries + 1))
    return waiting


def _may_be_tried_again(run: Run) -> bool:
    return run.tries <= len(RETRY_MINUTES)


async def get(store: Store, identity: str) -> Run:
    """One run.

    Raises:
        Problem: `not-found`.
    """
    try:
        found = await store.database[RUNS].find_one({"_id": ObjectId(identity)})
    except InvalidId:
        found = None
    if found is None:
        raise not_found("reconciliation", identity)
    return _run(found)


async def listed(
    store: Store, states: Collection[RunState], kinds: Collection[Kind], before: ObjectId | None, limit: int
) -> Sequence[Run]:
    """Up to `limit` runs, the newest first, those before one; of some states and kinds, or of all if none is named."""
    where = _of([*(states or STATES)], [*(kinds or KINDS)]) if states or kinds else {}
    if before is not None:
        where["_id"] = {"$lt": before}
    found = store.database[RUNS].find(where, sort=[("_id", -1)], limit=limit)
    return [_run(run) async for run in found]


async def last(store: Store, states: Sequence[RunState], kinds: Sequence[Kind], **more: Any) -> Run | None:
    """The newest run of these states and kinds."""
    found = await store.database[RUNS].find_one(_of(states, kinds) | more, sort=[("_id", -1)])
    return None if found is None else _run(found)


async def watermark(store: Store) -> Run | None:
    """The last run that succeeded and looked at whatever had changed: the next one starts from there."""
    return await last(store, ["succeeded"], ["full", "incremental"])


async def prune(store: Store, days: int) -> int:
    """Remove runs that were asked for so many days ago and have ended; how many. 0 days: none.

    The last of each kind that succeeded stays, because the next run starts from there.
    """
    if not days:
        return 0
    successes = [await last(store, ["succeeded"], [kind]) for kind in KINDS]
    before = ObjectId.from_datetime(store.clock.now() - timedelta(days=days))
    ids = {"$lt": before, "$nin": [run.id for run in successes if run is not None]}
    old = store.database[RUNS].find({"_id": ids, "state": {"$in": [*ENDED]}}, {"_id": 1}, sort=[("_id", 1)])
    found = [row["_id"] async for row in old.limit(PRUNED_AT_ONCE)]
    if found:
        await store.database[RUNS].delete_many({"_id": {"$in": found}})
    return len(found)


def _of(states: Sequence[RunState], kinds: Sequence[Kind]) -> dict[str, Any]:
    """The filter by states and kinds; each of them is named, so that the index gives the newest first."""
    return {"kind": {"$in": kinds}, "state": {"$in": states}}


def _run(found: Any) -> Run:
    run: Run = Run.model_validate(found)
    return run
