"""Who runs, and who has died without a word.

A transaction whose process died keeps its guards locked for the server's transaction lifetime, a minute. So whoever
reads the rows of `processes` ends the sessions of the dead: their guards are free at once, and a process that was only
taken for dead fails with its next statement and with its commit (251).
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
"""A process beats each second. Who stood still for so long, by the clock of whoever watches, is dead."""

_POLL_SECONDS = 0.2


Adopt: TypeAlias = Callable[[list[bytes]], Awaitable[None]]


class Reaper:
    """Tells the living from the dead, by the monotonic clock of this process alone.

    Args:
        store: The database.
        own: The row of this process, which needs no watching.
        clock: Seconds.
        adopt: Asked to take over the sessions of a dead process before its row goes: what that process sent last may
            be late, and begin a transaction in one of them after it was ended.
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
        """End the dead; the others, of whom some may yet turn out to be dead.

        Raises:
            pymongo.errors.PyMongoError: if the database does not answer.
        """
        asked = self._clock()
        rows = await ProcessStore(self._store).find_others(self._own)
        heard = self._clock()
        self._seen = {row.id: (row.beat, self._since(row, heard)) for row in rows}
        living = []
        for row in rows:
            if row.place == PLACE and is_gone(row.pid, row.started):
                await reap(self._store, row, "its process is gone", self._adopt)
            elif asked - self._seen[row.id][1] >= SILENT_SECONDS:
                await reap(self._store, row, f"silent for {SILENT_SECONDS:.0f} s", self._adopt)
            else:
                living.append(row)
        return living

    def _since(self, row: Process, now: float) -> float:
        """Since when its counter stands where it stands, as far as was seen here."""
        beat, since = self._seen.get(row.id, (None, now))
        return since if beat == row.beat else now

    def forget(self) -> None:
        """Begin anew: this process was not there itself, and cannot tell who else was not."""
        self._seen.clear()


async def reap(store: Store, dead: Process, why: str, adopt: Adopt | None = None) -> None:
    """End the sessions of a dead process, and then its row; one that beats again meanwhile keeps its row."""
    log.warning("ending the sessions of a dead process", host=dead.host, pid=dead.pid, why=why)
    if dead.sessions:
        if adopt is not None:
            await adopt(dead.sessions)
        try:
            await kill_sessions(store, dead.sessions)
        except OperationFailure as error:  # not allowed, or not known here: the server's own limit ends them
            log.warning("the server does not end them; what they hold is free within a minute", error=str(error))
    await ProcessStore(store).delete_process(dead.id, beat=dead.beat)


async def kill_sessions(store: Store, sessions: list[bytes]) -> None:
    """Abort whatever transactions these sessions have."""
    await store.client.admin.command(*kill_command(sessions))


def kill_command(sessions: Iterable[bytes]) -> tuple[str, list[dict[str, Any]]]:
    """The command that aborts whatever transactions these sessions have, for either of the clients."""
    return "killSessions", [{"id": Binary(each, UUID_SUBTYPE)} for each in sessions]


async def running(store: Store) -> list[Process]:
    """The processes that surely live: each has beaten while we watched. Takes five seconds where some do not."""
    watch = Reaper(store)
    first: dict[ObjectId, int] = {}
    while True:
        rows = await watch.find_dead()
        for row in rows:
            first.setdefault(row.id, row.beat)
        if all(row.beat != first[row.id] for row in rows):
            return rows
        await asyncio.sleep(_POLL_SECONDS)
