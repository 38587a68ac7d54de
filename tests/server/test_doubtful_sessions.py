"""Transactions without an outcome: their locks are freed within seconds, not within a minute."""

import asyncio

import pytest

from app.booking import BookingService, Refused
from app.booking.session_driver import SessionDriver
from app.cluster import heartbeat
from app.errors import Problem
from app.storage.client import Store
from tests.support.mongodb_proxy import command, connected, faulty, first_statement, proxied
from tests.support.step_driver import add_resource, booking_of, running_booking_service
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("transactions")

TRIES = 3
"""How often a booking is tried, three seconds each: far less than the minute that the server would keep the guard."""

EVENTUALLY_SECONDS = 30.0


async def books_again(booking: BookingService) -> None:
    """Book the room within a few tries."""
    for _ in range(TRIES):
        try:
            await booking.book(booking_of(NINE + 5 * HOUR))
        except Problem as problem:
            if problem.name not in {"overloaded", "unavailable"}:
                raise
        else:
            return
    raise AssertionError("the room stayed locked")


def driver_of(booking: BookingService) -> SessionDriver:
    """The driver of a process, on a server with transactions."""
    assert isinstance(booking.committer.driver, SessionDriver)
    return booking.committer.driver


@pytest.mark.promise("dead-processes")
async def test_a_lost_abort_locks_nothing(store: Store, database_url: str) -> None:
    """A refused booking whose abort never arrives, without an error of the driver, leaves the room bookable."""
    await add_resource(store)
    async with running_booking_service(store) as other, faulty(database_url) as (proxy, booking):
        await other.book(booking_of())
        lost = proxy.lose(command("abortTransaction"))
        with pytest.raises(Refused):
            await booking.book(booking_of())
        assert lost.met.is_set()

        await books_again(other)


@pytest.mark.promise("dead-processes")
async def test_a_late_statement_of_an_ended_session_locks_nothing(store: Store, database_url: str) -> None:
    """A transaction begun by a late first statement is ended at the next beat."""
    await add_resource(store)
    async with running_booking_service(store) as other, faulty(database_url) as (proxy, booking):
        late, ended = proxy.hold(first_statement("guards"), times=None), proxy.note(command("killSessions"))
        with pytest.raises(Problem):
            await booking.book(booking_of(deadline_seconds=1.0))
        assert late.met.is_set()
        assert await asyncio.to_thread(ended.met.wait, EVENTUALLY_SECONDS)
        late.end()

        await books_again(other)


@pytest.mark.promise("dead-processes")
async def test_a_session_is_ended_until_the_server_confirms_it(store: Store, database_url: str) -> None:
    """A lost order to end a session is repeated with the next beat."""
    await add_resource(store)
    async with running_booking_service(store) as other, faulty(database_url) as (proxy, booking):
        await other.book(booking_of())
        proxy.lose(command("abortTransaction"))
        orders = proxy.lose(command("killSessions"), times=2)
        with pytest.raises(Refused):
            await booking.book(booking_of())

        await books_again(other)
        assert orders.times == 0


async def test_another_process_ends_the_sessions_of_a_dead_one(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process ends the doubtful sessions in the row of a dead one, and transactions of late statements."""
    monkeypatch.setattr(heartbeat, "PLACE", "elsewhere")
    await add_resource(store)
    async with proxied(database_url) as proxy, running_booking_service(store) as other, connected(proxy.url) as cut_off:
        dying = BookingService(cut_off)
        await dying.start()
        proxy.lose(command("killSessions"))
        late = proxy.hold(first_statement("guards"), times=None)
        with pytest.raises(Problem):
            await dying.book(booking_of(deadline_seconds=1.0))
        doubted = set(driver_of(dying).doubtful_session_ids())
        await dying.heartbeat.check_others()
        assert dying.heartbeat._task is not None
        dying.heartbeat._task.cancel()
        while not doubted <= set(driver_of(other).doubtful_session_ids()):
            await other.heartbeat.check_others()
            named = await store.database["processes"].distinct("sessions")
            assert doubted <= {bytes(each) for each in named}
        late.end()

        await books_again(other)
