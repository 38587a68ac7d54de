"""The reach of a guard grows by doubling."""

from hypothesis import given
from hypothesis import strategies as st

from app.storage.reach import REACH_MIN, doubled

NEED = st.integers(0, 10**11)


@given(NEED)
def test_it_covers_what_is_needed_and_not_much_more(need: int) -> None:
    """A lookup finds everything, and reads at most twice the time that it must."""
    assert doubled(need) >= need
    assert doubled(need) <= max(REACH_MIN, 2 * need - 1)


@given(NEED, NEED)
def test_it_grows_in_few_steps(one: int, other: int) -> None:
    """Most bookings raise nothing: what is needed for a reach is that reach."""
    assert doubled(doubled(one)) == doubled(one)
    assert (one <= other) <= (doubled(one) <= doubled(other))


def test_nothing_needs_nothing() -> None:
    """A resource on which nothing is booked is looked up in no time at all."""
    assert doubled(0) == 0
