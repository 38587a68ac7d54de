"""Edits of resources and services judged against a view built by hand: versions, plans, and whom an edit strands."""

from typing import Any

import pytest
from bson import ObjectId

from app.booking.edit import EditResource, EditService, Plan, PlanOutdated
from app.booking.stranding_survey import Survey
from app.domain.ids import ServiceId
from app.domain.instants import EARLIEST, Millis, to_millis
from app.domain.instants import HOUR as HOUR_MILLIS
from app.domain.load import Occupancy
from app.domain.rules import ResourceRules, ServiceRules
from app.errors import invalid_field
from app.storage.catalogue_updates import OPERATIONS_MAX
from app.storage.documents import Service
from app.storage.span import Span
from tests.support.booking_view import NOW, FixedView, problem_of
from tests.support.ids import CUT_ID, ROOM_ID
from tests.support.times import HOUR, NINE

LARGE, SMALL = ResourceRules(ROOM_ID, capacity=2), ResourceRules(ROOM_ID, capacity=1)
START = to_millis(NINE)
STRETCH = (START, Millis(START + 9 * HOUR_MILLIS))


def view(version: int = 4) -> FixedView:
    """The room for two at a version, whose guard one transaction more has changed than the survey knows."""
    seen = FixedView([LARGE])
    seen.documents["resources", "room"] = {"_id": "room", "version": version}
    seen.guard_seq = 8
    return seen


def taken(name: str, start: Millis = START) -> Occupancy:
    """An hour of the room."""
    end = Millis(start + HOUR_MILLIS)
    return Occupancy(name, start, end, own_start=start, own_end=end)


def shrinking(*bookings: Occupancy, seq: int = 6, **fields: Any) -> EditResource:
    """An edit to a capacity of one that knows these bookings from its survey."""
    survey = Survey(seq=seq, since=to_millis(NOW), bookings=bookings)
    change = {"$set": {"capacity": 1}, "$push": {"formerCapacities": {"$each": [2]}}}
    plan = Plan(version=4, before=LARGE, after=SMALL, change=change, stretches=[STRETCH], survey=survey)
    return EditResource(by="caller", identity=ROOM_ID, plan=plan, **fields)


class TestEditResource:
    """An edit under the guard of its resource."""

    def test_it_writes_its_version_and_invalidates_the_rules(self) -> None:
        """Guarded by the version that was planned for; a repetition finds it by its id among the last fifty."""
        intent = shrinking()
        accepted = intent.judge(view())
        document, guard = accepted.updates

        assert accepted.value == 5
        assert document.query == {"_id": "room", "version": 4}
        assert document.change["$set"] == {"capacity": 1, "version": 5}
        assert document.change["$push"] == {
            "formerCapacities": {"$each": [2]},
            "operations": {"$each": [intent.operation], "$slice": -OPERATIONS_MAX},
        }
        assert (guard.collection, guard.change) == ("guards", {"$set": {"rules": intent.rules}})
        assert accepted.proof == ("resources", {"_id": "room", "operations": intent.operation})

    def test_later_intents_of_the_batch_see_its_rules(self) -> None:
        """A booking that comes after it is judged by the new capacity."""
        seen = view()
        shrinking().judge(seen)

        assert seen.resource_rules(ROOM_ID) == SMALL

    def test_a_booking_made_since_the_survey_is_stranded_with_one_that_it_knows(self) -> None:
        """Two overlap on a capacity of one: it has to be planned again, and the rules stay."""
        seen = view()
        seen.calendar(ROOM_ID).add(taken("new"))

        with pytest.raises(PlanOutdated):
            shrinking(taken("known")).judge(seen)
        assert seen.resource_rules(ROOM_ID) == LARGE

    def test_one_booking_alone_is_not_stranded(self) -> None:
        """Whether it is known or new, and one that has ended counts for nothing."""
        seen = view()
        seen.calendar(ROOM_ID).add(taken("new"))
        past = taken("past", to_millis(NOW - 2 * HOUR))
        seen.calendar(ROOM_ID).add(past)

        assert shrinking(taken("known", to_millis(NINE + HOUR))).judge(seen).value == 5
        assert shrinking(taken("new")).judge(seen).value == 5

    def test_another_unit_of_count_is_planned_again_for_any_booking(self) -> None:
        """From reservations to guests: what a new booking takes is not known yet."""
        by_guests = ResourceRules(ROOM_ID, capacity=9, by_guests=True)
        survey = Survey(seq=6, since=EARLIEST, bookings=())
        plan = Plan(version=4, before=LARGE, after=by_guests, change={}, stretches=[STRETCH], survey=survey)
        seen = view()

        seen.calendar(ROOM_ID).add(taken("past", to_millis(NOW - 2 * HOUR)))
        assert EditResource(by="caller", identity=ROOM_ID, plan=plan).judge(seen).value == 5
        seen = view()
        seen.calendar(ROOM_ID).add(taken("new"))
        with pytest.raises(PlanOutdated):
            EditResource(by="caller", identity=ROOM_ID, plan=plan).judge(seen)

    def test_only_what_was_changed_since_the_survey_is_read(self) -> None:
        """Nothing where the edit's own transaction is the only one since, or where the edit strands no booking."""
        since = to_millis(NOW)
        harmless = Plan(version=4, before=SMALL, after=LARGE, change={})

        assert shrinking(seq=6).spans(view()) == [Span(ROOM_ID, *STRETCH, since)]
        assert shrinking(seq=7).spans(view()) == []
        assert EditResource(by="caller", identity=ROOM_ID, plan=harmless).spans(view()) == []

    def test_a_plan_for_another_version_is_outdated(self) -> None:
        """Only where the caller named a version is that the caller's to repeat."""
        with pytest.raises(PlanOutdated):
            shrinking().judge(view(version=5))

        assert problem_of(shrinking(version=4), view(version=5)) == ("stale", [])
        assert problem_of(shrinking(), FixedView([LARGE])) == ("not-found", [])


class TestEditService:
    """An edit under the row of its service."""

    @pytest.fixture
    def seen(self) -> FixedView:
        """The service `cut` of an hour, at version 2, with a horizon."""
        service = Service(
            id="cut",
            name="cut",
            duration_type="fixed",
            duration_minutes=60,
            horizon_days=30,
            version=2,
            created_at=NOW,
            updated_at=NOW,
        )
        seen = FixedView([], [ServiceRules(CUT_ID, "fixed", duration=HOUR_MILLIS)])
        seen.documents["services", "cut"] = service.to_mongo()
        return seen

    def test_it_writes_the_new_service_and_invalidates_its_rules(self, seen: FixedView) -> None:
        """A field that is gone is unset; the update is guarded by the version that was read."""
        intent = EditService(
            by="caller", identity=CUT_ID, apply=lambda before: before.model_copy(update={"horizon_days": None})
        )
        accepted = intent.judge(seen)
        document, guard = accepted.updates

        assert accepted.value.version == 3
        assert document.query == {"_id": "cut", "version": 2}
        assert "horizonDays" in document.change["$unset"]
        assert "horizonDays" not in document.change["$set"]
        assert document.change["$set"]["version"] == 3
        assert (guard.query, guard.change["$set"].keys()) == ({"_id": "service:cut"}, {"rules"})
        assert intent.lanes() == {"service:cut"}

    def test_what_it_may_not_change_is_refused_before_anything_is_written(self, seen: FixedView) -> None:
        """Another version, an unknown service, and what the caller's function refuses."""

        def refuse(before: Service) -> Service:
            raise invalid_field("name", f"{before.name} stays.")

        def stay(before: Service) -> Service:
            return before

        assert problem_of(EditService(by="caller", identity=CUT_ID, apply=stay, version=1), seen) == ("stale", [])
        assert problem_of(EditService(by="caller", identity=ServiceId("dye"), apply=stay), seen) == ("not-found", [])
        assert problem_of(EditService(by="caller", identity=CUT_ID, apply=refuse), seen) == ("invalid", ["name"])


def test_each_edit_has_rules_of_its_own() -> None:
    """Rules cached under an earlier id are not taken for those of a later edit."""
    one, two = shrinking(), shrinking()

    assert one.rules != two.rules
    assert isinstance(one.operation, ObjectId)
    assert one.lanes() == two.lanes() == {"room"}
    assert NINE + HOUR > NOW
