"""Databases of MongoDB's own engine that tests use one after the other.

To build the indexes takes that server longer than most tests run. A test gets a database that is as `migrate` left it:
without documents, and with the collections and indexes of a new one. What a test has changed beside documents ends the
database.
"""

from typing import Any

import pytest

from app.storage.client import Store

SERVER = "engine"
_PLANNED = {"explain", "mongod"}
"""Traits of tests about plans, which a server remembers for a collection."""


class MigratedDatabases:
    """The migrated databases of one server that no test uses at present."""

    def __init__(self) -> None:
        self._free: list[str] = []
        self._ready: set[str] = set()
        self._shape: Any = None

    def serve(self, request: pytest.FixtureRequest, server_name: str) -> bool:
        """Whether a test takes such a database: it wants it migrated, and is not about plans."""
        marker = request.node.get_closest_marker("servers")
        traits = set(marker.args) if marker else set()
        return server_name == SERVER and "store" in request.fixturenames and traits.isdisjoint(_PLANNED)

    def take(self) -> str | None:
        """The address of one, if there is one."""
        return self._free.pop() if self._free else None

    def is_ready(self, url: str) -> bool:
        """Whether a database comes from a test before, so that it is migrated."""
        return url in self._ready

    async def learn(self, store: Store) -> None:
        """See from a database that was just migrated what all of them are like."""
        self._shape = self._shape or await _shape(store)

    async def give_back(self, store: Store, url: str) -> bool:
        """Empty a database for the next test, unless this one has changed more than documents."""
        self._ready.discard(url)
        if await _shape(store) != self._shape:
            return False
        for name in await store.database.list_collection_names():
            await store.database[name].delete_many({})
        self._ready.add(url)
        self._free.append(url)
        return True


async def _shape(store: Store) -> Any:
    """The collections with their options and indexes."""
    listed = [each async for each in await store.database.list_collections()]
    return {
        each["name"]: (each["type"], each.get("options"), await store.database[each["name"]].index_information())
        for each in listed
    }
