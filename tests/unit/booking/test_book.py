"""One booking judged against a view built by hand: its times, status, block, and what it leaves in the view."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.booking import Book
from app.booking.intents import guard_lanes
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import HOUR as HOUR_MILLIS
from app.domain.instants import MINUTE as MINUTE_MILLIS
from app.domain.instants import to_millis
from app.domain.rules import ResourceRules, ServiceRules
from app.storage.documents import Reservation
from app.storage.span import Span
from tests.support.booking_view import NOW, FixedView, failed_rules_of, problem_of
from tests.support.ids import CUT_ID, ROOM_ID
from tests.support.times import DAY, HOUR, MINUTE, NINE

ROOM = ResourceRules(ROOM_ID, services=frozenset({CUT_ID, ServiceId("stay"), ServiceId("asked"), ServiceId("day")}))
BERLIN = ResourceRules(ResourceId("berlin"), services=frozenset({ServiceId("day")}), timezone="Europe/Berlin")
CUT = ServiceRules(
    CUT_ID, "fixed", duration=HOUR_MILLIS, buffer_before=10 * MINUTE_MILLIS, buffer_after=20 * MINUTE_MILLIS
)
STAY = ServiceRules(ServiceId("stay"), "flexible", duration_min=HOUR_MILLIS, duration_max=9 * HOUR_MILLIS)
ASKED = ServiceRules(ServiceId("asked"), "fixed", duration=HOUR_MILLIS, requires_approval=True)
WHOLE_DAY = ServiceRules(ServiceId("day"), "full-day", max_days=3)


def view() -> FixedView:
    """A room, a resource in Berlin, and a service of each kind."""
    return FixedView([ROOM, BERLIN], [CUT, STAY, ASKED, WHOLE_DAY])


def book(**fields: Any) -> Book:
    """A booking of the room at nine."""
    wanted: dict[str, Any] = {"by": "caller", "resource": "room", "start": NINE}
    return Book(**(wanted | fields))


def booked(seen: FixedView, **fields: Any) -> Reservation:
    """The reservation that is accepted."""
    return book(**fields).judge(seen).value


class TestTimes:
    """Where a booking ends, and what it blocks."""

    @pytest.mark.promise("block")
    def test_a_fixed_length_sets_the_end_and_its_buffers_the_block(self) -> None:
        """An hour, ten minutes before it and twenty after it; the span that is looked up is that block."""
        seen = view()
        made = booked(seen, service="cut")

        assert (made.start_time, made.end_time) == (NINE, NINE + HOUR)
        assert (made.block_start, made.block_end) == (NINE - 10 * MINUTE, NINE + HOUR + 20 * MINUTE)
        assert book(service="cut").spans(seen) == [
            Span(ROOM_ID, to_millis(made.block_start), to_millis(made.block_end)),
        ]

    def test_a_whole_day_ends_at_the_next_local_midnight(self) -> None:
        """In Berlin the 31st of March 2030 has 23 hours."""
        midnight = datetime(2030, 3, 30, 23, tzinfo=UTC)
        made = booked(view(), resource="berlin", service="day", start=midnight)

        assert (made.end_time, made.timezone) == (midnight + 23 * HOUR, "Europe/Berlin")

    @pytest.mark.parametrize("service", [None, "stay"])
    def test_an_end_that_nothing_sets_must_be_given(self, service: str | None) -> None:
        """Without a service, or with one of flexible length; nothing is looked up for it."""
        seen = view()

        assert problem_of(book(service=service), seen) == ("invalid", ["endTime"])
        assert book(service=service).spans(seen) == []

    @pytest.mark.parametrize(("days", "lengthy"), [(31, False), (32, True)])
    def test_more_than_31_days_are_lengthy(self, days: int, *, lengthy: bool) -> None:
        """Such a booking shares no batch."""
        assert book(end=NINE + timedelta(days=days)).lengthy is lengthy


class TestStatus:
    """The status with which a reservation is made, and whether it blocks."""

    @pytest.mark.parametrize(
        ("fields", "status", "expires"),
        [
            ({"service": "cut"}, "confirmed", None),
            ({"service": "cut", "hold_seconds": 60}, "pending", NOW + MINUTE),
            ({"service": "asked"}, "pending", None),
            ({"service": "cut", "status": "completed"}, "completed", None),
        ],
    )
    def test_of_a_new_reservation(self, fields: dict[str, Any], status: str, expires: object) -> None:
        """Confirmed, a hold until its end by the database's clock, a request, or what an import demands."""
        made = booked(view(), **fields)

        assert (made.status, made.expires_at) == (status, expires)
        assert [(line.at, line.by, line.to) for line in made.history] == [(NOW, "caller", status)]

    @pytest.mark.parametrize(("status", "blocks"), [("confirmed", True), ("pending", True), ("cancelled", False)])
    def test_only_what_blocks_is_in_the_view_of_later_intents(self, status: Any, *, blocks: bool) -> None:
        """A cancelled row of an import takes no room, is looked up nowhere, and raises no reach."""
        seen, intent = view(), book(service="cut", status=status)
        spans, accepted = intent.spans(seen), intent.judge(seen)

        assert bool(spans) is blocks
        assert bool(accepted.taken) is bool(accepted.blocks) is blocks
        assert seen.live_starts("room") == ([NINE - 10 * MINUTE] if blocks else [])

    def test_a_second_booking_of_the_batch_sees_the_first(self) -> None:
        """The room has one place, and the refused booking is not entered."""
        seen = view()
        booked(seen, service="cut")

        assert failed_rules_of(book(service="cut", start=NINE + HOUR), seen) == ["capacity"]
        assert seen.live_starts("room") == [NINE - 10 * MINUTE]


class TestUnknown:
    """A resource or a service that is not there."""

    @pytest.mark.parametrize(("fields", "field"), [({"resource": "hall"}, "resource"), ({"service": "dye"}, "service")])
    def test_the_field_is_named(self, fields: dict[str, Any], field: str) -> None:
        """And nothing is looked up for it."""
        intent, seen = book(end=NINE + HOUR, **fields), view()

        assert problem_of(intent, seen) == ("invalid", [field])
        assert intent.spans(seen) == []


class TestStored:
    """What the reservation keeps of the request."""

    @pytest.mark.promise("units")
    def test_units_are_guests_where_guests_are_counted(self) -> None:
        """Elsewhere one, whatever the guests."""
        boat = ResourceRules(ResourceId("boat"), capacity=12, by_guests=True)
        seen = FixedView([boat, ResourceRules(ROOM_ID)])

        assert booked(seen, resource="boat", end=NINE + HOUR, guests=5).units == 5
        assert booked(seen, resource="room", end=NINE + HOUR, guests=5).units == 1

    def test_the_timezone_of_the_request_counts_before_that_of_the_resource(self) -> None:
        """As the caller gave the time, so it is shown."""
        made = booked(view(), service="cut", timezone="Asia/Tokyo")

        assert made.timezone == "Asia/Tokyo"

    def test_a_long_block_is_marked(self) -> None:
        """What blocks for longer than a week has an index of its own."""
        seen = FixedView([ResourceRules(ROOM_ID, capacity=2)])

        assert booked(seen, end=NINE + 7 * DAY).long is None
        assert booked(seen, end=NINE + 7 * DAY + MINUTE).long is True

    def test_size_grows_with_texts_and_doubles_with_a_key(self) -> None:
        """Four bytes a character of notes and metadata; with a key the answer stores them again."""
        plain = book().size

        assert book(notes="x" * 10, metadata={"ab": "cd"}).size == plain + 4 * 14

    def test_a_pool_changes_no_guard_before_it_chooses(self) -> None:
        """It needs the guards of all members in view, and changes none of them at first."""
        pool = book(resource=None, pool=("a", "b"))

        assert (pool.lanes(), pool.guards()) == (guard_lanes("a", "b"), guard_lanes())
        assert book().guards() == guard_lanes("room")


def test_the_clock_of_the_database_decides_about_notice() -> None:
    """A start that is past by the guard's clock is refused, whatever the clock of the process."""
    late = FixedView([ROOM], [CUT], now=NINE + MINUTE)

    assert failed_rules_of(book(service="cut"), late) == ["notice"]
