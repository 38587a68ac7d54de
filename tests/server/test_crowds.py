"""Many requests for one slot at the same moment: what they cost together."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.availability.next_free import NextFree
from app.booking import Book, committer
from app.reservations import refusals
from app.storage.client import Store
from tests.support.api_client import ApiClient, problem

pytestmark = pytest.mark.servers("transactions")

CROWD = 100


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the work of a refusal was done: batches run, intents judged, problems made, searches of free starts."""
    counts: Counter[str] = Counter()

    def count(owner: Any, name: str, what: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def counted(*arguments: Any) -> Any:
            counts[what] += 1
            return original(*arguments)

        monkeypatch.setattr(owner, name, counted)

    count(committer, "attempt", "batches")
    count(Book, "judge", "judged")
    count(refusals, "refusal", "problems")
    count(NextFree, "_find", "searches")
    return counts


async def test_a_crowd_for_a_taken_slot_is_judged_and_answered_once_a_batch(
    app_client: httpx.AsyncClient, store: Store, calls: Counter[str]
) -> None:
    """All get the same answer, each under the id of its own request."""
    api = ApiClient(app_client, store)
    await api.resource()
    await api.booked()
    calls.clear()
    answers = [problem(each, "conflict") for each in await asyncio.gather(*(api.book() for _ in range(CROWD)))]

    assert 2 <= calls["batches"] < CROWD / 4
    assert calls["judged"] == calls["problems"] == calls["batches"]
    assert calls["searches"] <= calls["batches"]
    assert len({answer.pop("requestId") for answer in answers}) == CROWD
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]["nextFree"]) == 3
