"""The judge of all competitors."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.bench.double_bookings import Booking, Count, count

FIRST = datetime(2030, 1, 1, tzinfo=UTC)
BOOKINGS = st.lists(
    st.builds(
        lambda room, start, length: Booking(
            room, FIRST + timedelta(hours=start), FIRST + timedelta(hours=start + length)
        ),
        st.sampled_from("ab"),
        st.integers(0, 12),
        st.integers(1, 4),
    ),
    max_size=12,
)


@given(BOOKINGS)
def test_every_hour_is_counted(bookings: list[Booking]) -> None:
    """The highest load is that of the fullest hour, and there are double bookings where it is above 1."""
    hours = [
        sum(each.resource == room and each.start <= moment < each.end for each in bookings)
        for room in "ab"
        for moment in (FIRST + timedelta(hours=hour) for hour in range(20))
    ]
    counted = count(bookings)

    assert counted.stored == len(bookings)
    assert counted.peak == max(hours)
    assert (counted.double > 0) == (counted.peak > 1)


def test_neighbours_do_not_overlap() -> None:
    """A booking that begins when another ends is no double booking; one a moment earlier is."""
    hour = timedelta(hours=1)
    first, next_one = Booking("a", FIRST, FIRST + hour), Booking("a", FIRST + hour, FIRST + 2 * hour)
    early = Booking("a", FIRST + hour - timedelta(milliseconds=1), FIRST + 2 * hour)

    assert count([next_one, first]) == Count(stored=2, double=0, peak=1)
    assert count([early, first]) == Count(stored=2, double=1, peak=2)


def test_each_booking_too_many_counts() -> None:
    """Four bookings of one time are three double bookings."""
    same = [Booking("a", FIRST, FIRST + timedelta(hours=1))] * 4

    assert count(same) == Count(stored=4, double=3, peak=4)
