"""The sweep against a brute force that knows nothing of heaps, and the cases that people get wrong."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.domain.former_capacities import ERAS_MAX, Era, capacity_at, eras_after
from app.domain.ids import ResourceId
from app.domain.instants import EARLIEST, Millis
from app.domain.sweep import Row, Window, sweep

RESOURCES = (A, B, C) = (ResourceId("a"), ResourceId("b"), ResourceId("c"))
CAPACITIES = {B: 2, C: 5}


def row(start: int, end: int, units: int = 1, *, name: int = 0, resource: str = "a") -> Row:
    """One row, short to write."""
    return Row(ResourceId(resource), Millis(start), name, Millis(end), units)


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
        row(start, start + length, units, name=name, resource=resource)
        for name, (resource, start, length, units) in enumerate(rows)
    )


def brute_force(rows: Sequence[Row], resource: ResourceId, capacity: int) -> list[Window]:
    """Windows from the load of each elementary segment, reservations and conflicts by looking at everything."""
    own = [row for row in rows if row.resource == resource]
    instants = sorted({row.start for row in own} | {row.end for row in own})
    loads = {
        (left, right): sum(row.units for row in own if row.start <= left and right <= row.end)
        for left, right in pairwise(instants)
    }
    spans: list[tuple[Millis, Millis]] = []
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


def by_the_minute(rows: Sequence[Row], eras: Sequence[Era], current: int) -> list[Window]:
    """Windows of one resource whose capacity was lowered, from the load and the capacity of every minute."""
    minutes = range(max((row.end for row in rows), default=0) + 1)
    loads = [sum(row.units for row in rows if row.start <= at < row.end) for at in minutes]
    limits = [next((capacity for until, capacity in eras if at < until), current) for at in minutes]
    too_many = [load > limit for load, limit in zip(loads, limits, strict=True)]
    edges = [at for at in minutes if too_many[at] != (at > 0 and too_many[at - 1])]
    windows = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        inside = [row for row in rows if row.start < end and start < row.end]
        peak = max(loads[start:end])
        limit = min(limits[at] for at in range(start, end) if loads[at] == peak)
        conflicts = 0
        for row in inside:
            others = [o for o in rows if (o.start, o.id) < (row.start, row.id) and o.end > row.start]
            if row.start >= start and sum(o.units for o in others) + row.units > limits[row.start]:
                conflicts += len(others)
        windows.append(Window(A, Millis(start), Millis(end), peak, limit, tuple(row.id for row in inside), conflicts))
    return windows


@st.composite
def lowerings(draw: st.DrawFn) -> tuple[list[Era], int]:
    """Former capacities, by when they were lowered, and the current one."""
    instants = sorted(map(Millis, draw(st.sets(st.integers(0, 24), min_size=1, max_size=4))))
    falling = sorted(draw(st.sets(st.integers(0, 6), min_size=len(instants) + 1, max_size=len(instants) + 1)))[::-1]
    return list(zip(instants, falling[:-1], strict=True)), falling[-1]


@given(histories(), lowerings())
def test_each_instant_is_judged_by_the_capacity_of_its_era(rows: list[Row], eras: tuple[list[Era], int]) -> None:
    """Where the capacity was lowered, every window is that of a brute force over each minute."""
    former, current = eras
    own = sorted(row._replace(resource=A) for row in rows)

    assert by_the_minute(own, former, current) == list(sweep(own, {A: current}, {A: former}))


@given(st.lists(st.integers(0, 8), max_size=80))
def test_lowering_never_makes_the_past_worse(capacities: list[int]) -> None:
    """However often a capacity changes: at no past instant is it below what it was then, and raising heals all."""
    eras: tuple[Era, ...] = ()
    current, history = 4, []
    for now, capacity in enumerate(capacities, 1):
        eras, current = eras_after(eras, current, capacity, Millis(now)), capacity
        history.append(capacity)

        assert len(eras) <= ERAS_MAX
        assert [until for until, _ in eras] == sorted({until for until, _ in eras})
        assert [bound for _, bound in eras] == sorted({bound for _, bound in eras}, reverse=True)
        assert all(bound > current for _, bound in eras)
        for instant, then in enumerate(history[:-1], 1):
            assert capacity_at(eras, current, Millis(instant)) >= max(then, current)


def test_of_many_eras_the_oldest_become_one() -> None:
    """The oldest eras become one that has their highest capacity."""
    eras: tuple[Era, ...] = ()
    for now in range(100):
        eras = eras_after(eras, 200 - now, 199 - now, Millis(now + 1))

    assert (len(eras), eras[0], eras[-1]) == (ERAS_MAX, (51, 200), (100, 101))
    assert capacity_at(eras, 100, Millis(20)) == 200


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
    """Load above capacity on both sides of an instant is one window, whichever reservations carry it."""
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
        (window.start, window.end, window.peak, window.reservations, window.conflicts) for window in sweep(rows, {A: 2})
    ] == [(5, 15, 3, (0, 1, 2, 3), 2)]


def test_legal_sharing_is_no_window() -> None:
    """Ten that share a capacity of ten are as they should be; an eleventh is not."""
    rows = [row(0, 10, name=name) for name in range(10)]

    assert list(sweep(rows, {A: 10})) == []
    assert [(window.peak, window.conflicts) for window in sweep([*rows, row(9, 11, name=10)], {A: 10})] == [(11, 10)]


def test_one_alone_can_be_too_many() -> None:
    """A party above the capacity is a window of its own, though it conflicts with no other."""
    assert [Window(A, EARLIEST, Millis(10), 7, 5, (0,), 0)] == list(sweep([row(0, 10, 7)], {A: 5}))


def test_a_window_at_the_end_of_a_resource_does_not_leak_into_the_next() -> None:
    """Resources are swept apart, also where one ends in a window and the next begins earlier in time."""
    rows = [
        row(50, 60),
        row(55, 70, name=1),
        row(0, 57, name=2, resource=B),
        row(58, 59, name=3, resource=B),
    ]

    assert [(window.resource, window.start, window.end) for window in sweep(rows, {B: 1})] == [("a", 55, 60)]
