"""An erasure and the events: followers are told of it, and no event keeps a text of the customer."""

from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from app.privacy.erasure import carry_out_pending, mark
from app.storage import erased_customers
from app.storage.client import Store
from app.storage.erased_customers import SETTLED_SECONDS
from tests.support.api_client import ApiClient, ok
from tests.support.http_client import serving

pytestmark = pytest.mark.servers("any")


@pytest.fixture
async def api(store: Store) -> Any:
    """A room and two customers."""
    async with serving(store) as http:
        api = ApiClient(http, store)
        await api.resource("room", capacity=3)
        for name in ("ann", "bob"):
            await api.add("customers", id=name, name=name)
        yield api


def let_a_minute_pass(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the clock behind the instant at which erased customers are swept once more."""
    now = store.clock.now
    monkeypatch.setattr(store.clock, "now", lambda: now() + timedelta(seconds=SETTLED_SECONDS + 1))


async def announced(store: Store) -> list[dict[str, Any]]:
    """The events of erasures in the outbox."""
    return [row async for row in store.database["outbox"].find({"type": "customer.erased"})]


async def test_an_erasure_leaves_its_event(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the customer's id and the version that the mark has made; the sweeps after it leave no other."""
    ok(await api.request("POST", "/v1/customers/ann/erase"))
    let_a_minute_pass(api.store, monkeypatch)
    await carry_out_pending(api.store)

    (event,) = await announced(api.store)
    assert (event["subject"], event["version"], event["by"]) == ("ann", 2, api.prefix)
    row = await api.store.database["customers"].find_one({"_id": "ann"})
    assert row is not None
    assert event["at"] == row["erasedAt"]


async def test_one_that_is_repeated_at_once_leaves_one(api: ApiClient) -> None:
    """While the customer is being erased nothing new happens to it."""
    for _ in "12":
        await mark(api.store, "ann", "test")

    assert len(await announced(api.store)) == 1


@pytest.mark.servers("transactions")
async def test_a_failed_event_undoes_the_mark(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A customer is not erased without an event of that."""

    async def failing(*_: object) -> None:
        raise OperationFailure("no space")

    monkeypatch.setattr(erased_customers, "add_events", failing)
    with pytest.raises(OperationFailure):
        await mark(api.store, "ann", "test")
    row = await api.store.database["customers"].find_one({"_id": "ann"})

    assert row is not None
    assert (row["name"], "erasedAt" in row) == ("ann", False)


@pytest.mark.servers("standalone")
@pytest.mark.parametrize("swept", [True, False])
async def test_what_a_crash_left_out_is_written_again(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch, *, swept: bool
) -> None:
    """Without a transaction a process can die before the event; the worker's next sweep writes the same."""
    await mark(api.store, "ann", "test")
    if swept:
        await carry_out_pending(api.store)
    before = await announced(api.store)
    await api.store.database["outbox"].delete_many({})
    let_a_minute_pass(api.store, monkeypatch)

    assert [await carry_out_pending(api.store) for _ in "12"] == [1, 0]
    assert await announced(api.store) == before
