"""Many requests for one slot at the same moment: what they cost together."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.availability.next_free import NextFree
from app.booking import Book, batch_runner
from app.reservations import refusals
from app.storage.client import Store
from tests.support.api_client import ApiClient, problem
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("transactions")

CROWD = 100


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the work of a refusal was done: batches run, intents judged, problems made, readings of bookings."""
    counts: Counter[str] = Counter()

    def count(owner: Any, name: str, what: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def counted(*arguments: Any) -> Any:
            counts[what] += 1
            return original(*arguments)

        monkeypatch.setattr(owner, name, counted)

    count(batch_runner, "attempt", "batches")
    count(Book, "judge", "judged")
    count(refusals, "refusal", "problems")
    count(NextFree, "_read", "readings")
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
    assert calls["readings"] <= calls["batches"]
    assert len({answer.pop("requestId") for answer in answers}) == CROWD
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]["nextFree"]) == 3


async def test_refusals_of_different_slots_share_what_their_advice_reads(
    app_client: httpx.AsyncClient, store: Store, calls: Counter[str]
) -> None:
    """A crowd that wants the taken slots of one day reads the bookings of the resource once a batch at most."""
    api = ApiClient(app_client, store)
    await api.resource()
    starts = [NINE + hour * HOUR for hour in range(6)]
    for start in starts:
        await api.booked(start)
    calls.clear()
    answers = await asyncio.gather(*(api.book(start) for start in starts * 5))

    assert calls["readings"] <= calls["batches"] < len(starts)
    assert {problem(answer, "conflict")["nextFree"][0] for answer in answers} == {"2030-01-07T15:00:00.000Z"}
