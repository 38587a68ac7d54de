"""The page of the day as the server renders it."""

import threading
from typing import Any

import httpx
import pytest
from bson import ObjectId

from app.console import today
from tests.support.api_client import ApiClient
from tests.support.times import HOUR


@pytest.mark.parametrize(
    "fields",
    [
        {"resource": None},
        {"resource": ObjectId("0123456789abcdef01234567")},
        {"timezone": "No/Where"},
        {"guests": "x"},
        {"notes": 3},
    ],
    ids=str,
)
async def test_rows_of_other_programs(api: ApiClient, browser: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    """Whatever other programs have stored, the day shows what of it can be read."""
    await api.resource()
    now = api.store.clock.now()
    made = await api.stored(await api.booked(notes="ours"))
    shift = {"startTime": now - HOUR, "endTime": now + HOUR}
    await api.store.database["reservations"].insert_one({**made, "_id": ObjectId(), **shift, **fields})

    shown = await browser.get("/console/today")

    assert shown.status_code == 200
    assert shown.text.count('class="row"') == 1


async def test_a_full_day(api: ApiClient, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of rows are put together, and written, beside the event loop."""
    await api.resource()
    now = api.store.clock.now()
    made = await api.stored(await api.booked())
    shift = {"startTime": now - HOUR, "endTime": now + HOUR}
    await api.store.database["reservations"].insert_many([{**made, "_id": ObjectId(), **shift} for _ in range(99)])
    threads: list[threading.Thread] = []
    who: Any = today.Row.who

    def noted(self: today.Row) -> str:
        threads.append(threading.current_thread())
        return str(who.fget(self))

    monkeypatch.setattr(today.Row, "who", property(noted))

    shown = await browser.get("/console/today")

    assert shown.text.count('class="row"') == len(threads) == 99
    assert threading.main_thread() not in threads
