"""The relay: gives the events of the outbox their places in the log, one process of a database at a time.

Each worker has one. The one that has the lease places; the others wait until it falls silent, which takes two seconds.
"""

import asyncio
import time
from contextlib import suppress

import pymongo
import structlog
from pymongo.errors import PyMongoError

from app.booking import driver_for
from app.cluster.heartbeat import Heartbeat
from app.errors import Problem
from app.outages import is_outage
from app.storage.client import Store
from app.storage.errors import StorageError
from app.storage.event_log import RELAY
from app.storage.event_placing import Placing, place_events
from app.storage.leases import Grant, LeaseStore, OwnershipLost, new_owner
from app.storage.outbox import is_outbox_empty
from app.storage.transactions import is_transient
from app.wakeups import Wakeups

LOOK_SECONDS = 0.2
"""Between two looks into the outbox where no signal arrives."""
BEAT_SECONDS = 0.5
"""Between two beats of the owner where there is nothing to place."""
DEAD_SECONDS = 2.0
"""Silence after which another process takes the lease over: four beats."""
PLACING_SECONDS = 5.0
"""How long a placing may take."""
ANSWER_SECONDS = 3.0
"""How long the database may take for anything else."""
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.05, 2.0
"""After a failure; doubled with each that follows."""
EVENTS_MAX = 200
"""Events of one placing."""

log = structlog.get_logger(__name__)


class Relay:
    """The relay of one process, a task that survives every failure of the database.

    Args:
        store: The database.
        wakeups: Signals that the outbox has something, and says that the log has.
    """

    def __init__(self, store: Store, wakeups: Wakeups) -> None:
        self._store = store
        self._wakeups = wakeups
        self._leases = LeaseStore(store)
        self._owner = new_owner()
        self._grant: Grant | None = None
        self._driver = driver_for(store, 1)
        self._heartbeat = Heartbeat(store, self._driver)
        self._is_registered = False
        self._bell = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._most = EVENTS_MAX
        self._with_states = True
        self._with_repeated = True
        """Whether the outbox may have what is in the log already: from a restored dump; without transactions always."""
        self._failures = 0
        self._beat_at = 0.0

    def start(self) -> None:
        """Place from now on, whenever this process has the lease."""
        self._wakeups.listen("outbox", self._bell.set)
        self._task = asyncio.create_task(self._run(), name="relay")

    async def stop(self) -> None:
        """End after the placing under way, and give the lease back."""
        self._stopping = True
        self._bell.set()
        if self._task is not None:
            await self._task
        if self._grant is not None:
            with suppress(PyMongoError), pymongo.timeout(ANSWER_SECONDS):
                await self._leases.release(self._grant)
        await self._driver.close()
        if self._is_registered:
            await self._heartbeat.stop()

    async def _run(self) -> None:
        while not self._stopping:
            try:
                pause = await self._round()
            except OwnershipLost as lost:
                log.warning("another process places the events by now", reason=str(lost))
                self._grant, pause = None, LOOK_SECONDS
            except (PyMongoError, StorageError, Problem) as error:
                pause = self._pause_after(error)
            except Exception as error:  # whatever it was, the events wait
                log.exception("the relay failed; it goes on")
                pause = self._pause_after(error)
            else:
                self._note_success()
            await self._wait(pause)

    async def _round(self) -> float:
        """Do what there is to do; the seconds after which there may be more."""
        if not self._is_registered:
            self._heartbeat = Heartbeat(self._store, self._driver)  # one that failed to start beats no more
            await self._heartbeat.start()
            self._is_registered = True
        if self._grant is None:
            with pymongo.timeout(ANSWER_SECONDS):
                self._grant = await self._leases.acquire(self._owner, RELAY, dead_seconds=DEAD_SECONDS)
            if self._grant is None:
                return BEAT_SECONDS
            self._beat_at = time.monotonic()
            self._with_repeated = True
        with pymongo.timeout(ANSWER_SECONDS):
            if await is_outbox_empty(self._store):
                self._with_repeated = not self._driver.atomic
                await self._beat(self._grant)
                return LOOK_SECONDS
        placing = await self._place(self._grant)
        return 0.0 if placing.more else LOOK_SECONDS

    async def _beat(self, grant: Grant) -> None:
        if time.monotonic() - self._beat_at >= BEAT_SECONDS:
            await self._leases.renew(grant)
            self._beat_at = time.monotonic()

    async def _place(self, grant: Grant) -> Placing:
        body = place_events(
            grant,
            self._store.clock.now(),
            self._most,
            with_states=self._with_states,
            with_repeated=self._with_repeated,
        )
        placing = await self._driver.run(0, body, PLACING_SECONDS)
        self._beat_at = time.monotonic()
        self._most, self._with_states = min(self._most * 2, EVENTS_MAX), True
        if placing.placed:
            self._wakeups.notify("events")
        return placing

    def _pause_after(self, error: Exception) -> float:
        """Log the first of several failures; after one that is no outage, place fewer events, then one without state.

        So no event that a server refuses, or with which it fails, stands in the way of the others for long.
        """
        if isinstance(error, PyMongoError) and is_transient(error) and not is_outage(error):
            return PAUSE_SECONDS  # the lease was written by another process, which the next placing will tell
        if not self._failures:
            log.warning("events are not placed", reason=f"{type(error).__name__}: {error}")
        if not is_outage(error):
            self._with_states = self._most > 1
            self._most = max(1, self._most // 2)
        self._failures += 1
        return float(min(PAUSE_SECONDS * 2 ** min(self._failures, 10), PAUSE_SECONDS_MAX))

    def _note_success(self) -> None:
        if self._failures:
            log.info("events are placed again")
            self._failures = 0

    async def _wait(self, seconds: float) -> None:
        """Wait for that time, or less if the outbox gets something."""
        if seconds <= 0 or self._stopping:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        self._bell.clear()
