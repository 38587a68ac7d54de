"""Where a move of a series leads its occurrences, also those that lie in an hour that clocks show twice."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.domain.instants import parse
from app.domain.zones import zone
from app.reservations.series_moves import Shift
from app.reservations.series_schemas import SeriesMove
from app.storage.documents import Reservation
from tests.support.times import HOUR, MINUTE

BERLIN = zone("Europe/Berlin")
FOLD = parse("2030-10-27T01:00:00Z")
"""When clocks in Berlin go back from three to two."""


def occurrence(start: datetime, length: timedelta) -> Reservation:
    """A member of a series, without a service."""
    member: Reservation = Reservation.model_construct(start_time=start, end_time=start + length, service=None)
    return member


def moved(member: Reservation, reference: Reservation | None = None, **wanted: Any) -> tuple[datetime, timedelta]:
    """The start and the length of a member after the move of a series."""
    shift = Shift(SeriesMove.model_validate(wanted), reference or member, BERLIN, {})
    patch = {"startTime": member.start_time, "endTime": member.end_time} | shift.patch(member)
    return patch["startTime"], patch["endTime"] - patch["startTime"]


def clocks(instant: datetime) -> datetime:
    """What clocks in Berlin show."""
    return instant.astimezone(BERLIN).replace(tzinfo=None, fold=0)


@given(st.integers(-12, 12), st.integers(1, 16))
def test_a_move_keeps_a_length_that_clocks_turned_back(quarters: int, length: int) -> None:
    """Whatever part of the repeated hour it has, it can move with the others: no occurrence ends before it begins."""
    start, lasts = FOLD + quarters * 15 * MINUTE, length * 15 * MINUTE
    reference = occurrence(parse("2030-10-21T07:00:00Z"), HOUR)

    begins, after = moved(occurrence(start, lasts), reference, localStart="2030-10-21T12:00")

    by_the_clock = clocks(start + lasts) - clocks(start)
    assert after == (by_the_clock if by_the_clock > timedelta(0) else lasts)
    assert clocks(begins) == clocks(start) + 3 * HOUR


@given(st.integers(-12, 12))
def test_another_length_moves_no_start(quarters: int) -> None:
    """Of those that begin in the repeated hour neither: they end at the new local time, and begin when they did."""
    start = FOLD + quarters * 15 * MINUTE
    reference = occurrence(parse("2030-10-21T07:00:00Z"), HOUR)

    begins, after = moved(occurrence(start, HOUR), reference, localEnd="2030-10-21T14:00")

    assert begins == start
    assert after >= 5 * HOUR
