"""Slots against the rules that they are made by: nothing offered that fails one, nothing left out that passes all."""

from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from app.timeline.instants import DAY, EARLIEST, HOUR, LATEST, MINUTE, Millis
from app.timeline.load import Calendar, Occupancy, Profile
from app.timeline.rules import Offer, Room, Wish, judge
from app.timeline.schedule import Hours, Schedule, TimeOff
from app.timeline.slots import Asked, candidates, count, slots
from app.timeline.zones import ONE_DAY, start_of_day, zone

ZONES = ("UTC", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia", "Asia/Kathmandu")
FIRST: Millis = 1_772_900_000_000  # on the eve of New York's change of clocks in 2026
SPAN = 3 * DAY

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
occupancies = st.lists(
    st.builds(
        lambda start, length, units, lapsed: Occupancy("", start, start + length, units, FIRST - 1 if lapsed else None),
        moments,
        lengths,
        st.integers(1, 3),
        st.booleans(),
    ),
    max_size=8,
).map(lambda those: [Occupancy(n, each.start, each.end, each.units, each.expires) for n, each in enumerate(those)])
rooms = st.builds(
    Room,
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
    Offer,
    id=st.just("cut"),
    kind=st.sampled_from(["fixed", "full-day"]),
    duration=lengths,
    max_days=st.just(2),
    before=st.sampled_from([0, 10 * MINUTE, HOUR]),
    after=st.sampled_from([0, 25 * MINUTE]),
    interval=st.sampled_from([30 * MINUTE, 80 * MINUTE]),
    notice=st.sampled_from([0, 20 * HOUR]),
    horizon=st.none() | st.just(2 * DAY),
)


wishes = st.builds(Asked, lengths, st.integers(1, 5), st.integers(1, 3), st.none() | st.integers(0, 7))


@given(rooms, offers, occupancies, wishes)
def test_slots_are_the_candidates_that_every_rule_lets_pass(
    room: Room,
    offer: Offer | None,
    taken: list[Occupancy],
    asked: Asked,
) -> None:
    """Judged one by one, by a plain calendar and with nothing resolved before; what remains is summed up anew."""
    asked = replace(asked, length=offer.duration) if offer else asked
    now, before = FIRST, FIRST + SPAN
    offered = list(slots(room, offer, asked, Profile(now, taken, asked.ignore), FIRST, before))

    expected = []
    for start, end in candidates(room, offer, asked, FIRST, before):
        assert FIRST <= start < before
        verdict = judge(Wish(start, end, asked.guests, ignore=asked.ignore), room, offer, Calendar(now, taken))
        if verdict.bookable:
            live = [each for each in taken if each.expires is None and each.id != asked.ignore]
            block = range(verdict.block_start, verdict.block_end)
            at = [block.start, *(each.start for each in live if each.start in block)]
            peak = max(sum(each.units for each in live if each.start <= moment < each.end) for moment in at)
            expected.append((start, end, room.capacity - peak))
    assert [(slot.start, slot.end, slot.remaining) for slot in offered] == expected
    assert [slot.start for slot in offered] == sorted({slot.start for slot in offered})


@given(rooms, offers, lengths)
def test_candidates_are_counted_without_being_made(room: Room, offer: Offer | None, length: Millis) -> None:
    """Never fewer than there are, and no more but for the edges of full days."""
    asked = Asked(offer.duration if offer else length)
    made = len(list(candidates(room, offer, asked, FIRST, FIRST + SPAN)))
    told = count(room, offer, asked, FIRST, FIRST + SPAN)

    assert made <= told <= made + (2 if offer and offer.kind == "full-day" else 0)


@given(rooms, offers, lengths, st.integers(0, 72))
def test_a_span_may_be_asked_for_in_two_parts(room: Room, offer: Offer | None, length: Millis, cut: int) -> None:
    """What starts before an instant and what starts from it are together what starts in all."""
    asked = Asked(offer.duration if offer else length)
    middle = FIRST + cut * HOUR

    def some(after: Millis, before: Millis) -> list[Millis]:
        return [slot.start for slot in slots(room, offer, asked, Profile(FIRST, ()), after, before)]

    assert some(FIRST, middle) + some(middle, FIRST + SPAN) == some(FIRST, FIRST + SPAN)


def test_no_slot_begins_or_ends_where_no_instant_is_read() -> None:
    """The first local day of 1970 has hours before it in the east, and the last of 2200 hours after it in the west."""
    for name, day in (("Asia/Tokyo", date(1970, 1, 1)), ("America/New_York", date(2200, 12, 31))):
        tz = zone(name)
        after, before = start_of_day(day, tz), start_of_day(day + ONE_DAY, tz)
        found = [*slots(Room("room", timezone=name), None, Asked(HOUR), Profile(0, ()), after, before)]

        assert found
        assert all(slot.start >= EARLIEST and slot.end < LATEST for slot in found)
        assert len(found) < 24


def test_full_days_across_a_change_of_clocks() -> None:
    """A stay of two days over the night of the gap has 47 hours; others are in the way of it."""
    tz = zone("America/New_York")
    after = start_of_day(date(2026, 3, 7), tz)
    room = Room("room", services=frozenset({"stay"}), timezone="America/New_York")
    offer = Offer("stay", "full-day", max_days=2)
    noon = start_of_day(date(2026, 3, 9), tz) + 12 * HOUR
    taken = [Occupancy("x", noon, noon + HOUR)]
    found = [*slots(room, offer, Asked(DAY, days=2), Profile(0, taken), after, start_of_day(date(2026, 3, 10), tz))]

    assert [(slot.start - after, slot.end - slot.start) for slot in found] == [(0, 47 * HOUR)]
