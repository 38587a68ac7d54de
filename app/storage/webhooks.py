"""The store of webhooks. People change them by version, deliveries by cursor, so neither writes over the other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from bson import ObjectId
from pydantic import ValidationError
from pymongo import ReturnDocument

from app.deadline import sending
from app.storage.bson_types import BsonDocument, Filter
from app.storage.client import Store
from app.storage.documents import Webhook, WebhookDelivery
from app.storage.values import shown_text

log = structlog.get_logger()

PRUNE_BATCH = 1_000
"""Records that one statement removes."""

_WEBHOOKS: str = Webhook.Settings.name
_DELIVERIES: str = WebhookDelivery.Settings.name
_ALIASES = {name: field.alias or name for name, field in Webhook.model_fields.items()}
_AT_REST = ("failures", "failingSince", "nextAt", "pausedAt", "pausedBecause")
"""What a webhook that works has none of."""


@dataclass(frozen=True, slots=True)
class WebhookStore:
    """The webhooks of one database."""

    store: Store

    async def find(self, identity: ObjectId) -> Webhook | None:
        """A webhook; None where there is none, or where another program stored it so that it cannot be read."""
        row = await self.store.database[_WEBHOOKS].find_one({"_id": identity})
        found = _readable([] if row is None else [row])
        return found[0] if found else None

    async def find_some(self, limit: int, *, after: ObjectId | None = None) -> list[Webhook]:
        """Up to `limit` webhooks by id, after an id, without those that cannot be read."""
        beyond: Filter = {} if after is None else {"_id": {"$gt": after}}
        rows = await self.store.database[_WEBHOOKS].find(beyond).sort("_id", 1).limit(limit).to_list(None)
        return _readable(rows, say=True)

    async def count(self) -> int:
        """How many there are."""
        return await self.store.database[_WEBHOOKS].count_documents({})

    async def insert_webhook(self, webhook: Webhook) -> None:
        """Insert a new webhook."""
        sending()
        await self.store.insert(webhook)

    async def update_webhook(self, webhook: Webhook, fields: Mapping[str, object]) -> Webhook | None:
        """Set fields of a webhook, by their names in Python, if it still has this version; None unsets.

        What it is now, with what deliveries wrote meanwhile; None if it has another version or is gone.
        """
        stored = webhook.model_copy(update=dict(fields)).to_mongo()
        names = [_ALIASES[name] for name in fields]
        change: BsonDocument = {"$set": {name: stored[name] for name in names if name in stored}}
        if unset := {name: "" for name in names if name not in stored}:
            change["$unset"] = unset
        sending()
        return await self._update_matching({"_id": webhook.id, "version": webhook.version}, change)

    async def delete_webhook(self, webhook: Webhook, *, any_version: bool) -> bool:
        """Delete a webhook, if it still has this version; whether there was one. Its records are pruned by age."""
        which: Filter = {"_id": webhook.id} | ({} if any_version else {"version": webhook.version})
        sending()
        return bool((await self.store.database[_WEBHOOKS].delete_one(which)).deleted_count)

    async def due(self, last: int, now: datetime, farthest: datetime) -> list[Webhook]:
        """The webhooks that have something to do: events up to a place are ahead, and no pause is under way.

        Args:
            last: The place.
            now: The current instant.
            farthest: The latest at which a pause can end; one that ends later was begun before the clock was set back.
        """
        over = [{"nextAt": {"$exists": False}}, {"nextAt": {"$lte": now}}, {"nextAt": {"$gt": farthest}}]
        waiting: Filter = {
            "active": True,
            "pausedAt": {"$exists": False},
            "cursor": {"$lt": last},
            "$or": over,
        }
        rows = await self.store.database[_WEBHOOKS].find(waiting, {"history": 0}).sort("_id", 1).to_list(None)
        return _readable(rows)

    async def ahead(self, last: int) -> list[Webhook]:
        """The webhooks whose cursor is beyond a place."""
        rows = await self.store.database[_WEBHOOKS].find({"cursor": {"$gt": last}}).sort("_id", 1).to_list(None)
        return _readable(rows)

    async def move_cursor(self, webhook: Webhook, to: int) -> Webhook | None:
        """Move the cursor over events that are not wanted; None where somebody else has set it meanwhile."""
        return await self._update_matching(_at_its_cursor(webhook), {"$set": {"cursor": to}})

    async def note_success(self, webhook: Webhook, place: int, now: datetime) -> Webhook | None:
        """Move the cursor to an event that was delivered, and forget failures.

        The webhook as it is then; None where somebody else has set the cursor meanwhile, or it is gone.
        """
        change = {
            "$set": {"cursor": place, "deliveredAt": now},
            "$inc": {"delivered": 1},
            "$unset": dict.fromkeys(_AT_REST, ""),
        }
        return await self._update_matching(_at_its_cursor(webhook), change)

    async def note_failure(self, webhook: Webhook, since: datetime, next_at: datetime) -> Webhook | None:
        """Count a failure; None where somebody has changed the webhook meanwhile, so that it is not counted."""
        change = {
            "$set": {"failures": webhook.failures + 1, "failingSince": since, "nextAt": next_at},
            "$inc": {"failed": 1},
        }
        return await self._update_matching({**_at_its_cursor(webhook), "version": webhook.version}, change)

    async def record(self, delivery: WebhookDelivery) -> None:
        """Store what came of an attempt."""
        await self.store.insert(delivery)

    async def deliveries(
        self, webhook: ObjectId, limit: int, *, before: tuple[datetime, ObjectId] | None = None
    ) -> list[WebhookDelivery]:
        """Up to `limit` attempts, the newest first, before an instant and id."""
        which: Filter = {"webhook": webhook}
        if before is not None:
            at, identity = before
            which["$or"] = [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": identity}}]
        order = [("at", -1), ("_id", -1)]
        rows = await self.store.database[_DELIVERIES].find(which).sort(order).limit(limit).to_list(None)
        return [WebhookDelivery.model_validate(row) for row in rows]

    async def prune_deliveries(self, days: int) -> int:
        """Remove some of the records that are older than so many days; how many."""
        before = self.store.clock.now() - timedelta(days=days)
        rows = self.store.database[_DELIVERIES].find({"at": {"$lt": before}}, {"_id": 1}).sort("at", 1)
        found: Sequence[BsonDocument] = await rows.limit(PRUNE_BATCH).to_list(None)
        if found:
            await self.store.database[_DELIVERIES].delete_many({"_id": {"$in": [row["_id"] for row in found]}})
        return len(found)

    async def _update_matching(self, which: Filter, change: BsonDocument) -> Webhook | None:
        row: BsonDocument | None = await self.store.database[_WEBHOOKS].find_one_and_update(
            which, change, return_document=ReturnDocument.AFTER
        )
        return None if row is None else Webhook.model_validate(row)


def _at_its_cursor(webhook: Webhook) -> Filter:
    """The filter of a webhook whose cursor nobody has set meanwhile, not even to where it was."""
    return {"_id": webhook.id, "cursor": webhook.cursor, "replays": webhook.replays}


def _readable(rows: Iterable[BsonDocument], *, say: bool = False) -> list[Webhook]:
    """The webhooks among some rows: one that cannot be read must not stop the others.

    Args:
        rows: What is stored.
        say: Whether to log the others; not for what is asked several times a second.
    """
    found: list[Webhook] = []
    for row in rows:
        try:
            found.append(Webhook.model_validate(row))
        except ValidationError:
            if say:
                log.warning("webhook left out, it cannot be read", webhook=shown_text(row["_id"]))
    return found
