"""Fixtures of the tests on servers."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.booking import BookingService
from app.storage.client import Store
from tests.support.alert_findings import ManualClock
from tests.support.redis_server import OwnRedis
from tests.support.servers import NotAtHand
from tests.support.shared_apps import SharedApps, open_shared_apps
from tests.support.step_driver import running_booking_service


@pytest.fixture
async def clock(store: Store) -> ManualClock:
    """The clock of `store` from now on; seven in the morning."""
    await store.clock.stop()
    moved = store.clock = ManualClock(store.client, native=False)
    return moved


@pytest.fixture
async def booking(store: Store) -> AsyncIterator[BookingService]:
    """The write path over `store`."""
    async with running_booking_service(store) as booking:
        yield booking


@pytest.fixture(scope="module")
async def shared_apps() -> AsyncIterator[SharedApps]:
    """The apps of a module, one a server; each is opened by the first test that needs it."""
    async with open_shared_apps() as apps:
        yield apps


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis of the test's own, which runs."""
    own = OwnRedis(tmp_path)
    try:
        own.start()
    except NotAtHand as reason:
        pytest.skip(f"Redis: {reason}")
    yield own
    own.kill()
