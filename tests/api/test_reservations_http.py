"""The HTTP of reservations: methods, tags, ids of requests."""

from typing import Any

import pytest

from tests.support.api_client import NINE, RESERVATIONS, Visitor, at, good, made, problem, wanted

VERBS = ("confirm", "cancel", "complete", "no-show", "extend")


@pytest.fixture
async def shop(visitor: Visitor) -> Visitor:
    """A room and a customer."""
    await visitor.resource(capacity=9)
    await visitor.add("customers", id="ann")
    return visitor


async def test_other_methods_name_those_that_there_are(shop: Visitor) -> None:
    """405 with `Allow`, on every route; and nothing is done."""
    reservation = await shop.booked()
    paths = {
        RESERVATIONS: {"GET", "POST"},
        at(reservation): {"GET", "PATCH"},
        "/v1/customers/ann/reservations": {"GET"},
        **{f"{at(reservation)}/{verb}": {"POST"} for verb in VERBS},
    }

    for path, allowed in paths.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - allowed:
            answer = await shop.ask(method, path, json={}, headers={"If-Match": "*"})
            problem(answer, "method-not-allowed")
            assert allowed <= set(answer.headers["Allow"].split(", "))
            assert method not in answer.headers["Allow"].split(", ")
    assert await shop.read(reservation) == reservation


async def test_every_answer_has_the_id_of_its_request(shop: Visitor) -> None:
    """Taken over where it can be, whatever the answer is: made, read, refused, not found."""
    reservation = await shop.booked()
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", RESERVATIONS, {"json": wanted()}),
        ("POST", RESERVATIONS, {"json": {}}),
        ("POST", RESERVATIONS, {"content": b"{"}),
        ("GET", at(reservation), {}),
        ("GET", f"{RESERVATIONS}/x", {}),
        ("PATCH", at(reservation), {"json": {}}),
        ("PUT", at(reservation), {}),
        ("POST", f"{at(reservation)}/cancel", {}),
    ]

    for number, (method, path, more) in enumerate(requests):
        answer = await shop.ask(method, path, headers={"X-Request-Id": f"request-{number}"}, **more)
        assert answer.headers.get_list("X-Request-Id") == [f"request-{number}"]
        made_up = await shop.ask(method, path, headers={"X-Request-Id": "x" * 65}, **more)
        assert made_up.headers["X-Request-Id"] not in {"", "x" * 65, f"request-{number}"}


async def test_a_replay_has_the_id_of_its_own_request(shop: Visitor) -> None:
    """It is the only other header that differs."""
    made(await shop.book(key="k"))
    body: dict[str, Any] = {"json": wanted(NINE), "headers": {"Idempotency-Key": "k", "X-Request-Id": "second"}}
    again = await shop.ask("POST", RESERVATIONS, **body)

    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["X-Request-Id"] == "second"


async def test_every_verb_shows_the_tag_that_the_next_change_needs(shop: Visitor) -> None:
    """From its ETag on, the next PATCH goes through; with the one before it is stale."""
    for verb in ("confirm", "cancel", "extend"):
        reservation = await shop.booked(expiresInSeconds=60)
        more: dict[str, Any] = {"json": {"expiresInSeconds": 90}} if verb == "extend" else {}
        answer = await shop.ask("POST", f"{at(reservation)}/{verb}", **more)
        good(answer)
        stale, fresh = [
            await shop.ask("PATCH", at(reservation), json={"notes": "x"}, headers={"If-Match": tag})
            for tag in ('"1"', answer.headers["ETag"])
        ]

        problem(stale, "stale")
        assert good(fresh)["version"] == 3
