"""One app a server, shared by the tests of a module: to migrate a database takes longer than a test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from app.migration.migrate import migrate
from app.storage.client import connect
from tests.support.api_client import ApiClient
from tests.support.http_client import serving


class SharedApps:
    """The apps of a module, one a server, each by its client."""

    def __init__(self, opened: AsyncExitStack) -> None:
        self._opened = opened
        self._known: dict[str, ApiClient] = {}

    def get(self, server_name: str) -> ApiClient | None:
        """The client of the app on a server, if that app was opened before."""
        return self._known.get(server_name)

    async def open(self, server_name: str, database_url: str) -> ApiClient:
        """Start an app on a migrated database, which is dropped at the end of the module."""
        store = await connect(database_url)
        self._opened.push_async_callback(store.close)
        if server_name != "trial":  # takes a second there, and its data goes with it anyway
            self._opened.push_async_callback(store.client.drop_database, store.database.name)
        await migrate(store)
        self._known[server_name] = ApiClient(await self._opened.enter_async_context(serving(store)), store)
        return self._known[server_name]


@asynccontextmanager
async def open_shared_apps() -> AsyncIterator[SharedApps]:
    """No app yet; all that are opened are closed at the end."""
    async with AsyncExitStack() as opened:
        yield SharedApps(opened)
