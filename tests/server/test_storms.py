"""Storms through HTTP on two processes of the app, as they run in production: counts only, exact ones.

The benchmark blows the same storms at full size.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import pytest
from pymongo.database import Database

from tests.support import hold_storms as holds
from tests.support.database_check import booked_count, peak_loads
from tests.support.load_client import Client
from tests.support.servers import new_database
from tests.support.slot_bookings import booking, make_rooms
from tests.support.staged_app import staged
from tests.support.storms import alike, neighbours, one_slot, same_key, split, statuses

PROCESSES = 2
CALLERS = 128
BOOKERS = 20
REPETITIONS = 8
SOON = timedelta(seconds=2)
APART = timedelta(seconds=0.5)


class Play(NamedTuple):
    """A database of its own and, on it, two processes of the app."""

    database: Database[dict[str, Any]]
    client: Client


@pytest.fixture(scope="module")
def playing() -> Iterator[Callable[[str], Play]]:
    """Starts the app on a server, once for all tests here."""
    with ExitStack() as stack:

        @cache
        def on(server_url: str) -> Play:
            stage = stack.enter_context(staged(new_database(server_url, "reserva_bench")))
            return Play(stage.database, stack.enter_context(stage.app(PROCESSES)).client)

        yield on


@pytest.fixture
def play(playing: Callable[[str], Play], server: str) -> Play:
    """The app on the server of this test."""
    return playing(server)


@pytest.mark.servers("transactions")
@pytest.mark.promise("capacity")
def test_of_all_who_want_one_slot_at_once_as_many_win_as_fit(play: Play) -> None:
    """One wins at capacity 1, five at capacity 5, all others are answered `conflict`, and none with an error."""
    for capacity in (1, 5):
        (room,) = make_rooms(play.client, f"of{capacity}", 1, capacity)

        counts = statuses(one_slot(play.client, room, CALLERS))

        assert counts == {201: capacity, 409: CALLERS - capacity}
        assert booked_count(play.database, room) == peak_loads(play.database)[room] == capacity


@pytest.mark.servers("transactions")
def test_slots_that_only_touch_are_all_booked(play: Play) -> None:
    """Of many adjacent bookings of one resource at once none is refused, and no two overlap."""
    (room,) = make_rooms(play.client, "touching", 1)

    answers = neighbours(play.client, room, slots=100, width=20)
    late = [slot for slot, answer in enumerate(answers) if answer.status == 503]  # a machine may be busy
    again = play.client.in_flow([booking(room, slot) for slot in late], 1)

    assert statuses(answers) + statuses(again) == {201: 100, **({503: len(late)} if late else {})}
    assert booked_count(play.database, room) == 100
    assert peak_loads(play.database)[room] == 1


@pytest.mark.servers("transactions")
@pytest.mark.promise("idempotency")
def test_equal_requests_at_once_make_one_booking(play: Play) -> None:
    """One key, sent many times at once to both processes: one books in one transaction, the others get its answer."""
    (room,) = make_rooms(play.client, "repeated", 1)

    answers = same_key(play.client, room, CALLERS)

    first, replays = split(answers)
    assert (len(first), len(replays)) == (1, CALLERS - 1)
    assert alike(answers)
    assert booked_count(play.database, room) == 1
    guard = play.database["guards"].find_one({"_id": room})
    assert guard is not None
    assert guard["seq"] == 1


@pytest.mark.servers("transactions")
def test_exactly_one_wins_where_a_hold_expires(play: Play) -> None:
    """Around the end of a hold many book over it and one confirms it: one of them gets the time, each time anew."""
    clock_ahead = holds.ahead(play.database)
    pending = [holds.hold(play.client, room, clock_ahead) for room in make_rooms(play.client, "held", REPETITIONS)]
    soon = datetime.now(UTC) + SOON  # a hold lasts at least ten seconds; the test need not wait for that
    ends = [soon + number * APART for number in range(REPETITIONS)]
    for each, end in zip(pending, ends, strict=True):
        moved = {"$set": {"expiresAt": end + timedelta(seconds=clock_ahead)}}
        play.database["reservations"].update_one({"resource": each.room}, moved)

    for each, end in zip(pending, ends, strict=True):
        confirmed, bookers = holds.storm(play.client, each._replace(ends=end.timestamp()), BOOKERS)

        assert sum(holds.winners(confirmed, bookers)) == 1, statuses([confirmed, *bookers])
        assert statuses([confirmed, *bookers]).keys() <= {200, 201, 409}
    assert {load for room, load in peak_loads(play.database).items() if room.startswith("held")} == {1}
