"""One attempt to deliver one event: the request with its signatures, what came of it, and the record of that."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import pymongo
import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from app.outgoing.connection import Connection
from app.outgoing.network import Network
from app.outgoing.receiver import DeliveryFailed, Message, Receiver
from app.storage.client import Store
from app.storage.documents import Webhook, WebhookDelivery
from app.storage.webhooks import WebhookStore
from app.webhooks.secret_box import SecretBox, SecretUnreadable, live_former_secrets

RECORD_SECONDS = 10.0
"""How long the database may take for a record."""
TEST_TYPE = "webhook.test"
"""The type of a test, which no event has."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of an attempt, as it is recorded, and how long the receiver asked not to be called."""

    delivery: WebhookDelivery
    pause: timedelta = timedelta(0)

    @property
    def delivered(self) -> bool:
        """Whether the answer was a success."""
        return self.delivery.error is None


class Sender:
    """Sends events to webhooks.

    Args:
        store: The database.
        box: Opens their secrets.
        network: What connects to receivers.
    """

    def __init__(self, store: Store, box: SecretBox, network: Network) -> None:
        self._store = store
        self._stored = WebhookStore(store)
        self._box = box
        self._network = network

    def connection(self) -> Connection:
        """A connection for messages that follow each other."""
        return Connection(self._network)

    async def send(
        self,
        webhook: Webhook,
        kind: str,
        event: str,
        body: Callable[[], str],
        *,
        seconds: float | None = None,
        connection: Connection | None = None,
    ) -> Attempt:
        """Send a message once, and record what came of it. Whatever goes wrong on the way is a failed attempt.

        Args:
            webhook: The receiver.
            kind: The type of the event.
            event: The id of the event.
            body: Renders the event.
            seconds: How long the request may take, if that is not as long as usual.
            connection: That of the messages before it; one of its own if left out.
        """
        at, began = self._store.clock.now(), time.monotonic()
        status, failure = None, None
        try:
            status = await self._receiver(webhook).post(Message(event, body()), seconds, connection=connection)
        except DeliveryFailed as error:
            status, failure = error.status, error
        except SecretUnreadable as error:
            failure = DeliveryFailed(str(error))
        except Exception as error:  # whatever it was, it must not be tried again at once and for ever
            log.exception("an attempt to deliver an event failed", webhook=str(webhook.id), event_id=event)
            failure = DeliveryFailed(type(error).__name__)
        delivery = WebhookDelivery(
            id=ObjectId(),
            webhook=webhook.id,
            event=event,
            type=kind,
            at=at,
            number=webhook.failures + 1,
            status=status,
            error=None if failure is None else str(failure),
            milliseconds=round((time.monotonic() - began) * 1_000),
        )
        await self._record(delivery)
        return Attempt(delivery, timedelta(0) if failure is None else failure.pause)

    async def _record(self, delivery: WebhookDelivery) -> None:
        """Store what came of an attempt, if the database does: what follows from it does not wait for that."""
        try:
            with pymongo.timeout(RECORD_SECONDS):
                await self._stored.record(delivery)
        except PyMongoError as error:
            about = {"webhook": str(delivery.webhook), "event_id": delivery.event}
            log.warning("an attempt is not recorded", reason=f"{type(error).__name__}: {error}", **about)

    def _receiver(self, webhook: Webhook) -> Receiver:
        """The receiver, with the key of its secret and those of former secrets that sign as well.

        Raises:
            SecretUnreadable: the secret cannot be opened here.
        """
        keys = [self._box.open(webhook.secret)]
        for former in live_former_secrets(webhook, self._store.clock.now()):
            with suppress(SecretUnreadable):  # its receivers can have the new one already; the doctor says so
                keys.append(self._box.open(former.secret))
        return Receiver(webhook.url, keys, self._network)
