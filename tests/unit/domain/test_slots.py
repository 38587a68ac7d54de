"""Slots against the rules that they are made by: nothing offered that fails one, nothing left out that passes all."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import slots as module
from app.domain.ids import ServiceId
from app.domain.instants import DAY, EARLIEST, HOUR, LATEST, MINUTE, Duration, Millis
from app.domain.load import Calendar, Occupancy, Profile
from app.domain.rules import BookingRequest, ResourceRules, ServiceRules, judge
from app.domain.schedule import Hours, Schedule, TimeOff
from app.domain.slots import STARTS_PER_CLOCK_READ, Budget, Candidates, Slot, SlotQuery, slots
from app.domain.zones import ONE_DAY, start_of_day, zone
from tests.support.ids import CUT_ID, ROOM_ID

ZONES = ("UTC", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia", "Asia/Kathmandu")
FIRST = Millis(1_772_900_000_000)  # on the eve of New York's change of clocks in 2026
LAPSED = Millis(FIRST - 1)
SPAN = 3 * DAY
LAST = Millis(FIRST + SPAN)
NINE = Millis(FIRST - FIRST % DAY + 9 * HOUR)

quarters = st.integers(0, 95).map(lambda quarter: quarter * 15)
hours = st.builds(
    lambda opens, length: Hours(opens, opens + length), quarters, st.integers(1, 96).map(lambda n: n * 15)
)
days = st.lists(hours, max_size=2).map(tuple)
schedules = st.builds(
    Schedule,
    st.none() | st.tuples(*[days] * 7),
    st.dictionaries(st.dates(date(2026, 3, 6), date(2026, 3, 12)), days, max_size=2),
)
moments = st.integers(-8, 80).map(lambda half_hour: FIRST + half_hour * 30 * MINUTE)
lengths = st.integers(1, 12).map(lambda quarter: quarter * 15 * MINUTE)
durations = lengths | st.integers(13, 40).map(lambda hour: hour * HOUR)
occupancies = st.lists(
    st.builds(
        lambda start, length, units, lapsed: Occupancy("", start, start + length, units, LAPSED if lapsed else None),
        moments,
        lengths,
        st.integers(1, 3),
        st.booleans(),
    ),
    max_size=8,
).map(lambda those: [Occupancy(n, each.start, each.end, each.units, each.expires) for n, each in enumerate(those)])
rooms = st.builds(
    ResourceRules,
    id=st.just("room"),
    capacity=st.integers(1, 4),
    by_guests=st.booleans(),
    services=st.just(frozenset({"cut"})),
    active=st.sampled_from([True] * 7 + [False]),
    timezone=st.sampled_from(ZONES),
    schedule=schedules,
    time_off=st.lists(st.builds(lambda at, long: TimeOff("off", at, at + long), moments, lengths), max_size=1).map(
        tuple
    ),
)
offers = st.none() | st.builds(
    ServiceRules,
    id=st.just("cut"),
    kind=st.sampled_from(["fixed", "full-day"]),
    duration=durations,
    max_days=st.just(2),
    buffer_before=st.sampled_from([0, 10 * MINUTE, HOUR]),
    buffer_after=st.sampled_from([0, 25 * MINUTE]),
    interval=st.sampled_from([30 * MINUTE, 80 * MINUTE]),
    notice=st.sampled_from([0, 20 * HOUR]),
    horizon=st.none() | st.just(2 * DAY),
    hours=st.sampled_from(["throughout", "ends"]),
)


wishes = st.builds(SlotQuery, lengths, st.integers(1, 5), st.integers(1, 3), st.none() | st.integers(0, 7))


def found(
    room: ResourceRules,
    offer: ServiceRules | None,
    asked: SlotQuery,
    profile: Profile,
    span: tuple[int, int],
    budget: Budget | None = None,
) -> list[Slot]:
    """The slots that start in a span."""
    return [*slots(Candidates.of(room, offer, asked, *map(Millis, span)), offer, asked, profile, budget)]


@given(rooms, offers, occupancies, wishes)
def test_slots_are_the_candidates_that_every_rule_lets_pass(
    room: ResourceRules,
    offer: ServiceRules | None,
    taken: list[Occupancy],
    asked: SlotQuery,
) -> None:
    """Judged one by one, by a plain calendar and with nothing resolved before; what remains is summed up anew."""
    asked = replace(asked, length=offer.duration) if offer else asked
    now, before = FIRST, LAST
    offered = found(room, offer, asked, Profile(now, taken, asked.ignore), (FIRST, before))

    expected = []
    for start, end in Candidates.of(room, offer, asked, FIRST, before):
        assert FIRST <= start < before
        verdict = judge(
            BookingRequest(start, end, asked.guests, ignore=asked.ignore), room, offer, Calendar(now, taken)
        )
        if verdict.bookable:
            live = [each for each in taken if each.expires is None and each.id != asked.ignore]
            block = range(verdict.block_start, verdict.block_end)
            at = [block.start, *(each.start for each in live if each.start in block)]
            peak = max(sum(each.units for each in live if each.start <= moment < each.end) for moment in at)
            expected.append((start, end, room.capacity - peak))
    assert [(slot.start, slot.end, slot.remaining) for slot in offered] == expected
    assert [slot.start for slot in offered] == sorted({slot.start for slot in offered})


@given(rooms, offers, lengths, st.integers(1, 3))
def test_candidates_are_counted_without_being_made(
    room: ResourceRules, offer: ServiceRules | None, length: Duration, days: int
) -> None:
    """As many as there are, each after the one before, and none outside of the span."""
    candidates = Candidates.of(room, offer, SlotQuery(offer.duration if offer else length, days=days), FIRST, LAST)
    starts = [start for start, _ in candidates]

    assert candidates.count == len(starts)
    assert starts == sorted(set(starts))
    assert all(FIRST <= start < LAST for start in starts)


@given(rooms, offers, lengths, st.integers(0, 72))
def test_a_span_may_be_asked_for_in_two_parts(
    room: ResourceRules, offer: ServiceRules | None, length: Duration, cut: int
) -> None:
    """What starts before an instant and what starts from it are together what starts in all."""
    asked = SlotQuery(offer.duration if offer else length)
    middle = Millis(FIRST + cut * HOUR)

    def some(after: int, before: int) -> list[Millis]:
        return [slot.start for slot in found(room, offer, asked, Profile(FIRST, ()), (after, before))]

    assert some(FIRST, middle) + some(middle, LAST) == some(FIRST, LAST)


def test_no_slot_begins_or_ends_where_no_instant_is_read() -> None:
    """The first local day of 1970 has hours before it in the east, and the last of 2200 hours after it in the west."""
    for name, day in (("Asia/Tokyo", date(1970, 1, 1)), ("America/New_York", date(2200, 12, 31))):
        tz = zone(name)
        after, before = start_of_day(day, tz), start_of_day(day + ONE_DAY, tz)
        offered = found(
            ResourceRules(ROOM_ID, timezone=name), None, SlotQuery(HOUR), Profile(EARLIEST, ()), (after, before)
        )

        assert offered
        assert all(slot.start >= EARLIEST and slot.end < LATEST for slot in offered)
        assert len(offered) < 24


def test_full_days_across_a_change_of_clocks() -> None:
    """A stay of two days over the night of the gap has 47 hours; others are in the way of it."""
    tz = zone("America/New_York")
    after = start_of_day(date(2026, 3, 7), tz)
    room = ResourceRules(ROOM_ID, services=frozenset({ServiceId("stay")}), timezone="America/New_York")
    offer = ServiceRules(ServiceId("stay"), "full-day", max_days=2)
    noon = start_of_day(date(2026, 3, 9), tz) + 12 * HOUR
    taken = [Occupancy("x", Millis(noon), Millis(noon + HOUR))]
    offered = found(
        room, offer, SlotQuery(DAY, days=2), Profile(EARLIEST, taken), (after, start_of_day(date(2026, 3, 10), tz))
    )

    assert [(slot.start - after, slot.end - slot.start) for slot in offered] == [(0, 47 * HOUR)]


def test_each_full_day_is_judged_by_its_own_schedule() -> None:
    """An override that closes the second of three days takes that day away, and the days before and after it stay."""
    closed = Schedule(tuple((Hours(9 * 60, 17 * 60),) for _ in range(7)), {date(2026, 3, 8): ()})
    room = ResourceRules(ROOM_ID, services=frozenset({CUT_ID}), schedule=closed)
    offer = ServiceRules(CUT_ID, "full-day", max_days=1)
    after = start_of_day(date(2026, 3, 7), zone("UTC"))
    offered = found(room, offer, SlotQuery(DAY), Profile(EARLIEST, ()), (after, after + 3 * DAY))

    assert [slot.start - after for slot in offered] == [0, 2 * DAY]


class Judged:
    """Counts the starts that are judged."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        """Judge."""
        self.count += 1
        return judge(*arguments, **more)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Judged:
    """The count of the starts that were judged in this test."""
    counting = Judged()
    monkeypatch.setattr(module, "judge", counting)
    return counting


def test_a_full_stretch_is_jumped_over(judged: Judged) -> None:
    """Of a week by the minute, full but for two hours of it, only the first start of these two hours is judged."""
    free = Millis(NINE + 5 * DAY)
    taken = [Occupancy("a", NINE, free), Occupancy("b", Millis(free + 2 * HOUR), Millis(NINE + 9 * DAY))]
    room, offer = (
        ResourceRules(ROOM_ID, services=frozenset({CUT_ID})),
        ServiceRules(CUT_ID, "fixed", duration=HOUR, interval=MINUTE),
    )
    offered = found(room, offer, SlotQuery(HOUR), Profile(NINE, taken), (NINE, NINE + 7 * DAY))

    assert [slot.start for slot in offered] == [*range(free, free + HOUR + 1, MINUTE)]
    assert judged.count == 1


@pytest.mark.parametrize("count", [10, 1_000])
def test_many_short_bookings_are_jumped_over_one_by_one(judged: Judged, count: int) -> None:
    """Between any two of them there is too little room: none of the thousands of starts there is judged."""
    taken = [Occupancy(n, Millis(NINE + n * 10 * MINUTE), Millis(NINE + (n * 10 + 6) * MINUTE)) for n in range(count)]
    room, offer = (
        ResourceRules(ROOM_ID, services=frozenset({CUT_ID})),
        ServiceRules(CUT_ID, "fixed", duration=5 * MINUTE, interval=MINUTE),
    )
    budget = Budget(2 * count + 10)
    [first, *_] = found(room, offer, SlotQuery(5 * MINUTE), Profile(EARLIEST, taken), (NINE, NINE + 8 * DAY), budget)

    assert first.start >= taken[-1].end
    assert budget.spent
    assert judged.count == 1


def test_times_off_notice_and_horizon_are_jumped_over(judged: Judged) -> None:
    """Nothing is judged before the notice, in a time off, or beyond the horizon."""
    off = tuple(TimeOff(str(n), Millis(NINE + n * HOUR), Millis(NINE + (n + 1) * HOUR)) for n in range(3, 50))
    room = ResourceRules(ROOM_ID, services=frozenset({CUT_ID}), time_off=off)
    offer = ServiceRules(CUT_ID, "fixed", duration=MINUTE, interval=MINUTE, notice=2 * HOUR, horizon=51 * HOUR)
    offered = found(room, offer, SlotQuery(MINUTE), Profile(NINE, ()), (NINE, NINE + 9 * DAY))

    assert [slot.start - NINE for slot in (offered[0], offered[-1])] == [2 * HOUR, 51 * HOUR]
    assert (len(offered), judged.count) == (121, 1)


def test_starts_that_end_at_night_are_jumped_over(judged: Judged) -> None:
    """Of rentals of 17 hours by the minute, only those are looked at whose end is within the opening hours."""
    room = ResourceRules(ROOM_ID, services=frozenset({CUT_ID}), schedule=Schedule(((Hours(9 * 60, 17 * 60),),) * 7))
    offer = ServiceRules(CUT_ID, "fixed", duration=17 * HOUR, interval=MINUTE, hours="ends")
    budget = Budget(70)
    offered = found(room, offer, SlotQuery(17 * HOUR), Profile(NINE, ()), (NINE, NINE + DAY), budget)

    assert [slot.start for slot in offered] == [*range(NINE + 7 * HOUR, NINE + 8 * HOUR, MINUTE)]
    assert (budget.spent, judged.count) == (False, 1)


@pytest.mark.parametrize(
    "room",
    [
        ResourceRules(ROOM_ID, active=False, services=frozenset({CUT_ID})),
        ResourceRules(ROOM_ID),
        ResourceRules(ROOM_ID, services=frozenset({CUT_ID}), by_guests=True, capacity=2),
    ],
)
def test_what_refuses_every_start_is_asked_once(judged: Judged, room: ResourceRules) -> None:
    """A resource that is off, that does not offer the service, or that is too small."""
    offer = ServiceRules(CUT_ID, "fixed", duration=MINUTE, interval=MINUTE)

    assert found(room, offer, SlotQuery(MINUTE, guests=3), Profile(NINE, ()), (NINE, NINE + 9 * DAY)) == []
    assert judged.count == 1


@given(rooms, offers, occupancies, wishes, st.integers(0, 40))
def test_a_budget_cuts_the_end_off(
    room: ResourceRules, offer: ServiceRules | None, taken: list[Occupancy], asked: SlotQuery, starts: int
) -> None:
    """What is found within it is the beginning of what is found without one, and it says whether that is all."""
    asked = replace(asked, length=offer.duration) if offer else asked
    profile = Profile(FIRST, taken, asked.ignore)
    budget = Budget(starts)
    all_of_them = found(room, offer, asked, profile, (FIRST, LAST))
    some = found(room, offer, asked, profile, (FIRST, LAST), budget)

    assert some == all_of_them[: len(some)]
    assert budget.spent or some == all_of_them
    assert len(some) <= starts


def test_time_that_is_over_ends_the_search() -> None:
    """The time limit is checked every few starts."""
    room, late_answers = ResourceRules(ROOM_ID), iter([False, False, True])
    budget = Budget(10_000, late=lambda: next(late_answers))
    offered = found(room, None, SlotQuery(MINUTE), Profile(NINE, ()), (NINE, NINE + 9 * DAY), budget)

    assert budget.spent
    assert 2 * STARTS_PER_CLOCK_READ <= len(offered) < 3 * STARTS_PER_CLOCK_READ
