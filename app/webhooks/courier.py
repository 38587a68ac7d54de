"""The delivery of events to one webhook: one after the other, each until it is taken, or the webhook is paused.

The cursor is stored after each event. Whoever sends the next one has read the webhook after that, so a change of it
counts from the next event on. A process that dies between an answer and the cursor sends that event once more.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import bson
import pymongo
import structlog

from app.domain.instants import render
from app.events.event_ids import event_id
from app.events.filters import EventFilters
from app.outgoing.connection import Connection
from app.outgoing.pauses import is_waiting, pause_after
from app.storage.client import Store
from app.storage.documents import Event, Webhook
from app.storage.event_log import Bounds, EventLog, EventsGone
from app.storage.webhooks import WebhookStore
from app.webhooks.attempts import Attempt, Sender
from app.webhooks.changes import change_by_worker
from app.webhooks.payload import payload_of

GIVEN_UP_AFTER = timedelta(days=3)
"""After so long a row of failures a webhook is paused."""
ANSWER_SECONDS = 10.0
"""How long the database may take for one step."""
EVENTS_READ, FRESH_SECONDS = 50, 2.0
"""Events that are read at once, and how long they may wait in memory: what an erasure clears is sent no more."""
READ_BYTES = 1024 * 1024
"""About what the events of one webhook that wait may take."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a delivery goes on with: whether it may send, and the connection that its requests share."""

    may_send: Callable[[], bool]
    connection: Connection


class Courier:
    """Delivers to one webhook at a time; several of its calls may run side by side for different ones.

    Args:
        store: The database.
        sender: Sends events.
    """

    def __init__(self, store: Store, sender: Sender) -> None:
        self._store = store
        self._stored = WebhookStore(store)
        self._log = EventLog(store)
        self._sender = sender

    async def deliver(self, webhook: Webhook, bounds: Bounds, may_send: Callable[[], bool]) -> bool:
        """Deliver what a webhook waits for, until nothing is left, an attempt fails, or it may not any more.

        Whether its cursor has moved.

        Args:
            webhook: The webhook, which is due.
            bounds: The events that there are.
            may_send: Whether this process is still the one that sends; asked before each request.

        Raises:
            pymongo.errors.PyMongoError: the database failed; what was not noted is sent again.
        """
        current: Webhook | None = webhook
        most = 1  # more only while they are taken quickly, so that a receiver that hangs keeps few in memory
        async with self._sender.connection() as connection:
            turn = _Turn(may_send, connection)
            while current is not None and self._is_due(current, bounds) and may_send():
                try:
                    if current.cursor < bounds.floor:
                        with pymongo.timeout(ANSWER_SECONDS):
                            current = await self._skip_to(current, bounds.floor)
                    else:
                        current, most = await self._deliver_some(current, bounds.last, most, turn)
                except EventsGone:
                    break  # the next look at the bounds shows the new floor
        return current is None or current.cursor != webhook.cursor

    async def take_back(self) -> None:
        """Set cursors that are beyond the end of the log back to it, so that what comes next is not passed over.

        A dump that was made while processes ran can have the webhooks as they were later than the log.

        Raises:
            pymongo.errors.PyMongoError: the database failed.
        """
        last = (await self._log.bounds()).last
        for webhook in await self._stored.ahead(last):
            end, now = (await self._log.bounds_for(webhook.cursor)).last, self._store.clock.now()
            if webhook.cursor > end:
                log.warning("a webhook goes on from the end of the log", webhook=str(webhook.id), cursor=webhook.cursor)
                await self._stored.update_webhook(webhook, change_by_worker(webhook, {"cursor": end}, now))

    def _is_due(self, webhook: Webhook, bounds: Bounds) -> bool:
        waits = is_waiting(webhook.next_at, self._store.clock.now())
        return webhook.active and webhook.paused_at is None and not waits and webhook.cursor < bounds.last

    async def _deliver_some(self, webhook: Webhook, last: int, most: int, turn: _Turn) -> tuple[Webhook | None, int]:
        """Deliver up to `most` events, or pass over them.

        The webhook as it is then, None if somebody else set its cursor; and how many to read next.
        """
        passed, current = webhook.cursor, webhook
        wanted = EventFilters.of(webhook.types, webhook.resources)
        with pymongo.timeout(ANSWER_SECONDS):
            events = [event async for event in self._log.read(webhook.cursor, last, most)]
        until = time.monotonic() + FRESH_SECONDS
        for event in events:
            if wanted.take(event):
                if time.monotonic() > until or not turn.may_send():
                    break
                after = await self._deliver_one(current, event, turn.connection)
                if after is None or after.cursor != event.id or after.version != webhook.version:
                    return after, 1
                current = after
            passed = event.id
        more = _next_portion(events, most) if passed == events[-1].id and time.monotonic() <= until else 1
        if current.cursor == passed:
            return current, more
        with pymongo.timeout(ANSWER_SECONDS):
            return await self._stored.move_cursor(current, passed), more

    async def _deliver_one(self, webhook: Webhook, event: Event, connection: Connection) -> Webhook | None:
        identity = event_id(event.id)
        attempt = await self._sender.send(
            webhook, event.type, identity, lambda: payload_of(event), connection=connection
        )
        with pymongo.timeout(ANSWER_SECONDS):
            if not attempt.delivered:
                return await self._note_failure(webhook, event, attempt)
            if webhook.failures:
                log.info("a webhook takes events again", webhook=str(webhook.id), failures=webhook.failures)
            return await self._stored.note_success(webhook, event.id, self._store.clock.now())

    async def _note_failure(self, webhook: Webhook, event: Event, attempt: Attempt) -> Webhook | None:
        """Plan the next attempt, or pause the webhook if it is over."""
        now, failures = self._store.clock.now(), webhook.failures + 1
        since = webhook.failing_since or now
        end = since + GIVEN_UP_AFTER
        next_at = min(now + pause_after(failures, attempt.pause), end)
        noted = await self._stored.note_failure(webhook, since, next_at)
        about = {"webhook": str(webhook.id), "event_id": event_id(event.id), "error": attempt.delivery.error}
        if noted is None:
            return None
        if now >= end:
            log.warning("a webhook is paused: it has taken no event for three days", since=render(since), **about)
            return await self._pause(noted, attempt)
        if failures.bit_count() == 1:
            log.warning(
                "a webhook did not take an event; it is tried again", failures=failures, next=render(next_at), **about
            )
        return noted

    async def _pause(self, webhook: Webhook, attempt: Attempt) -> Webhook | None:
        now = self._store.clock.now()
        fields = {"paused_at": now, "paused_because": attempt.delivery.error, "next_at": None}
        return await self._stored.update_webhook(webhook, change_by_worker(webhook, fields, now))

    async def _skip_to(self, webhook: Webhook, floor: int) -> Webhook | None:
        """Go on from the oldest event that is kept, and say so: what was before it is lost to this webhook."""
        full = await self._stored.find(webhook.id)
        if full is None or full.cursor != webhook.cursor:
            return full
        now = self._store.clock.now()
        log.warning(
            "a webhook goes on from the oldest event that is kept; those before it were never sent",
            webhook=str(webhook.id),
            events=floor - webhook.cursor,
        )
        fields = {"cursor": floor, "missed": webhook.missed + floor - webhook.cursor}
        return await self._stored.update_webhook(full, change_by_worker(full, fields, now))


def _next_portion(events: Sequence[Event], most: int) -> int:
    """How many events to read after these, which were as many as `most` at the most: twice as many, if they fit."""
    size = sum(len(bson.encode(event.state or {})) for event in events)
    fitting = len(events) * READ_BYTES // max(size, 1)
    return max(min(2 * most, EVENTS_READ, fitting), 1)
