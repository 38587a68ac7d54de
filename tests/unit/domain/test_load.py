"""How full a resource is, against a brute force over every instant."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import load
from app.domain.instants import EARLIEST, Millis
from app.domain.load import Calendar, Occupancy, Profile, conflicts_in, peak

END = 20
"""All of these short lives lie in `[0, END)`, so that starts and ends coincide often."""


def taken(start: int, end: int, units: int = 1, *, name: object = 0, expires: int | None = None) -> Occupancy:
    """An occupancy, short to write."""
    return Occupancy(name, Millis(start), Millis(end), units, None if expires is None else Millis(expires))


@st.composite
def crowds(draw: st.DrawFn) -> list[Occupancy]:
    """Neighbours on one resource."""
    lives = st.tuples(st.integers(0, END - 1), st.integers(1, 8), st.integers(1, 3))
    return [
        taken(start, min(start + length, END), units, name=name)
        for name, (start, length, units) in enumerate(draw(st.lists(lives, max_size=12)))
    ]


SPANS = st.tuples(st.integers(0, END - 1), st.integers(1, 10)).map(lambda span: (span[0], min(sum(span), END)))


def load_at(crowd: Sequence[Occupancy], instant: int) -> int:
    """The load at one instant: half-open, so who ends then is gone and who starts then is there."""
    return sum(one.units for one in crowd if one.start <= instant < one.end)


@given(crowds(), SPANS)
def test_the_peak_is_the_highest_load_at_any_instant(crowd: list[Occupancy], span: tuple[Millis, Millis]) -> None:
    """Never the number of neighbours, never the sum of those that are not there at the same time."""
    assert max(load_at(crowd, instant) for instant in range(*span)) == peak(crowd, *span)


@given(crowds(), SPANS, st.integers(0, 6))
def test_the_conflicts_are_the_bookings_present_when_it_is_too_full(
    crowd: list[Occupancy], span: tuple[Millis, Millis], room: int
) -> None:
    """Exactly those, once each, by start; a booking that is only near is not listed."""
    full = [instant for instant in range(*span) if load_at(crowd, instant) > room]
    expected = {one.id for one in crowd if any(one.start <= instant < one.end for instant in full)}
    blamed = conflicts_in(crowd, *span, room)

    assert expected == {one.id for one in blamed}
    assert len(expected) == len(blamed)
    assert sorted(blamed, key=lambda one: one.start) == blamed


@given(crowds(), SPANS, st.integers(0, 6))
def test_a_conflict_is_found_exactly_where_the_peak_is_too_high(
    crowd: list[Occupancy], span: tuple[Millis, Millis], room: int
) -> None:
    """The peak and the conflicts agree: a refusal always names a booking."""
    assert bool(conflicts_in(crowd, *span, room)) == (peak(crowd, *span) > room)


@given(crowds(), SPANS, st.integers(0, 6))
def test_a_profile_says_what_a_calendar_says(crowd: list[Occupancy], span: tuple[Millis, Millis], room: int) -> None:
    """The same peak, also where it is made of chunks; and until when everything that begins is refused."""
    start, end = span
    profile, chunks = Profile(EARLIEST, crowd), Profile(EARLIEST, crowd)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "CHUNK", 1)
        assert chunks.peak(start, end) == profile.peak(start, end) == Calendar(EARLIEST, crowd).peak(start, end)

    until = profile.full_until(start, end, room)
    assert (until is not None) == (profile.peak(start, end) > room)
    for later in map(Millis, range(start, until or start)):
        assert profile.peak(later, Millis(end + later - start)) > room
    if until is not None and until < end:
        assert profile.peak(until, end) <= room


def test_two_neighbours_that_do_not_meet_are_a_peak_of_one() -> None:
    """With 9 to 10 and 10 to 11 taken, a capacity of two has room for 9 to 11."""
    assert peak([taken(9, 10), taken(10, 11)], Millis(9), Millis(11)) == 1


@pytest.mark.promise("half-open")
def test_touching_is_no_overlap() -> None:
    """What ends at the start or starts at the end is not there."""
    assert peak([taken(0, 5), taken(10, 15)], Millis(5), Millis(10)) == 0
    assert conflicts_in([taken(0, 5), taken(10, 15)], Millis(5), Millis(10), 0) == []


class TestCalendar:
    """Who counts at one `now`."""

    def test_a_hold_counts_until_its_instant(self) -> None:
        """One that ends now is over; one that ends a millisecond later is not."""
        calendar = Calendar(Millis(100), [taken(0, 9, name="over", expires=100), taken(0, 9, name="live", expires=101)])

        assert set(calendar.live) == {"live"}
        assert set(calendar.expired) == {"over"}

    def test_entering_anew_replaces(self) -> None:
        """The same one read twice, or extended meanwhile, counts once and as it is now."""
        calendar = Calendar(Millis(100), [taken(0, 9, name="a", expires=100)])
        calendar.add(taken(0, 9, 3, name="a"))
        calendar.add(taken(0, 9, 2, name="a"))

        assert [one.units for one in calendar.others(None)] == [2]
        assert not calendar.expired

    def test_others_leave_out_the_one_that_moves(self) -> None:
        """Its own time is no obstacle to itself."""
        calendar = Calendar(EARLIEST, [taken(0, 9, name="a"), taken(0, 9, name="b")])

        assert [one.id for one in calendar.others("a")] == ["b"]
        assert {one.id for one in calendar.others(None)} == {"a", "b"}

    def test_taking_out_what_is_not_there_is_no_fault(self) -> None:
        """A move takes itself out of wherever it may be."""
        calendar = Calendar(Millis(5), [taken(0, 9, name="a"), taken(0, 9, name="b", expires=1)])
        for name in ("a", "b", "c"):
            calendar.remove(name)

        assert not calendar.live
        assert not calendar.expired
