"""Databases of the tests' own servers that tests use one after the other.

To build the indexes takes longer than most tests run. A test gets a database that is as `migrate` left it: without
documents, and with the collections and indexes of a new one. What a test has changed beside documents ends the
database.
"""

from collections import defaultdict
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from app.storage.client import Store
from tests.support.servers import KINDS

_PLANNED = {"explain", "mongod"}
"""Traits of tests about plans, which a server remembers for a collection."""


class MigratedDatabases:
    """The migrated databases that no test uses at present."""

    def __init__(self) -> None:
        self._free: dict[str, list[str]] = defaultdict(list)
        self._ready: set[str] = set()
        self._shapes: dict[str, Any] = {}

    def serve(self, request: pytest.FixtureRequest, server_name: str) -> bool:
        """Whether a test takes such a database: it wants it migrated, and is not about plans."""
        marker = request.node.get_closest_marker("servers")
        traits = set(marker.args) if marker else set()
        kept = "local" in KINDS[server_name].traits
        return kept and "store" in request.fixturenames and traits.isdisjoint(_PLANNED)

    def take(self, server_name: str) -> str | None:
        """The address of one, if there is one."""
        free = self._free[server_name]
        return free.pop() if free else None

    def is_ready(self, url: str) -> bool:
        """Whether a database comes from a test before, so that it is migrated."""
        return url in self._ready

    async def learn(self, store: Store, server_name: str) -> None:
        """See from a database that was just migrated what all of that server are like."""
        if server_name not in self._shapes:
            self._shapes[server_name] = await _shape(store)

    async def give_back(self, store: Store, url: str, server_name: str) -> bool:
        """Empty a database for the next test, unless this one has changed more than documents."""
        self._ready.discard(url)
        try:
            if await _shape(store) != self._shapes.get(server_name):
                return False
            for name in await store.database.list_collection_names():
                await store.database[name].delete_many({})
        except PyMongoError:
            return False  # the test has left a transaction behind, or ended the server
        self._ready.add(url)
        self._free[server_name].append(url)
        return True


async def _shape(store: Store) -> Any:
    """The collections with their options and indexes."""
    listed = [each async for each in await store.database.list_collections()]
    return {
        each["name"]: (each["type"], each.get("options"), await store.database[each["name"]].index_information())
        for each in listed
    }
