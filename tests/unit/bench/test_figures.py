"""What rounds amount to."""

from dataclasses import replace
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from app.bench.figures import ratios, spread_of
from tests.support.bench_loads import load

VALUES = st.lists(st.floats(0, 1e9), min_size=1, max_size=20)
ROUNDS = st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 10_000)), min_size=1, max_size=9)


@given(VALUES)
def test_a_spread_holds_its_values(values: list[float]) -> None:
    """The median lies between the least and the most, and all values do."""
    spread = spread_of(values)

    assert spread.least <= spread.median <= spread.most
    assert all(spread.least <= value <= spread.most for value in values)
    assert spread.median == median(values)


@given(ROUNDS)
def test_a_ratio_is_taken_within_its_round(rounds: list[tuple[int, int]]) -> None:
    """Each round is compared with the base's load of the same round, whatever the others were."""
    mine, bases = ([load(booked=each[place]) for each in rounds] for place in (0, 1))

    assert ratios(mine, bases) == [ours / base for ours, base in rounds]


def test_a_base_that_booked_nothing_counts_as_one() -> None:
    """A round in which the base was not answered at all has a ratio that is too low, instead of none."""
    assert ratios([load(booked=5)], [load(booked=0)]) == [5]


def test_a_rate_counts_slots_and_not_answers() -> None:
    """A second booking of the same slot makes nobody faster."""
    twice = replace(load(booked=10), accepted=20, seconds=2.0)

    assert twice.rate == 5
    assert twice.asked == 20
