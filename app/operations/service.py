"""Readiness of this process: whether it can serve requests, and how what it uses fares."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

import pymongo
import structlog
from pymongo.errors import PyMongoError

from app.events.figures import read_event_figures
from app.http.shutdown import Shutdown
from app.job_queue import Queue
from app.migration.migrate import verify
from app.single_flight import SingleFlight
from app.storage.capabilities import StoreMode
from app.storage.client import Store
from app.storage.errors import StorageError
from app.storage.runs import KINDS, RunStore

VERIFY_SECONDS = 3.0
RUN_SECONDS = 1.0
"""How long the last reconciliation is looked up, and the events that wait."""
EVENTS_READ_MAX = 100
"""Waiting events among which the oldest is looked for."""

ENDING = "This process has been asked to end."
SILENT = "The database does not answer."
REFUSING = "This process takes no bookings; its log says why."
UNPREPARED = "The database is not prepared for this process; its log says what is missing."

State: TypeAlias = Literal["ok", "failed", "unknown"]
RedisState: TypeAlias = Literal["ok", "degraded", "unset"]
RelayState: TypeAlias = Literal["ok", "degraded", "unknown"]

RELAY_UNKNOWN: RelayState = "unknown"

_STATES: Mapping[str | None, tuple[State, State]] = {
    None: ("ok", "ok"),
    ENDING: ("unknown", "unknown"),
    SILENT: ("failed", "unknown"),
    REFUSING: ("ok", "unknown"),
    UNPREPARED: ("ok", "failed"),
}
"""What each reason says of the database and of its indexes."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a process is ready, the mode in which it books, and how what it uses fares.

    Args:
        mode: The mode in which the process books.
        reason: Why it is not ready, a sentence for clients, so it names nothing of the database; None: it is.
        database: Whether the database answers.
        indexes: Whether its indexes are as declared.
        redis: Whether Redis answers. Bookings do without it, so that it does not count for readiness.
        relay: Whether events get their places; `unknown`: the database was not asked. It does not count either.
        last_reconciliation: When the last reconciliation that succeeded ended, if that is known.
    """

    mode: StoreMode
    reason: str | None
    database: State
    indexes: State
    redis: RedisState
    relay: RelayState
    last_reconciliation: datetime | None

    @property
    def ready(self) -> bool:
        """Whether requests can be served."""
        return self.reason is None


class Operations:
    """The readiness of a process; a change of it is logged.

    Args:
        store: The database of the process.
        queue: Its queue.
        shutdown: Whether the process was asked to end.
        booking_obstacle: Why its write path takes no bookings, for operators; None if it does.
    """

    def __init__(
        self, store: Store, queue: Queue, shutdown: Shutdown, booking_obstacle: Callable[[], str | None]
    ) -> None:
        self._store = store
        self._queue = queue
        self._shutdown = shutdown
        self._booking_obstacle = booking_obstacle
        self._logged_reason: str | None = None
        self._logged_redis: RedisState = "ok"
        self._checks: SingleFlight[bool, Readiness] = SingleFlight()

    async def readiness(self) -> Readiness:
        """Whether the database answers, its indexes are as declared, and the process was not asked to end.

        Everybody may ask, as often as they like: all that ask at the same time share one look at the database.
        """
        return await asyncio.shield(self._checks.task(self._shutdown.is_announced, self._check))

    async def _check(self) -> Readiness:
        (reason, detail), redis = await asyncio.gather(self._obstacle(), self._redis())
        database, indexes = _STATES[reason]
        last, relay = None, RELAY_UNKNOWN
        if database == "ok":
            last, relay = await self._last_reconciliation(), await self._relay()
        self._log_changes(reason, detail, redis)
        return Readiness(self._store.mode, reason, database, indexes, redis, relay, last)

    async def _obstacle(self) -> tuple[str | None, str]:
        """Why the process is not ready: the sentence for clients, or None, and the detail for the log."""
        if self._shutdown.is_announced:
            return ENDING, ENDING
        if not await self._store.is_answering():
            return SILENT, SILENT
        if (obstacle := self._booking_obstacle()) is not None:
            return REFUSING, obstacle
        try:
            with pymongo.timeout(VERIFY_SECONDS):
                await verify(self._store)
        except StorageError as error:
            return UNPREPARED, str(error)
        except PyMongoError as error:
            return SILENT, f"{type(error).__name__}: {error}"
        return None, ""

    async def _redis(self) -> RedisState:
        answers = await self._queue.is_answering()
        return "unset" if answers is None else "ok" if answers else "degraded"

    async def _relay(self) -> RelayState:
        try:
            with pymongo.timeout(RUN_SECONDS):
                figures = await read_event_figures(self._store, EVENTS_READ_MAX)
        except PyMongoError:
            return RELAY_UNKNOWN
        return "degraded" if figures.is_late else "ok"

    async def _last_reconciliation(self) -> datetime | None:
        try:
            with pymongo.timeout(RUN_SECONDS):
                run = await RunStore(self._store).last(["succeeded"], KINDS)
        except PyMongoError:
            return None
        return None if run is None else run.finished_at

    def _log_changes(self, reason: str | None, detail: str, redis: RedisState) -> None:
        if reason != self._logged_reason:
            self._logged_reason = reason
            if reason is None:
                log.info("ready again")
            else:
                log.warning("not ready", reason=detail)
        if redis not in {self._logged_redis, "unset"}:
            self._logged_redis = redis
            if redis == "ok":
                log.info("Redis answers again")
            else:
                log.warning("Redis does not answer; jobs wait in MongoDB")
