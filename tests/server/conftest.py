"""Fixtures of the tests on servers."""

import pytest

from app.storage.client import Store
from tests.support.alert_findings import ManualClock


@pytest.fixture
async def clock(store: Store) -> ManualClock:
    """The clock of `store` from now on; seven in the morning."""
    await store.clock.stop()
    moved = store.clock = ManualClock(store.client, native=False)
    return moved
