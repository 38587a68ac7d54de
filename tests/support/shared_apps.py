"""One app and one visitor a server, shared by the tests of a module: to migrate a database takes longer than a test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from app.migration.migrate import migrate
from app.storage.client import connect
from tests.support.api_client import Visitor
from tests.support.http_client import serving


class Shops:
    """The visitors of a module, one a server."""

    def __init__(self, opened: AsyncExitStack) -> None:
        self._opened = opened
        self._known: dict[str, Visitor] = {}

    def known(self, server_name: str) -> Visitor | None:
        """The visitor of a server that was asked for before."""
        return self._known.get(server_name)

    async def open(self, server_name: str, database_url: str) -> Visitor:
        """A visitor of an app on a migrated database, which goes at the end of the module."""
        store = await connect(database_url)
        self._opened.push_async_callback(store.close)
        if server_name != "trial":  # takes a second there, and its data goes with it anyway
            self._opened.push_async_callback(store.client.drop_database, store.database.name)
        await migrate(store)
        self._known[server_name] = Visitor(await self._opened.enter_async_context(serving(store)), store)
        return self._known[server_name]


@asynccontextmanager
async def opened_shops() -> AsyncIterator[Shops]:
    """No app yet; all that are opened end with it."""
    async with AsyncExitStack() as opened:
        yield Shops(opened)
