"""What an attacker tries, with keys of every scope.

The table of `docs/access.md` shows who may ask which route at all; attacks on reservations are also in
`test_reservations_keys.py`, those on groups in `test_groups.py`.
"""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from app.access.keyring import Keyring
from app.access.service import Keys
from app.caller import SCOPES
from app.http.openapi import document
from app.main import create_app
from app.settings import Settings
from tests.support.api_client import ApiClient, booking_body, created, ok, problem
from tests.support.described_api import DescribedOperation, operations_by_id
from tests.support.http_client import create_key
from tests.support.times import HOUR, MINUTE, NINE

READ, WRITE = "reservations:read", "reservations:write"
DESCRIBED = document(create_app(Settings()))
OPERATIONS = operations_by_id(DESCRIBED)
SCHEMAS = DESCRIBED["components"]["schemas"]
OF_THE_SERVER = (
    *("version", "by", "history", "createdAt", "updatedAt", "key", "keyHash", "secretHash", "operations", "operation"),
    *(
        "idempotencyKey",
        "idempotency",
        "importKey",
        "units",
        "blockStart",
        "blockEnd",
        "_id",
        "revokedAt",
        "lastUsedAt",
    ),
    *("$set", "__proto__", "constructor"),
)
"""Fields that only the server writes, or that mean something elsewhere."""

ODD = [
    "%00",
    "%24gt",
    "%7B%22%24ne%22%3A1%7D",
    "..%2F..%2Fkeys",
    "%2e%2e",
    "a%0d%0aX-Evil:%201",
    "%ff%fe",
    "null",
    "0" * 24,
]
"""Ids that nothing has, as they stand in a path."""


def below(path: str) -> bool:
    """Whether a path names an object."""
    return "{" in path


def body_of(operation: DescribedOperation) -> tuple[dict[str, Any] | None, set[str]]:
    """An example of the body, and the fields that there are."""
    for media in operation.about.get("requestBody", {}).get("content", {}).values():
        known = SCHEMAS[media["schema"]["$ref"].rpartition("/")[2]]["properties"]
        return next(iter(media["examples"].values()))["value"], set(known)
    return None, set()


@pytest.fixture
async def ann(api: ApiClient) -> ApiClient:
    """The key of a customer, with something to book and a stranger who has booked."""
    await api.service()
    await api.resource(services=["cut"])
    for name in ("ann", "bob"):
        await api.add("customers", id=name)
    return await api.with_scopes(READ, WRITE, customer="ann")


@pytest.mark.parametrize("name", [name for name, each in OPERATIONS.items() if below(each.path)])
async def test_an_odd_id_finds_nothing(api: ApiClient, ann: ApiClient, name: str) -> None:
    """On each route that names an object, for who may do everything and for a customer: no answer but a refusal."""
    operation = OPERATIONS[name]
    body, _ = body_of(operation)
    sent: dict[str, Any] = {} if body is None else {"json": body}
    names = [part[1:-1] for part in operation.path.split("/") if below(part)]
    before = await api.contents()
    for odd in ODD:
        (sample, *_) = operation.samples(dict.fromkeys(names, odd))
        for caller in (api, ann):
            answer = await caller.request(sample.method, sample.path, headers={"If-Match": "*"}, **sent)
            assert answer.status_code in {403, 404, 422}, (name, odd, answer.text)
            assert "x-evil" not in answer.headers
    assert await api.contents() == before


@pytest.mark.parametrize("name", [name for name, each in OPERATIONS.items() if "requestBody" in each.about])
async def test_what_the_server_writes_is_no_field_of_a_body(api: ApiClient, name: str) -> None:
    """Each is refused by name on each route that takes a body, and nothing is written."""
    operation = OPERATIONS[name]
    body, known = body_of(operation)
    (sample, *_) = operation.samples({})
    before = await api.contents(), await api.store.database["keys"].count_documents({})
    for field in OF_THE_SERVER:
        if field in known:
            continue
        sent = {**(body or {}), field: 7}
        answer = await api.request(sample.method, sample.path, json=sent, headers={"If-Match": "*"})
        assert f"/{field}" in [fault["pointer"] for fault in problem(answer, "invalid")["errors"]], field
    assert (await api.contents(), await api.store.database["keys"].count_documents({})) == before


@pytest.mark.parametrize("scope", [scope for scope in SCOPES if scope != "admin"])
async def test_no_key_gives_itself_more(api: ApiClient, scope: str) -> None:
    """It makes none, changes none and rotates none, its own included; all is refused before anything is looked up."""
    weak = await api.with_scopes(scope)
    own = f"/v1/keys/{weak.prefix}"
    wanted = {"name": "x", "scopes": ["admin"]}
    stored = await api.store.database["keys"].find_one({"_id": weak.prefix}, {"lastUsedAt": 0})
    for method, path, sent in (
        ("POST", "/v1/keys", wanted),
        ("PATCH", own, {"expiresAt": None}),
        ("POST", f"{own}/rotate", {"overlapMinutes": 1}),
        ("POST", f"{own}/revoke", None),
        ("GET", own, None),
        ("GET", "/v1/keys/nothing", None),
        ("GET", f"/v1/keys/{api.prefix}", None),
    ):
        headers = {"If-Match": "*"}
        answer = await weak.request(method, path, headers=headers, **({} if sent is None else {"json": sent}))
        assert "admin" in problem(answer, "forbidden")["detail"]
    assert await api.store.database["keys"].find_one({"_id": weak.prefix}, {"lastUsedAt": 0}) == stored


async def test_every_wrong_key_reads_the_same(api: ApiClient) -> None:
    """Unknown, with a wrong secret, revoked, expired: one answer for all, and there is no other way in."""
    keys = Keys(api.store)
    right, revoked, expired = [await create_key(api.store, "x", ["admin"]) for _ in range(3)]
    await keys.revoke(revoked.key.id, "test")
    past = {"expiresAt": api.store.clock.now() - timedelta(seconds=1)}
    await api.store.database["keys"].update_one({"_id": expired.key.id}, {"$set": past})
    tokens = ["rsv_aaaaaaaa_" + "x" * 43, right.token[:-4] + "AAAA", revoked.token, expired.token]
    answers = [
        problem(await api.request("GET", "/v1/keys", headers={"Authorization": f"Bearer {token}"}), "unauthenticated")
        for token in tokens
    ]

    assert len({str({**answer, "requestId": ""}) for answer in answers}) == 1
    for headers in (
        {"X-Api-Key": right.token},
        {"Cookie": f"Authorization=Bearer {right.token}"},
        {"Authorization": f"Basic {right.token}"},
        {"Proxy-Authorization": f"Bearer {right.token}"},
    ):
        answer = await api.client.request("GET", "/v1/keys", headers={"Authorization": ""} | headers)
        problem(answer, "unauthenticated")
    for name in ("key", "access_token", "api_key"):
        answer = await api.client.get("/v1/keys", params={name: right.token}, headers={"Authorization": ""})
        problem(answer, "unauthenticated")


async def test_a_secret_is_in_no_log(api: ApiClient) -> None:
    """Neither what was made, nor what was rotated, nor what was tried."""
    with capture_logs() as logged:
        key = created(await api.request("POST", "/v1/keys", json={"name": "x", "scopes": [READ]}))
        rotated = ok(await api.request("POST", f"/v1/keys/{key['prefix']}/rotate"))
        wrong = "rsv_aaaaaaaa_" + "y" * 43
        await api.request("GET", "/v1/resources", headers={"Authorization": f"Bearer {wrong}"})
        ok(await api.request("POST", f"/v1/keys/{key['prefix']}/revoke"))

    assert {line["event"] for line in logged} >= {"API key created", "API key changed"}
    for token in (key["secret"], rotated["secret"], wrong):
        assert token.split("_", 2)[2] not in str(logged)


class TestRaces:
    """Changes of one key at the same moment."""

    @pytest.mark.parametrize("overlap", [0, 60])
    async def test_a_revoked_key_never_comes_back(self, api: ApiClient, overlap: int) -> None:
        """Whatever is changed at the same moment: no secret works, also in a process that has read nothing yet."""
        keys = Keys(api.store)
        for _ in range(5):
            made = await create_key(api.store, "x", [READ])
            prefix = made.key.id
            sent: list[dict[str, Any]] = [
                {"json": {"overlapMinutes": overlap}},
                {},
                {"json": {"overlapMinutes": overlap}},
            ]
            answers: list[httpx.Response] = await asyncio.gather(
                *(
                    api.request("POST", f"/v1/keys/{prefix}/{verb}", **each)
                    for verb, each in zip(("rotate", "revoke", "rotate"), sent, strict=True)
                )
            )
            assert (await keys.read(prefix)).revoked_at is not None
            assert answers[1].status_code == 200
            secrets = [made.token, *(each.json()["secret"] for each in answers if "secret" in each.json())]
            assert [await Keyring(api.store).caller(secret) for secret in secrets] == [None] * len(secrets)

    async def test_one_of_two_rotations_is_the_last(self, api: ApiClient) -> None:
        """Without an overlap exactly one secret works afterwards, with one all of them do."""
        for overlap, working in ((0, 1), (60, 3)):
            made = await create_key(api.store, "x", [READ])
            path, sent = f"/v1/keys/{made.key.id}/rotate", {"overlapMinutes": overlap}
            answers = await asyncio.gather(*(api.request("POST", path, json=sent) for _ in range(2)))
            secrets = [made.token, *(ok(each)["secret"] for each in answers)]
            callers = [await Keyring(api.store).caller(secret) for secret in secrets]
            assert sum(caller is not None for caller in callers) == working

    async def test_an_old_secret_does_not_outlive_its_key(self, api: ApiClient) -> None:
        """An overlap longer than the life of the key ends with the key."""
        made = await create_key(api.store, "x", [READ], expiresAt="2100-01-01T00:00:00Z")
        rotated = await Keys(api.store).rotate(made.key.id, "test", overlap_minutes=60)
        past = {"expiresAt": api.store.clock.now() - MINUTE}
        await api.store.database["keys"].update_one({"_id": made.key.id}, {"$set": past})

        for secret in (made.token, rotated.token):
            assert await Keyring(api.store).caller(secret) is None


class TestReplays:
    """Answers that are stored under an Idempotency-Key belong to the key that asked."""

    async def test_nobody_gets_anothers_answer(self, api: ApiClient, ann: ApiClient) -> None:
        """The same Idempotency-Key and body under another key is another request, also for who may do everything."""
        body = booking_body(service="cut")
        mine = await ann.post(body, key="k")
        again = await ann.post(body, key="k")

        assert created(mine)["customer"] == "ann"
        assert (again.content, again.headers["Idempotent-Replayed"]) == (mine.content, "true")
        for other in (api, await api.with_scopes(WRITE), await api.with_scopes(WRITE, customer="bob")):
            answer = await other.post(body, key="k")
            problem(answer, "conflict")
            assert "Idempotent-Replayed" not in answer.headers
            assert ("ann" in answer.text) is False

    async def test_a_revoked_key_gets_none(self, api: ApiClient, ann: ApiClient) -> None:
        """Its answers are not told to it any more, and no new key of its customer inherits them."""
        body = booking_body(service="cut")
        created(await ann.post(body, key="k"))
        ok(await api.request("POST", f"/v1/keys/{ann.prefix}/revoke"))

        problem(await ann.post(body, key="k"), "unauthenticated")
        heir = await api.with_scopes(READ, WRITE, customer="ann")
        problem(await heir.post(body, key="k"), "conflict")


async def test_a_customer_learns_nothing_by_asking_around(api: ApiClient, ann: ApiClient) -> None:
    """Nothing that it may read names another customer, another's reservation, the operator's keys or a reason."""
    theirs = await api.booked(customer="bob", service="cut", notes="secret")
    away = {"from": "2035-08-01", "to": "2035-08-15", "reason": "secret"}
    created(await api.request("POST", "/v1/resources/room/time-off", json=away))
    times = {"startTime": theirs["startTime"], "resource": "room", "service": "cut"}
    answers = [
        await ann.get("/v1/resources"),
        await ann.get("/v1/resources/room"),
        await ann.get("/v1/services/cut"),
        await ann.get("/v1/resources/room/time-off"),
        await ann.get("/v1/reservations"),
        await ann.get("/v1/customers"),
        await ann.get("/v1/customers", externalId="bob"),
        await ann.get("/v1/availability/explain", **times),
        await ann.get("/v1/availability/explain", **times, ignore=theirs["id"]),
        await ann.get("/v1/availability", resource="room", service="cut", **{"from": "2030-01-07", "to": "2030-01-08"}),
        await ann.book(service="cut"),
        await ann.book(NINE + HOUR / 2, service="cut"),
    ]
    for answer in answers:
        assert answer.status_code in {200, 404, 409, 422}
        for word in ("bob", "secret", theirs["id"], api.prefix):
            assert word not in answer.text, answer.request.url
