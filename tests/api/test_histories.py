"""A history keeps its last fifty lines, whichever operation writes the next one."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bson import ObjectId

from app.booking.expiry import complete_ended, expire_lapsed
from tests.support.api_client import ApiClient, created, ok
from tests.support.step_driver import running_booking_service
from tests.support.times import HOUR, NINE

Change = Callable[[ApiClient, dict[str, Any]], Awaitable[None]]
KEPT = 50


async def cancelled(api: ApiClient, reservation: dict[str, Any]) -> None:
    """By its caller."""
    ok(await api.verb(reservation, "cancel"))


async def changed(api: ApiClient, reservation: dict[str, Any]) -> None:
    """Its notes."""
    ok(await api.change(reservation, notes="x"))


async def moved(api: ApiClient, reservation: dict[str, Any]) -> None:
    """By an hour."""
    ok(await api.change(reservation, startTime="2030-01-07T12:00:00Z"))


async def completed(api: ApiClient, reservation: dict[str, Any]) -> None:
    """By the worker, long after it has ended."""
    now = api.store.clock.now()
    await api.overwrite(reservation, startTime=now - 6 * HOUR, endTime=now - 5 * HOUR)
    async with running_booking_service(api.store) as booking:
        assert await complete_ended(api.store, booking.committer, 1) == 1


async def expired(api: ApiClient, reservation: dict[str, Any]) -> None:
    """By the worker, as a hold."""
    await api.overwrite(reservation, status="pending")
    await api.expire(reservation)
    async with running_booking_service(api.store) as booking:
        assert await expire_lapsed(api.store, booking.committer) == 1


async def booked_over(api: ApiClient, reservation: dict[str, Any]) -> None:
    """By a booking that takes the place of an expired hold."""
    await api.overwrite(reservation, status="pending")
    await api.expire(reservation)
    created(await api.book())


@pytest.mark.parametrize("change", [cancelled, changed, moved, completed, expired, booked_over])
async def test_the_last_fifty_lines_stay(api: ApiClient, change: Change) -> None:
    """The new line is the last one, and the oldest line went for it."""
    await api.resource()
    reservation = await api.booked()
    lines = [
        {"at": NINE - HOUR, "by": f"writer {number}", "operation": ObjectId(), "to": "confirmed"}
        for number in range(KEPT)
    ]
    await api.overwrite(reservation, history=lines)
    await change(api, reservation)
    history = (await api.stored(reservation))["history"]

    assert len(history) == KEPT
    assert [line["by"] for line in history[:-1]] == [line["by"] for line in lines[1:]]
    assert history[-1]["by"] not in {line["by"] for line in lines}
    assert (await api.read(reservation))["history"][-1]["by"] == history[-1]["by"]
