"""Idempotency-Key: the first answer byte for byte, whatever has changed since, for one caller and route."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from app.access.service import Keys
from app.domain.instants import render
from tests.support.api_client import RESERVATIONS, ApiClient, booking_body, created, ok, problem
from tests.support.http_client import serving
from tests.support.times import HOUR, MINUTE, NINE


@pytest.fixture
async def api(api: ApiClient) -> ApiClient:
    """A room with a service, a hall, a customer."""
    await api.service()
    await api.resource(services=["cut"])
    await api.resource("hall")
    await api.add("customers", id="ann")
    return api


def assert_replays(first: httpx.Response, again: httpx.Response) -> None:
    """Status, body, Location, ETag and type are the first answer's; only the one header is new."""
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in ("Location", "ETag", "Content-Type"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers


async def count(api: ApiClient) -> int:
    """How many reservations there are."""
    return int(await api.store.database["reservations"].count_documents({}))


@pytest.mark.promise("idempotency")
class TestReplay:
    """The same key with the same JSON."""

    async def test_the_first_answer_again(self, api: ApiClient) -> None:
        """Though its time is taken now, by itself."""
        first = await api.book(key="k", notes="Grüße ☂", metadata={"a": 1.0, "b": "\u2028"})
        created(first)

        assert_replays(first, await api.book(key="k", notes="Grüße ☂", metadata={"a": 1.0, "b": "\u2028"}))
        assert await count(api) == 1

    async def test_whatever_happened_to_the_reservation_since(self, api: ApiClient) -> None:
        """Moved, renoted, handed over, cancelled: the answer stays as it was, to the byte."""
        first = await api.book(key="k", notes="x", metadata={"a": 1})
        reservation = created(first)
        ok(await api.change(reservation, startTime=render(NINE + HOUR), notes=None, customer="ann"))
        assert_replays(first, await api.book(key="k", notes="x", metadata={"a": 1}))

        ok(await api.verb(reservation, "cancel"))
        assert_replays(first, await api.book(key="k", notes="x", metadata={"a": 1}))
        assert (await api.read(reservation))["version"] == 3
        assert await count(api) == 1

    async def test_whatever_happened_to_what_was_booked(self, api: ApiClient) -> None:
        """Service and resource switched off, no longer offered, asking for more notice: replayed all the same."""
        first = await api.book(service="cut", key="k")
        created(first)
        ok(await api.edit("/v1/services/cut", active=False, durationMinutes=15, minimumNoticeMinutes=500_000))
        forced: dict[str, Any] = {
            "json": {"active": False, "services": []},
            "headers": {"If-Match": "*"},
            "params": {"force": "true"},
        }
        ok(await api.request("PATCH", "/v1/resources/room", **forced))

        assert_replays(first, await api.book(service="cut", key="k"))

    async def test_a_start_that_is_too_near_by_now(self, api: ApiClient) -> None:
        """Replays come before any judgement: the request was fine when it came first."""
        start = api.store.clock.now() + HOUR
        first = await api.book(start, service="cut", key="k")
        created(first)
        ok(await api.edit("/v1/services/cut", minimumNoticeMinutes=120))

        assert_replays(first, await api.book(start, service="cut", key="k"))

    async def test_an_expired_hold_is_answered_as_the_hold_that_it_was(self, api: ApiClient) -> None:
        """Pending, with its end; reading it tells the rest."""
        first = await api.book(expiresInSeconds=60, key="k")
        hold = created(first)
        await api.expire(hold)
        await api.booked()

        assert_replays(first, await api.book(expiresInSeconds=60, key="k"))
        assert (await api.read(hold))["status"] == "expired"

    async def test_the_same_json_however_it_is_written(self, api: ApiClient) -> None:
        """Order of members, white space and escapes make no other body."""
        body = booking_body(notes="é", metadata={"a": 1, "b": 2})
        headers = {"Idempotency-Key": "k"}
        first = await api.request("POST", RESERVATIONS, content=json.dumps(body).encode(), headers=headers)
        turned = {name: body[name] for name in reversed([*body])} | {"metadata": {"b": 2, "a": 1}}
        written = json.dumps(turned, indent=2, ensure_ascii=False).encode()

        created(first)
        assert_replays(first, await api.request("POST", RESERVATIONS, content=written, headers=headers))
        assert_replays(first, await api.request("POST", f"{RESERVATIONS}/", content=written, headers=headers))

    @pytest.mark.parametrize("key", ["!", "x" * 255, "a:b/c$d.e", "9f1b0c1e-6c1f-4a1e-9a55-1d1c5d2f4d10"])
    async def test_any_visible_characters_are_a_key(self, api: ApiClient, key: str) -> None:
        """1 to 255 of them."""
        first = await api.book(key=key)

        created(first)
        assert_replays(first, await api.book(key=key))
        problem(await api.book(key=f"{key[:-1]}~"), "conflict")

    async def test_replays_change_nothing(self, api: ApiClient) -> None:
        """Nothing is written by one."""
        await api.book(key="k")
        before = await api.contents()

        created(await api.book(key="k"))
        assert await api.contents() == before

    async def test_without_a_key_no_answer_is_stored(self, api: ApiClient) -> None:
        """And a key is never shown."""
        plain = await api.booked()
        keyed = created(await api.book(NINE + HOUR, key="k"))

        assert not {"idempotencyKey", "idempotency"} & (await api.stored(plain)).keys()
        assert not [name for name in keyed if "idem" in name.lower()]
        assert "k" not in (await api.stored(keyed))["idempotencyKey"]

    async def test_equal_requests_at_once_make_one_booking(self, api: ApiClient) -> None:
        """One first answer, all others its replays."""
        answers = await asyncio.gather(*(api.book(key="k") for _ in range(32)))

        assert await count(api) == 1
        assert len({answer.content for answer in answers}) == 1
        assert {answer.status_code for answer in answers} == {201}
        assert sorted("Idempotent-Replayed" in answer.headers for answer in answers) == [False] + [True] * 31

    async def test_two_bodies_at_once_make_one_booking(self, api: ApiClient) -> None:
        """One of them wins; the other body is refused as a mismatch."""
        starts = [NINE, NINE + 5 * HOUR] * 8
        answers = await asyncio.gather(*(api.book(start, key="k") for start in starts))
        wins = {start for start, answer in zip(starts, answers, strict=True) if answer.status_code == 201}

        assert await count(api) == 1
        assert len(wins) == 1
        for start, answer in zip(starts, answers, strict=True):
            if start not in wins:
                problem(answer, "idempotency-mismatch")


class TestMismatch:
    """The same key with another body."""

    @pytest.mark.parametrize(
        "other",
        [
            {"guests": 2},
            {"guests": 1},
            {"notes": ""},
            {"startTime": "2030-01-07T10:00:00+01:00"},
            {"resource": "hall"},
            {"metadata": {}},
        ],
    )
    async def test_it_is_refused(self, api: ApiClient, other: dict[str, Any]) -> None:
        """It is the JSON that counts, not what it means; and nothing is written."""
        created(await api.book(key="k"))
        before = await api.contents()

        problem(await api.post(booking_body() | other, key="k"), "idempotency-mismatch")
        assert await api.contents() == before

    async def test_a_bad_body_is_judged_by_its_shape_first(self, api: ApiClient) -> None:
        """What is not valid is no other request; the key still gives its answer afterwards."""
        first = await api.book(key="k")

        problem(await api.post(booking_body() | {"guests": 0}, key="k"), "invalid", "/guests")
        problem(await api.request("POST", RESERVATIONS, content=b"{", headers={"Idempotency-Key": "k"}), "malformed")
        assert_replays(first, await api.book(key="k"))


class TestRefused:
    """A refused request stores nothing."""

    async def test_its_repetition_is_judged_afresh(self, api: ApiClient) -> None:
        """Taken, then free; also with another body in between."""
        taken = await api.booked()
        before = await api.contents()
        problem(await api.book(key="k"), "conflict")
        assert await api.contents() == before

        ok(await api.verb(taken, "cancel"))
        first = await api.book(NINE + MINUTE, key="k")
        assert "Idempotent-Replayed" not in first.headers
        assert_replays(first, await api.book(NINE + MINUTE, key="k"))
        problem(await api.book(key="k"), "idempotency-mismatch")

    async def test_whatever_it_was_refused_for(self, api: ApiClient) -> None:
        """A rule, an unknown id, a missing scope, the hold limit: the key is as new."""
        clerk = await api.with_scopes("reservations:write")
        problem(await clerk.book(service="dye-1", key="k"), "invalid", "/service")
        problem(await clerk.book(length=2 * HOUR, service="cut", key="k"), "rule")
        problem(await clerk.post(booking_body(), key="k", force="true"), "forbidden")
        problem(await clerk.post({}, key="k"), "invalid")

        created(await clerk.book(key="k"))


class TestCallers:
    """Keys of others are invisible."""

    async def test_another_api_key_makes_its_own_booking(self, api: ApiClient) -> None:
        """The same Idempotency-Key and body: no replay, no mismatch, no hint."""
        other = await api.with_scopes("reservations:write")
        mine = await api.book(resource="hall", key="k")
        theirs = await other.book(NINE + HOUR, resource="hall", key="k")

        assert created(mine)["id"] != created(theirs)["id"]
        assert "Idempotent-Replayed" not in theirs.headers
        assert_replays(mine, await api.book(resource="hall", key="k"))
        assert_replays(theirs, await other.book(NINE + HOUR, resource="hall", key="k"))
        problem(await other.book(resource="hall", key="k"), "idempotency-mismatch")
        problem(await (await api.with_scopes("reservations:write")).book(resource="hall", key="k"), "conflict")

    async def test_at_once_they_do_not_wait_for_each_other(self, api: ApiClient) -> None:
        """Each caller's key makes one booking."""
        others = [await api.with_scopes("reservations:write") for _ in range(4)]
        await api.resource("plaza", capacity=10)
        answers = await asyncio.gather(*(other.book(resource="plaza", key="k") for other in others for _ in range(4)))

        assert len({created(answer)["id"] for answer in answers}) == 4

    async def test_a_rotated_key_is_the_same_caller(self, api: ApiClient) -> None:
        """Its id survives, and so does what was asked under it; so it does a restart of the app."""
        clerk = await api.with_scopes("reservations:write")
        first = await clerk.book(key="k")
        token = (await Keys(api.store).rotate(clerk.prefix, "test")).token
        async with serving(api.store) as client:
            client.headers["Authorization"] = f"Bearer {token}"

            assert_replays(first, await ApiClient(client, api.store).book(key="k"))

    @pytest.mark.parametrize("path", ["/v1/resources", "/v1/services", "/v1/customers"])
    async def test_other_posts_refuse_it(self, api: ApiClient, path: str) -> None:
        """Where it would be ignored it is refused."""
        answer = await api.request("POST", path, json={"name": "x"}, headers={"Idempotency-Key": "k"})

        problem(answer, "invalid")

    async def test_a_replay_needs_the_scope_still(self, api: ApiClient) -> None:
        """Who may not book gets no answer of a booking."""
        reader = await api.with_scopes("reservations:read")
        created(await api.book(key="k"))

        assert "reservations:write" in problem(await reader.book(key="k"), "forbidden")["detail"]
