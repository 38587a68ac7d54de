"""Webhooks: every event is posted to those that want it, in order, at least once, whatever receivers do."""

import json
from collections.abc import AsyncIterator

import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from app.events.event_ids import event_id
from app.storage.client import Store
from tests.support import alert_receiver as theirs
from tests.support.alert_receiver import alert_receiver
from tests.support.webhooks import add_webhook, dispatching, log_events, reached

pytestmark = pytest.mark.servers("any")


@pytest.fixture
async def hook() -> AsyncIterator[theirs.Receiver]:
    """A receiver that takes everything until a test sets another answer."""
    async with alert_receiver() as server:
        yield server


def ids(receiver: theirs.Receiver) -> list[str]:
    """The ids of the events that came, in order."""
    return [got.headers["webhook-id"] for got in receiver.requests]


async def test_events_come_in_order_and_signed(store: Store, hook: theirs.Receiver) -> None:
    """Each event after the webhook's creation is one request, which the library of Standard Webhooks verifies."""
    await log_events(store, 3)
    webhook = await add_webhook(store, hook.url)
    places = await log_events(store, 120)
    async with dispatching(store):
        await reached(store, webhook, 123)

    assert ids(hook) == places
    got = hook.requests[0]
    assert Verifier(webhook.secret).verify(got.body, got.headers) == json.loads(got.body)
    body = json.loads(got.body)
    assert body.keys() == {"type", "timestamp", "data"}
    assert (body["type"], body["timestamp"]) == ("reservation.changed", "2030-01-07T09:00:00.000Z")
    assert body["data"]["id"] == event_id(4) == got.headers["webhook-id"]
