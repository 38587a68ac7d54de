"""Limits of requests over HTTP: who is refused when, and what answers tell of it. One process, without Redis."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from litestar.routes import HTTPRoute

from app.access.routes import SessionAccess, access_of
from app.access.service import Keys
from app.errors import Problem
from app.main import create_app
from app.settings import Settings
from app.storage.client import Store
from tests.support.api_client import ApiClient, booking_body, problem
from tests.support.http_client import create_key, serving

RESOURCES = "/v1/resources"
LIMIT = re.compile(r'"(key|address)";r=(\d+);t=(\d+)')


def limited(store: Store, **settings: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    """An app that counts, and a client with a key."""
    return serving(store, settings=Settings(**settings))


@pytest.fixture
async def client(mock_store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app with small limits."""
    async with limited(mock_store, rate_limit="3/minute", rate_limit_address="2/hour") as client:
        yield client


def standing(answer: httpx.Response) -> tuple[str, int]:
    """The limit that an answer names, and how many requests are left of it; it ends within its length."""
    match = LIMIT.fullmatch(answer.headers["RateLimit"])
    assert match is not None, answer.headers["RateLimit"]
    seconds = int(answer.headers["RateLimit-Policy"].rpartition("w=")[2])
    assert 0 < int(match[3]) <= seconds
    return match[1], int(match[2])


def bearer(token: str) -> dict[str, str]:
    """The header for a key."""
    return {"Authorization": f"Bearer {token}"}


async def test_a_key_may_send_so_many(client: httpx.AsyncClient) -> None:
    """Each answer says what is left, and a request too many is 429 with the seconds to wait; nothing is done."""
    created = [await client.post(RESOURCES, json={"id": f"r{number}", "name": "a room"}) for number in range(4)]

    assert [answer.status_code for answer in created] == [201, 201, 201, 429]
    assert {answer.headers["RateLimit-Policy"] for answer in created} == {'"key";q=3;w=60'}
    assert [standing(answer) for answer in created] == [("key", 2), ("key", 1), ("key", 0), ("key", 0)]
    refused = problem(created[3], "rate-limited")
    seconds = created[3].headers["Retry-After"]
    assert created[3].headers["RateLimit"] == f'"key";r=0;t={seconds}'
    assert refused["detail"].endswith(f"may send 3 requests a minute; ask again in {seconds} s.")


async def test_what_is_refused_counts_too(client: httpx.AsyncClient) -> None:
    """A request that its route refuses, or that the key may not make, is one request, and its answer says so."""
    invalid = await client.post(RESOURCES, json={"no": "such"})
    missing = await client.get(f"{RESOURCES}/none")
    head = await client.head(RESOURCES)

    assert [answer.status_code for answer in (invalid, missing, head)] == [422, 404, 200]
    assert [standing(answer)[1] for answer in (invalid, missing, head)] == [2, 1, 0]


async def test_an_answer_that_the_client_has_counts(client: httpx.AsyncClient) -> None:
    """A 304 says what is left like any other answer."""
    tag = (await client.get(RESOURCES)).headers["ETag"]

    answer = await client.get(RESOURCES, headers={"If-None-Match": tag})

    assert (answer.status_code, standing(answer)) == (304, ("key", 1))


async def test_keys_are_counted_apart(client: httpx.AsyncClient, mock_store: Store) -> None:
    """One that has sent too much does not hinder another, of the same address."""
    other = bearer((await create_key(mock_store, "other", ["admin"])).token)
    for _ in range(4):
        await client.get(RESOURCES)

    assert (await client.get(RESOURCES)).status_code == 429
    assert (await client.get(RESOURCES, headers=other)).status_code == 200


async def test_a_key_may_have_its_own(client: httpx.AsyncClient, mock_store: Store) -> None:
    """A limit of its own counts instead of that of the settings; `0` is none, and has no headers."""
    few = bearer((await create_key(mock_store, "few", ["admin"], rateLimit="1/day")).token)
    any_number = bearer((await create_key(mock_store, "any", ["admin"], rateLimit="0")).token)

    of_few = [await client.get(RESOURCES, headers=few) for _ in range(2)]
    of_any = [await client.get(RESOURCES, headers=any_number) for _ in range(9)]

    assert [answer.status_code for answer in of_few] == [200, 429]
    assert of_few[0].headers["RateLimit-Policy"] == '"key";q=1;w=86400'
    assert "may send 1 request a day" in problem(of_few[1], "rate-limited")["detail"]
    assert {answer.status_code for answer in of_any} == {200}
    assert not any("ratelimit" in name for name in of_any[0].headers)
    assert {key.name: key.rate_limit for key in await Keys(mock_store).all()} == {
        "test": None,
        "few": "1/day",
        "any": "0",
    }


async def test_a_limit_that_is_none(mock_store: Store) -> None:
    """A key is not made with a limit that cannot be read, and a stored one of that kind lets nobody in."""
    with pytest.raises(Problem, match="like 600/minute"):
        await create_key(mock_store, "website", ["admin"], rateLimit="many")

    made = await create_key(mock_store, "website", ["admin"])
    await mock_store.database["keys"].update_one({"_id": made.key.id}, {"$set": {"rateLimit": "many"}})
    async with limited(mock_store) as client:
        assert (await client.get(RESOURCES, headers=bearer(made.token))).status_code == 401


async def test_strangers_are_counted_by_address(client: httpx.AsyncClient, mock_store: Store) -> None:
    """Without a key, with a wrong one, with a revoked one: above the limit they are 429 instead of 401."""
    token = client.headers["Authorization"].removeprefix("Bearer ")
    revoked = await create_key(mock_store, "old", ["admin"])
    await Keys(mock_store).revoke(revoked.key.id, "test")
    asked = [{"Authorization": ""}, bearer(f"{token[:-1]}?"), bearer(revoked.token), bearer(token[:-5] + "wrong")]

    answers = [await client.get(RESOURCES, headers=headers) for headers in asked]

    assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
    assert [standing(answer) for answer in answers] == [("address", 1), ("address", 0), ("address", 0), ("address", 0)]
    assert answers[0].headers["RateLimit-Policy"] == '"address";q=2;w=3600'
    detail = problem(answers[2], "rate-limited")["detail"]
    assert detail.startswith("An address without a valid API key may send 2 requests an hour; ask again in ")
    assert answers[2].headers["Retry-After"] in detail


async def test_a_valid_key_is_served_whatever_its_address_did(client: httpx.AsyncClient) -> None:
    """Behind a proxy a stranger shares the address of everybody, and must not be able to lock them out."""
    for _ in range(5):
        await client.get(RESOURCES, headers={"Authorization": "Bearer wrong"})

    assert (await client.get(RESOURCES)).status_code == 200


async def test_open_routes_count_for_nobody(client: httpx.AsyncClient) -> None:
    """However often an address asks, it learns how the process is, and reads the description."""
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs"):
        answers = [await client.get(path, headers={"Authorization": "Bearer wrong"}) for _ in range(4)]

        assert {answer.status_code for answer in answers} == {200}, path
        assert "RateLimit" not in answers[0].headers


@pytest.mark.parametrize(
    ("settings", "first", "stranger"),
    [
        ({"rate_limit": "600/minute"}, ("key", 599), ("address", 59)),
        ({"rate_limit": "0"}, None, None),
        ({"rate_limit": "0", "rate_limit_address": "5/second"}, None, ("address", 4)),
        ({"rate_limit": "9/day", "rate_limit_address": "0"}, ("key", 8), None),
    ],
)
async def test_a_limit_may_be_none(
    mock_store: Store, settings: dict[str, str], first: tuple[str, int] | None, stranger: tuple[str, int] | None
) -> None:
    """`0` is no limit; that of keys means addresses too, unless they have one of their own."""
    async with limited(mock_store, **settings) as client:
        answers = [await client.get(RESOURCES), await client.get(RESOURCES, headers={"Authorization": ""})]

    assert [answer.status_code for answer in answers] == [200, 401]
    found = [standing(answer) if "RateLimit" in answer.headers else None for answer in answers]
    assert found == [first, stranger]


async def test_the_address_behind_a_trusted_proxy(mock_store: Store) -> None:
    """Where the peer is a trusted proxy, strangers are counted by the address that it names."""
    settings = {"rate_limit_address": "1/hour", "trusted_proxies": "127.0.0.0/8"}
    async with limited(mock_store, **settings) as client:
        client.headers.pop("Authorization")
        ways = ["203.0.113.9", "203.0.113.9", "1.1.1.1, 203.0.113.9", "203.0.113.10"]
        answers = [await client.get(RESOURCES, headers={"X-Forwarded-For": way}) for way in ways]

    assert [answer.status_code for answer in answers] == [401, 429, 429, 401]


async def test_a_first_answer_repeated_has_the_limits_of_its_own(mock_store: Store) -> None:
    """The bytes under an Idempotency-Key are the first ones; the limits are those of the request that repeats it."""
    async with limited(mock_store, rate_limit="9/minute") as client:
        api = ApiClient(client, mock_store)
        await api.resource()
        first, again = [await api.post(booking_body(), key="once") for _ in range(2)]

    assert again.content == first.content
    assert [standing(answer)[1] for answer in (first, again)] == [7, 6]


async def test_every_route_that_needs_a_key_counts(mock_store: Store) -> None:
    """Each of them refuses a key that has sent too much, before it looks at anything else."""
    app = create_app(Settings(), store=mock_store)
    counting = [
        (method, route.path)
        for route in app.routes
        for handler, _ in (route.route_handler_map.values() if isinstance(route, HTTPRoute) else ())
        for method in sorted({*handler.http_methods} - {"OPTIONS"})
        if (access := access_of(handler)) is not None and access.requires_key and not isinstance(access, SessionAccess)
    ]
    assert len(counting) > 40

    async with limited(mock_store, rate_limit="1/day") as client:
        await client.get(RESOURCES)
        for method, path in counting:
            answer = await client.request(method, re.sub(r"\{[^}]*\}", "some", path))

            problem(answer, "rate-limited")
