"""The sweep against a brute force that knows nothing of heaps, and the cases that people get wrong."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.timeline.sweep import Row, Window, sweep

RESOURCES = ("a", "b", "c")
CAPACITIES = {"b": 2, "c": 5}


def row(start: int, end: int, units: int = 1, *, name: int = 0, resource: str = "a") -> Row:
    """One row, short to write."""
    return Row(resource, start, name, end, units)


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Occupancies of a few resources on a short time line, so that starts and ends coincide often."""
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from(RESOURCES), st.integers(0, 14), st.integers(1, 8), st.integers(1, 3)),
            max_size=24,
        )
    )
    return sorted(
        Row(resource, start, name, start + length, units) for name, (resource, start, length, units) in enumerate(rows)
    )


def brute_force(rows: Sequence[Row], resource: str, capacity: int) -> list[Window]:
    """Windows from the load of each elementary segment, reservations and conflicts by looking at everything."""
    own = [row for row in rows if row.resource == resource]
    instants = sorted({row.start for row in own} | {row.end for row in own})
    loads = {
        (left, right): sum(row.units for row in own if row.start <= left and right <= row.end)
        for left, right in pairwise(instants)
    }
    spans: list[tuple[int, int]] = []
    for (left, right), load in loads.items():
        if load > capacity:
            if spans and spans[-1][1] == left:
                spans[-1] = (spans[-1][0], right)
            else:
                spans.append((left, right))
    windows = []
    for left, right in spans:
        inside = sorted(
            (row for row in own if row.start < right and left < row.end), key=lambda row: (row.start, row.id)
        )
        conflicts = 0
        for row in inside:
            others = [o for o in own if (o.start, o.id) < (row.start, row.id) and o.end > row.start]
            if row.start >= left and sum(o.units for o in others) + row.units > capacity:
                conflicts += len(others)
        peak = max(load for (start, _), load in loads.items() if left <= start < right)
        windows.append(Window(resource, left, right, peak, capacity, tuple(row.id for row in inside), conflicts))
    return windows


@given(histories())
def test_windows_equal_the_brute_force(rows: list[Row]) -> None:
    """Every window is found with its bounds, peak, reservations and conflicts, and none besides."""
    expected = [window for name in RESOURCES for window in brute_force(rows, name, CAPACITIES.get(name, 1))]

    assert expected == list(sweep(rows, CAPACITIES))


@given(histories())
def test_conflicts_on_a_capacity_of_one_are_the_overlapping_pairs(rows: list[Row]) -> None:
    """Where one reservation takes the whole resource, conflicts are what a comparison of all pairs counts."""
    whole = [row._replace(units=1) for row in rows]
    pairs = sum(
        one.resource == other.resource and one.start < other.end and other.start < one.end
        for place, one in enumerate(whole)
        for other in whole[place + 1 :]
    )

    assert pairs == sum(window.conflicts for window in sweep(whole, {}))


def test_touching_is_no_overlap() -> None:
    """Intervals are half-open: one that starts where another ends is alone."""
    assert list(sweep([row(0, 10), row(10, 20, name=1)], {})) == []


def test_a_stretch_is_one_window_though_its_reservations_change() -> None:
    """Load above capacity on both sides of an instant is one window, whoever carries it."""
    rows = [row(0, 30), row(5, 10, name=1), row(10, 20, name=2), row(25, 26, name=3)]

    assert [(window.start, window.end, window.reservations) for window in sweep(rows, {})] == [
        (5, 20, (0, 1, 2)),
        (25, 26, (0, 3)),
    ]


def test_a_joint_counts_only_those_that_start_inside() -> None:
    """What starts at the instant at which a window ends for good is not in it."""
    rows = [row(0, 10), row(5, 10, name=1), row(10, 12, name=2)]

    assert [(window.start, window.end, window.reservations) for window in sweep(rows, {})] == [(5, 10, (0, 1))]


def test_a_joint_may_need_two_to_go_on() -> None:
    """The first to start at a joint may still fit; if the second does not, both belong to the window."""
    rows = [
        row(0, 10, 2),
        row(5, 10, name=1),
        row(10, 15, name=2),
        row(10, 15, 2, name=3),
    ]

    assert [
        (window.start, window.end, window.peak, window.reservations, window.conflicts)
        for window in sweep(rows, {"a": 2})
    ] == [(5, 15, 3, (0, 1, 2, 3), 2)]


def test_legal_sharing_is_no_window() -> None:
    """Ten that share a capacity of ten are as they should be; an eleventh is not."""
    rows = [row(0, 10, name=name) for name in range(10)]

    assert list(sweep(rows, {"a": 10})) == []
    assert [(window.peak, window.conflicts) for window in sweep([*rows, row(9, 11, name=10)], {"a": 10})] == [(11, 10)]


def test_one_alone_can_be_too_many() -> None:
    """A party above the capacity is a window of its own, though it conflicts with nobody."""
    assert [Window("a", 0, 10, 7, 5, (0,), 0)] == list(sweep([row(0, 10, 7)], {"a": 5}))


def test_a_window_at_the_end_of_a_resource_does_not_leak_into_the_next() -> None:
    """Resources are swept apart, also where one ends in a window and the next begins earlier in time."""
    rows = [
        row(50, 60),
        row(55, 70, name=1),
        row(0, 57, name=2, resource="b"),
        row(58, 59, name=3, resource="b"),
    ]

    assert [(window.resource, window.start, window.end) for window in sweep(rows, {"b": 1})] == [("a", 55, 60)]
