"""`/v1/keys`: keys are made, changed, rotated and revoked over REST, and their use is written."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect
from structlog.testing import capture_logs

from app.access.key_uses import EXPIRY_WARNING, KeyUses, keys_about_to_expire
from app.access.keyring import CACHE_SECONDS, Keyring
from app.access.service import FORMER_SECRETS_MAX, Keys
from app.domain.instants import parse, render
from app.storage.keys import KeyStore
from tests.support.api_client import ApiClient, created, ok, problem
from tests.support.http_client import create_key
from tests.support.times import DAY, MINUTE

KEYS = "/v1/keys"
GIVEN = ["prefix", "secret", "secretHash", "formerSecrets", "version", "history", "by", "lastUsedAt", "revokedAt"]
"""What the server alone gives a key."""
READ, WRITE = "reservations:read", "reservations:write"


async def made(api: ApiClient, **fields: Any) -> dict[str, Any]:
    """Create a key over HTTP."""
    return created(await api.request("POST", KEYS, json={"name": "web", "scopes": [READ]} | fields))


def under(api: ApiClient, secret: str) -> ApiClient:
    """A client of the same app with another key."""
    other = ApiClient(api.client, api.store)
    other.token = secret
    return other


def path(key: dict[str, Any]) -> str:
    """The path of a key."""
    return f"{KEYS}/{key['prefix']}"


class Second:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


class TestCreating:
    """A key with its secret, once."""

    async def test_the_secret_is_shown_once(self, api: ApiClient) -> None:
        """In the answer of the POST; no other answer has it, its hash, or a part of it."""
        answer = await api.request("POST", KEYS, json={"name": "web", "scopes": [WRITE, READ]})
        key = created(answer)
        secret = key.pop("secret")

        assert (answer.headers["Location"], answer.headers["ETag"]) == (path(key), '"1"')
        assert (key["name"], key["scopes"], key["state"], key["version"]) == ("web", [READ, WRITE], "live", 1)
        assert secret.startswith(f"rsv_{key['prefix']}_")
        assert ok(await under(api, secret).get("/v1/reservations")) == {"items": []}
        shown = await api.get(path(key))
        assert {name: value for name, value in ok(shown).items() if name != "lastUsedAt"} == key
        for text in (shown.text, (await api.get(KEYS, limit=200)).text):
            assert secret.split("_", 2)[2] not in text
            assert "ash" not in text

    async def test_its_maker_is_in_its_history(self, api: ApiClient) -> None:
        """By the prefix of the key that made it, with the fields that were given."""
        key = await made(api, expiresAt="2100-01-01T00:00:00Z")

        (entry,) = key["history"]
        assert (entry["by"], set(entry["changed"])) == (api.prefix, {"name", "scopes", "expiresAt"})
        assert entry["at"] == key["createdAt"] == key["updatedAt"]

    @pytest.mark.parametrize(
        ("fields", "pointer"),
        [
            ({"scopes": []}, "/scopes"),
            ({"scopes": ["root"]}, "/scopes/0"),
            ({"scopes": [READ, READ]}, "/scopes"),
            ({"scopes": [READ] * 200}, "/scopes"),
            ({"name": ""}, "/name"),
            ({"name": "x" * 101}, "/name"),
            ({"name": None}, "/name"),
            ({"customer": "nobody"}, "/customer"),
            ({"expiresAt": "2020-01-01T00:00:00Z"}, "/expiresAt"),
            *(({name: 1}, f"/{name}") for name in GIVEN),
        ],
    )
    async def test_what_is_refused(self, api: ApiClient, fields: dict[str, Any], pointer: str) -> None:
        """With the field at fault, and no key is made; what the server gives is no field of a body."""
        before = await KeyStore(api.store).find_all()
        answer = await api.request("POST", KEYS, json={"name": "web", "scopes": [READ]} | fields)

        problem(answer, "invalid", pointer)
        assert [key.id for key in await KeyStore(api.store).find_all()] == [key.id for key in before]

    async def test_a_bound_key_has_few_scopes(self, api: ApiClient) -> None:
        """Of a customer that exists, and the first two scopes alone."""
        await api.add("customers", id="ann")
        body = {"name": "web", "scopes": ["catalogue:write"], "customer": "ann"}

        problem(await api.request("POST", KEYS, json=body), "invalid", "/scopes")
        assert (await made(api, customer="ann"))["customer"] == "ann"

    async def test_no_idempotency_key(self, api: ApiClient) -> None:
        """A stored answer would store the secret."""
        body = {"name": "web", "scopes": [READ]}
        key = path(await made(api))
        for where, sent in ((KEYS, body), (f"{key}/rotate", {})):
            problem(await api.request("POST", where, json=sent, headers={"Idempotency-Key": "k"}), "invalid")
        ok(await api.request("POST", f"{key}/revoke", headers={"Idempotency-Key": "k"}))


class TestReading:
    """One, or pages by prefix."""

    async def test_pages(self, api: ApiClient) -> None:
        """Each key once, in the order of their prefixes, as it is shown alone."""
        for _ in range(5):
            await made(api)
        seen: list[dict[str, Any]] = []
        page = ok(await api.get(KEYS, limit=2))
        while "next" in page:
            seen += page["items"]
            page = ok(await api.get(KEYS, limit=2, cursor=page["next"]))
        seen += page["items"]

        prefixes = [each["prefix"] for each in seen]
        assert prefixes == sorted(key.id for key in await KeyStore(api.store).find_all())
        assert seen[0] == ok(await api.get(path(seen[0])))

    async def test_keys_of_the_first_version(self, api: ApiClient) -> None:
        """Without version and history they are version 1 with an empty history, and can be changed."""
        key = await made(api)
        gone = dict.fromkeys(("version", "history", "updatedAt"), "")
        await api.store.database["keys"].update_one({"_id": key["prefix"]}, {"$unset": gone})

        old = ok(await api.get(path(key)))
        assert (old["version"], old.keys() & {"history", "updatedAt"}) == (1, set())
        changed = ok(await api.request("PATCH", path(key), json={"name": "shop"}, headers={"If-Match": '"1"'}))
        assert (changed["version"], [entry["changed"] for entry in changed["history"]]) == (2, [["name"]])

    async def test_one_that_cannot_be_read_is_left_out(self, api: ApiClient) -> None:
        """Another program wrote it; the pages go on behind it."""
        mine = await made(api)
        await api.store.database["keys"].insert_one({"_id": "!", "name": 7})
        try:
            page = ok(await api.get(KEYS, limit=1))
            rest = ok(await api.get(KEYS, limit=200, cursor=page["next"])) if "next" in page else {"items": []}
            problem(await api.get(f"{KEYS}/!"), "not-found")
        finally:
            await api.store.database["keys"].delete_one({"_id": "!"})

        assert mine["prefix"] in {each["prefix"] for each in (*page["items"], *rest["items"])}

    @pytest.mark.parametrize("prefix", ["nothing", "%00", "%24ne", "..%2F", "a" * 300, "%F0%9F%94%91"])
    async def test_odd_prefixes_are_not_found(self, api: ApiClient, prefix: str) -> None:
        """On every route below a key."""
        for method, below in (("GET", ""), ("PATCH", ""), ("POST", "/rotate"), ("POST", "/revoke")):
            sent: dict[str, Any] = {"json": {}} if method != "GET" else {}
            answer = await api.request(method, f"{KEYS}/{prefix}{below}", headers={"If-Match": "*"}, **sent)
            problem(answer, "not-found")

    async def test_a_use_is_seen_though_the_version_stays(self, api: ApiClient) -> None:
        """So a GET with the tag of the version is answered whole."""
        key = await made(api)

        answer = await api.request("GET", path(key), headers={"If-None-Match": '"1"'})
        assert answer.status_code == 200


class TestChanging:
    """Name and expiry, at the version that was read."""

    async def test_a_patch(self, api: ApiClient) -> None:
        """Changes what it names, unsets by null, writes who did it; nothing is written where nothing changes."""
        key = await made(api, expiresAt="2100-01-01T00:00:00Z")
        renamed = ok(await api.request("PATCH", path(key), json={"name": "shop"}, headers={"If-Match": '"1"'}))
        endless = ok(await api.edit(path(key), expiresAt=None))
        same = ok(await api.edit(path(key), name="shop"))

        assert (renamed["name"], renamed["expiresAt"], renamed["version"]) == ("shop", "2100-01-01T00:00:00.000Z", 2)
        assert ("expiresAt" in endless, endless["version"]) == (False, 3)
        assert same == endless
        assert [(each["by"], each["changed"]) for each in endless["history"][1:]] == [
            (api.prefix, ["name"]),
            (api.prefix, ["expiresAt"]),
        ]

    async def test_its_own_limit(self, api: ApiClient) -> None:
        """Given when it is made, changed, and unset; what is no rate is refused."""
        key = await made(api, rateLimit="100/minute")
        changed = ok(await api.edit(path(key), rateLimit="0"))
        unset = ok(await api.edit(path(key), rateLimit=None))

        assert (key["rateLimit"], changed["rateLimit"], "rateLimit" in unset) == ("100/minute", "0", False)
        assert [entry["changed"] for entry in unset["history"][1:]] == [["rateLimit"]] * 2
        problem(await api.edit(path(key), rateLimit="many"), "invalid", "/rateLimit")

    async def test_versions(self, api: ApiClient) -> None:
        """428 without If-Match, 412 with another version, also for the verbs."""
        key = await made(api)
        stale = {"If-Match": '"7"'}

        problem(await api.request("PATCH", path(key), json={"name": "x"}), "precondition-required")
        problem(await api.request("PATCH", path(key), json={"name": "x"}, headers=stale), "stale")
        for verb in ("rotate", "revoke"):
            problem(await api.request("POST", f"{path(key)}/{verb}", headers=stale), "stale")
        assert ok(await api.get(path(key)))["version"] == 1

    @pytest.mark.parametrize("field", ["scopes", "customer", *GIVEN])
    async def test_it_gains_no_rights(self, api: ApiClient, field: str) -> None:
        """Scopes and customer never change, nor what the server gives."""
        key = await made(api)

        problem(await api.edit(path(key), **{field: ["admin"]}), "invalid", f"/{field}")
        assert ok(await api.get(path(key)))["scopes"] == [READ]

    async def test_the_last_fifty_changes_stay(self, api: ApiClient) -> None:
        """The oldest went for the newest."""
        key = await made(api)
        for number in range(52):
            ok(await api.edit(path(key), name=f"name {number}"))

        history = ok(await api.get(path(key)))["history"]
        assert len(history) == 50
        assert {tuple(entry["changed"]) for entry in history} == {("name",)}

    async def test_changes_at_once_are_all_done(self, api: ApiClient) -> None:
        """Each is one version, with an entry of its own."""
        key = await made(api)
        answers = await asyncio.gather(*(api.edit(path(key), name=f"name {number}") for number in range(8)))

        assert sorted(ok(answer)["version"] for answer in answers) == [*range(2, 10)]
        assert len(ok(await api.get(path(key)))["history"]) == 9

    async def test_an_expired_key_never_comes_back(self, api: ApiClient) -> None:
        """Neither by another expiry nor by a rotation; revoking it is harmless."""
        key = await made(api)
        past = api.store.clock.now() - MINUTE
        await api.store.database["keys"].update_one({"_id": key["prefix"]}, {"$set": {"expiresAt": past}})

        assert ok(await api.get(path(key)))["state"] == "expired"
        problem(await api.edit(path(key), expiresAt="2100-01-01T00:00:00Z"), "forbidden-transition")
        problem(await api.request("POST", f"{path(key)}/rotate"), "forbidden-transition")
        assert ok(await api.request("POST", f"{path(key)}/revoke"))["state"] == "revoked"

    async def test_an_expiry_lies_ahead(self, api: ApiClient) -> None:
        """A key is ended by revoking it."""
        problem(await api.edit(path(await made(api)), expiresAt="2020-01-01T00:00:00Z"), "invalid", "/expiresAt")


class TestRotating:
    """A new secret; the old one ends at once or after the overlap."""

    async def test_without_an_overlap(self, api: ApiClient) -> None:
        """The old secret ends in this process at once, and the new one is shown this once."""
        key = await made(api)
        old = under(api, key["secret"])
        ok(await old.get("/v1/reservations"))
        rotated = ok(await api.request("POST", f"{path(key)}/rotate"))

        assert rotated["secret"] != key["secret"]
        problem(await old.get("/v1/reservations"), "unauthenticated")
        ok(await under(api, rotated["secret"]).get("/v1/reservations"))
        assert "oldSecretUntil" not in rotated
        assert rotated["history"][-1] == {"at": rotated["updatedAt"], "by": api.prefix, "changed": ["secret"]}

    async def test_with_an_overlap(self, api: ApiClient) -> None:
        """Both secrets work until its end, and the answer says when that is; then only the new one does."""
        key = await made(api)
        rotated = ok(await api.request("POST", f"{path(key)}/rotate", json={"overlapMinutes": 60}))

        for secret in (key["secret"], rotated["secret"]):
            ok(await under(api, secret).get("/v1/reservations"))
        assert rotated["oldSecretUntil"] == render(parse(rotated["updatedAt"]) + 60 * MINUTE)
        await self.end_overlaps(api, key)
        problem(await under(api, key["secret"]).get("/v1/reservations"), "unauthenticated")
        ok(await under(api, rotated["secret"]).get("/v1/reservations"))
        assert "oldSecretUntil" not in ok(await api.get(path(key)))

    @staticmethod
    async def end_overlaps(api: ApiClient, key: dict[str, Any]) -> None:
        """Let every overlap of a key be over; its first use reads it anew."""
        keys = api.store.database["keys"]
        row: dict[str, Any] | None = await keys.find_one({"_id": key["prefix"]})
        assert row is not None
        past = [each | {"until": each["until"] - 2 * DAY} for each in row["formerSecrets"]]
        await keys.update_one({"_id": key["prefix"]}, {"$set": {"formerSecrets": past}})
        ok(await api.edit(path(key), name="read anew"))

    async def test_a_lost_answer_locks_nobody_out(self, api: ApiClient) -> None:
        """Rotated again with an overlap, the secret that callers have still works."""
        key = await made(api)
        for _ in range(FORMER_SECRETS_MAX):
            last = ok(await api.request("POST", f"{path(key)}/rotate", json={"overlapMinutes": 60}))

        ok(await under(api, key["secret"]).get("/v1/reservations"))
        stored = await KeyStore(api.store).find(key["prefix"])
        assert stored is not None
        assert len(stored.former_secrets or ()) == FORMER_SECRETS_MAX
        ok(await api.request("POST", f"{path(key)}/rotate", json={"overlapMinutes": 60}))
        problem(await under(api, key["secret"]).get("/v1/reservations"), "unauthenticated")
        ok(await under(api, last["secret"]).get("/v1/reservations"))

    async def test_a_rotation_without_overlap_ends_those_of_earlier_ones(self, api: ApiClient) -> None:
        """It is what an operator does when a secret is known to others."""
        key = await made(api)
        second = ok(await api.request("POST", f"{path(key)}/rotate", json={"overlapMinutes": 60}))
        third = ok(await api.request("POST", f"{path(key)}/rotate", json={"overlapMinutes": 0}))

        for old in (key, second):
            problem(await under(api, old["secret"]).get("/v1/reservations"), "unauthenticated")
        ok(await under(api, third["secret"]).get("/v1/reservations"))

    @pytest.mark.parametrize("minutes", [-1, 10_081, 1.5, "60", None])
    async def test_an_overlap_is_at_most_a_week(self, api: ApiClient, minutes: object) -> None:
        """In whole minutes."""
        sent = {"overlapMinutes": minutes}
        answer = await api.request("POST", f"{path(await made(api))}/rotate", json=sent)

        problem(answer, "invalid", "/overlapMinutes")

    async def test_what_was_asked_under_it_stays_its_own(self, api: ApiClient) -> None:
        """A replay after the rotation is one, with either secret."""
        await api.resource()
        key = await made(api, scopes=[WRITE])
        first = await under(api, key["secret"]).book(key="k")
        rotated = ok(await api.request("POST", f"{path(key)}/rotate", json={"overlapMinutes": 60}))

        for secret in (key["secret"], rotated["secret"]):
            again = await under(api, secret).book(key="k")
            assert (again.content, again.headers["Idempotent-Replayed"]) == (first.content, "true")


class TestRevoking:
    """The end of a key."""

    async def test_it_ends_at_once_in_this_process(self, api: ApiClient) -> None:
        """With both its secrets; repeating it changes nothing."""
        key = await made(api)
        rotated = ok(await api.request("POST", f"{path(key)}/rotate", json={"overlapMinutes": 60}))
        for each in (key, rotated):
            ok(await under(api, each["secret"]).get("/v1/reservations"))
        revoked = ok(await api.request("POST", f"{path(key)}/revoke"))

        for each in (key, rotated):
            problem(await under(api, each["secret"]).get("/v1/reservations"), "unauthenticated")
        assert (revoked["state"], revoked["history"][-1]["changed"]) == ("revoked", ["revokedAt"])
        assert ok(await api.request("POST", f"{path(key)}/revoke")) == revoked
        problem(await api.edit(path(key), name="x"), "forbidden-transition")

    async def test_it_ends_within_a_second_in_the_others(self, api: ApiClient) -> None:
        """They remember what they have read for a second, and not longer."""
        clock = Second()
        other = Keyring(api.store, clock)
        key = await made(api)
        assert await other.caller(key["secret"]) is not None

        ok(await api.request("POST", f"{path(key)}/revoke"))
        clock.now += CACHE_SECONDS * 1.01
        assert await other.caller(key["secret"]) is None


class TestUses:
    """When a key was last used, to the minute."""

    async def test_a_use_is_written_once_a_minute(self, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """A thousand requests are one write of all keys, and the write is behind the requests."""
        written: list[list[str]] = []
        write_uses = KeyStore.write_uses

        async def counted(store: KeyStore, prefixes: list[str], minute: Any) -> None:
            written.append(sorted(prefixes))
            await write_uses(store, prefixes, minute)

        monkeypatch.setattr(KeyStore, "write_uses", counted)
        now = api.store.clock.millis()
        monkeypatch.setattr(api.store.clock, "millis", lambda: now)
        uses = KeyUses(api.store)
        ring = Keyring(api.store, uses=uses)
        issued = [await create_key(api.store, "x", [READ]) for _ in range(2)]
        for _ in range(500):
            for each in issued:
                assert await ring.caller(each.token) is not None
        assert written == []
        await uses.close()

        prefixes = sorted(each.key.id for each in issued)
        assert written == [prefixes]
        for prefix in prefixes:
            used = ok(await api.get(f"{KEYS}/{prefix}"))["lastUsedAt"]
            assert used.endswith(":00.000Z")
            assert timedelta(0) <= api.store.clock.now() - parse(used) < MINUTE

    async def test_a_wrong_secret_is_no_use(self, api: ApiClient) -> None:
        """Nor is a key that is over."""
        uses = KeyUses(api.store)
        ring = Keyring(api.store, uses=uses)
        key, over = await create_key(api.store, "x", [READ]), await create_key(api.store, "y", [READ])
        await Keys(api.store).revoke(over.key.id, "test")
        for token in (key.token[:-3] + "xyz", over.token):
            assert await ring.caller(token) is None
        await uses.close()

        for each in (key, over):
            assert "lastUsedAt" not in ok(await api.get(f"{KEYS}/{each.key.id}"))

    async def test_no_use_moves_the_last_one_back(self, api: ApiClient) -> None:
        """Whichever process writes last; and a change of the key at the same time loses none."""
        key = (await create_key(api.store, "x", [READ])).key
        later, now = api.store.clock.now() + DAY, api.store.clock.now()
        for minute in (later, now):
            await KeyStore(api.store).write_uses([key.id], minute)
        ok(await api.edit(f"{KEYS}/{key.id}", name="y"))

        assert ok(await api.get(f"{KEYS}/{key.id}"))["lastUsedAt"] == render(later)

    async def test_a_failed_write_is_made_up_for(self, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """A database that is away costs no request, and the next write brings the use."""

        async def away(*_: object) -> None:
            raise AutoReconnect("gone")

        uses = KeyUses(api.store)
        issued = await create_key(api.store, "x", [READ])
        uses.note(issued.key)
        with monkeypatch.context() as patched, capture_logs() as logged:
            patched.setattr(KeyStore, "write_uses", away)
            await uses._write()
        assert [line["event"] for line in logged] == ["the last uses of API keys are written later"]
        await uses.close()

        assert "lastUsedAt" in ok(await api.get(f"{KEYS}/{issued.key.id}"))

    async def test_a_key_in_use_that_expires_soon_is_warned_of(self, api: ApiClient) -> None:
        """Once a day and process, and as long as it is used; one that is not used or lasts longer is none."""
        now = api.store.clock.now()
        soon, later = render(now + EXPIRY_WARNING - MINUTE), render(now + EXPIRY_WARNING + DAY)
        keys = [await create_key(api.store, "x", [READ], expiresAt=expiry) for expiry in (soon, later, soon)]
        uses = KeyUses(api.store)
        with capture_logs() as logged:
            for key in keys[:2]:
                uses.note(key.key)
                uses._noted.clear()
                uses.note(key.key)
        await uses.close()

        assert [(line["log_level"], line["prefix"]) for line in logged if "expires" in line["event"]] == [
            ("warning", keys[0].key.id)
        ]
        assert [key.id for key in await keys_about_to_expire(api.store)] == [keys[0].key.id]
