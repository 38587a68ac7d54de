"""A history keeps its last fifty lines, whoever writes the next one."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bson import ObjectId

from app.booking.expiry import complete_ended, expire_lapsed
from tests.support.api_client import HOUR, NINE, Visitor, good, made

Change = Callable[[Visitor, dict[str, Any]], Awaitable[None]]
KEPT = 50


async def cancelled(visitor: Visitor, reservation: dict[str, Any]) -> None:
    """By its caller."""
    good(await visitor.verb(reservation, "cancel"))


async def changed(visitor: Visitor, reservation: dict[str, Any]) -> None:
    """Its notes."""
    good(await visitor.change(reservation, notes="x"))


async def moved(visitor: Visitor, reservation: dict[str, Any]) -> None:
    """By an hour."""
    good(await visitor.change(reservation, startTime="2030-01-07T12:00:00Z"))


async def completed(visitor: Visitor, reservation: dict[str, Any]) -> None:
    """By the worker, long after it has ended."""
    now = visitor.store.clock.now()
    await visitor.put(reservation, startTime=now - 6 * HOUR, endTime=now - 5 * HOUR)
    assert await complete_ended(visitor.store, 1) == 1


async def expired(visitor: Visitor, reservation: dict[str, Any]) -> None:
    """By the worker, as a hold."""
    await visitor.put(reservation, status="pending")
    await visitor.lapse(reservation)
    assert await expire_lapsed(visitor.store) == 1


async def booked_over(visitor: Visitor, reservation: dict[str, Any]) -> None:
    """By whoever takes the place of an expired hold."""
    await visitor.put(reservation, status="pending")
    await visitor.lapse(reservation)
    made(await visitor.book())


@pytest.mark.parametrize("change", [cancelled, changed, moved, completed, expired, booked_over])
async def test_the_last_fifty_lines_stay(visitor: Visitor, change: Change) -> None:
    """The new line is the last one, and the oldest line went for it."""
    await visitor.resource()
    reservation = await visitor.booked()
    lines = [
        {"at": NINE - HOUR, "by": f"writer {number}", "operation": ObjectId(), "to": "confirmed"}
        for number in range(KEPT)
    ]
    await visitor.put(reservation, history=lines)
    await change(visitor, reservation)
    history = (await visitor.stored(reservation))["history"]

    assert len(history) == KEPT
    assert [line["by"] for line in history[:-1]] == [line["by"] for line in lines[1:]]
    assert history[-1]["by"] not in {line["by"] for line in lines}
    assert (await visitor.read(reservation))["history"][-1]["by"] == history[-1]["by"]
