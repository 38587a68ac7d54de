"""Whether this process can do its work."""

from dataclasses import dataclass

from pymongo.errors import PyMongoError

from app.reconciliation.figures import Figures, read_figures
from app.storage.capabilities import StoreMode
from app.storage.client import Store
from app.storage.errors import StorageError
from app.storage.migrate import verify


@dataclass(frozen=True, slots=True)
class State:
    """Ready or not, and in which mode bookings are made."""

    ready: bool
    mode: StoreMode


class Operations:
    """What an operator asks of a process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def state(self) -> State:
        """Ready means: the database answers, and its indexes are as they must be."""
        return State(await self._ready(), self._store.mode)

    @property
    def mode(self) -> StoreMode:
        """How this process books."""
        return self._store.mode

    async def figures(self) -> Figures:
        """Findings and reconciliations in numbers."""
        return await read_figures(self._store)

    async def _ready(self) -> bool:
        if not await self._store.answers():
            return False
        try:
            await verify(self._store)
        except (StorageError, PyMongoError):
            return False
        return True
