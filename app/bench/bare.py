"""The frame of the other ways to book: the product's framework and server with one handler, and nothing else.

No key, no rules, no limits; the body is taken as it is.
"""

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from app.bench.loads import CONFLICT
from app.http.shutdown import SHUTDOWN, Shutdown
from app.storage.client import make_client

DATABASE = "BENCH_DATABASE"
"""The environment variable with the address of the database of a competitor."""

TAKEN = {"type": "/problems/conflict", "title": "The time is taken", "status": CONFLICT}

Opener = Callable[[str], AbstractAsyncContextManager[Any]]


def bare(handler: HTTPRouteHandler, opened: Opener) -> Litestar:
    """The app of one handler, which finds what `opened` yields as `state.database`."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        async with opened(os.environ[DATABASE]) as database:
            app.state.database = database
            yield

    app = Litestar([handler], lifespan=[lifespan], logging_config=None, openapi_config=None)
    app.state[SHUTDOWN] = Shutdown()
    return app


@asynccontextmanager
async def open_reservations(url: str) -> AsyncGenerator[Any]:
    """The reservations of a database, written as safely as the product writes: to the majority, and journalled."""
    client = make_client(url, appname="reserva bench", given="--mongodb", w="majority", journal=True)
    try:
        yield client.get_default_database()["reservations"]
    finally:
        client.close()


def document_of(body: dict[str, Any]) -> dict[str, Any]:
    """The document that the product stores for the same request."""
    start, end = datetime.fromisoformat(body["startTime"]), datetime.fromisoformat(body["endTime"])
    now = datetime.now(UTC)
    times = {"startTime": start, "endTime": end, "blockStart": start, "blockEnd": end, "timezone": "UTC"}
    fields = {"resource": body["resource"], "status": "confirmed", **times, "guests": 1, "units": 1, "version": 1}
    fields |= {"createdAt": now, "updatedAt": now, "key": "bench"}
    history = {"at": now, "by": "bench", "to": "confirmed", "operation": ObjectId()}
    return {"_id": ObjectId(), **fields, "history": [history]}


def shown(document: dict[str, Any]) -> dict[str, Any]:
    """The answer to a booking."""
    history = [{name: value for name, value in each.items() if name != "operation"} for each in document["history"]]
    return (
        {"id": str(document["_id"])}
        | {name: value for name, value in document.items() if name != "_id"}
        | {"history": history}
    )
