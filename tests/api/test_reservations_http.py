"""The HTTP of reservations: methods, tags, ids of requests."""

from typing import Any

import pytest

from tests.support.api_client import RESERVATIONS, ApiClient, booking_body, created, ok, path_of, problem
from tests.support.times import NINE

VERBS = ("confirm", "cancel", "complete", "no-show", "extend")


@pytest.fixture
async def api(api: ApiClient) -> ApiClient:
    """A room and a customer."""
    await api.resource(capacity=9)
    await api.add("customers", id="ann")
    return api


async def test_other_methods_name_those_that_there_are(api: ApiClient) -> None:
    """405 with `Allow`, on every route; and nothing is done."""
    reservation = await api.booked()
    paths = {
        RESERVATIONS: {"GET", "POST"},
        path_of(reservation): {"GET", "PATCH"},
        "/v1/customers/ann/reservations": {"GET"},
        **{f"{path_of(reservation)}/{verb}": {"POST"} for verb in VERBS},
    }

    for path, allowed in paths.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - allowed:
            answer = await api.request(method, path, json={}, headers={"If-Match": "*"})
            problem(answer, "method-not-allowed")
            assert allowed <= set(answer.headers["Allow"].split(", "))
            assert method not in answer.headers["Allow"].split(", ")
    assert await api.read(reservation) == reservation


async def test_every_answer_has_the_id_of_its_request(api: ApiClient) -> None:
    """Taken over where it can be, whatever the answer is: made, read, refused, not found."""
    reservation = await api.booked()
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", RESERVATIONS, {"json": booking_body()}),
        ("POST", RESERVATIONS, {"json": {}}),
        ("POST", RESERVATIONS, {"content": b"{"}),
        ("GET", path_of(reservation), {}),
        ("GET", f"{RESERVATIONS}/x", {}),
        ("PATCH", path_of(reservation), {"json": {}}),
        ("PUT", path_of(reservation), {}),
        ("POST", f"{path_of(reservation)}/cancel", {}),
    ]

    for number, (method, path, more) in enumerate(requests):
        answer = await api.request(method, path, headers={"X-Request-Id": f"request-{number}"}, **more)
        assert answer.headers.get_list("X-Request-Id") == [f"request-{number}"]
        made_up = await api.request(method, path, headers={"X-Request-Id": "x" * 65}, **more)
        assert made_up.headers["X-Request-Id"] not in {"", "x" * 65, f"request-{number}"}


async def test_a_replay_has_the_id_of_its_own_request(api: ApiClient) -> None:
    """It is the only other header that differs."""
    created(await api.book(key="k"))
    body: dict[str, Any] = {"json": booking_body(NINE), "headers": {"Idempotency-Key": "k", "X-Request-Id": "second"}}
    again = await api.request("POST", RESERVATIONS, **body)

    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["X-Request-Id"] == "second"


async def test_every_verb_shows_the_tag_that_the_next_change_needs(api: ApiClient) -> None:
    """From its ETag on, the next PATCH goes through; with the one before it is stale."""
    for verb in ("confirm", "cancel", "extend"):
        reservation = await api.booked(expiresInSeconds=60)
        more: dict[str, Any] = {"json": {"expiresInSeconds": 90}} if verb == "extend" else {}
        answer = await api.request("POST", f"{path_of(reservation)}/{verb}", **more)
        ok(answer)
        stale, fresh = [
            await api.request("PATCH", path_of(reservation), json={"notes": "x"}, headers={"If-Match": tag})
            for tag in ('"1"', answer.headers["ETag"])
        ]

        problem(stale, "stale")
        assert ok(fresh)["version"] == 3
