"""Reservations on a resource that does not exist, as other programs may have stored them."""

from typing import Any

import pytest

from app.storage.client import Store
from tests.support.api_client import ApiClient, booking_body, created, ok, problem
from tests.support.http_client import serving

pytestmark = pytest.mark.servers("any")


async def stray(api: ApiClient, **fields: Any) -> dict[str, Any]:
    """A reservation on a resource that does not exist."""
    booked = await api.booked(**fields)
    await api.overwrite(booked, resource="nowhere")
    return booked


async def test_what_needs_the_resource_says_so(store: Store) -> None:
    """Confirming, extending and changing are refused with a sentence that names the resource, never with a 500."""
    async with serving(store) as client:
        api = ApiClient(client, store)
        await api.resource()
        hold = await stray(api, expiresInSeconds=600)
        answers = [
            await api.verb(hold, "confirm"),
            await api.verb(hold, "extend", expiresInSeconds=900),
            await api.change(hold, notes="x"),
            await api.change(hold, guests=2),
            await api.change(hold, resource="room"),
        ]

    for answer in answers:
        assert "'nowhere'" in problem(answer, "invalid")["detail"]


async def test_it_can_be_cancelled(store: Store) -> None:
    """A single reservation on a missing resource is cancelled."""
    async with serving(store) as client:
        api = ApiClient(client, store)
        await api.resource()
        booked = await stray(api)
        cancelled = ok(await api.verb(booked, "cancel"))

    assert cancelled["status"] == "cancelled"


@pytest.mark.servers("transactions")
async def test_its_group_can_be_cancelled(store: Store) -> None:
    """A group is cancelled too, with some or all of its members on a missing resource."""
    async with serving(store) as client:
        api = ApiClient(client, store)
        await api.resource(capacity=9)
        for missing in (1, 2):
            body = {"reservations": [booking_body(), booking_body()]}
            group = created(await api.request("POST", "/v1/groups", json=body))
            for each in group["reservations"][:missing]:
                await api.overwrite(each, resource="nowhere")
            answer = await api.request("POST", f"/v1/groups/{group['id']}/cancel")
            assert [each["status"] for each in ok(answer)["reservations"]] == ["cancelled", "cancelled"]
