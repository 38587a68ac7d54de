"""Reservations on a resource that does not exist, as other programs may have put them there."""

from typing import Any

import pytest

from app.storage.client import Store
from tests.support.api_client import Visitor, good, made, problem, wanted
from tests.support.http_client import serving

pytestmark = pytest.mark.servers("any")


async def stray(visitor: Visitor, **fields: Any) -> dict[str, Any]:
    """A reservation whose resource there is not."""
    booked = await visitor.booked(**fields)
    await visitor.put(booked, resource="nowhere")
    return booked


async def test_what_needs_the_resource_says_so(store: Store) -> None:
    """Confirming, extending and changing are refused with a sentence that names the resource, never with a 500."""
    async with serving(store) as client:
        visitor = Visitor(client, store)
        await visitor.resource()
        held = await stray(visitor, expiresInSeconds=600)
        answers = [
            await visitor.verb(held, "confirm"),
            await visitor.verb(held, "extend", expiresInSeconds=900),
            await visitor.change(held, notes="x"),
            await visitor.change(held, guests=2),
            await visitor.change(held, resource="room"),
        ]

    for answer in answers:
        assert "'nowhere'" in problem(answer, "invalid")["detail"]


async def test_it_can_be_cancelled(store: Store) -> None:
    """Alone."""
    async with serving(store) as client:
        visitor = Visitor(client, store)
        await visitor.resource()
        booked = await stray(visitor)
        cancelled = good(await visitor.verb(booked, "cancel"))

    assert cancelled["status"] == "cancelled"


@pytest.mark.servers("transactions")
async def test_its_group_can_be_cancelled(store: Store) -> None:
    """And together with others that are where they should be, or with nobody who is."""
    async with serving(store) as client:
        visitor = Visitor(client, store)
        await visitor.resource(capacity=9)
        for strays in (1, 2):
            body = {"reservations": [wanted(), wanted()]}
            group = made(await visitor.ask("POST", "/v1/groups", json=body))
            for each in group["reservations"][:strays]:
                await visitor.put(each, resource="nowhere")
            answer = await visitor.ask("POST", f"/v1/groups/{group['id']}/cancel")
            assert [each["status"] for each in good(answer)["reservations"]] == ["cancelled", "cancelled"]
