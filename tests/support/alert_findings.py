"""Open findings that wait to be announced, and a clock that a test moves."""

from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from typing_extensions import override

from app.domain.instants import Duration, Millis, to_millis
from app.storage.client import Store
from app.storage.clock import Clock
from app.storage.findings import UNALERTED
from tests.support.times import HOUR, NINE

SEVEN = datetime(2030, 1, 7, 7, tzinfo=UTC)


class ManualClock(Clock):
    """A clock that stands until a test moves it."""

    at = to_millis(SEVEN)

    @override
    def millis(self) -> Millis:
        """Where it stands."""
        return self.at

    def advance(self, duration: Duration) -> None:
        """Move it on."""
        self.at = Millis(self.at + duration)

    def set(self, instant: datetime) -> None:
        """Move it."""
        self.at = to_millis(instant)


async def insert_open_findings(store: Store, *names: str, **fields: Any) -> list[ObjectId]:
    """Open findings of these resources, as a run leaves them."""
    times = {"from": NINE, "to": NINE + HOUR, "firstSeen": store.clock.now(), "lastSeen": store.clock.now()}
    state = {"state": "open", "peak": 2, "capacity": 1, "version": 1, "history": [], "run": ObjectId()}
    rows = [{"resource": name, "reservations": [ObjectId(), ObjectId()], **times, **state, **fields} for name in names]
    return list((await store.database["findings"].insert_many(rows)).inserted_ids)


async def unalerted_count(store: Store) -> int:
    """How many are open and untold."""
    return await store.database["findings"].count_documents(UNALERTED)
