"""Readiness of this process."""

from collections.abc import Callable
from dataclasses import dataclass

import pymongo
import structlog
from pymongo.errors import PyMongoError

from app.http.shutdown import Shutdown
from app.migration.migrate import verify
from app.storage.capabilities import StoreMode
from app.storage.client import Store
from app.storage.errors import StorageError

VERIFY_SECONDS = 3.0

ENDING = "This process has been asked to end."
SILENT = "The database does not answer."
REFUSING = "This process takes no bookings; its log says why."
UNPREPARED = "The database is not prepared for this process; its log says what is missing."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a process is ready, the mode in which it books, and why it is not ready.

    The reason is a sentence for clients, so it names nothing of the database.
    """

    ready: bool
    mode: StoreMode
    reason: str | None = None


class Operations:
    """The readiness of a process."""

    def __init__(self, store: Store, shutdown: Shutdown, booking_obstacle: Callable[[], str | None]) -> None:
        """Operations of a process.

        Args:
            store: Its database.
            shutdown: Whether the process was asked to end.
            booking_obstacle: Why its write path takes no bookings, for operators; None if it does.
        """
        self._store = store
        self._booking_obstacle = booking_obstacle
        self._shutdown = shutdown
        self._logged_reason: str | None = None

    async def readiness(self) -> Readiness:
        """Whether the database answers, its indexes are as declared, and the process was not asked to end.

        A change of the answer is logged.
        """
        reason, detail = await self._obstacle()
        if reason != self._logged_reason:
            self._logged_reason = reason
            if reason is None:
                log.info("ready again")
            else:
                log.warning("not ready", reason=detail)
        return Readiness(reason is None, self._store.mode, reason)

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
