"""One change judged against a view built by hand: what a patch makes of a reservation, and which rules it meets."""

from datetime import datetime
from typing import Any

import pytest

from app.booking.change import Change
from app.booking.moments import LocalField, LocalTime
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import HOUR as HOUR_MILLIS
from app.domain.instants import MINUTE as MINUTE_MILLIS
from app.domain.instants import to_millis
from app.domain.metadata import KEYS_MAX
from app.domain.rules import ResourceRules, ServiceRules
from app.domain.schedule import TimeOff
from app.storage.documents import Reservation
from app.storage.span import Span
from tests.support.booking_view import NOW, FixedView, failed_rules_of, problem_of, stored_row
from tests.support.ids import CUT_ID, ROOM_ID
from tests.support.times import DAY, HOUR, MINUTE, NINE

SERVICES = frozenset({CUT_ID, ServiceId("wash"), ServiceId("asked")})
ROOM = ResourceRules(ROOM_ID, services=SERVICES)
HALL = ResourceRules(ResourceId("hall"), services=SERVICES, timezone="Europe/Berlin")
CUT = ServiceRules(CUT_ID, "fixed", duration=2 * HOUR_MILLIS, buffer_after=30 * MINUTE_MILLIS)
WASH = ServiceRules(ServiceId("wash"), "flexible", duration_min=HOUR_MILLIS, duration_max=4 * HOUR_MILLIS)
ASKED = ServiceRules(ServiceId("asked"), "fixed", duration=HOUR_MILLIS, requires_approval=True)


def view(*rows: dict[str, Any], **fields: Any) -> FixedView:
    """A room and a hall with three services, and these reservations."""
    return FixedView([ROOM, HALL], [CUT, WASH, ASKED], rows, **fields)


def change(row: dict[str, Any], patch: dict[str, Any], **fields: Any) -> Change:
    """A change of a reservation where it lies."""
    place: dict[str, Any] = {"reservation": row["_id"], "resource": row["resource"], "service": row.get("service")}
    return Change(by="caller", patch=patch, **(place | fields))


def changed(row: dict[str, Any], patch: dict[str, Any], seen: FixedView | None = None, **fields: Any) -> Reservation:
    """The reservation after an accepted change."""
    return change(row, patch, **fields).judge(seen or view(row)).value


class TestTimes:
    """The end and the block that follow from a patch."""

    def test_a_new_start_alone_keeps_the_length(self) -> None:
        """An hour stays an hour; the block moves with it and is what is looked up."""
        row = stored_row()
        after = changed(row, {"startTime": NINE + HOUR})

        assert (after.start_time, after.end_time) == (NINE + HOUR, NINE + 2 * HOUR)
        span = Span(ROOM_ID, to_millis(NINE + HOUR), to_millis(NINE + 2 * HOUR))
        assert change(row, {"startTime": NINE + HOUR}).spans(view(row)) == [span]

    def test_a_service_of_fixed_length_sets_length_and_buffers(self) -> None:
        """Two hours, and half an hour after them."""
        after = changed(stored_row(), {"service": "cut"})

        assert after.end_time == NINE + 2 * HOUR
        assert (after.block_start, after.block_end) == (NINE, NINE + 2.5 * HOUR)

    @pytest.mark.promise("block")
    def test_buffers_stay_as_they_were_booked_where_only_the_end_changes(self) -> None:
        """They are stored: the service may have others by now."""
        row = stored_row(service="wash", blockStart=NINE - 5 * MINUTE, blockEnd=NINE + HOUR + 15 * MINUTE)
        after = changed(row, {"endTime": NINE + 2 * HOUR})

        assert (after.block_start, after.block_end) == (NINE - 5 * MINUTE, NINE + 2 * HOUR + 15 * MINUTE)

    def test_the_timezone_follows_the_resource(self) -> None:
        """And stays where the resource does."""
        row = stored_row(timezone="Asia/Tokyo")

        assert changed(row, {"resource": "hall"}).timezone == "Europe/Berlin"
        assert changed(row, {"startTime": NINE + HOUR}).timezone == "Asia/Tokyo"

    def test_an_end_before_the_start_is_refused_at_its_field(self) -> None:
        """A length that no reservation can have; one that is stored and shorter than a minute may stay."""
        short = stored_row(endTime=NINE + MINUTE / 2)

        assert problem_of(change(stored_row(), {}), view()) == ("not-found", [])
        row = stored_row()
        assert problem_of(change(row, {"endTime": NINE - HOUR}), view(row)) == ("invalid", ["endTime"])
        assert problem_of(change(short, {"startTime": NINE + HOUR}), view(short)) == ("invalid", ["endTime"])
        assert changed(short, {"guests": 2}).guests == 2


def local(text: str, field: LocalField = "localStart") -> LocalTime:
    """A local time of a resource's clocks."""
    return LocalTime(datetime.fromisoformat(text), text, field)


class TestLocalTimes:
    """Times of the clocks of the resource on which the reservation will be."""

    def test_it_is_the_zone_of_the_resource_after_the_change(self) -> None:
        """Ten o'clock in the hall is nine of UTC; it is booked in that zone then, also where the resource stays."""
        row = stored_row(timezone="Asia/Tokyo")
        there = changed(row, {"startTime": local("2030-01-07T10:00"), "resource": "hall"})
        here = changed(row, {"endTime": local("2030-01-07T11:00", "localEnd")})

        assert (there.start_time, there.end_time, there.timezone) == (NINE, NINE + HOUR, "Europe/Berlin")
        assert (here.start_time, here.end_time, here.timezone) == (NINE, NINE + 2 * HOUR, "UTC")
        assert changed(row, {"timezone": "America/New_York"}).timezone == "America/New_York"

    def test_an_hour_that_the_clocks_skip_is_asked_back(self) -> None:
        """With the instants before and after the change, and the block is looked up nowhere."""
        row = stored_row(resource="hall")
        skipped = change(row, {"startTime": local("2030-03-31T02:30")})

        assert problem_of(skipped, view(row)) == ("local-time", ["localStart"])

    def test_a_day_that_the_zone_makes_impossible_is_refused(self) -> None:
        """The last evening of 2200 lies in 2201 for the west of Greenwich, and an end before its start is none."""
        west = ResourceRules(ROOM_ID, timezone="America/New_York")
        row = stored_row()
        seen = FixedView([west], [], [row])

        late = change(row, {"startTime": local("2200-12-31T23:00")})
        assert problem_of(late, seen) == ("invalid", ["localStart"])
        before = change(row, {"endTime": local("2030-01-07T03:00", "localEnd")})
        assert problem_of(before, seen) == ("invalid", ["endTime"])


class TestPools:
    """A change to a free resource of a pool."""

    def moved(self, row: dict[str, Any], seen: FixedView, patch: dict[str, Any] | None = None, **fields: Any) -> str:
        """The resource that a reservation moves to."""
        pool = (ResourceId("hall"), ROOM_ID)
        return change(row, patch or {}, pool=pool, **fields).judge(seen).value.resource

    def test_it_gets_one_that_is_free(self) -> None:
        """Its own place counts as free, those of others do not; the calendars show where it is."""
        row = stored_row(service="wash")
        for _ in range(10):
            seen = view(row)
            seen.occupy("hall", to_millis(NINE), to_millis(NINE + HOUR))
            assert self.moved(row, seen) == "room"
            assert seen.live_starts("room") == [NINE]
        seen = view(row, stored_row())
        assert self.moved(row, seen) == "hall"
        assert (seen.live_starts("room"), seen.live_starts("hall")) == ([NINE], [NINE])

    def test_each_is_judged_by_its_own_zone_and_rules(self) -> None:
        """A day of the hall begins an hour earlier than one of the room, which is closed for a party of two."""
        row = stored_row(service="day", endTime=NINE + DAY)
        day = ServiceRules(ServiceId("day"), "full-day", max_days=7)
        offered = frozenset({day.id})
        room = ResourceRules(ROOM_ID, services=offered, max_guests=1)
        hall = ResourceRules(ResourceId("hall"), services=offered, timezone="Europe/Berlin")
        midnight = NINE.replace(hour=23)
        seen = FixedView([room, hall], [day], [row])
        after = change(row, {"startTime": midnight, "guests": 2}, pool=(hall.id, room.id)).judge(seen).value

        assert (after.resource, after.start_time, after.end_time) == ("hall", midnight, midnight + DAY)
        assert (after.timezone, after.guests) == ("Europe/Berlin", 2)

    def test_nothing_free_is_refused_as_a_booking_is(self) -> None:
        """By the member with the fewest failed rules; also where it is double-booked and would not have to move."""
        row, twin = stored_row(service="wash"), stored_row()
        seen = view(row, twin, stored_row(resource="hall"))
        into = change(row, {}, pool=(ResourceId("hall"), ROOM_ID))

        assert failed_rules_of(into, seen) == ["capacity"]
        assert seen.live_starts("room") == [NINE, NINE]

    def test_inside_the_notice_it_may_not_give_its_resource_up(self) -> None:
        """Whatever it would get."""
        promised = ServiceRules(CUT_ID, "fixed", duration=HOUR_MILLIS, cancellation_notice=HOUR_MILLIS)
        row = stored_row(service="cut")
        seen = FixedView([ROOM, HALL], [promised], [row], now=NINE - HOUR / 2)

        assert problem_of(change(row, {}, pool=(ROOM_ID,)), seen) == ("too-late", [])
        assert self.moved(row, seen, admin=True) in {"hall", "room"}

    def test_it_takes_the_lanes_of_all_and_the_guard_of_one(self) -> None:
        """The others are only read; the chosen one's guard is changed after the choice."""
        row = stored_row(service="wash")
        into = change(row, {}, pool=(ResourceId("hall"), ResourceId("attic")))

        assert into.lanes() == {"room", "hall", "attic"}
        assert into.guards() == {"room"}
        hall_alone = change(row, {}, pool=(ResourceId("hall"),))
        assert [span.resource for span in hall_alone.judge(view(row)).taken] == ["hall"]


@pytest.mark.promise("judged-changes")
class TestRules:
    """Which rules are judged again."""

    def test_more_time_is_judged_like_a_booking(self) -> None:
        """The neighbour conflicts, and the calendar stays as it was."""
        row, neighbour = stored_row(), stored_row(NINE + HOUR)
        seen = view(row, neighbour)

        assert failed_rules_of(change(row, {"endTime": NINE + 2 * HOUR}), seen) == ["capacity"]
        assert seen.live_starts("room") == [NINE, NINE + HOUR]

    def test_less_time_is_never_refused_for_an_overlap(self) -> None:
        """On a resource that is booked twice a reservation can still give up some of its time."""
        row, other = stored_row(endTime=NINE + 2 * HOUR), stored_row(endTime=NINE + 2 * HOUR)

        assert changed(row, {"endTime": NINE + HOUR}, view(row, other)).end_time == NINE + HOUR

    def test_a_start_that_stays_is_not_judged_for_notice(self) -> None:
        """A reservation that has begun can be made longer, and cannot be moved to another start that is past."""
        row, begun = stored_row(service="wash"), NINE + HOUR / 2

        longer = changed(row, {"endTime": NINE + 2 * HOUR}, view(row, now=begun))
        assert longer.end_time == NINE + 2 * HOUR
        earlier = change(row, {"startTime": NINE - HOUR}, admin=True)
        assert failed_rules_of(earlier, view(row, now=begun)) == ["notice"]

    def test_time_that_grows_into_its_own_buffer_is_judged_by_all_but_capacity(self) -> None:
        """The buffer may lie in a time off, where the reservation itself may not."""
        row = stored_row(service="wash", blockEnd=NINE + 3 * HOUR)
        off = TimeOff("off", to_millis(NINE + HOUR), to_millis(NINE + 3 * HOUR))
        room = ResourceRules(ROOM_ID, services=SERVICES, time_off=(off,))
        seen = FixedView([room], [WASH], [row, stored_row()])
        patch = {"endTime": NINE + 2 * HOUR, "startTime": NINE}
        intent = change(row, patch, lifted_rules=frozenset())

        assert failed_rules_of(intent, seen) == ["time-off"]

    def test_the_moved_reservation_leaves_its_place_to_later_intents(self) -> None:
        """Its old time is free in the view, the new one taken, and the reach covers it."""
        row = stored_row()
        seen = view(row)
        accepted = change(row, {"resource": "hall", "startTime": NINE + HOUR}).judge(seen)

        assert (seen.live_starts("room"), seen.live_starts("hall")) == ([], [NINE + HOUR])
        assert accepted.blocks == [accepted.value]
        assert accepted.taken == [Span(ResourceId("hall"), to_millis(NINE + HOUR), to_millis(NINE + 2 * HOUR))]

    @pytest.mark.parametrize(("field", "value"), [("resource", "attic"), ("service", "dye")])
    def test_an_unknown_target_is_refused_at_its_field(self, field: str, value: str) -> None:
        """Both guards and both services are in view before it is known."""
        row = stored_row()
        intent = change(row, {field: value})

        assert problem_of(intent, view(row)) == ("invalid", [field])
        assert value in intent.lanes() | intent.services()


class TestDetails:
    """What no rule judges."""

    @pytest.mark.parametrize("status", ["cancelled", "completed", "no-show"])
    @pytest.mark.promise("final-status")
    def test_notes_of_a_final_reservation_can_be_changed_and_nothing_else(self, status: str) -> None:
        """Neither its time nor its customer."""
        row = stored_row(status=status)

        assert changed(row, {"notes": "late"}).notes == "late"
        for patch in ({"startTime": NINE + HOUR}, {"customer": "ann"}, {"notes": "x", "guests": 2}):
            assert problem_of(change(row, patch), view(row)) == ("forbidden-transition", [])

    def test_a_hold_whose_time_is_over_cannot_be_changed(self) -> None:
        """From its instant on, by the clock of the guard."""
        row = stored_row(status="pending", expiresAt=NOW)

        assert problem_of(change(row, {"notes": "x"}), view(row)) == ("hold-expired", [])
        assert changed(row, {"notes": "x"}, view(row, now=NOW - MINUTE)).notes == "x"

    def test_metadata_merges_by_key(self) -> None:
        """None removes a key; without keys the field is unset."""
        row = stored_row(metadata={"a": 1, "b": 2})

        assert changed(row, {"metadata": {"b": None, "c": 3}}).metadata == {"a": 1, "c": 3}
        assert changed(row, {"metadata": {"a": None, "b": None}}).metadata is None
        assert changed(row, {"metadata": None}).metadata is None

    def test_metadata_is_bounded_with_what_is_there(self) -> None:
        """One key more than the most is refused at the field."""
        row = stored_row(metadata={f"k{number}": number for number in range(KEYS_MAX)})

        assert problem_of(change(row, {"metadata": {"more": 1}}), view(row)) == ("invalid", ["metadata"])
        assert changed(row, {"metadata": {"k0": 7}}).metadata is not None

    def test_a_reservation_with_items_is_not_moved(self) -> None:
        """Its items say where it is; its notes can be changed."""
        row = stored_row(items=[{"resource": "hall"}])

        assert problem_of(change(row, {"startTime": NINE + HOUR}), view(row)) == ("invalid", ["items"])
        assert changed(row, {"notes": "x"}).notes == "x"

    def test_another_version_than_was_seen_is_stale(self) -> None:
        """Any version will do where none is named."""
        row = stored_row(version=3)

        assert problem_of(change(row, {"notes": "x"}, version=2), view(row)) == ("stale", [])
        assert changed(row, {"notes": "x"}, version=3).version == 4


class TestPermission:
    """What the key of the caller may do."""

    @pytest.mark.promise("cancellation-notice")
    def test_a_confirmed_time_is_not_given_up_inside_the_cancellation_notice(self) -> None:
        """Moved, ended earlier or with fewer guests; made longer it may be, and an admin may all of it."""
        strict = ServiceRules(
            ServiceId("wash"), "flexible", duration_max=9 * HOUR_MILLIS, cancellation_notice=48 * HOUR_MILLIS
        )
        row = stored_row(service="wash", guests=2, endTime=NINE + 2 * HOUR)
        less = ({"startTime": NINE + HOUR}, {"endTime": NINE + HOUR}, {"guests": 1}, {"resource": "hall"})
        for patch in less:
            assert problem_of(change(row, patch), FixedView([ROOM, HALL], [strict], [row])) == ("too-late", [])
            changed(row, patch, FixedView([ROOM, HALL], [strict], [row]), admin=True)
        changed(row, {"endTime": NINE + 3 * HOUR}, FixedView([ROOM, HALL], [strict], [row]))

    def test_a_confirmed_booking_does_not_slip_past_an_approval(self) -> None:
        """A service that needs approval is given by an admin only; so is any service to a request."""
        row, request = stored_row(), stored_row(status="pending", service="wash")

        assert problem_of(change(row, {"service": "asked"}), view(row)) == ("forbidden", [])
        assert problem_of(change(request, {"service": "cut"}), view(request)) == ("forbidden", [])
        assert changed(row, {"service": "asked"}, admin=True).service == "asked"

    def test_a_bound_key_changes_only_what_has_a_service(self) -> None:
        """Named in the request the field is to blame."""
        row, served = stored_row(), stored_row(service="wash")

        assert problem_of(change(row, {"guests": 2}, bound=True), view(row)) == ("forbidden", [])
        assert problem_of(change(served, {"service": None}, bound=True), view(served)) == ("invalid", ["service"])


class TestWithoutLoad:
    """What a move may enter before its members are judged."""

    @pytest.mark.parametrize(
        ("patch", "adds"),
        [
            ({"notes": "x"}, False),
            ({"endTime": NINE + HOUR}, False),
            ({"guests": 9}, False),
            ({"endTime": NINE + 3 * HOUR}, True),
            ({"startTime": NINE - HOUR, "endTime": NINE}, True),
            ({"resource": "hall"}, True),
        ],
    )
    def test_only_a_part_of_the_same_place_adds_none(self, patch: dict[str, Any], *, adds: bool) -> None:
        """Less time on the same resource, or guests that are not counted."""
        row = stored_row(endTime=NINE + 2 * HOUR)
        intent = change(row, patch)
        after = intent.without_load(Reservation.model_validate(row), view(row))

        assert (after is None) is adds

    def test_more_units_add_load(self) -> None:
        """Where guests are counted."""
        row = stored_row(guests=2, units=2)
        boat = ResourceRules(ROOM_ID, capacity=9, by_guests=True)
        intent = change(row, {"guests": 3})

        assert intent.without_load(Reservation.model_validate(row), FixedView([boat], rows=[row])) is None
