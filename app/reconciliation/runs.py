"""Runs: the documents that say which reconciliation waits, who runs one, how far it is and what came of it.

Every change of a run names the state and the owner that it expects, so that a process that was paused and given up
cannot write over what happened since.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from bson import ObjectId
from bson.errors import InvalidId
from pymongo import ReturnDocument

from app.deadline import sending
from app.errors import not_found
from app.storage.client import Store
from app.storage.documents import Run
from app.storage.guards import insert_new

Kind: TypeAlias = Literal["full", "incremental", "resource"]

BEAT_SECONDS = 3.0
"""How often whoever runs one says so, with its counts."""
DEAD_SECONDS = 30.0
"""Silence after which a run is given up: ten beats, and half of the minute within which another must take over."""


class LostRun(Exception):  # noqa: N818 -- an event, not a fault of the one who hears of it
    """The run is not ours any more: we were silent for too long, and somebody gave it up."""


async def ask_for(store: Store, kind: Kind, resource: str | None = None) -> Run:
    """The run of that kind and resource that waits, made if there is none."""
    sending()
    while True:
        wanted = Run(id=ObjectId(), kind=kind, resource=resource, created_at=store.clock.now())
        identity = await _awaited(store, wanted)
        # Who finds another's run awaited but not there yet makes it: that one may have died in between.
        await insert_new(store, "reconciliations", [{**wanted.to_mongo(), "_id": identity}])
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
    taken = await store.database["reconciliations"].find_one_and_update(
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
    result = await store.database["reconciliations"].update_one(
        {"_id": run.id, "state": "running", "owner": run.owner},
        {"$set": {"beatAt": store.clock.now(), **changes}},
    )
    if not result.matched_count:
        raise LostRun(f"The reconciliation {run.id} was given up.")


async def give_back(store: Store, run: Run) -> None:
    """Let the run wait again, for whoever takes it next: this process is about to end."""
    await store.database["reconciliations"].update_one(
        {"_id": run.id, "state": "running", "owner": run.owner},
        {"$set": {"state": "queued"}, "$unset": {"owner": "", "startedAt": "", "beatAt": ""}},
    )


async def give_up_dead(store: Store) -> list[Run]:
    """Mark runs whose process fell silent as abandoned, and ask for each anew. Returns those that now wait."""
    silent = {"state": "running", "beatAt": {"$lt": store.clock.now() - timedelta(seconds=DEAD_SECONDS)}}
    waiting = []
    async for found in store.database["reconciliations"].find(silent):
        run = _run(found)
        result = await store.database["reconciliations"].update_one(
            {"_id": run.id, "state": "running", "owner": run.owner, "beatAt": run.beat_at},
            {
                "$set": {
                    "state": "abandoned",
                    "finishedAt": store.clock.now(),
                    "error": f"The process that ran it ({run.owner}) stopped answering; another run takes its place.",
                }
            },
        )
        if result.matched_count:
            waiting.append(await ask_for(store, run.kind, run.resource))
    return waiting


async def get(store: Store, identity: str) -> Run:
    """One run.

    Raises:
        Problem: `not-found`.
    """
    try:
        found = await store.database["reconciliations"].find_one({"_id": ObjectId(identity)})
    except InvalidId:
        found = None
    if found is None:
        raise not_found("reconciliation", identity)
    return _run(found)


async def listed(store: Store, after: ObjectId | None, limit: int) -> Sequence[Run]:
    """Up to `limit` runs by id, those behind `after`."""
    where = {} if after is None else {"_id": {"$gt": after}}
    found = store.database["reconciliations"].find(where, sort=[("_id", 1)], limit=limit)
    return [_run(run) async for run in found]


async def watermark(store: Store) -> Run | None:
    """The last run that succeeded and looked at whatever had changed: the next one starts from there."""
    found = await store.database["reconciliations"].find_one(
        {"state": "succeeded", "kind": {"$in": ["full", "incremental"]}}, sort=[("_id", -1)]
    )
    return None if found is None else _run(found)


async def full_since(store: Store, instant: datetime) -> bool:
    """Whether a full run was asked for since then and has not failed."""
    found = await store.database["reconciliations"].find_one(
        {
            "state": {"$in": ["queued", "running", "succeeded"]},
            "kind": "full",
            "createdAt": {"$gte": instant},
        }
    )
    return found is not None


def _run(found: Any) -> Run:
    run: Run = Run.model_validate(found)
    return run
