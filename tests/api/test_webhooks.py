"""`/v1/webhooks`: webhooks are made, changed, rotated, replayed, tested and deleted over REST."""

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.events.event_ids import event_id
from app.settings import Settings
from app.storage.documents import WebhookDelivery
from app.storage.event_log import RELAY
from app.storage.webhooks import WebhookStore
from app.webhooks import service
from app.webhooks.secret_box import SecretBox, SecretUnreadable
from tests.support.api_client import ApiClient, created, ok, problem

WEBHOOKS = "/v1/webhooks"
URL = "https://hooks.example.com/reserva"
GIVEN = ["id", "secret", "cursor", "version", "history", "pausedAt", "failures", "nextAt"]
"""What the server alone gives a webhook."""


async def made(api: ApiClient, **fields: Any) -> dict[str, Any]:
    """Create a webhook over HTTP."""
    return created(await api.request("POST", WEBHOOKS, json={"url": URL} | fields))


async def act(api: ApiClient, webhook: dict[str, Any], verb: str, **more: Any) -> Any:
    """`rotate` it, `replay` it, …."""
    return await api.request("POST", f"{path(webhook)}/{verb}", **more)


def path(webhook: dict[str, Any]) -> str:
    """The path of a webhook."""
    return f"{WEBHOOKS}/{webhook['id']}"


async def set_bounds(api: ApiClient, floor: int, last: int) -> None:
    """Let the log have the events after one place up to another."""
    await api.store.database["leases"].update_one(
        {"_id": RELAY}, {"$set": {"floor": floor, "place": last, "epoch": 1}}, upsert=True
    )


async def set_state(api: ApiClient, webhook: dict[str, Any], **fields: Any) -> None:
    """Change what is stored of a webhook, as a delivery does."""
    await api.store.database["webhooks"].update_one({"_id": ObjectId(webhook["id"])}, {"$set": fields})


class TestCreating:
    """A webhook with its secret, once."""

    async def test_the_secret_is_shown_once(self, api: ApiClient) -> None:
        """In the answer of the POST, and in no other."""
        answer = await api.request("POST", WEBHOOKS, json={"url": URL})
        webhook = created(answer)
        secret = webhook.pop("secret")

        assert (answer.headers["Location"], answer.headers["ETag"]) == (path(webhook), '"1"')
        assert secret.startswith("whsec_")
        assert ok(await api.get(path(webhook))) == webhook
        assert ok(await api.get(WEBHOOKS)) == {"items": [webhook]}
        assert (webhook["active"], webhook["failures"], webhook["version"]) == (True, 0, 1)
        (entry,) = webhook["history"]
        assert (entry["by"], entry["changed"]) == (api.prefix, ["url"])

    async def test_it_begins_with_the_next_event(self, api: ApiClient) -> None:
        """Its cursor is the last event that there was at its creation."""
        await set_bounds(api, 10, 42)

        assert (await made(api))["cursor"] == event_id(42) == "0000000000000042"

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "example.com",
            "ftp://example.com/",
            "file:///etc/passwd",
            "https://",
            "https://me@example.com/",
            "https://me:pass@example.com/",
            "https://example.com/#part",
            "https://example.com:0/",
            "https://example.com:99999/",
            "https://exa mple.com/",
            "https://example.com/\n",
            "https://[::1/",
            "http://a[b/",
            "http://a]b/",
            "https://exa[mple.com/x",
            "https://" + "x" * 2_050 + ".example.com/",
            "http://127.0.0.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://[::1]:8000/",
            "http://[::ffff:10.0.0.1]/",
            7,
            None,
        ],
    )
    async def test_other_addresses_are_refused(self, api: ApiClient, url: Any) -> None:
        """A scheme that is not of the web, a user, what cannot be read, and an address that is not public."""
        refused = problem(await api.request("POST", WEBHOOKS, json={"url": url}), "invalid")

        assert [each["pointer"] for each in refused["errors"]] == ["/url"]
        assert await api.store.database["webhooks"].count_documents({}) == 0

    @pytest.mark.parametrize(
        "fields",
        [
            {"types": []},
            {"types": ["reservation.eaten"]},
            {"types": ["reservation.moved"] * 2},
            {"types": "reservation.moved"},
            {"resources": []},
            {"resources": ["nowhere"]},
            {"resources": ["a b"]},
            {"resources": ["a"] * 201},
            {"active": "yes"},
            {"active": None},
            *({name: "x"} for name in GIVEN),
        ],
    )
    async def test_faults_are_named(self, api: ApiClient, fields: dict[str, Any]) -> None:
        """Unknown types and resources, empty lists, repetitions, and what the server gives."""
        refused = problem(await api.request("POST", WEBHOOKS, json={"url": URL} | fields), "invalid")

        assert all(each["pointer"].startswith(f"/{next(iter(fields))}") for each in refused["errors"])

    async def test_there_are_not_too_many(self, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """One more than the most is refused, until one is deleted."""
        monkeypatch.setattr(service, "WEBHOOKS_MAX", 2)
        first, _ = [await made(api) for _ in "12"]
        problem(await api.request("POST", WEBHOOKS, json={"url": URL}), "invalid")
        assert (await api.request("DELETE", path(first))).status_code == 204

        await made(api)

    async def test_pages(self, api: ApiClient) -> None:
        """In the order in which they were made."""
        ids = [(await made(api))["id"] for _ in range(3)]
        first = ok(await api.get(WEBHOOKS, limit=2))
        second = ok(await api.get(WEBHOOKS, limit=2, cursor=first["next"]))

        assert [each["id"] for page in (first, second) for each in page["items"]] == ids
        assert "next" not in second
        problem(await api.get(WEBHOOKS, cursor="WyJ4Il0"), "invalid")

    @pytest.mark.parametrize("scope", ["reservations:read", "reservations:admin", "findings:review", "catalogue:write"])
    async def test_it_is_the_work_of_admins(self, api: ApiClient, scope: str) -> None:
        """No other scope reads or writes webhooks."""
        other = await api.with_scopes(scope)

        problem(await other.get(WEBHOOKS), "forbidden")
        problem(await other.request("POST", WEBHOOKS, json={"url": URL}), "forbidden")


class TestChanging:
    """PATCH, rotate, replay and DELETE."""

    async def test_a_patch_merges(self, api: ApiClient) -> None:
        """What is left out stays, null unsets, and the history says who changed what."""
        await api.resource("room")
        webhook = await made(api, types=["reservation.moved"], resources=["room"])
        patched = await api.edit(path(webhook), types=None, resources=["room"], active=False)

        assert patched.headers["ETag"] == '"2"'
        assert "types" not in ok(patched)
        assert (patched.json()["active"], patched.json()["resources"]) == (False, ["room"])
        assert patched.json()["history"][-1]["changed"] == ["types", "active"]

    async def test_versions(self, api: ApiClient) -> None:
        """A change needs the version; one that changes nothing makes none; a stale one is refused."""
        webhook = await made(api)
        problem(await api.request("PATCH", path(webhook), json={"active": False}), "precondition-required")
        same = await api.edit(path(webhook), url=URL, active=True)
        assert same.headers["ETag"] == '"1"'
        await api.edit(path(webhook), active=False)
        stale = {"If-Match": '"1"'}

        problem(await api.request("PATCH", path(webhook), json={"active": True}, headers=stale), "stale")
        problem(await api.request("DELETE", path(webhook), headers=stale), "stale")
        problem(await act(api, webhook, "rotate", headers=stale), "stale")
        problem(await act(api, webhook, "replay", json={"after": event_id(0)}, headers=stale), "stale")

    async def test_a_delivery_is_no_change(self, api: ApiClient) -> None:
        """The cursor moves without a new version, and a patch leaves it where it is."""
        webhook = await made(api)
        await set_state(api, webhook, cursor=7, failures=3)
        patched = ok(await api.edit(path(webhook), types=["reservation.moved"]))

        assert (patched["cursor"], patched["failures"], patched["version"]) == (event_id(7), 3, 2)

    @pytest.mark.parametrize(
        ("patch", "failures"), [({"active": True}, 0), ({"url": URL + "/2"}, 99), ({"types": None}, 99)]
    )
    async def test_a_pause_is_ended_by_being_active(self, api: ApiClient, patch: dict[str, Any], failures: int) -> None:
        """`active: true` takes up a webhook that was paused; another change leaves it paused."""
        webhook = await made(api, types=["reservation.moved"])
        now = api.store.clock.now()
        await set_state(api, webhook, pausedAt=now, pausedBecause="it answered 500", failures=99, failingSince=now)
        patched = ok(await api.edit(path(webhook), **patch))

        assert ("pausedAt" in patched, patched["failures"]) == (failures > 0, failures)
        if not failures:
            assert patched["history"][-1]["changed"] == ["pausedAt"]

    async def test_another_url_is_tried_at_once(self, api: ApiClient) -> None:
        """The pause after a failure is that of the old one."""
        webhook = await made(api)
        await set_state(api, webhook, failures=9, nextAt=api.store.clock.now() + timedelta(hours=1))
        patched = ok(await api.edit(path(webhook), url=URL + "/2"))

        assert (patched["failures"], "nextAt" in patched) == (0, False)

    async def test_a_rotation_with_an_overlap(self, api: ApiClient) -> None:
        """There is a new secret, and the old one signs for a while as well; without an overlap it ends."""
        webhook = await made(api)
        rotated = ok(await act(api, webhook, "rotate", json={"overlapMinutes": 60}))
        stored = await WebhookStore(api.store).find(ObjectId(webhook["id"]))
        assert stored is not None
        assert stored.former_secrets is not None
        assert [each.secret for each in stored.former_secrets] == [webhook["secret"]]
        assert stored.secret == rotated["secret"] != webhook["secret"]
        assert "oldSecretUntil" in rotated
        again = ok(await act(api, webhook, "rotate"))

        assert "oldSecretUntil" not in again
        assert again["history"][-1]["changed"] == ["secret"]
        assert webhook["secret"] not in (await api.get(path(webhook))).text
        problem(await act(api, webhook, "rotate", json={"overlapMinutes": 10_081}), "invalid")

    async def test_a_replay_sets_the_cursor(self, api: ApiClient) -> None:
        """Back to any event that is kept, or forward to the last; it ends a pause."""
        await set_bounds(api, 10, 42)
        webhook = await made(api)
        await set_state(api, webhook, pausedAt=api.store.clock.now(), failures=4)
        back = ok(await act(api, webhook, "replay", json={"after": event_id(10)}))

        assert (back["cursor"], back["failures"], "pausedAt" in back) == (event_id(10), 0, False)
        assert back["history"][-1]["changed"] == ["cursor", "pausedAt"]
        assert ok(await act(api, webhook, "replay", json={"after": event_id(42)}))["cursor"] == event_id(42)
        problem(await act(api, webhook, "replay", json={"after": event_id(9)}), "gone")
        problem(await act(api, webhook, "replay", json={"after": event_id(43)}), "invalid")
        for wrong in ("42", "", "now", 42, None, "9" * 17, "000000000000004\u0662"):
            problem(await act(api, webhook, "replay", json={"after": wrong}), "invalid")

    async def test_deleting(self, api: ApiClient) -> None:
        """It is gone, with all that belongs to it; what never was is gone as well."""
        webhook = await made(api)
        answer = await api.request("DELETE", path(webhook))

        assert (answer.status_code, answer.content) == (204, b"")
        for missing in (webhook["id"], "x", "0" * 24):
            for method, more in (("GET", ""), ("GET", "/deliveries"), ("DELETE", ""), ("POST", "/test")):
                problem(await api.request(method, f"{WEBHOOKS}/{missing}{more}"), "not-found")

    async def test_methods(self, api: ApiClient) -> None:
        """HEAD is answered like GET, OPTIONS names what there is, and verbs take no Idempotency-Key."""
        webhook = await made(api)

        assert (await api.request("HEAD", path(webhook))).headers["ETag"] == '"1"'
        assert (await api.request("OPTIONS", path(webhook))).headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH"
        for verb in ("rotate", "replay", "test"):
            problem(await act(api, webhook, verb, json={}, headers={"Idempotency-Key": "k"}), "invalid")


class TestSecrets:
    """How secrets are stored."""

    def test_a_key_seals_them(self) -> None:
        """With a key the secret is not in the database; without the key it cannot be opened there."""
        keys = [Settings(secrets_key=each).sealing_keys() for each in ("A" * 43 + "=", "B" * 42 + "A=")]
        old, new = (SecretBox(each) for each in keys)
        sealed = old.seal("whsec_c2VjcmV0")

        assert "c2VjcmV0" not in sealed
        assert old.open(sealed) == b"secret"
        for other in (new, SecretBox([])):
            with pytest.raises(SecretUnreadable):
                other.open(sealed)
        both = SecretBox([*keys[1], *keys[0]])
        assert both.open(sealed) == b"secret"
        assert new.open(both.seal("whsec_c2VjcmV0")) == b"secret"
        assert new.open("whsec_c2VjcmV0") == b"secret"


class TestDeliveries:
    """The list of attempts."""

    async def test_the_newest_is_first(self, api: ApiClient) -> None:
        """Pages go back in time, also through attempts of the same instant; those of others are not among them."""
        webhook, other = await made(api), await made(api)
        now = api.store.clock.now()
        for place, minutes in enumerate((3, 2, 2, 2, 1)):
            for each in (webhook, other):
                await WebhookStore(api.store).record(
                    WebhookDelivery(
                        id=ObjectId(),
                        webhook=ObjectId(each["id"]),
                        event=event_id(place),
                        type="reservation.created",
                        at=now - timedelta(minutes=minutes),
                        number=1,
                        status=204,
                        milliseconds=place,
                    )
                )
        seen: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = ok(await api.get(f"{path(webhook)}/deliveries", limit=2, **cursor))
            seen += page["items"]
            if "next" not in page:
                break
            cursor = {"cursor": page["next"]}

        assert [each["event"] for each in seen] == [event_id(place) for place in (4, 3, 2, 1, 0)]
        assert seen[0] == {
            "delivered": True,
            "event": event_id(4),
            "type": "reservation.created",
            "at": seen[0]["at"],
            "attempt": 1,
            "status": 204,
            "milliseconds": 4,
        }
        problem(await api.get(f"{path(webhook)}/deliveries", cursor="WzEsIngiXQ"), "invalid")


@pytest.mark.parametrize("field", ["url", "active"])
async def test_what_every_webhook_has_cannot_be_unset(api: ApiClient, field: str) -> None:
    """Null is refused by the name of the field, and nothing is changed."""
    webhook = await made(api)
    answer = await api.request("PATCH", path(webhook), json={field: None}, headers={"If-Match": "*"})

    assert problem(answer, "invalid")["errors"][0]["pointer"] == f"/{field}"
    assert ok(await api.get(path(webhook)))["version"] == 1
