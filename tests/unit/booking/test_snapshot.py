"""What one transaction reads, step by step against answers that a test gives: guards, rules, targets, clocks."""

from collections.abc import Generator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.booking.book import Book
from app.booking.confirm_extend import Confirm
from app.booking.intents import AnyIntent, Lane
from app.booking.priority import YIELD_MILLISECONDS
from app.booking.snapshot import ClockSkew, Snapshot
from app.booking.timestamps import SKEW_SECONDS, StaleTimestamp
from app.domain.ids import ResourceId
from app.domain.instants import EARLIEST, LATEST, Millis, to_millis
from app.domain.instants import HOUR as HOUR_MILLIS
from app.domain.load import Occupancy
from app.domain.rules import ResourceRules
from app.errors import Problem
from app.storage.documents import CLOSURES_ROW
from app.storage.guard_steps import BUMP
from app.storage.rule_cache import RuleCache
from app.storage.steps import Step
from tests.support.booking_view import NOW, stored_row
from tests.support.ids import ROOM_ID
from tests.support.times import HOUR, MINUTE, NINE

CLOCK = to_millis(NOW)


def answered(body: Generator[Step, Any, Any], answers: dict[str, Any]) -> list[Step]:
    """Run a body to its end with these answers by the names of its steps; the steps that it took."""
    steps: list[Step] = []
    try:
        step = next(body)
        while True:
            steps.append(step)
            step = body.send(answers.get(step.name, []))
    except StopIteration:
        return steps


def guard(identity: str, at: datetime = NOW, **fields: Any) -> dict[str, Any]:
    """A guard as it is stored."""
    return {"_id": identity, "seq": 7, "rules": "r1", "reachBack": HOUR_MILLIS, "reachAhead": 0, "at": at} | fields


def stored_resource(identity: str, **fields: Any) -> dict[str, Any]:
    """A resource as it is stored."""
    row = {"_id": identity, "name": identity, "capacity": 1, "timezone": "UTC", "version": 1}
    return row | {"createdAt": NOW, "updatedAt": NOW} | fields


def occupancy(name: str, expires: Millis | None = None) -> Occupancy:
    """An occupancy of some stretch, of a hold that ends then."""
    return Occupancy(name, EARLIEST, LATEST, expires=expires)


def book(**fields: Any) -> Book:
    """A booking of the room."""
    wanted: dict[str, Any] = {"by": "caller", "resource": "room", "start": NINE, "end": NINE + HOUR}
    return Book(**(wanted | fields))


def loaded(
    *intents: AnyIntent, guards: list[dict[str, Any]], rules: RuleCache | None = None, **answers: Any
) -> tuple[Snapshot, list[Step]]:
    """A snapshot that has read these guards; resources are there unless `answers` says otherwise."""
    snapshot = Snapshot(rules or RuleCache(), CLOCK)
    there = {"resources_read": [stored_resource(each["_id"]) for each in guards if ":" not in each["_id"]]} | answers
    results = {"guards.read": guards} | {name.replace("_", ".", 1): rows for name, rows in there.items()}
    return snapshot, answered(snapshot.load(intents or (book(),)), results)


class TestLoad:
    """The order in which a transaction takes and reads."""

    def test_guards_are_changed_before_anything_is_read(self) -> None:
        """By a real change, with the database's clock: of two transactions one fails there."""
        _, steps = loaded(guards=[guard("room")])

        assert [step.name for step in steps] == ["guards.bump", "guards.read", "resources.read"]
        assert steps[0].arguments == ({"_id": {"$in": ["room"]}}, BUMP)
        assert BUMP == {"$inc": {"seq": 1}, "$currentDate": {"at": True}}

    def test_of_a_pool_no_guard_is_changed_but_all_are_read(self) -> None:
        """The chosen one is changed later; the row of the service is read with them."""
        intent = book(resource=None, pool=("b", "a"), service="cut")
        _, steps = loaded(intent, guards=[guard("a"), guard("b")])

        assert steps[0].name == "guards.read"
        assert steps[0].arguments == ({"_id": {"$in": ["a", "b", "service:cut", CLOSURES_ROW]}},)

    def test_rules_are_read_once_for_each_edit(self) -> None:
        """Under the id in the guard; a new id has them read again."""
        cache = RuleCache()
        loaded(guards=[guard("room")], rules=cache)
        _, again = loaded(guards=[guard("room")], rules=cache)
        _, edited = loaded(guards=[guard("room", rules="r2")], rules=cache)

        assert "resources.read" not in [step.name for step in again]
        assert "resources.read" in [step.name for step in edited]

    def test_without_transactions_versions_are_compared_as_well(self) -> None:
        """An edit is two writes there, of which the second may be lost."""
        cache = RuleCache(atomic=False)
        first = [stored_resource("room")]
        loaded(guards=[guard("room")], rules=cache, resources_versions=first)
        _, same = loaded(guards=[guard("room")], rules=cache, resources_versions=first)
        newer = [stored_resource("room", version=2)]
        _, changed = loaded(guards=[guard("room")], rules=cache, resources_versions=newer, resources_read=newer)

        assert [step.name for step in same][2:] == ["resources.versions"]
        assert [step.name for step in changed][2:] == ["resources.versions", "resources.read"]

    def test_targets_are_read_in_the_same_snapshot(self) -> None:
        """A whole reservation, by its id."""
        row = stored_row()
        intent = Confirm(by="caller", reservation=row["_id"], resource=ROOM_ID)
        snapshot, steps = loaded(intent, guards=[guard("room")], targets_read=[row])

        assert steps[-1].arguments == ({"_id": {"$in": [row["_id"]]}},)
        assert snapshot.target("reservations", row["_id"]) == row
        assert snapshot.target("reservations", ObjectId()) is None


class TestRules:
    """The rules of a resource in a snapshot."""

    def test_one_that_is_not_there_has_none(self) -> None:
        """It is no fault of the operator's."""
        snapshot, _ = loaded(guards=[], resources_read=[])

        assert snapshot.resource_rules(ROOM_ID) is None

    def test_one_without_a_guard_cannot_be_booked(self) -> None:
        """A guard is made with its resource, and never by a booking."""
        snapshot, _ = loaded(guards=[], resources_read=[stored_resource("room")])

        with pytest.raises(Problem) as refused:
            snapshot.resource_rules(ROOM_ID)
        assert refused.value.name == "unavailable"

    def test_one_that_cannot_be_read_is_a_problem_of_those_who_need_it(self) -> None:
        """The other intents of the batch go on."""
        rows = [stored_resource("room", capacity="many"), stored_resource("hall")]
        intents = (book(), book(resource="hall"))
        snapshot, _ = loaded(*intents, guards=[guard("room"), guard("hall")], resources_read=rows)

        with pytest.raises(Problem) as refused:
            snapshot.resource_rules(ROOM_ID)
        assert refused.value.name == "invalid"
        assert snapshot.resource_rules(ResourceId("hall")) is not None

    def test_an_accepted_edit_replaces_them(self) -> None:
        """For the intents that follow in the batch."""
        snapshot, _ = loaded(guards=[guard("room")])
        snapshot.replace(ResourceRules(ROOM_ID, capacity=9))

        rules = snapshot.resource_rules(ROOM_ID)
        assert rules is not None
        assert rules.capacity == 9


class TestClock:
    """By which clock holds are judged."""

    def test_a_changed_guard_has_the_databases(self) -> None:
        """Also where this process believes that it is later."""
        snapshot, _ = loaded(guards=[guard("room", NOW - HOUR)])

        assert snapshot.now(ROOM_ID) == CLOCK - HOUR_MILLIS

    def test_a_guard_that_is_only_read_can_be_old(self) -> None:
        """There the later of both counts: the last change may be days ago."""
        intent = book(resource=None, pool=("a", "b"))
        snapshot, _ = loaded(intent, guards=[guard("a", NOW - HOUR), guard("b", NOW + MINUTE)])

        assert snapshot.now(ResourceId("a")) == CLOCK
        assert snapshot.now(ResourceId("b")) == to_millis(NOW + MINUTE)
        assert snapshot.now(ResourceId("unknown")) == CLOCK


class TestChosenGuards:
    """The guard of a resource that was chosen from a pool, changed after its occupants were read."""

    def chosen(self, at: datetime, hold_until: datetime | None = None) -> list[Step]:
        """Change the guard of `a` at an instant by the database's clock, with a hold that was judged as expired."""
        intent = book(resource=None, pool=("a", "b"))
        snapshot, _ = loaded(intent, guards=[guard("a", NOW - HOUR), guard("b", NOW - HOUR)])
        if hold_until is not None:
            snapshot.calendar(ResourceId("a")).add(occupancy("hold", to_millis(hold_until)))
        body = snapshot.take_chosen_guards(frozenset({ResourceId("a")}))
        return answered(body, {"guards.chosen": [guard("a", at)]})

    def test_it_alone_is_changed(self) -> None:
        """A transaction that changed it since fails this one."""
        first, _ = self.chosen(NOW)

        assert (first.name, first.arguments) == ("guards.choose", ({"_id": "a"}, BUMP))

    def test_a_hold_that_is_live_by_the_databases_clock_is_live(self) -> None:
        """The process was ahead of it: its judgement is thrown away."""
        with pytest.raises(ClockSkew):
            self.chosen(NOW - MINUTE, hold_until=NOW)
        self.chosen(NOW, hold_until=NOW)

    def test_a_stamp_too_far_behind_is_thrown_away(self) -> None:
        """Who follows the changes would miss it."""
        limit = timedelta(seconds=SKEW_SECONDS)
        self.chosen(NOW + limit)
        with pytest.raises(StaleTimestamp):
            self.chosen(NOW + limit + timedelta(milliseconds=1))

    def test_a_guard_that_was_changed_already_is_not_changed_again(self) -> None:
        """Another intent of the batch needed it."""
        snapshot, _ = loaded(book(), guards=[guard("room")])

        assert answered(snapshot.take_chosen_guards(frozenset({ROOM_ID})), {}) == []


class TestYield:
    """Guards that another process asks for."""

    def requests(self, until: datetime, owner: ObjectId, **fields: Any) -> dict[Lane, float]:
        """The requests on the guard of the room, as a committer with that id sees them."""
        marked = guard("room", yieldUntil=until, yieldTo=fields.get("asker", ObjectId()))
        snapshot, _ = loaded(guards=[marked])
        return snapshot.yield_requests(owner)

    def test_for_as_long_as_the_request_says_and_no_longer_than_the_most(self) -> None:
        """By the database's clock; a request that is over asks for nothing."""
        near = timedelta(milliseconds=5)

        assert self.requests(NOW + near, ObjectId()) == {"room": 0.005}
        assert self.requests(NOW + HOUR, ObjectId()) == {"room": YIELD_MILLISECONDS / 1_000}
        assert self.requests(NOW, ObjectId()) == {}

    def test_not_to_oneself(self) -> None:
        """The process that asked goes on."""
        owner = ObjectId()

        assert self.requests(NOW + HOUR, owner, asker=owner) == {}


class TestUndoing:
    """Calendars after a group whose members were not all accepted."""

    def test_they_are_as_before(self) -> None:
        """Also a resource that was first read inside, and holds that had expired."""
        snapshot, _ = loaded(guards=[guard("room")])
        snapshot.calendar(ROOM_ID).add(occupancy("old", CLOCK))

        with suppress(KeyError), snapshot.undoing(KeyError):
            snapshot.calendar(ROOM_ID).add(occupancy("old"))
            snapshot.calendar(ResourceId("hall")).add(occupancy("new"))
            raise KeyError
        assert snapshot.calendar(ROOM_ID).live == {}
        assert [*snapshot.calendar(ROOM_ID).expired] == ["old"]
        assert snapshot.calendar(ResourceId("hall")).live == {}

    def test_another_failure_takes_nothing_back(self) -> None:
        """The whole batch fails then."""
        snapshot, _ = loaded(guards=[guard("room")])

        with suppress(ValueError), snapshot.undoing(KeyError):
            snapshot.calendar(ROOM_ID).add(occupancy("new"))
            raise ValueError
        assert [*snapshot.calendar(ROOM_ID).live] == ["new"]


def test_occupants_are_entered_where_the_reach_is_known() -> None:
    """A row of others may lie on further resources, which nothing asked for."""
    snapshot, _ = loaded(guards=[guard("room")])
    row = stored_row(items=[{"resource": "room"}, {"resource": "hall"}])
    steps = answered(snapshot.read_occupants([book()], 1), {"occupants.read": [row]})

    assert {step.name for step in steps} == {"occupants.read"}
    assert {each.start for each in snapshot.calendar(ROOM_ID).live.values()} == {to_millis(NINE)}
    assert snapshot.calendar(ResourceId("hall")).live == {}
