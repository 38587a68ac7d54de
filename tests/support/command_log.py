"""The commands that the app sends to MongoDB, as the driver reports them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import monitoring
from typing_extensions import override

from app.migration.migrate import migrate
from app.storage.client import Store


class CommandLog(monitoring.CommandListener):
    """The commands since the last `take`, each with its name, in order; and the names of those that succeeded."""

    def __init__(self) -> None:
        self._seen: list[tuple[str, Any]] = []
        self.answered: list[str] = []

    @override
    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Note a command."""
        self._seen.append((event.command_name, event.command))

    @override
    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Note its name."""
        self.answered.append(event.command_name)

    @override
    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to note."""

    def take(self) -> list[tuple[str, Any]]:
        """The commands since the last call."""
        seen, self._seen = self._seen, []
        return seen


@asynccontextmanager
async def logged_store(database_url: str, *, migrated: bool = True) -> AsyncIterator[tuple[Store, CommandLog]]:
    """A store on a database of its own, and its commands; dropped afterwards."""
    commands = CommandLog()
    client: AsyncIOMotorClient[dict[str, Any]]
    client = AsyncIOMotorClient(database_url, tz_aware=True, event_listeners=[commands])
    store = await Store.over(client, client.get_default_database().name)
    try:
        if migrated:
            await migrate(store)
            await store.refresh_capabilities()
        yield store, commands
    finally:
        await client.drop_database(store.database.name)
        await store.close()
