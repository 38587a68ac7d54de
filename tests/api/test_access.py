"""API keys: which are accepted, what each scope allows, and when a key ends."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import combinations
from typing import Any

import httpx
import pytest
from typing_extensions import override

from app.access.keyring import CACHE_SECONDS, CACHED_MAX, Keyring
from app.access.service import Keys
from app.access.tokens import hash_of
from app.caller import METRICS_SCOPE, SCOPES, Caller, Scope
from app.errors import Problem
from app.http.pointers import pointer_of
from app.storage.client import Store
from tests.support.api_client import problem
from tests.support.http_client import create_key, make_key, serving

READ, WRITE = "reservations:read", "reservations:write"
NOBODY = "0" * 24


@pytest.fixture
async def client(mock_store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key that may do everything."""
    async with serving(mock_store) as client:
        yield client


class Second:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


async def known(store: Store, customer: str = "ada") -> None:
    """Put a customer into the database."""
    now = store.clock.now()
    await store.database["customers"].insert_one(
        {"_id": customer, "name": customer, "version": 1, "createdAt": now, "updatedAt": now}
    )


def bearer(token: str) -> dict[str, str]:
    """The header for a key."""
    return {"Authorization": f"Bearer {token}"}


async def test_a_key_is_shown_once_and_stored_as_a_hash(mock_store: Store) -> None:
    """Nothing that is stored, or that lists show, lets anyone in."""
    made = await create_key(mock_store, "website", [WRITE, READ])
    scheme, prefix, secret = made.token.split("_", 2)
    stored = await mock_store.database["keys"].find_one({"_id": prefix})

    assert (scheme, made.key.id) == ("rsv", prefix)
    assert len(secret) >= 40
    assert stored is not None
    assert stored["secretHash"] == hash_of(secret)
    assert secret not in str(stored)
    assert (stored["name"], stored["scopes"]) == ("website", [READ, WRITE])
    assert [key.id for key in await Keys(mock_store).all()] == [prefix]


async def test_keys_differ(mock_store: Store) -> None:
    """In prefix and secret."""
    tokens = [(await create_key(mock_store, "a", ["admin"])).token.split("_", 2) for _ in range(20)]

    assert len({prefix for _, prefix, _ in tokens}) == len({secret for _, _, secret in tokens}) == 20


@pytest.mark.parametrize(
    ("arguments", "pointer"),
    [
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["everything"]}, "/scopes/0"),
        ({"name": ""}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"scopes": [READ, READ]}, "/scopes"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "/expiresAt"),
        ({"expiresAt": "2300-01-01T00:00:00Z"}, "/expiresAt"),
        ({"version": 7}, "/version"),
        ({"rateLimit": "100"}, "/rateLimit"),
        ({"rateLimit": 100}, "/rateLimit"),
        ({"customer": "nobody", "scopes": [READ]}, "/customer"),
        ({"customer": "ada", "scopes": [READ, "catalogue:write"]}, "/scopes"),
        ({"customer": "ada", "scopes": ["admin"]}, "/scopes"),
    ],
)
async def test_no_other_key_can_be_made(mock_store: Store, arguments: dict[str, Any], pointer: str) -> None:
    """Scopes that exist, at least one; a key of a customer that exists reads and writes reservations alone."""
    await known(mock_store)
    with pytest.raises(Problem) as raised:
        await create_key(mock_store, **({"name": "x", "scopes": ["admin"]} | arguments))

    assert [pointer_of(fault) for fault in raised.value.faults] == [pointer]
    assert await Keys(mock_store).all() == []


async def test_a_request_without_a_key_is_refused(client: httpx.AsyncClient) -> None:
    """No header, another scheme, another key, a right prefix with a wrong secret: 401, and how to do it."""
    token = client.headers.pop("Authorization").removeprefix("Bearer ")
    _, prefix, secret = token.split("_", 2)
    turned = ("B" if secret[0] == "A" else "A") + secret[1:]
    wrong = ["", "Bearer", "Bearer ", f"Basic {token}", token, "Bearer rsv", f"Bearer rsv_{prefix}_{turned}"]
    wrong += [f"Bearer rsv_{prefix}_", f"Bearer {token}x", f"Bearer rsv_aaaaaaaa_{secret}", f"Bearer {token} {token}"]
    for header in (None, *wrong):
        answer = await client.get("/v1/resources", headers={} if header is None else {"Authorization": header})
        problem(answer, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert (await client.get("/v1/resources", headers={"Authorization": f"{scheme} {token}"})).status_code == 200


async def test_a_stranger_learns_nothing_of_the_request(client: httpx.AsyncClient) -> None:
    """The key is checked first: without one the body is not even read."""
    del client.headers["Authorization"]

    problem(await client.post("/v1/resources?x=1", content=b"{"), "unauthenticated")


ROUTES: list[tuple[str, str, Scope]] = [
    ("POST", "/v1/resources", "catalogue:write"),
    ("PATCH", "/v1/resources/x", "catalogue:write"),
    ("POST", "/v1/services", "catalogue:write"),
    ("PATCH", "/v1/services/x", "catalogue:write"),
    ("POST", "/v1/customers", "reservations:write"),
    ("PATCH", "/v1/customers/x", "reservations:write"),
    ("GET", "/v1/customers", "reservations:read"),
    ("GET", "/v1/customers/x", "reservations:read"),
    ("GET", "/v1/customers/x/reservations", "reservations:read"),
    ("POST", "/v1/reservations", "reservations:write"),
    ("GET", "/v1/reservations", "reservations:read"),
    ("GET", f"/v1/reservations/{NOBODY}", "reservations:read"),
    ("POST", f"/v1/reservations/{NOBODY}/cancel", "reservations:write"),
    ("POST", "/v1/reconciliations", "findings:review"),
    ("GET", "/v1/reconciliations", "findings:review"),
    ("GET", "/v1/keys", "admin"),
    ("POST", "/v1/keys", "admin"),
    ("GET", "/metrics", "metrics:read"),
]


@pytest.mark.parametrize("scope", SCOPES)
async def test_each_scope_opens_its_own_routes(client: httpx.AsyncClient, mock_store: Store, scope: Scope) -> None:
    """`admin` includes every scope, no other scope includes another; a refusal names the missing scope."""
    client.headers.update(bearer(await make_key(mock_store, scope)))
    for method, path, needed in ROUTES:
        answer = await client.request(method, path)
        if scope in {needed, "admin"}:
            assert answer.status_code not in {401, 403}, path
        else:
            assert needed in problem(answer, "forbidden")["detail"]


@pytest.mark.parametrize("scope", SCOPES)
async def test_any_key_reads_the_catalogue(client: httpx.AsyncClient, mock_store: Store, scope: Scope) -> None:
    """Resources and services, but not customers; a key for monitoring alone does not."""
    client.headers.update(bearer(await make_key(mock_store, scope)))
    for path in ("/v1/resources", "/v1/services"):
        if scope == METRICS_SCOPE:
            problem(await client.get(path), "forbidden")
            continue
        assert (await client.get(path)).status_code == 200
        problem(await client.get(f"{path}/nothing"), "not-found")


def test_admin_contains_all_and_no_other_contains_another() -> None:
    """The table of contract and code, every pair of it."""
    for one, other in combinations(SCOPES, 2):
        assert Caller("k", frozenset({one})).may(other) is (one == "admin")
        assert Caller("k", frozenset({other})).may(one) is (other == "admin")


async def test_a_bound_key_sees_its_own_customer_alone(client: httpx.AsyncClient, mock_store: Store) -> None:
    """Others answer as if they did not exist, in paths and lists; it adds and edits none, not even itself."""
    await known(mock_store, "ada")
    await known(mock_store, "bob")
    client.headers.update(bearer(await make_key(mock_store, READ, WRITE, customer="ada")))
    edit: dict[str, Any] = {"json": {"name": "x"}, "headers": {"If-Match": "*"}}
    strangers = await client.get("/v1/customers/bob")

    assert (await client.get("/v1/customers/ada")).status_code == 200
    assert [each["id"] for each in (await client.get("/v1/customers")).json()["items"]] == ["ada"]
    assert strangers.text.replace("bob", "eve") != strangers.text
    missing = problem(await client.get("/v1/customers/eve"), "not-found")
    assert problem(strangers, "not-found")["detail"].replace("bob", "eve") == missing["detail"]
    problem(await client.patch("/v1/customers/bob", **edit), "not-found")
    problem(await client.patch("/v1/customers/ada", **edit), "forbidden")
    problem(await client.post("/v1/customers", json={"name": "x"}), "forbidden")


async def test_a_revoked_key_ends_within_a_second(mock_store: Store) -> None:
    """It may go on as long as an answer is remembered, not longer; repeating is harmless, and the first time counts."""
    clock = Second()
    ring = Keyring(mock_store, clock)
    made = await create_key(mock_store, "x", ["admin"])
    assert await ring.caller(made.token) is not None

    first = await Keys(mock_store).revoke(made.key.id, "test")
    assert (await Keys(mock_store).revoke(made.key.id, "test")).revoked_at == first.revoked_at
    clock.now += CACHE_SECONDS * 1.01
    assert await ring.caller(made.token) is None


async def test_a_rotated_key_keeps_its_id(mock_store: Store) -> None:
    """The new secret works, the old one ends within a second; what was stored under the id stays the key's own."""
    clock = Second()
    ring = Keyring(mock_store, clock)
    made = await create_key(mock_store, "x", [READ], expiresAt="2100-01-01T00:00:00Z")
    before = await ring.caller(made.token)
    rotated = await Keys(mock_store).rotate(made.key.id, "test")
    clock.now += CACHE_SECONDS * 1.01

    assert await ring.caller(made.token) is None
    assert await ring.caller(rotated.token) == before
    changed = {"secret_hash", "version", "updated_at", "history"}
    assert rotated.key.model_dump(exclude=changed) == made.key.model_dump(exclude=changed)


async def test_an_expired_key_is_over_at_its_instant(mock_store: Store) -> None:
    """Also while it is remembered; and it cannot be rotated back to life."""
    ring = Keyring(mock_store, Second())
    made = await create_key(mock_store, "x", [READ], expiresAt="2100-01-01T00:00:00Z")
    assert await ring.caller(made.token) is not None

    past = mock_store.clock.now() - timedelta(milliseconds=1)
    await mock_store.database["keys"].update_one({"_id": made.key.id}, {"$set": {"expiresAt": past}})
    assert await Keyring(mock_store).caller(made.token) is None
    with pytest.raises(Problem):
        await Keys(mock_store).rotate(made.key.id, "test")


async def test_only_keys_that_are_there_can_be_changed(mock_store: Store) -> None:
    """An unknown prefix is not found, and a revoked key cannot be rotated."""
    made = await create_key(mock_store, "x", [READ])
    await Keys(mock_store).revoke(made.key.id, "test")
    for name, attempt in (
        ("forbidden-transition", Keys(mock_store).rotate(made.key.id, "test")),
        ("not-found", Keys(mock_store).rotate("none", "test")),
        ("not-found", Keys(mock_store).revoke("none", "test")),
    ):
        with pytest.raises(Problem) as raised:
            await attempt
        assert raised.value.name == name


async def test_many_at_once_ask_the_database_once(mock_store: Store) -> None:
    """Requests with the same key wait for one lookup, whose answer is remembered for a second."""
    clock, ring, asked = Second(), None, 0
    made = await create_key(mock_store, "x", ["admin"])
    wrong = made.token[:-2] + ("AA" if made.token[-2:] != "AA" else "BB")

    class Counting(Keyring):
        @override
        async def _look_up(self, prefix: str) -> Any:
            nonlocal asked
            asked += 1
            return await super()._look_up(prefix)

    ring = Counting(mock_store, clock)
    callers = await asyncio.gather(*(ring.caller(token) for token in [made.token, wrong] * 50))

    assert asked == 1
    assert [caller is not None for caller in callers] == [True, False] * 50
    await ring.caller(made.token)
    assert asked == 1
    clock.now += CACHE_SECONDS * 1.01
    await ring.caller(made.token)
    assert asked == 2


async def test_who_gives_up_does_not_take_the_answer_along(mock_store: Store) -> None:
    """A request that is cancelled while it waits leaves the others their answer."""
    ring = Keyring(mock_store)
    made = await create_key(mock_store, "x", ["admin"])
    first = asyncio.create_task(ring.caller(made.token))
    second = asyncio.create_task(ring.caller(made.token))
    await asyncio.sleep(0)
    first.cancel()

    assert await second is not None
    assert first.cancelled()


async def test_strangers_cannot_fill_the_memory(mock_store: Store) -> None:
    """The cache of prefixes is bounded."""
    ring = Keyring(mock_store)
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    size = len(alphabet)
    for number in range(CACHED_MAX + 50):
        prefix = "".join(alphabet[number // size**place % size] for place in range(8))
        assert await ring.caller(f"rsv_{prefix}_{'x' * 43}") is None

    assert len(ring._lookups) == CACHED_MAX
