"""The write path with its guard taken away, for tests that show that they would notice."""

import pytest

from app.booking.snapshot import Snapshot
from app.storage.reach import Reach
from app.storage.steps import Steps, find
from tests.support.times import NINE


def without_the_bump(patch: pytest.MonkeyPatch) -> None:
    """Read the guard instead of changing it."""

    def only_read(self: Snapshot, lanes: list[str], rows: list[str]) -> Steps[None]:
        found = yield find("guards.read", "guards", {"_id": {"$in": lanes + rows}})
        self.guards = {guard["_id"]: guard | {"at": NINE} for guard in found}
        self.reaches = {guard["_id"]: Reach(guard["reachBack"], guard["reachAhead"]) for guard in found}

    patch.setattr(Snapshot, "_take_guards", only_read)
