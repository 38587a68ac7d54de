"""Finds processes that have died, and ends their sessions.

A transaction whose process died keeps its guards locked for the server's transaction lifetime, a minute. So each
process watches the rows of the others and kills the sessions of those that are dead: their guards are free at once. A
process that was taken for dead by mistake fails at its next statement or its commit (error 251), so it cannot write
either.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

import structlog
from bson import ObjectId
from bson.binary import UUID_SUBTYPE, Binary
from pymongo.errors import OperationFailure

from app.pids import PLACE, is_gone
from app.storage.client import Store
from app.storage.documents import Process
from app.storage.processes import ProcessStore

log = structlog.get_logger()

SILENT_SECONDS = 5.0
"""A process beats every second. One whose beat has not changed for so long, by the watcher's clock, is dead."""

_POLL_SECONDS = 0.2


Adopt: TypeAlias = Callable[[list[bytes]], Awaitable[None]]


class Reaper:
    """Finds the dead among the processes, by the monotonic clock of this process alone.

    Args:
        store: The database.
        own: The id of this process's own row, which is not watched.
        clock: Seconds.
        adopt: Takes over the sessions of a dead process before its row is deleted: a late statement of that process
            may begin a transaction in one of them after they were killed.
    """

    def __init__(
        self,
        store: Store,
        own: ObjectId | None = None,
        clock: Callable[[], float] = time.monotonic,
        adopt: Adopt | None = None,
    ) -> None:
        self._store = store
        self._own = own
        self._clock = clock
        self._adopt = adopt
        self._seen: dict[ObjectId, tuple[int, float]] = {}

    async def find_dead(self) -> list[Process]:
        """Reap the dead processes; return the others, some of which may turn out to be dead later.

        Raises:
            pymongo.errors.PyMongoError: if the database does not answer.
        """
        asked_at = self._clock()
        rows = await ProcessStore(self._store).find_others(self._own)
        answered_at = self._clock()
        self._seen = {row.id: (row.beat, self._since(row, answered_at)) for row in rows}
        living = []
        for row in rows:
            if row.place == PLACE and is_gone(row.pid, row.started):
                await reap(self._store, row, "its process is gone", self._adopt)
            elif asked_at - self._seen[row.id][1] >= SILENT_SECONDS:
                await reap(self._store, row, f"silent for {SILENT_SECONDS:.0f} s", self._adopt)
            else:
                living.append(row)
        return living

    def _since(self, row: Process, now: float) -> float:
        """When this process first saw the present beat of a row, in seconds of its clock."""
        beat, since = self._seen.get(row.id, (None, now))
        return since if beat == row.beat else now

    def forget(self) -> None:
        """Forget all beats seen so far: this process was paused or cut off, so the others need not be silent."""
        self._seen.clear()


async def reap(store: Store, dead: Process, why: str, adopt: Adopt | None = None) -> None:
    """Kill the sessions of a dead process, then delete its row; the row of one that beats meanwhile stays."""
    log.warning("ending the sessions of a dead process", host=dead.host, pid=dead.pid, why=why)
    if dead.sessions:
        if adopt is not None:
            await adopt(dead.sessions)
        try:
            await kill_sessions(store, dead.sessions)
        except OperationFailure as error:  # not allowed or unknown on this server: its own limit ends them
            log.warning("the server does not end them; what they hold is free within a minute", error=str(error))
    await ProcessStore(store).delete_process(dead.id, beat=dead.beat)


async def kill_sessions(store: Store, sessions: list[bytes]) -> None:
    """Kill sessions, which aborts their transactions."""
    await store.client.admin.command(*kill_command(sessions))


def kill_command(sessions: Iterable[bytes]) -> tuple[str, list[dict[str, Any]]]:
    """The command `killSessions` and its value, for the asynchronous and the synchronous client."""
    return "killSessions", [{"id": Binary(each, UUID_SUBTYPE)} for each in sessions]


async def running(store: Store) -> list[Process]:
    """The processes that live: each has beaten while this one watched. It takes up to `SILENT_SECONDS`."""
    watch = Reaper(store)
    first: dict[ObjectId, int] = {}
    while True:
        rows = await watch.find_dead()
        for row in rows:
            first.setdefault(row.id, row.beat)
        if all(row.beat != first[row.id] for row in rows):
            return rows
        await asyncio.sleep(_POLL_SECONDS)
