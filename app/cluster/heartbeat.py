"""A process among those that book: known to the others, watching them, in agreement with them.

Its row in `processes` names the sessions in which it may hold guards, before the first of them is used. Its beats say
that it lives. With each it looks for those who do not, ends what they held, and compares what all must agree on.
"""

import asyncio
import math
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeAlias

import pymongo
import structlog
from bson import ObjectId
from pymongo.errors import NetworkTimeout, PyMongoError

from app.cluster import agreement
from app.cluster.reaper import SILENT_SECONDS, Reaper
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
"""How long a batch waits for a beat, which may wait for another one."""
GAP_SECONDS = SILENT_SECONDS / 2
"""Whose own beats are further apart than this was away, or cut off: it beats before it books, and judges nobody by
what it saw before."""

EnsureRegistered: TypeAlias = Callable[[], Awaitable[None]]
"""Asked before every batch; raises if this process must not book now."""


class SessionOwner(Protocol):
    """A driver, as far as its sessions are concerned."""

    ensure_registered: EnsureRegistered

    def session_ids(self) -> list[bytes]:
        """The ids of the sessions that may hold something."""

    def doubtful_session_ids(self) -> list[bytes]:
        """The ids of those of them that were given up in doubt."""

    def retire_sessions(self) -> None:
        """Use none of the present sessions for another batch."""

    def adopt_sessions(self, sessions: list[bytes]) -> None:
        """Take over the sessions of a dead process, to be ended as long as something of it may be late."""

    async def end_doubtful_sessions(self) -> None:
        """End the sessions in doubt, as far as the database answers."""


class Heartbeat:
    """The row of one write path, and the task that keeps it."""

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
        self._watch = Reaper(store, self._row.id, adopt=self._adopt)
        self._registered: list[bytes] | None = None
        self._beaten = -math.inf
        self._difference: str | None = None
        self._heard = True
        self._left = False
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        driver.ensure_registered = self.ensure_registered

    async def start(self) -> None:
        """Make this process known, end those of this machine that are gone, and beat from now on.

        Raises:
            StorageError: the others book in another way; the sentence names the remedy.
            pymongo.errors.PyMongoError: if the database does not answer.
        """
        try:
            await self._beat()
            self._must_agree()
            await self._watch.find_dead()
        except BaseException:
            await self.stop()
            raise
        self._task = asyncio.create_task(self._keep(), name="presence")

    async def stop(self) -> None:
        """Beat no more, and take the row away.

        The sessions were given back by now; while some are in doubt the row stays, and whoever finds it ends them.
        """
        async with self._lock:  # a cancelled beat would be written all the same, later, by a thread of the driver
            self._left = True
            if self._task is not None:
                self._task.cancel()
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task
        if self._driver.doubtful_session_ids():
            return
        with suppress(PyMongoError), pymongo.timeout(ANSWER_SECONDS):
            await self._rows.delete_process(self._row.id)

    def _must_agree(self) -> None:
        if self._difference is not None:
            raise StorageError(self._difference)

    def check(self) -> None:
        """Whether this process may book at all.

        Raises:
            Problem: `unavailable`, since the others book in another way by now.
        """
        if self._difference is not None:
            raise Problem("unavailable", "This process must be restarted by its operator; nothing was done.")

    async def ensure_registered(self) -> None:
        """Before a batch: the row is there, names all sessions, and nobody can have taken this process for dead.

        Raises:
            Problem: `unavailable`, as `check` says.
            pymongo.errors.PyMongoError: if the database does not answer.
        """
        unnamed = set(self._driver.session_ids()) - set(self._registered or ())
        if self._registered is None or unnamed or time.monotonic() - self._beaten > GAP_SECONDS:
            await self._beat_soon()
        self.check()

    async def _beat_soon(self) -> None:
        """Beat for somebody who cannot wait for long; the beat itself comes to its own end."""
        beat = detached(self._beat())
        beat.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.wait_for(asyncio.shield(beat), REGISTRATION_WAIT_SECONDS)
        except TimeoutError:
            raise NetworkTimeout("the database did not take a beat in time") from None

    async def check_others(self) -> None:
        """End the dead among the others now, as far as they are known to be; who waits for what they hold, tries again.

        Never fails, and is not cut short by a caller that goes away.
        """
        await asyncio.shield(detached(self._look()))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self._look()

    async def _look(self) -> None:
        try:
            await self._driver.end_doubtful_sessions()
            await self._beat()
            with pymongo.timeout(ANSWER_SECONDS):
                await self._watch.find_dead()
        except PyMongoError:
            self._watch.forget()
        except Exception:  # the next beat may fare better, and without beats this process would be dead
            log.exception("beat failed")

    async def _adopt(self, sessions: list[bytes]) -> None:
        """Name the sessions of a dead process in our row, before its own row goes."""
        self._driver.adopt_sessions(sessions)
        await self._beat()

    async def _beat(self) -> None:
        """Say that we live, with which sessions, and compare what all agree on."""
        async with self._lock:
            if self._left:
                return
            began = time.monotonic()
            if began - self._beaten > GAP_SECONDS:
                self._watch.forget()
            try:
                with pymongo.timeout(ANSWER_SECONDS):
                    await self._write()
                    self._differs(await agreement.agree(self._store))
            except PyMongoError as error:
                if self._heard:
                    log.warning("the database does not take our beats", error=str(error))
                self._heard = False
                self._watch.forget()
                raise
            self._heard = True
            self._beaten = began

    async def _write(self) -> None:
        """Write the row. If it is not there any more we were taken for dead: our sessions are ended, we need others."""
        held = self._driver.session_ids()
        self._row = self._row.model_copy(update={"sessions": held, "beat": self._row.beat + 1})
        if await self._rows.put_process(self._row) and self._registered is not None:
            log.warning("this process was taken for dead; it goes on with other sessions")
            self._driver.retire_sessions()
        self._registered = held

    def _differs(self, difference: str | None) -> None:
        if difference is not None and difference != self._difference:
            log.error("no bookings are taken here", reason=difference)
        self._difference = difference
