"""Who visits the app over HTTP. One app serves all of them, because it takes longer to build than a test runs."""

from collections.abc import AsyncIterator

import pytest

from app.migration.migrate import migrate
from app.storage.client import Store
from tests.support.api_client import Visitor
from tests.support.http_client import serving
from tests.support.mongomock import mock_client

KEPT = {"keys", "deployment", "processes"}
"""What belongs to the app itself."""


@pytest.fixture(scope="session")
async def standing() -> AsyncIterator[Visitor]:
    """Somebody who may do everything, with an app on mongomock: optimistic mode, in process."""
    store = await Store.over(mock_client(), "reserva_test_visits")
    await migrate(store)
    async with serving(store) as client:
        yield Visitor(client, store)
    await store.close()


@pytest.fixture
async def visitor(standing: Visitor, request: pytest.FixtureRequest) -> Visitor:
    """The same, in an empty database; of those who were customers before, the app remembers the names."""
    request.node.user_properties.append(("server", "mock"))
    for name in await standing.store.database.list_collection_names():
        if name not in KEPT:
            await standing.store.database[name].delete_many({})
    return standing
