"""The heartbeat of a process that books, which makes it known to the others.

The row of a process names the sessions in which it may hold guards, before the first of them is used. Every beat
increments a counter in the row. With each the process also reaps others that are dead, compares what all processes
must agree on, and notices when the database was restored to an earlier state.
"""

import asyncio
import math
import os
import socket
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeAlias

import pymongo
import structlog
from bson import ObjectId
from pymongo.errors import NetworkTimeout, PyMongoError

from app.cluster import agreement
from app.cluster.reaper import SILENT_SECONDS, Reaper
from app.cluster.restores import RestoreWatch
from app.deadline import detached
from app.errors import Problem
from app.pids import PLACE, started
from app.storage.client import Store
from app.storage.documents import Process
from app.storage.errors import StorageError
from app.storage.processes import ProcessStore

log = structlog.get_logger()

BEAT_SECONDS = 1.0
ANSWER_SECONDS = 2.0
REGISTRATION_WAIT_SECONDS = 1.5
"""How long a batch waits for a beat, which may have to wait for another one."""
GAP_SECONDS = SILENT_SECONDS / 2
"""A process whose own beats are further apart was paused or cut off: it beats before it books, and forgets what it
saw of the others."""

EnsureRegistered: TypeAlias = Callable[[], Awaitable[None]]
"""Called before every batch; raises if this process must not book now."""


class SessionOwner(Protocol):
    """A driver with sessions that may hold guards."""

    ensure_registered: EnsureRegistered

    @abstractmethod
    def session_ids(self) -> list[bytes]:
        """The ids of the sessions that may hold guards."""

    @abstractmethod
    def doubtful_session_ids(self) -> list[bytes]:
        """The ids of those sessions whose last transaction may not have ended."""

    @abstractmethod
    def retire_sessions(self) -> None:
        """Use none of the present sessions for a further batch."""

    @abstractmethod
    def adopt_sessions(self, sessions: list[bytes]) -> None:
        """Take over the sessions of a dead process, to be killed as long as a statement of it may still arrive."""

    @abstractmethod
    async def end_doubtful_sessions(self) -> None:
        """Kill the doubtful sessions, as far as the database answers."""


class Heartbeat:
    """The row of one write path, and the task that beats."""

    def __init__(self, store: Store, driver: SessionOwner) -> None:
        self._store = store
        self._rows = ProcessStore(store)
        self._driver = driver
        self._row = Process(
            id=ObjectId(),
            host=socket.gethostname(),
            place=PLACE,
            pid=os.getpid(),
            started=started(os.getpid()) or "",
            sessions=[],
            beat=0,
            mode=store.mode,
            lifecycle=agreement.LIFECYCLE,
        )
        self._reaper = Reaper(store, self._row.id, adopt=self._adopt)
        self._registered: list[bytes] | None = None
        self._last_beat = -math.inf
        self._restores = RestoreWatch()
        self._difference: str | None = None
        self._last_beat_succeeded = True
        self._stopped = False
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        driver.ensure_registered = self.ensure_registered

    async def start(self) -> None:
        """Register this process, reap the dead, and beat from now on.

        Raises:
            StorageError: the other processes book differently; the sentence names the remedy.
            pymongo.errors.PyMongoError: if the database does not answer.
        """
        try:
            await self._beat()
            self._check_agreement()
            await self._reaper.find_dead()
        except BaseException:
            await self.stop()
            raise
        self._task = asyncio.create_task(self._beat_forever(), name="presence")

    async def stop(self) -> None:
        """Stop beating, and delete the row.

        The driver's sessions are closed by now. While some are doubtful the row stays, and the process that reaps it
        kills them.
        """
        async with self._lock:  # waits for a beat, since a thread of the driver would write a cancelled one later
            self._stopped = True
            if self._task is not None:
                self._task.cancel()
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task
        if self._driver.doubtful_session_ids():
            return
        with suppress(PyMongoError), pymongo.timeout(ANSWER_SECONDS):
            await self._rows.delete_process(self._row.id)

    def _check_agreement(self) -> None:
        if self._difference is not None:
            raise StorageError(self._difference)

    @property
    def obstacle(self) -> str | None:
        """Why this process must not book, as a sentence for operators with the remedy; None if it may."""
        return self._difference

    def check(self) -> None:
        """Check that this process may book.

        Raises:
            Problem: `unavailable`, because the other processes book differently by now, or the database was restored
                to an earlier state.
        """
        if self._difference is not None:
            raise Problem("unavailable", "This process must be restarted by its operator; nothing was done.")

    async def ensure_registered(self) -> None:
        """Make sure, before a batch, that the row names all sessions, and that no process can have reaped it.

        Raises:
            Problem: `unavailable`, as `check` says.
            pymongo.errors.PyMongoError: if the database does not answer.
        """
        unnamed = set(self._driver.session_ids()) - set(self._registered or ())
        if self._registered is None or unnamed or time.monotonic() - self._last_beat > GAP_SECONDS:
            await self._beat_soon()
        self.check()

    async def _beat_soon(self) -> None:
        """Beat, and wait for a limited time; the beat itself continues."""
        beat = detached(self._beat())
        beat.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.wait_for(asyncio.shield(beat), REGISTRATION_WAIT_SECONDS)
        except TimeoutError:
            raise NetworkTimeout("the database did not take a beat in time") from None

    async def check_others(self) -> None:
        """Reap the dead processes now, so that a batch that waits for their guards can be tried again.

        It raises nothing, and continues when its caller is cancelled.
        """
        await asyncio.shield(detached(self._beat_and_reap()))

    async def _beat_forever(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self._beat_and_reap()

    async def _beat_and_reap(self) -> None:
        try:
            await self._driver.end_doubtful_sessions()
            await self._beat()
            with pymongo.timeout(ANSWER_SECONDS):
                await self._reaper.find_dead()
        except PyMongoError:
            self._reaper.forget()
        except Exception:  # the next beat may fare better, and without beats this process would be dead
            log.exception("heartbeat failed")

    async def _adopt(self, sessions: list[bytes]) -> None:
        """Add the sessions of a dead process to this row, before its own row is deleted."""
        self._driver.adopt_sessions(sessions)
        await self._beat()

    async def _beat(self) -> None:
        """Write the row with the present sessions, and compare what all processes must agree on."""
        async with self._lock:
            if self._stopped:
                return
            began = time.monotonic()
            if began - self._last_beat > GAP_SECONDS:
                self._reaper.forget()
            try:
                with pymongo.timeout(ANSWER_SECONDS):
                    await self._write_and_compare()
            except PyMongoError as error:
                if self._last_beat_succeeded:
                    log.warning("heartbeat write failed", error=str(error))
                self._last_beat_succeeded = False
                self._reaper.forget()
                raise
            self._last_beat_succeeded = True
            self._last_beat = began

    async def _write_and_compare(self) -> None:
        """Write the row, count the beat, and compare both with what this process left."""
        await self._write()
        deployment = await agreement.agree(self._store)
        self._restores.note(deployment)
        if self._restores.found:
            self._set_difference(
                f"The database {self._store.database.name} was restored to an earlier state while this process ran. "
                "Stop all processes, restore it again, and run `reserva migrate` before they start."
            )
        else:
            self._set_difference(agreement.difference_from(deployment, self._store))

    async def _write(self) -> None:
        """Write the row. If another process has reaped it, the sessions were killed, and others are needed."""
        sessions = self._driver.session_ids()
        self._row = self._row.model_copy(update={"sessions": sessions, "beat": self._row.beat + 1})
        if await self._rows.put_process(self._row) and self._registered is not None:
            log.warning("another process took this one for dead; it goes on with other sessions")
            self._driver.retire_sessions()
        self._registered = sessions

    def _set_difference(self, difference: str | None) -> None:
        if difference is not None and difference != self._difference:
            log.error("no bookings are taken here", reason=difference)
        self._difference = difference
