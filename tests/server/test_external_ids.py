"""External ids on real servers: of one customer each, whoever writes at the same time."""

import asyncio

import pytest

from app.storage.client import Store
from tests.support.api_client import ApiClient, problem
from tests.support.http_client import serving

pytestmark = pytest.mark.servers("wire")


async def test_of_many_at_once_one_gets_it(store: Store) -> None:
    """Added and edited through one app: one customer has the id, all others are refused at the field."""
    async with serving(store) as http:
        api = ApiClient(http, store)
        for number in range(6):
            await api.add("customers", id=f"c{number}")
        body = {"name": "new", "externalId": "crm-1"}
        added = [api.request("POST", "/v1/customers", json=body) for _ in range(6)]
        edited = [api.edit(f"/v1/customers/c{number}", externalId="crm-1") for number in range(6)]
        answers = await asyncio.gather(*added, *edited)

    refused = [answer for answer in answers if answer.status_code not in {200, 201}]
    assert len(refused) == len(answers) - 1
    for answer in refused:
        problem(answer, "exists", "/externalId")
    assert await store.database["customers"].count_documents({"externalId": "crm-1"}) == 1
