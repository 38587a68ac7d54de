"""The client of the tests over HTTP. One app serves all of them, because it takes longer to build than a test runs."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.migration.migrate import migrate
from app.storage.client import Store
from tests.support.api_client import ApiClient
from tests.support.http_client import serving
from tests.support.mongomock import mock_client

APP_COLLECTIONS = {"keys", "deployment", "processes"}
"""What the app itself needs between tests."""


@pytest.fixture(scope="session")
async def session_api() -> AsyncIterator[ApiClient]:
    """A client with every scope, of an app on mongomock: optimistic mode, in process."""
    store = await Store.over(mock_client(), "reserva_test_visits")
    await migrate(store)
    async with serving(store) as client:
        yield ApiClient(client, store)
    await store.close()


@pytest.fixture
async def api(session_api: ApiClient, request: pytest.FixtureRequest) -> ApiClient:
    """The same client, with an empty database; the app still remembers the names of customers of earlier tests."""
    request.node.user_properties.append(("server", "mock"))
    for name in await session_api.store.database.list_collection_names():
        if name not in APP_COLLECTIONS:
            await session_api.store.database[name].delete_many({})
    return session_api


@pytest.fixture
async def browser(api: ApiClient) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the same app that keeps cookies, and is signed in with a key that may do everything."""
    async with httpx.AsyncClient(transport=api.client._transport, base_url="http://test") as client:
        await client.post("/console/sign-in", data={"key": api.token})
        yield client
