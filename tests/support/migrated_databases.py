"""Databases of MongoDB's own engine that tests use one after the other, with the clients that are connected.

To build the indexes takes longer than most tests run. A test gets a database that is as `migrate` left it: without
documents, and with the collections and indexes of a new one. What a test has changed beside documents ends the
database.
"""

from typing import Any

import pytest
from pymongo.errors import PyMongoError

from app.storage.client import Store
from app.storage.damaged_events import DamagedEvents

SERVER = "engine"
"""It takes longest to build indexes. SecantusDB in Rust keeps the entry of a unique index when its field is unset, so
that a later test could not use the value again."""

_PLANNED = {"explain", "mongod"}
"""Traits of tests about plans, which a server remembers for a collection."""


class MigratedDatabases:
    """The migrated databases that no test uses at present, by their addresses, and the stores that are open on them."""

    def __init__(self) -> None:
        self._free: list[str] = []
        self._stores: dict[str, Store] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._shape: Any = None

    def serve(self, request: pytest.FixtureRequest, server_name: str) -> bool:
        """Whether a test takes such a database: it wants it migrated, and is not about plans."""
        marker = request.node.get_closest_marker("servers")
        traits = set(marker.args) if marker else set()
        return server_name == SERVER and "store" in request.fixturenames and traits.isdisjoint(_PLANNED)

    def take(self) -> str | None:
        """The address of one, if there is one."""
        return self._free.pop() if self._free else None

    def store(self, url: str) -> Store | None:
        """The store on a database that comes from a test before, so that it is migrated."""
        return self._stores.pop(url, None)

    def is_ready(self, url: str) -> bool:
        """Whether a database comes from a test before."""
        return url in self._states

    async def learn(self, store: Store, url: str) -> None:
        """See a store just after its migration; the first one tells what all databases are like."""
        self._shape = self._shape or await _shape(store)
        self._states[url] = vars(store).copy()

    async def give_back(self, store: Store, url: str) -> bool:
        """Keep a database and its store for the next test, unless this one has changed more than documents."""
        state = self._states.pop(url, None)
        if state is None:
            return False
        vars(store).update(state, damaged_events=DamagedEvents())  # a test may have set another clock
        try:
            if await _shape(store) != self._shape:
                return False
            for name in await store.database.list_collection_names():
                await store.database[name].delete_many({})
        except PyMongoError:
            return False  # the test has left a transaction behind, or ended the server
        self._states[url] = vars(store).copy()
        self._stores[url] = store
        self._free.append(url)
        return True

    async def close(self) -> None:
        """Close the stores."""
        for store in self._stores.values():
            await store.close()


async def _shape(store: Store) -> Any:
    """The collections with their options and indexes."""
    listed = [each async for each in await store.database.list_collections()]
    return {
        each["name"]: (each["type"], each.get("options"), await store.database[each["name"]].index_information())
        for each in listed
    }
