"""Fixtures of the tests on servers."""

import pytest

from app.storage.client import Store
from tests.support.alert_findings import Moved


@pytest.fixture
async def clock(store: Store) -> Moved:
    """The clock of `store` from now on; seven in the morning."""
    await store.clock.stop()
    moved = store.clock = Moved(store.client, native=False)
    return moved
