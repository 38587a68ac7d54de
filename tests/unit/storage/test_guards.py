"""Making guards where another process may make them at the same moment."""

from typing import Any

import pytest
from mongomock_motor import AsyncMongoMockCollection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from app.domain.ids import ResourceId
from app.storage.bulk_inserts import insert_new
from app.storage.client import Store
from app.storage.guards import make_fresh_guards, make_guard
from tests.support.ids import ROOM_ID

DUPLICATE = {"index": 0, "code": 11000, "errmsg": "E11000 duplicate key"}
OTHER = {"index": 1, "code": 14031, "errmsg": "no space left on device"}


@pytest.mark.parametrize(("errors", "raised"), [([DUPLICATE], False), ([DUPLICATE, OTHER], True), ([OTHER], True)])
async def test_only_what_is_there_already_is_no_failure(
    mock_store: Store, monkeypatch: pytest.MonkeyPatch, errors: list[dict[str, Any]], *, raised: bool
) -> None:
    """A document of another process is passed over; one that could not be written is an error, also among such."""

    async def fail(*_: Any, **__: Any) -> None:
        raise BulkWriteError({"writeErrors": errors})

    monkeypatch.setattr(AsyncMongoMockCollection, "insert_many", fail)
    if not raised:
        await insert_new(mock_store, "guards", [{"_id": "a"}, {"_id": "b"}])
        return
    with pytest.raises(BulkWriteError):
        await insert_new(mock_store, "guards", [{"_id": "a"}, {"_id": "b"}])


async def test_a_transaction_fails_where_the_guard_exists(mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of one the guard is there and all is well; inside, the transaction is lost and must go again."""

    async def fail(*_: Any, **__: Any) -> None:
        raise DuplicateKeyError("E11000 duplicate key", 11000)

    monkeypatch.setattr(AsyncMongoMockCollection, "update_one", fail)
    session: Any = object()

    assert await make_guard(mock_store, ROOM_ID) is False
    with pytest.raises(DuplicateKeyError):
        await make_guard(mock_store, ROOM_ID, session)


async def test_a_guard_that_is_there_stays_as_it_is(mock_store: Store) -> None:
    """Neither its rules nor its reach are made anew: bookings have raised them."""
    await make_guard(mock_store, ROOM_ID)
    await mock_store.database["guards"].update_one({"_id": "room"}, {"$set": {"reachBack": 7, "long": True}})
    before = await mock_store.database["guards"].find_one({"_id": "room"})

    assert await make_guard(mock_store, ROOM_ID) is False
    await make_fresh_guards(mock_store, [ROOM_ID, ResourceId("desk")])
    assert await mock_store.database["guards"].find_one({"_id": "room"}) == before
    assert await mock_store.database["guards"].count_documents({}) == 2
