"""What a calendar asks the database for, and where it is put together."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from app.caller import Caller
from app.console import calendar
from app.console.calendar_dates import Dates, View
from app.domain.ids import ResourceId
from app.domain.rules import ResourceRules
from app.domain.zones import start_of_day
from app.work import WorkPool
from tests.support.command_log import logged_store
from tests.support.step_driver import add_resource, booking_of, running_booking_service
from tests.support.times import NINE

pytestmark = pytest.mark.servers("transactions")

CALLER = Caller("rsv_test", frozenset({"reservations:read"}))
POOL = [ResourceRules(ResourceId(name), capacity=2) for name in ("room", "attic", "cellar")]


@pytest.fixture
def work() -> Iterator[WorkPool]:
    """A pool of threads."""
    pool = WorkPool()
    yield pool
    pool.close()


async def test_a_pool_is_one_query(database_url: str, work: WorkPool) -> None:
    """However many resources are drawn together; and the long parts that no calendar shows are not read."""
    async with logged_store(database_url) as (store, commands):
        await add_resource(store)
        async with running_booking_service(store) as booking:
            await booking.book(booking_of())

        async def finds(resources: list[ResourceRules]) -> list[Any]:
            commands.take()
            dates = Dates.of("week", NINE.date())
            drawing = await calendar.read_drawing(store, work, CALLER, "week", dates, resources)
            assert sum(len(each.bookings) for each in drawing.columns) == 1
            return [find for name, find in commands.take() if name == "find" and find["find"] == "reservations"]

        one, all_of_them = await finds(POOL[:1]), await finds(POOL)

    assert len(all_of_them) == len(one)
    assert [find["projection"] for find in all_of_them] == [{"history": 0, "idempotency": 0}] * len(one)


@pytest.mark.parametrize("view", ["day", "month"])
async def test_columns_are_made_beside_the_loop(
    database_url: str, work: WorkPool, monkeypatch: pytest.MonkeyPatch, view: View
) -> None:
    """Fifty resources with long schedules take long, so a thread works out each day's hours."""
    threads: list[threading.Thread] = []

    def noted(*day: Any) -> Any:
        threads.append(threading.current_thread())
        return start_of_day(*day)

    monkeypatch.setattr(calendar, "start_of_day", noted)
    async with logged_store(database_url) as (store, _):
        dates = Dates.of(view, NINE.date())
        await calendar.read_drawing(store, work, CALLER, view, dates, POOL)

    assert threads
    assert threading.main_thread() not in threads
