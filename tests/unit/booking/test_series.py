"""Booking a series: all of its occurrences on one resource, or those that the rules allow, each seeing the others."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from bson import ObjectId

from app.booking.book import Book
from app.booking.outcomes import Refused
from app.booking.series import BookSeries
from app.booking.several import MembersRefused
from app.domain.ids import ResourceId
from app.domain.instants import HOUR as HOUR_MILLIS
from app.domain.rules import ResourceRules, ServiceRules
from app.errors import Problem
from app.storage.documents import Series, SeriesOccurrence
from tests.support.booking_view import FixedView, stored_row
from tests.support.ids import CUT_ID
from tests.support.times import DAY, HOUR, NINE

ROOMS = [ResourceRules(ResourceId(name), services=frozenset({CUT_ID})) for name in ("a", "b", "c")]
CUT = ServiceRules(CUT_ID, "fixed", duration=HOUR_MILLIS, assignment="first")
POOL: dict[str, Any] = {"resource": None, "pool": ("a", "b", "c"), "service": CUT_ID, "end": None}
DAYS = [NINE + day * DAY for day in range(4)]


def view(*rows: dict[str, Any]) -> FixedView:
    """Three rooms of one place each, and these reservations."""
    return FixedView(ROOMS, [CUT], rows)


def series(starts: Sequence[datetime] = DAYS, *, skips: bool = False, **fields: Any) -> BookSeries:
    """A series of hours that begin at these times, by default on the first room."""
    document = Series(
        id=ObjectId(),
        rule="FREQ=DAILY;COUNT=4",
        timezone="UTC",
        occurrences=[SeriesOccurrence(local_start=f"{start:%Y-%m-%dT%H:%M}") for start in starts],
    )
    shared: dict[str, Any] = {"by": "caller", "resource": ResourceId("a"), "series": document.id}
    members = [Book(**{**shared, "start": start, "end": start + HOUR, **fields}) for start in starts]
    return BookSeries(by="caller", members=members, series=document, skips=skips)


def taken(room: str, *days: int) -> list[dict[str, Any]]:
    """Reservations of a room at nine on some days."""
    return [stored_row(NINE + day * DAY, resource=room) for day in days]


def refused_by(intent: BookSeries, seen: FixedView) -> dict[int, str]:
    """The occurrences that are refused: their indexes, with the failed rules."""
    with pytest.raises(MembersRefused) as refused:
        intent.judge(seen)
    return {
        index: " ".join(check.rule for check in reason.verdict.failed)
        for index, reason in refused.value.members
        if isinstance(reason, Refused)
    }


class TestRefusing:
    """All or none."""

    def test_all_are_booked_with_a_document_that_lists_them(self) -> None:
        """In their order, with the local time of each."""
        intent = series()
        accepted = intent.judge(view())

        made = accepted.value.reservations
        assert [each.start_time for each in made] == DAYS
        assert {each.series for each in made} == {intent.series.id}
        assert accepted.inserts == made
        assert (len(accepted.blocks), len(accepted.taken), accepted.value.skipped) == (4, 4, [])
        [(collection, document)] = accepted.documents
        assert (collection, document["_id"]) == ("series", intent.series.id)
        assert [each["reservation"] for each in document["occurrences"]] == [each.id for each in made]
        assert [each["localStart"] for each in document["occurrences"]][1] == "2030-01-08T09:00"

    def test_one_that_is_taken_refuses_all(self) -> None:
        """All that are in the way are named, and nothing of the series stays in the view."""
        seen = view(*taken("a", 1, 3))

        assert refused_by(series(), seen) == {1: "capacity", 3: "capacity"}
        assert seen.live_starts("a") == [NINE + DAY, NINE + 3 * DAY]

    def test_occurrences_count_for_each_other(self) -> None:
        """One that overlaps the one before it is refused, as a stranger's booking would be."""
        assert refused_by(series([NINE, NINE + HOUR / 2, NINE + HOUR]), view()) == {1: "capacity"}

    def test_what_is_wrong_with_all_is_said_once(self) -> None:
        """An unknown resource is a problem of the series, not of each occurrence."""
        with pytest.raises(Problem) as refused:
            series(resource=ResourceId("attic")).judge(view())

        assert (refused.value.name, refused.value.faults[0].path) == ("invalid", ("resource",))

    def test_it_shares_no_batch(self) -> None:
        """It has too much to read for others to wait for it."""
        assert series().lengthy
        assert series().writes == 4


class TestSkipping:
    """What can be booked, judged in the transaction."""

    def test_what_is_taken_is_left_out(self) -> None:
        """The others are booked; the document has all local times, and a reservation where there is one."""
        seen = view(*taken("a", 1))
        accepted = series(skips=True).judge(seen)

        assert [each.start_time for each in accepted.value.reservations] == [DAYS[0], DAYS[2], DAYS[3]]
        [(index, reason)] = accepted.value.skipped
        assert (index, reason.verdict.is_conflict) == (1, True)
        [(_, document)] = accepted.documents
        assert ["reservation" in each for each in document["occurrences"]] == [True, False, True, True]
        assert seen.live_starts("a") == DAYS

    def test_an_occurrence_gives_way_to_the_one_before_it(self) -> None:
        """Of a series that overlaps itself every second one is booked."""
        half_hours = [NINE + number * HOUR / 2 for number in range(5)]
        accepted = series(half_hours, skips=True).judge(view())

        assert [each.start_time for each in accepted.value.reservations] == half_hours[::2]
        assert [index for index, _ in accepted.value.skipped] == [1, 3]

    def test_a_series_of_which_nothing_can_be_booked_is_refused(self) -> None:
        """With all of them; nothing is written."""
        seen = view(*taken("a", 0, 1, 2, 3))

        assert list(refused_by(series(skips=True), seen)) == [0, 1, 2, 3]
        assert seen.live_starts("a") == DAYS

    def test_it_is_judged_anew_in_each_attempt(self) -> None:
        """A batch that runs again books what is free by then."""
        intent = series(skips=True)
        first, second = intent.judge(view(*taken("a", 1))), intent.judge(view(*taken("a", 2)))

        assert [index for index, _ in first.value.skipped] == [1]
        assert [index for index, _ in second.value.skipped] == [2]


class TestPools:
    """The whole series is on one resource."""

    def test_the_first_that_is_free_for_all(self) -> None:
        """Not one on which most can be booked, though it comes first."""
        made = series(**POOL).judge(view(*taken("a", 3), *taken("b", 0))).value.reservations

        assert [each.resource for each in made] == ["c"] * 4

    def test_without_one_the_fewest_are_in_the_way(self) -> None:
        """The refusal is that of the resource with the fewest, by id among equals, each time."""
        rows = [*taken("a", 0, 1), *taken("b", 2), *taken("c", 3)]
        intent = series(**POOL)

        assert refused_by(intent, view(*rows)) == {2: "capacity"}
        assert intent.resource == "b"

    def test_without_one_most_are_booked(self) -> None:
        """A series that skips goes where it has to skip least."""
        seen = view(*taken("a", 0, 1), *taken("b", 0, 1, 2), *taken("c", 3))
        accepted = series(skips=True, **POOL).judge(seen)

        assert {each.resource for each in accepted.value.reservations} == {"c"}
        assert [index for index, _ in accepted.value.skipped] == [3]
        assert seen.live_starts("a") == DAYS[:2]

    def test_only_the_guard_of_the_chosen_one_is_changed(self) -> None:
        """All of them are lanes; which guards change is decided after the choice."""
        intent = series(**POOL)

        assert intent.lanes() == {"a", "b", "c"}
        assert intent.guards() == frozenset()
        assert {span.resource for span in intent.judge(view()).taken} == {"a"}
