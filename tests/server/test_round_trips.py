"""How many statements a booking takes: at one client at a time they are what it waits for."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app.booking.idempotency import Replay
from app.storage import commands
from app.storage.client import Store
from app.storage.documents import Reservation
from app.storage.rule_cache import RuleCache
from tests.support.step_driver import (
    StepDriver,
    accepted,
    add_resource,
    booking_of,
    keyed_booking_of,
    run_batch,
    running_booking_service,
)
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("transactions")


@pytest.mark.parametrize("book", [booking_of, keyed_booking_of])
async def test_a_booking_takes_six_statements_also_with_a_new_key(store: Store, book: Any) -> None:
    """Where the rules are known and the reach suffices, nothing else is read or written."""
    await add_resource(store)
    rules = RuleCache()
    await run_batch(store, booking_of(), rules=rules)

    driver = StepDriver(store, [book(start=NINE + HOUR)], rules)
    await driver.finish()
    await driver.close()

    reads = ["occupants.read"] * (1 if store.shape == "or" else 2)  # one a status, where a server has no `$or`
    writes = ["reservations.insert", "outbox.insert"]
    assert driver.done == ["begin", "guards.bump", "guards.read", *reads, *writes, "commit"]


async def test_a_used_key_is_found_where_the_rules_would_accept_it_again(store: Store) -> None:
    """The second request with a key gets the first one's answer, and the batch's other request is booked once."""
    await add_resource(store, capacity=2)
    first_intent, other = keyed_booking_of(), booking_of(start=NINE + timedelta(days=1))
    async with running_booking_service(store) as booking:
        first = await booking.book(first_intent)
        replay, booked = await asyncio.gather(booking.book(keyed_booking_of()), booking.book(other))

    assert isinstance(first, Reservation)
    assert isinstance(replay, Replay)
    assert replay.answer.body == str(first.id)
    assert isinstance(booked, Reservation)
    assert set(await store.database["reservations"].distinct("_id")) == {first.id, booked.id}


@pytest.mark.parametrize("rows_per_answer", [1, 3])
async def test_rows_that_do_not_fit_into_one_answer_are_read_along_a_cursor(
    store: Store, monkeypatch: pytest.MonkeyPatch, rows_per_answer: int
) -> None:
    """Also within a budget of time: a booking among more occupants than one answer holds is judged by all of them."""
    monkeypatch.setattr(commands, "ROWS_PER_ANSWER", rows_per_answer)
    await add_resource(store, capacity=3)
    booked = [await run_batch(store, booking_of()) for _ in range(4)]

    assert [accepted(outcomes) for outcomes in booked] == [[True], [True], [True], [False]]
