"""Proposals of a finding: moves that are possible at that moment, and only of reservations still to come."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId

from app.domain.instants import render
from app.storage.client import Store
from tests.support.api_client import ApiClient, ok, path_of
from tests.support.findings import insert_duplicate, only_finding, reconcile, reviewer_with_resources
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("transactions", once=True)


@pytest.fixture
async def reviewer(app_client: httpx.AsyncClient, store: Store) -> ApiClient:
    """A client with every scope, and a room and a desk that both can be booked for a talk."""
    return await reviewer_with_resources(app_client, store)


async def proposed(reviewer: ApiClient) -> list[dict[str, Any]]:
    """The proposals of the one finding."""
    found: list[dict[str, Any]] = (await only_finding(reviewer))["proposals"]
    return found


async def test_every_proposal_can_be_done(reviewer: ApiClient) -> None:
    """Each is taken by `/v1/moves` as it stands, and none names the place and time that the reservation has."""
    first = await reviewer.booked(service="talk", length=None)
    second = await insert_duplicate(reviewer, first)
    await reconcile(reviewer)
    proposals = await proposed(reviewer)

    assert {each["reservation"] for each in proposals} == {first["id"], second}
    here = ("room", first["startTime"])
    assert here not in [(each["resource"], each["startTime"]) for each in proposals]
    rows = {row["_id"]: row async for row in reviewer.store.database["reservations"].find()}
    for proposal in proposals:
        move = proposal | {"version": rows[ObjectId(proposal["reservation"])]["version"]}
        ok(await reviewer.request("POST", "/v1/moves", json={"moves": [move]}))
        for identity, row in rows.items():
            await reviewer.store.database["reservations"].replace_one({"_id": identity}, row)


async def test_what_fits_where_it_is_stays_there(reviewer: ApiClient) -> None:
    """Once the other one is cancelled nothing has to be moved, though no run has seen that yet."""
    first = await reviewer.booked(service="talk", length=None)
    await insert_duplicate(reviewer, first)
    await reconcile(reviewer)
    ok(await reviewer.verb(first, "cancel"))

    assert await proposed(reviewer) == []


async def test_last_week_is_not_moved_to_today(reviewer: ApiClient) -> None:
    """Of what has ended nothing is proposed; what has begun can go elsewhere, and not later."""
    first = await reviewer.booked(service="talk", length=None)
    second = await insert_duplicate(reviewer, first)
    now = reviewer.store.clock.now()
    ids = [ObjectId(first["id"]), ObjectId(second)]
    for start, end in ((now - timedelta(days=7), now - timedelta(days=7) + HOUR), (now - HOUR / 2, now + HOUR / 2)):
        times = {"startTime": start, "endTime": end, "blockStart": start, "blockEnd": end}
        await reviewer.store.database["reservations"].update_many({"_id": {"$in": ids}}, {"$set": times})
        await reconcile(reviewer)
        proposals = (await only_finding(reviewer, state="open"))["proposals"] if end > now else await proposed(reviewer)

        assert {each["resource"] for each in proposals} == ({"desk"} if end > now else set())


@pytest.mark.parametrize(
    "odd",
    [{"timezone": 7}, {"version": None}, {"service": ObjectId()}, {"items": [{"resource": "room"}]}, {"guests": "two"}],
)
async def test_a_row_that_cannot_be_moved_is_not_proposed(reviewer: ApiClient, odd: dict[str, Any]) -> None:
    """A row of others with a value that a move cannot read is skipped; the other one is still proposed."""
    first = await reviewer.booked(service="talk", length=None)
    second = await insert_duplicate(reviewer, first)
    await reconcile(reviewer)
    await reviewer.overwrite(first, **odd)

    assert {each["reservation"] for each in await proposed(reviewer)} == {second}
    assert ok(await reviewer.get(path_of(first)))["id"] == first["id"]


async def test_a_proposal_says_when_it_ends(reviewer: ApiClient) -> None:
    """Its length stays, at its own time elsewhere and at a later one."""
    await insert_duplicate(reviewer, await reviewer.booked(service="talk", length=None))
    await reconcile(reviewer)

    for each in await proposed(reviewer):
        assert each["endTime"] == render(NINE + HOUR + (HOUR if each["resource"] == "room" else timedelta()))
