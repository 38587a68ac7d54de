"""Webhooks as people handle them: created, listed, changed, deleted, rotated, replayed and tested."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from secrets import token_hex
from typing import NamedTuple

import msgspec
import structlog
from bson import ObjectId

from app.deadline import current, sending, within
from app.domain.instants import render
from app.errors import Problem, invalid_field, not_found
from app.events.event_ids import place_of
from app.http.etags import IfMatch, stale
from app.outgoing.network import Network
from app.outgoing.urls import names_refused_address
from app.retries import retry
from app.settings import Settings
from app.storage.catalogue import CatalogueStore
from app.storage.client import Store
from app.storage.documents import FormerWebhookSecret, Resource, Webhook, WebhookDelivery, with_change
from app.storage.errors import VersionConflict
from app.storage.event_log import EventLog
from app.storage.webhooks import WebhookStore
from app.webhooks.attempts import TEST_TYPE, Attempt, Sender
from app.webhooks.changes import change_by
from app.webhooks.schemas import NewWebhook, WebhookPatch
from app.webhooks.secret_box import SecretBox, live_former_secrets, new_secret

WEBHOOKS_MAX = 100
"""Webhooks of one database; creations at the same moment may each exceed it by one."""
FORMER_SECRETS_MAX = 5
"""Former secrets that sign at the same time; with a further rotation the oldest of them ends at once."""
ATTEMPTS_MAX = 20
"""How often a change is tried while others change the same webhook."""
TEST_SECONDS, MORE_SECONDS = 8.0, 6.0
"""For a test, and by how much the request for it may take longer than others that write."""

ANY_VERSION = IfMatch(None)
RESTED: dict[str, object] = {
    "failures": 0,
    "failing_since": None,
    "next_at": None,
    "paused_at": None,
    "paused_because": None,
}
"""The fields of a webhook that is taken up again."""

Change = Callable[[Webhook, datetime], Mapping[str, object]]
"""From a webhook and the current instant to the new values of its fields; it may raise a Problem."""

log = structlog.get_logger()


class IssuedWebhook(NamedTuple):
    """A new webhook or a rotated one, and its secret."""

    webhook: Webhook
    secret: str


class Webhooks:
    """The webhooks of one store.

    Args:
        store: The database.
        settings: The keys that seal secrets, and whether private addresses are permitted.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._stored = WebhookStore(store)
        self._log = EventLog(store)
        self._box = SecretBox(settings.sealing_keys())
        self._private = settings.webhook_private
        self._sender = Sender(store, self._box, Network(private=settings.webhook_private))

    def now(self) -> datetime:
        """The instant at which webhooks are judged: the database's clock."""
        return self._store.clock.now()

    async def create(self, wanted: NewWebhook, by: str) -> IssuedWebhook:
        """Create a webhook, which begins with the next event; `by` names who does it, for its history.

        Raises:
            Problem: `invalid`, naming the field, or if there are too many.
        """
        await self._check(wanted)
        if await self._stored.count() >= WEBHOOKS_MAX:
            raise Problem("invalid", f"There are {WEBHOOKS_MAX} webhooks already, which is the most; delete one.")
        bounds = await self._log.bounds()
        now, secret = self.now(), new_secret()
        fields = {name: value for name, value in wanted.sent_fields().items() if value is not None}
        webhook = Webhook(
            id=ObjectId(),
            secret=self._box.seal(secret),
            created_at=now,
            updated_at=now,
            history=with_change([], now, by, fields),
            cursor=bounds.last,
            **fields,
        )
        await self._stored.insert_webhook(webhook)
        log.info("webhook created", webhook=str(webhook.id), by=by)
        return IssuedWebhook(webhook, secret)

    async def read(self, identity: str) -> Webhook:
        """A webhook.

        Raises:
            Problem: `not-found`.
        """
        found = await self._stored.find(ObjectId(identity)) if ObjectId.is_valid(identity) else None
        if found is None:
            raise not_found("webhook", identity)
        return found

    async def page(self, limit: int, after: str | None) -> list[Webhook]:
        """Up to `limit` webhooks by id, after an id.

        Raises:
            Problem: `invalid` for a cursor of another list.
        """
        return await self._stored.find_some(limit, after=None if after is None else ObjectId(after))

    async def change(self, identity: str, patch: WebhookPatch, if_match: IfMatch, by: str) -> Webhook:
        """Merge a patch. Another URL is tried at once; `active: true` takes up what was paused.

        Raises:
            Problem: `not-found`, `stale`, `invalid`.
        """
        await self._check(patch)

        def patched(webhook: Webhook, now: datetime) -> Mapping[str, object]:
            del now
            fields: dict[str, object] = patch.sent_fields()
            is_elsewhere = fields.get("url", webhook.url) != webhook.url and webhook.paused_at is None
            return fields | (RESTED if fields.get("active") or is_elsewhere else {})

        return await self._change(identity, patched, if_match, by)

    async def rotate(
        self, identity: str, by: str, *, overlap_minutes: int = 0, if_match: IfMatch = ANY_VERSION
    ) -> IssuedWebhook:
        """Give a webhook a new secret. With an overlap the old one signs as well for so long.

        Raises:
            Problem: `not-found`, `stale`.
        """
        secret = new_secret()

        def rotated(webhook: Webhook, now: datetime) -> Mapping[str, object]:
            former: list[FormerWebhookSecret] = []
            if overlap_minutes:
                until = now + timedelta(minutes=overlap_minutes)
                former = [*live_former_secrets(webhook, now), FormerWebhookSecret(secret=webhook.secret, until=until)]
                # The key that sealed them may be taken away before they end.
                former = [each.model_copy(update={"secret": self._box.reseal(each.secret)}) for each in former]
            return {"secret": self._box.seal(secret), "former_secrets": former[-FORMER_SECRETS_MAX:] or None}

        return IssuedWebhook(await self._change(identity, rotated, if_match, by), secret)

    async def replay(self, identity: str, after: str, by: str, *, if_match: IfMatch = ANY_VERSION) -> Webhook:
        """Set the cursor, so that the events after that one are sent again, or those before it never; ends a pause.

        Raises:
            Problem: `not-found`, `stale`, `gone` where the next event is no longer kept, `invalid` where it is ahead.
        """
        place = place_of(after)
        bounds = await self._log.bounds_for(place)
        if place < bounds.floor:
            raise Problem("gone", f"Events up to {bounds.floor} are no longer kept.")
        if place > bounds.last:
            raise invalid_field("after", "There is no such event yet.")

        def replayed(webhook: Webhook, now: datetime) -> Mapping[str, object]:
            del now
            return {"cursor": place, "replays": (webhook.replays or 0) + 1, **RESTED}

        return await self._change(identity, replayed, if_match, by)

    async def delete(self, identity: str, *, if_match: IfMatch = ANY_VERSION) -> None:
        """Delete a webhook; a request under way is not recalled.

        Raises:
            Problem: `not-found`, `stale`.
        """
        webhook = await self.read(identity)
        version = if_match.expected(webhook.version)
        if not await self._stored.delete_webhook(webhook, any_version=version is None) and version is not None:
            raise stale((await self.read(identity)).version)
        log.info("webhook deleted", webhook=identity)

    async def test(self, identity: str) -> Attempt:
        """Send a test now, and say what came of it; it is listed among the deliveries and changes nothing else.

        Raises:
            Problem: `not-found`.
        """
        webhook = await self.read(identity)
        if (deadline := current()) is not None:
            deadline.extend(MORE_SECONDS)
        content = {"type": TEST_TYPE, "timestamp": render(self.now()), "data": {"webhook": identity}}
        sending()
        event, body = f"test_{token_hex(12)}", msgspec.json.encode(content).decode()
        return await self._sender.send(webhook, TEST_TYPE, event, lambda: body, seconds=within(TEST_SECONDS))

    async def deliveries(
        self, identity: str, limit: int, before: tuple[datetime, ObjectId] | None
    ) -> list[WebhookDelivery]:
        """Up to `limit` attempts to deliver to a webhook, the newest first, before an instant and id.

        Raises:
            Problem: `not-found`.
        """
        webhook = await self.read(identity)
        return await self._stored.deliveries(webhook.id, limit, before=before)

    async def _check(self, wanted: WebhookPatch) -> None:
        if wanted.url is not None and not self._private and names_refused_address(wanted.url):
            raise invalid_field("url", "This address is not a public one, so nothing would be sent there.")
        if wanted.resources:
            missing = await CatalogueStore(self._store).find_missing(Resource, wanted.resources)
            if missing:
                raise invalid_field("resources", f"There is no resource {min(missing)!r}.")

    async def _change(self, identity: str, change: Change, if_match: IfMatch, by: str) -> Webhook:
        """Write a change together with its line of history; nothing is written if nothing changes.

        Raises:
            Problem: `not-found`, `stale`, what `change` raises; `overloaded` where others change it all the time.
        """

        async def attempt() -> Webhook:
            webhook = await self.read(identity)
            version = if_match.expected(webhook.version)
            now = self.now()
            fields = {name: value for name, value in change(webhook, now).items() if getattr(webhook, name) != value}
            if not fields:
                return webhook
            after = await self._stored.update_webhook(webhook, change_by(webhook, fields, now, by))
            if after is not None:
                log.info("webhook changed", webhook=identity, changed=after.history[-1].changed, by=by)
                return after
            if version is not None:
                raise stale((await self.read(identity)).version)
            raise VersionConflict

        try:
            return await retry(attempt, ATTEMPTS_MAX, on=VersionConflict)
        except VersionConflict:
            raise Problem("overloaded", "Too many others are changing this webhook; nothing was done.") from None
