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
        """The current instant of the clock."""
        return self.at

    def advance(self, duration: Duration) -> None:
        """Move the clock forward."""
        self.at = Millis(self.at + duration)

    def set(self, instant: datetime) -> None:
        """Set the clock to an instant."""
        self.at = to_millis(instant)


async def insert_open_findings(store: Store, *names: str, **fields: Any) -> list[ObjectId]:
    """Insert an open finding of each named resource, as a run leaves it."""
    times = {"from": NINE, "to": NINE + HOUR, "firstSeen": store.clock.now(), "lastSeen": store.clock.now()}
    state = {"state": "open", "peak": 2, "capacity": 1, "version": 1, "history": [], "run": ObjectId()}
    rows = [{"resource": name, "reservations": [ObjectId(), ObjectId()], **times, **state, **fields} for name in names]
    return list((await store.database["findings"].insert_many(rows)).inserted_ids)


async def unalerted_count(store: Store) -> int:
    """How many open findings were not sent."""
    return await store.database["findings"].count_documents(UNALERTED)
