"""A process that books an hour of the room and stops in the middle of it, for tests that kill or suspend it there.

    python -m tests.support.booking_process URL STEP PLACE [RESERVATION]

It says `at STEP` once it has done that step, and goes on when it gets SIGCONT. With RESERVATION it confirms that one
instead of booking. Then it says what came of it, books another hour, says that, and ends with SIGTERM. PLACE is `here`,
or anything else for a process of another machine.
"""

import asyncio
import signal
import sys
import threading
from collections.abc import Awaitable
from typing import Any

import click
from bson import ObjectId

from app.booking import BookingService, Refused
from app.booking.session_driver import SessionDriver
from app.cluster import heartbeat
from app.errors import Problem
from app.storage.client import connect
from tests.support.step_driver import booking_of
from tests.support.times import HOUR, NINE

LATER = NINE + 5 * HOUR
DEADLINE_SECONDS = 60.0
"""A suspended process has time to find out what was done to it."""


def pause_after(name: str, resumed: threading.Event) -> None:
    """Let the first transaction that does this step wait right after it."""
    perform, met = SessionDriver.perform, threading.Event()

    def pausing(self: SessionDriver, step: Any, slot: int, until: float) -> Any:
        result = perform(self, step, slot, until)
        if step.name == name and not met.is_set():
            met.set()
            click.echo(f"at {name}")
            resumed.wait()
        return result

    SessionDriver.perform = pausing  # type: ignore[method-assign]  # the pause is the point of this script


async def outcome_of(wish: Awaitable[Any]) -> str:
    """What came of a wish, in a word."""
    try:
        await wish
    except Refused:
        return "refused"
    except Problem as problem:
        return problem.name
    return "booked"


async def main(url: str, step: str, place: str, reservation: str | None = None) -> None:
    """Book, and stop there."""
    loop, resumed, ended = asyncio.get_running_loop(), threading.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGCONT, resumed.set)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    if place != "here":
        heartbeat.PLACE = place  # type: ignore[attr-defined]  # a machine of its own
    pause_after(step, resumed)
    store = await connect(url)
    booking = BookingService(store)
    await booking.start()
    wish: Awaitable[Any] = booking.book(booking_of(by="booker", deadline_seconds=DEADLINE_SECONDS))
    if reservation is not None:
        wish = booking.confirm(ObjectId(reservation), by="booker")
    click.echo(f"first: {await outcome_of(wish)} after {booking.committer.write_conflicts} losses")
    click.echo(f"second: {await outcome_of(booking.book(booking_of(LATER, by='booker')))}")
    await ended.wait()
    await booking.stop()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
