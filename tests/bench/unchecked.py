"""The baseline of a create: a handler that inserts the same document and promises nothing.

No key, no rules, no check; the body is taken as it is. One `insert_one` a request, acknowledged by the majority and
journalled, into a collection with the same indexes.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from bson import ObjectId
from litestar import Litestar, post
from litestar.datastructures import State
from litestar.params import JSONBody
from motor.motor_asyncio import AsyncIOMotorClient

from app.cli.process import Process
from app.cli.serve import application as product
from app.http.shutdown import SHUTDOWN, Shutdown


@post("/v1/reservations")
async def insert(data: JSONBody[dict[str, Any]], state: State) -> dict[str, Any]:
    """Insert and answer with what was inserted."""
    start, end = datetime.fromisoformat(data["startTime"]), datetime.fromisoformat(data["endTime"])
    now = datetime.now(UTC)
    times = {"startTime": start, "endTime": end, "blockStart": start, "blockEnd": end, "timezone": "UTC"}
    fields = {"resource": data["resource"], "status": "confirmed", **times, "guests": 1, "units": 1, "version": 1}
    fields |= {"createdAt": now, "updatedAt": now, "key": "unchecked"}
    history = {"at": now, "by": "unchecked", "to": "confirmed"}
    made = ObjectId()
    await state.reservations.insert_one({"_id": made, **fields, "history": [history | {"operation": ObjectId()}]})
    return {"id": str(made), **fields, "history": [history]}


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """The collection, as long as the app lives."""
    client: AsyncIOMotorClient[dict[str, Any]]
    client = AsyncIOMotorClient(os.environ["MONGODB_URL"], tz_aware=True, w="majority", journal=True)
    app.state.reservations = client.get_default_database()["reservations"]
    yield
    client.close()


def create() -> Litestar:
    """The app of that one handler."""
    app = Litestar([insert], lifespan=[lifespan], logging_config=None, openapi_config=None)
    app.state[SHUTDOWN] = Shutdown()
    return app


def application() -> Process:
    """The same in a process that is otherwise the product's: tied to its parent, with its log."""
    with patch("app.main.create", create):
        return product()
