"""What booking, changing, cancelling and reading asks of MongoDB is answered from indexes, on every server."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.storage.capabilities import stages_of
from app.storage.client import Store
from tests.http import serving
from tests.listening import listening
from tests.visitor import HOUR, NINE, RESERVATIONS, Visitor, good, made, wanted

GROWING = {"reservations", "guards", "resources", "services", "customers", "groups", "answers"}
"""The collections that grow with use."""


def filters_of(command: Any) -> Iterator[dict[str, Any]]:
    """The filters by which a command reads or writes."""
    if "find" in command:
        yield command["filter"]
    for each in [*command.get("updates", ()), *command.get("deletes", ())]:
        yield each["q"]
    if "findAndModify" in command:
        yield command["query"]
    if "count" in command or "distinct" in command:
        yield command["query"]


async def a_days_work(visitor: Visitor) -> None:
    """Everything that a client does every day, once."""
    first = await visitor.booked(key="a-key")
    good(await visitor.change(first, notes="by the window"))
    good(
        await visitor.change(first, startTime=wanted(NINE + HOUR)["startTime"], endTime=wanted(NINE + HOUR)["endTime"])
    )
    good(await visitor.verb(first, "cancel"))
    held = await visitor.booked(expiresInSeconds=300, customer="ann", service="cut", length=None)
    good(await visitor.verb(held, "confirm"))
    await visitor.begin(held)
    good(await visitor.verb(held, "complete"))
    await visitor.booked(NINE + 2 * HOUR, resource="any", service="cut", length=None)
    both = {"reservations": [wanted(NINE + 4 * HOUR), wanted(NINE + 4 * HOUR, resource="other")]}
    group = made(await visitor.ask("POST", "/v1/groups", json=both, headers={"Idempotency-Key": "both"}))
    good(await visitor.get(f"/v1/groups/{group['id']}"))
    good(await visitor.ask("POST", f"/v1/groups/{group['id']}/cancel"))
    await visitor.read(first)
    good(await visitor.get(RESERVATIONS, resource="room"))


async def is_found(store: Store, collection: str, where: dict[str, Any]) -> bool:
    """Whether a filter is answered without a scan.

    PyPI's SecantusDB explains a scan where it takes the first of several conditions that has an index, `_id` too.
    """
    some = [where] if store.shape == "or" else [where, *({name: value} for name, value in where.items())]
    for each in some:
        asked = {"explain": {"find": collection, "filter": each}, "verbosity": "queryPlanner"}
        plan = (await store.database.command(asked))["queryPlanner"]["winningPlan"]
        if "COLLSCAN" not in set(stages_of(plan)):
            return True
    return False


@pytest.mark.servers("explain", "transactions")
async def test_no_request_walks_a_collection(database_url: str) -> None:
    """No read or write of a client's work scans a collection; nor is findAndModify used, for which one server does."""
    async with listening(database_url) as (store, commands), serving(store) as http:
        visitor = Visitor(http, store)
        await visitor.service()
        await visitor.add("customers", id="ann")
        for name in ("room", "other", "third"):
            await visitor.resource(name, services=["cut"])
        commands.taken()
        await a_days_work(visitor)
        seen = [(name, each[name], where) for name, each in commands.taken() for where in filters_of(each)]
        growing = [each for each in seen if isinstance(each[1], str) and each[1] in GROWING]
        for name, collection, where in growing:
            assert name != "findAndModify", (collection, where)
            assert await is_found(store, collection, where), (name, collection, where)
        assert {collection for _, collection, _ in growing} == GROWING
