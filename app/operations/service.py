"""Whether this process can do its work."""

from dataclasses import dataclass

import pymongo
import structlog
from pymongo.errors import PyMongoError

from app.http.shutdown import Shutdown
from app.migration.migrate import verify
from app.reconciliation.metrics import Figures, read_figures
from app.storage.capabilities import StoreMode
from app.storage.client import Store
from app.storage.errors import StorageError

LOOK_SECONDS = 3.0

LEAVING = "This process has been asked to end."
SILENT = "The database does not answer."
UNPREPARED = "The database is not prepared for this process; its log says what is missing."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """Ready or not, in which mode bookings are made, and why not: a sentence that names nothing of the database."""

    ready: bool
    mode: StoreMode
    reason: str | None = None


class Operations:
    """What an operator asks of a process."""

    def __init__(self, store: Store, closing: Shutdown) -> None:
        self._store = store
        self._closing = closing
        self._told: str | None = None

    async def state(self) -> State:
        """Ready means: the database answers, its indexes are as they must be, and nobody has asked us to end.

        A change of it is a line in the log.
        """
        reason, detail = await self._obstacle()
        if reason != self._told:
            self._told = reason
            if reason is None:
                log.info("ready again")
            else:
                log.warning("not ready", reason=detail)
        return State(reason is None, self._store.mode, reason)

    @property
    def mode(self) -> StoreMode:
        """How this process books."""
        return self._store.mode

    async def figures(self) -> Figures:
        """Findings and reconciliations in numbers."""
        return await read_figures(self._store)

    async def _obstacle(self) -> tuple[str | None, str]:
        """What is in the way, for everybody and in detail for the log."""
        if self._closing.leaving:
            return LEAVING, LEAVING
        if not await self._store.is_answering():
            return SILENT, SILENT
        try:
            with pymongo.timeout(LOOK_SECONDS):
                await verify(self._store)
        except StorageError as error:
            return UNPREPARED, str(error)
        except PyMongoError as error:
            return SILENT, f"{type(error).__name__}: {error}"
        return None, ""
