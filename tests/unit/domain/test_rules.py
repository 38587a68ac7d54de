"""The rules: each alone, all together, and their capacity against a brute force."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.ids import ServiceId
from app.domain.instants import DAY, HOUR, MINUTE, Duration, Millis, parse, to_millis
from app.domain.load import Calendar, Occupancy
from app.domain.rules import (
    LIFTED_BY_FORCE,
    RULES,
    BookingRequest,
    ResourceRules,
    ServiceRules,
    Verdict,
    block_of,
    judge,
)
from tests.support.ids import CUT_ID, ROOM_ID

NOW = Millis(1_900_000_000_000)
NINE = Millis(NOW + 10 * DAY)
TEN = Millis(NINE + HOUR)
ROOM = ResourceRules(ROOM_ID, services=frozenset({CUT_ID}))
CUT = ServiceRules(CUT_ID, "fixed", duration=HOUR)
STAY = ServiceRules(CUT_ID, "flexible", duration_min=20 * MINUTE, duration_step=15 * MINUTE, duration_max=95 * MINUTE)


def wish(start: int = NINE, length: Duration = HOUR, guests: int = 1, *lifted: str) -> BookingRequest:
    """A wish, by default for an hour."""
    return BookingRequest(Millis(start), Millis(start + length), guests, frozenset(lifted))


def failing_rules(
    wanted: BookingRequest, room: ResourceRules = ROOM, offer: ServiceRules | None = CUT, *taken: Occupancy
) -> list[str]:
    """The rules that say no."""
    return [check.rule for check in judge(wanted, room, offer, Calendar(NOW, taken)).failed]


def occupied(start: int, end: int, units: int = 1, name: object = 0) -> Occupancy:
    """A booking that is there."""
    return Occupancy(name, Millis(start), Millis(end), units)


CROWDS = st.lists(
    st.builds(
        lambda start, length, units, name: occupied(
            NINE + start * MINUTE, NINE + (start + length) * MINUTE, units, name
        ),
        st.integers(0, 30),
        st.integers(1, 12),
        st.integers(1, 3),
        st.uuids(),
    ),
    max_size=10,
)
BUFFERS = st.integers(0, 3).map(lambda minutes: minutes * MINUTE)
OFFERS = st.builds(lambda before, after: replace(CUT, buffer_before=before, buffer_after=after), BUFFERS, BUFFERS)
ROOMS = st.booleans().map(lambda by_guests: replace(ROOM, capacity=4, by_guests=by_guests))


class TestVerdict:
    """What holds for every judgement."""

    @pytest.mark.promise("all-rules")
    def test_all_rules_are_judged_in_one_order(self) -> None:
        """Also where everything is wrong at once."""
        room = ResourceRules(ROOM_ID, capacity=2, by_guests=True, active=False)
        offer = replace(CUT, id=ServiceId("dye"), active=False, notice=HOUR, horizon=DAY)
        verdict = judge(BookingRequest(Millis(NOW - DAY), NOW, 3), room, offer, Calendar(NOW))

        assert [check.rule for check in verdict.checks] == list(RULES)
        assert [check.rule for check in verdict.failed] == [
            "resource-active",
            "service-active",
            "service-offered",
            "duration",
            "notice",
            "guests",
            "capacity",
        ]
        assert not verdict.bookable
        assert all(check.detail.endswith(".") for check in verdict.checks)

    def test_without_a_service_only_the_resource_counts(self) -> None:
        """No notice, no horizon, no length, no buffers; the past is free to book."""
        verdict = judge(BookingRequest(Millis(NOW - DAY), Millis(NOW - HOUR)), ROOM, None, Calendar(NOW))

        assert verdict.bookable
        assert (verdict.block_start, verdict.block_end) == (NOW - DAY, NOW - HOUR)

    def test_only_capacity_is_a_conflict(self) -> None:
        """The time is taken if only capacity fails; with another failed rule it is not only that."""
        taken = Calendar(NOW, [occupied(NINE, TEN)])

        assert judge(wish(), ROOM, CUT, taken).is_conflict
        assert not judge(wish(length=2 * HOUR), ROOM, CUT, taken).is_conflict
        assert not judge(wish(NINE + HOUR), ROOM, CUT, taken).is_conflict

    @pytest.mark.parametrize("rule", RULES)
    def test_what_is_lifted_says_so(self, rule: str) -> None:
        """It holds, and its detail still tells what was wrong."""
        room = ResourceRules(ROOM_ID, by_guests=True, active=False)
        offer = replace(CUT, active=False, notice=HOUR, horizon=0)
        verdict = judge(wish(NOW - DAY, DAY, 3, rule), room, offer, Calendar(NOW))

        assert rule not in [check.rule for check in verdict.failed]
        before = judge(wish(NOW - DAY, DAY, 3), room, offer, Calendar(NOW))
        broken = dict(zip(RULES, before.checks, strict=True))[rule]
        lifted = dict(zip(RULES, verdict.checks, strict=True))[rule]
        assert lifted.detail == (broken.detail if broken.ok else f"Lifted: {broken.detail}")

    def test_force_never_lifts_capacity(self) -> None:
        """Nor what the resource or service is."""
        assert {"notice", "horizon", "schedule", "time-off"} == LIFTED_BY_FORCE


class TestDuration:
    """How long it may take."""

    @pytest.mark.parametrize(
        ("minutes", "expected"), [(59, ["duration"]), (60, []), (61, ["duration"]), (120, ["duration"])]
    )
    def test_fixed_is_exact(self, minutes: int, expected: list[str]) -> None:
        """Not a minute more or less."""
        assert failing_rules(wish(length=minutes * MINUTE)) == expected

    @pytest.mark.parametrize(
        ("minutes", "expected"),
        [
            (5, ["duration"]),
            (19, ["duration"]),
            (20, []),
            (21, ["duration"]),
            (30, ["duration"]),
            (35, []),
            (95, []),
            (110, ["duration"]),
        ],
    )
    def test_flexible_is_the_least_plus_whole_steps(self, minutes: int, expected: list[str]) -> None:
        """Up to the most, both included; steps count from the least, not from zero."""
        assert failing_rules(wish(length=minutes * MINUTE), offer=STAY) == expected

    def test_flexible_is_exact_to_the_millisecond(self) -> None:
        """A millisecond over a step is no step."""
        assert failing_rules(wish(length=20 * MINUTE + 1), offer=STAY) == ["duration"]

    @pytest.mark.parametrize(
        ("first", "last", "hours"),
        [
            ("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", 23),
            ("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00", 25),
            ("2026-06-01T00:00:00+02:00", "2026-06-02T00:00:00+02:00", 24),
            ("2026-03-28T00:00:00+01:00", "2026-03-30T00:00:00+02:00", 47),
        ],
    )
    def test_full_days_are_local_days(self, first: str, last: str, hours: int) -> None:
        """However many hours they have; an hour off either end is none."""
        start, end = to_millis(parse(first)), to_millis(parse(last))
        room = replace(ROOM, timezone="Europe/Berlin")
        days = ServiceRules(CUT_ID, "full-day", max_days=2)
        early = Millis(start - DAY)

        assert end - start == hours * HOUR
        for off_start, off_end, expected in [(0, 0, []), (HOUR, 0, ["duration"]), (0, -HOUR, ["duration"])]:
            wanted = BookingRequest(Millis(start + off_start), Millis(end + off_end))
            assert [c.rule for c in judge(wanted, room, days, Calendar(early)).failed] == expected
        utc = judge(BookingRequest(start, end), ROOM, days, Calendar(early))
        assert [check.rule for check in utc.failed] == ["duration"]

    def test_full_days_are_counted(self) -> None:
        """At most so many as the service says."""
        start = NINE // DAY * DAY
        days = ServiceRules(CUT_ID, "full-day", max_days=3)

        assert failing_rules(wish(start, 3 * DAY), offer=days) == []
        assert failing_rules(wish(start, 4 * DAY), offer=days) == ["duration"]


class TestNoticeAndHorizon:
    """How far ahead; both ends are included."""

    @pytest.mark.parametrize(
        ("notice", "start", "expected"),
        [
            (0, NOW - 1, ["notice"]),
            (0, NOW, []),
            (HOUR, NOW + HOUR - 1, ["notice"]),
            (HOUR, NOW + HOUR, []),
            (HOUR, NOW - 1, ["notice"]),
        ],
    )
    def test_notice(self, notice: Millis, start: Millis, expected: list[str]) -> None:
        """Exactly so far ahead is enough; the past never is."""
        assert failing_rules(wish(start), offer=replace(CUT, notice=notice)) == expected

    @pytest.mark.parametrize(
        ("days", "start", "expected"),
        [
            (None, NOW + 10_000 * DAY, []),
            (2, NOW + 2 * DAY, []),
            (2, NOW + 2 * DAY + 1, ["horizon"]),
            (0, NOW, []),
            (0, NOW + 1, ["horizon"]),
        ],
    )
    def test_horizon(self, days: int | None, start: Millis, expected: list[str]) -> None:
        """24 hours a day, to the millisecond; no horizon is no limit."""
        horizon = None if days is None else days * DAY

        assert failing_rules(wish(start), offer=replace(CUT, horizon=horizon)) == expected


class TestCapacity:
    """Whether there is room, in the block and by units."""

    @given(CROWDS, st.integers(4, 26), st.integers(1, 8), st.integers(1, 5), OFFERS, ROOMS)
    def test_there_is_room_exactly_where_every_instant_has_it(
        self, crowd: list[Occupancy], start: int, length: int, units: int, offer: ServiceRules, room: ResourceRules
    ) -> None:
        """At every instant of the block the units there plus ours are at most the capacity."""
        offer = replace(offer, duration=length * MINUTE)
        verdict = judge(wish(NINE + start * MINUTE, length * MINUTE, units), room, offer, Calendar(NOW, crowd))
        ours = units if room.by_guests else 1
        end = start + length + offer.buffer_after // MINUTE
        block = [NINE + minute * MINUTE for minute in range(start - offer.buffer_before // MINUTE, end)]
        loads = {instant: sum(one.units for one in crowd if one.start <= instant < one.end) for instant in block}
        full = [instant for instant, load in loads.items() if load + ours > room.capacity]

        assert ("capacity" in [check.rule for check in verdict.failed]) == bool(full)
        assert verdict.units == ours
        expected = {one.id for one in crowd if any(one.start <= instant < one.end for instant in full)}
        assert {one.id for one in verdict.conflicts} == expected

    def test_the_block_is_the_time_with_its_buffers(self) -> None:
        """Before and after are each added on its side."""
        offer = replace(CUT, buffer_before=10 * MINUTE, buffer_after=20 * MINUTE)

        assert block_of(NINE, TEN, offer) == (NINE - 10 * MINUTE, NINE + HOUR + 20 * MINUTE)
        assert block_of(NINE, TEN, None) == (NINE, TEN)

    def test_a_block_that_is_stored_is_judged_as_it_is(self) -> None:
        """A change that leaves the buffers alone is not given the service's new ones."""
        offer = replace(CUT, buffer_after=20 * MINUTE)
        next_one = Calendar(NOW, [occupied(NINE + HOUR, NINE + 2 * HOUR)])

        def verdict(block: tuple[Millis, Millis] | None) -> Verdict:
            return judge(wish(), ROOM, offer, next_one, block=block)

        assert not verdict(None).bookable
        assert verdict((NINE, TEN)).bookable

    def test_a_moved_booking_does_not_conflict_with_itself(self) -> None:
        """Only the others count."""
        calendar = Calendar(NOW, [occupied(NINE, NINE + HOUR, name="me")])

        assert judge(replace(wish(NINE + MINUTE), ignore="me"), ROOM, CUT, calendar).bookable
        assert not judge(replace(wish(NINE + MINUTE), ignore="you"), ROOM, CUT, calendar).bookable

    def test_a_party_above_the_capacity_breaks_a_rule(self) -> None:
        """Where guests count, more of them than ever fit is no conflict."""
        counting = replace(ROOM, capacity=4, by_guests=True)

        assert failing_rules(wish(guests=4), counting) == []
        assert failing_rules(wish(guests=5), counting) == ["guests", "capacity"]
        assert failing_rules(wish(guests=5), replace(counting, by_guests=False)) == []

    def test_a_party_above_the_allowed_size_breaks_a_rule(self) -> None:
        """Where guests count and where they do not; the lower of the limit and the capacity decides."""
        for by_guests in (True, False):
            room = replace(ROOM, capacity=4, by_guests=by_guests, max_guests=3)
            assert failing_rules(wish(guests=3), room) == []
            assert failing_rules(wish(guests=4), room) == ["guests"]
        roomy = replace(ROOM, capacity=4, by_guests=True, max_guests=10)
        assert failing_rules(wish(guests=5), roomy) == ["guests", "capacity"]

    def test_some_resources_are_booked_with_a_service_alone(self) -> None:
        """Without one the rule says so, which judges what a resource offers."""
        verdict = judge(wish(), replace(ROOM, service_only=True), None, Calendar(NOW))

        assert [check.rule for check in verdict.failed] == ["service-offered"]


@pytest.mark.parametrize(
    ("room", "offer", "expected"),
    [
        (replace(ROOM, active=False), CUT, ["resource-active"]),
        (ROOM, replace(CUT, active=False), ["service-active"]),
        (replace(ROOM, services=frozenset({ServiceId("dye")})), CUT, ["service-offered"]),
    ],
)
def test_what_is_switched_off_or_not_offered_cannot_be_booked(
    room: ResourceRules, offer: ServiceRules, expected: list[str]
) -> None:
    """Each for itself."""
    assert failing_rules(wish(), room, offer) == expected
