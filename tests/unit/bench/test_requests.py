"""What a load asks, request by request."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from app.bench.loads import CONFLICT, CREATED, WANTED, LoadPlan
from app.bench.requests import Requests

SPREAD = LoadPlan(
    port=1, token="rsv_x", workload="spread", resources=["a", "b", "c"], connections=4, seconds=1, first_slot=7, seed=3
)
HOT = replace(SPREAD, workload="hot", resources=["h"])


def parsed(content: bytes) -> tuple[dict[str, str], dict[str, Any]]:
    """The headers and the body of a request, of which the Content-Length must be right."""
    head, _, body = content.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/reservations HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert int(headers["Content-Length"]) == len(body)
    return headers, json.loads(body)


def test_every_request_of_a_spread_asks_for_a_free_slot() -> None:
    """No slot of a resource is asked for twice, and those of one resource touch, from the first free one on."""
    requests = Requests(SPREAD)
    bodies = [parsed(requests.next().content)[1] for _ in range(300)]
    by_resource = {name: [body for body in bodies if body["resource"] == name] for name in SPREAD.resources}

    assert all(by_resource.values())
    for those in by_resource.values():
        assert those[0]["startTime"] == "2030-01-01T05:15:00Z"  # the slot 7 of 45 minutes
        assert all(one["endTime"] == other["startTime"] for one, other in pairwise(those))
    assert requests.next_slot == 7 + max(len(those) for those in by_resource.values())


def test_half_of_the_requests_carry_a_key_of_their_own() -> None:
    """Every second request has an Idempotency-Key, and no two have the same, nor has another load on that database."""
    several = [Requests(plan) for plan in (SPREAD, replace(SPREAD, seed=4), HOT)]
    headers = [parsed(requests.next().content)[0] for requests in several for _ in range(100)]
    keys = Counter(each["Idempotency-Key"] for each in headers if "Idempotency-Key" in each)

    assert len(keys) == 150
    assert {each["Authorization"] for each in headers} == {"Bearer rsv_x"}


def test_a_load_can_be_repeated() -> None:
    """The same plan asks for the same slots in the same order; another seed for another order."""
    asked = [[requests.next() for _ in range(50)] for requests in (Requests(SPREAD), Requests(SPREAD))]
    other = Requests(replace(SPREAD, seed=4))

    assert asked[0] == asked[1]
    assert [other.next() for _ in range(50)] != asked[0]


@pytest.mark.parametrize("status", [CREATED, CONFLICT])
def test_a_hot_slot_is_wanted_until_it_is_taken(status: int) -> None:
    """All requests ask for the next few slots; one that is known to be taken is replaced by the one after them."""
    requests = Requests(HOT)
    window = {requests.next().slot for _ in range(500)}
    requests.learn(9, status)
    later = {requests.next().slot for _ in range(500)}

    assert window == set(range(7, 7 + WANTED))
    assert later == window - {9} | {7 + WANTED}
    assert requests.next_slot == 8 + WANTED


def test_a_failure_takes_no_slot() -> None:
    """A request that failed leaves its slot wanted, and so does a late answer about a slot that is taken already."""
    requests = Requests(HOT)
    for slot, status in ((8, 503), (9, CREATED), (9, CONFLICT)):
        requests.learn(slot, status)

    assert {requests.next().slot for _ in range(500)} == {7, 8, *range(10, 8 + WANTED)}
