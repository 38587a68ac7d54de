"""What a refused booking leaves behind in the process."""

import gc
from typing import Any

import pytest

from app.booking import Refused
from app.errors import Problem
from tests.support.api_client import ApiClient, problem


def refusals() -> int:
    """How many refusals there are in the process, those of other tests among them."""
    return sum(type(each) in (Refused, Problem) for each in gc.get_objects())


@pytest.mark.parametrize("hold", [{}, {"expiresInSeconds": 60}])
async def test_a_refusal_leaves_nothing_for_the_garbage_collector(api: ApiClient, hold: dict[str, Any]) -> None:
    """A collection stops all requests, so what a crowd of refused ones made must be freed as each is answered."""
    await api.resource()
    await api.booked()
    gc.collect()
    gc.disable()
    before = refusals()
    try:
        problem(await api.book(**hold), "conflict")
        after = refusals()
    finally:
        gc.enable()

    assert after == before
