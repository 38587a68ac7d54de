"""Webhooks of tests, and events that are in the log already."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from bson import ObjectId
from structlog.testing import capture_logs

from app.events.event_ids import event_id
from app.http.models import read_body
from app.settings import Settings
from app.storage.client import Store
from app.storage.documents import Webhook
from app.storage.event_log import RELAY, EventLog
from app.storage.webhooks import WebhookStore
from app.wakeups import Wakeups
from app.webhooks.dispatcher import Dispatcher
from app.webhooks.schemas import NewWebhook
from app.webhooks.service import Webhooks
from tests.support.times import NINE

PRIVATE = Settings(webhook_private=True)
"""Receivers of tests are on this host."""


async def log_events(store: Store, count: int = 1, **fields: Any) -> list[str]:
    """Add events to the log, as the relay does; their ids."""
    last = (await EventLog(store).bounds()).last
    common = {"subject": ObjectId(), "type": "reservation.changed", "resource": "room", "at": NINE, "by": "test"}
    places = range(last + 1, last + count + 1)
    rows = [{"_id": place, "key": str(place), "version": place, **common, **fields} for place in places]
    await store.database["events"].insert_many(rows)
    await set_bounds(store, place=last + count)
    return [event_id(place) for place in places]


async def set_bounds(store: Store, **bounds: int) -> None:
    """Say what the log holds: `place` is the last event, `floor` the last that was removed."""
    if "floor" in bounds:
        await store.database["events"].delete_many({"_id": {"$lte": bounds["floor"]}})
    await store.database["leases"].update_one({"_id": RELAY}, {"$set": bounds}, upsert=True)


async def add_webhook(store: Store, url: str, **fields: Any) -> Webhook:
    """A webhook, which gets the events that come from now on."""
    return (await Webhooks(store, PRIVATE).create(read_body(NewWebhook, {"url": url, **fields}), "test")).webhook


async def read(store: Store, webhook: Webhook) -> Webhook:
    """A webhook as it is now."""
    found = await WebhookStore(store).find(webhook.id)
    assert found is not None
    return found


async def reached(store: Store, webhook: Webhook, place: int) -> Webhook:
    """Wait until the cursor of a webhook is at a place."""
    while (found := await read(store, webhook)).cursor < place:  # noqa: ASYNC110  # a state of the database has no event
        await asyncio.sleep(0.01)
    return found


def dispatcher_of(store: Store, settings: Settings = PRIVATE) -> Dispatcher:
    """A dispatcher that a test moves."""
    return Dispatcher(store, settings, Wakeups(None, store.database.name))


async def look(dispatcher: Dispatcher) -> None:
    """One look of a dispatcher, with all that follows from it; it logs no fault of its own."""
    with capture_logs() as logged:
        await dispatcher.look()
        await asyncio.gather(*dispatcher._under_way.values())
    assert [line for line in logged if line["log_level"] == "error"] == []
    for line in logged:
        getattr(structlog.get_logger(), line.pop("log_level"))(**line)


@asynccontextmanager
async def dispatching(store: Store, settings: Settings = PRIVATE) -> AsyncIterator[Dispatcher]:
    """A dispatcher that runs, as in a worker."""
    dispatcher = dispatcher_of(store, settings)
    dispatcher.start()
    try:
        yield dispatcher
    finally:
        await dispatcher.stop()
