"""Keys on each server: the operators that their changes use do there what they do in process."""

import asyncio
from datetime import timedelta

import pytest

from app.access.schemas import KeyPatch
from app.access.service import ANY_VERSION, Keys
from app.http.models import read_body
from app.storage.client import Store
from app.storage.keys import KeyStore
from tests.support.http_client import create_key


@pytest.mark.servers("wire")
async def test_changes_on_a_server(store: Store) -> None:
    """Changes at once are all done, one each version; a key of the first version counts as 1."""
    keys = Keys(store)
    issued = await create_key(store, "web", ["admin"], expiresAt="2100-01-01T00:00:00Z")
    prefix = issued.key.id
    await store.database["keys"].update_one({"_id": prefix}, {"$unset": {"version": "", "history": ""}})
    patches = [read_body(KeyPatch, {"name": f"name {number}"}) for number in range(4)]
    await asyncio.gather(*(keys.change(prefix, patch, ANY_VERSION, "test") for patch in patches))
    await keys.change(prefix, read_body(KeyPatch, {"expiresAt": None}), ANY_VERSION, "test")
    await keys.rotate(prefix, "test", overlap_minutes=60)
    revoked = await keys.revoke(prefix, "test")

    stored = await store.database["keys"].find_one({"_id": prefix})
    assert stored == revoked.to_mongo()
    assert (stored["version"], len(stored["history"])) == (8, 7)
    assert not stored.keys() & {"expiresAt", "formerSecrets"}


@pytest.mark.servers("wire")
async def test_uses_on_a_server(store: Store) -> None:
    """The last use never goes back, and keys in use that expire soon are found."""
    now = store.clock.now().replace(second=0, microsecond=0)
    expiry = (now + timedelta(days=3)).isoformat()
    issued = [await create_key(store, "web", ["admin"], expiresAt=expiry) for _ in range(2)]
    used = issued[0].key.id
    for minute in (now, now - timedelta(hours=1)):
        await KeyStore(store).write_uses([used], minute)
    found = await KeyStore(store).find_expiring(now, now + timedelta(days=14), now - timedelta(days=14))

    assert [(key.id, key.last_used_at) for key in found] == [(used, now)]
