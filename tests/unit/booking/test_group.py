"""Several intents in one: all or none, each seeing those before it, and a move judged by where all of them end up."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from app.booking.book import Book
from app.booking.change import Change
from app.booking.confirm_extend import Confirm
from app.booking.existing import ReservationMoved
from app.booking.group import AllOrNothing, BookGroup
from app.booking.intents import View
from app.booking.move import Move
from app.booking.outcomes import Refused
from app.booking.several import MembersRefused
from app.domain.ids import ResourceId
from app.domain.instants import HOUR as HOUR_MILLIS
from app.domain.rules import ResourceRules, ServiceRules
from app.errors import Problem
from tests.support.booking_view import FixedView, stored_row
from tests.support.ids import CUT_ID
from tests.support.times import HOUR, NINE

ROOMS = [ResourceRules(ResourceId(name), services=frozenset({CUT_ID})) for name in ("a", "b", "c")]
CUT = ServiceRules(CUT_ID, "fixed", duration=HOUR_MILLIS)


def view(*rows: dict[str, Any]) -> FixedView:
    """Three rooms of one place each, and these reservations."""
    return FixedView(ROOMS, [CUT], rows)


def book(resource: str | None = "a", hour: float = 0, **fields: Any) -> Book:
    """A booking of an hour, so many hours after nine."""
    start = NINE + hour * HOUR
    return Book(
        by="caller",
        resource=None if resource is None else ResourceId(resource),
        start=start,
        end=start + HOUR,
        **fields,
    )


def move(row: dict[str, Any], **patch: Any) -> Change:
    """A member of a move."""
    service = row.get("service")
    return Change(by="caller", reservation=row["_id"], resource=row["resource"], service=service, patch=patch)


def into(row: dict[str, Any], *pool: str) -> Change:
    """A member of a move that goes to any of a pool, at nine."""
    return replace(move(row, startTime=NINE), pool=tuple(map(ResourceId, pool)))


def refused_members(intent: AllOrNothing, seen: View) -> dict[int, str]:
    """The members that are refused: their indexes, with the failed rules or the name of the problem."""
    with pytest.raises(MembersRefused) as refused:
        intent.judge(seen)
    return {
        index: " ".join(check.rule for check in reason.verdict.failed) if isinstance(reason, Refused) else reason.name
        for index, reason in refused.value.members
    }


class TestBookGroup:
    """Bookings of one group."""

    def test_all_are_made_under_one_id(self) -> None:
        """In the order of the request, with one document that lists them."""
        group = BookGroup(by="caller", members=[book(ResourceId("b")), book("a"), book("a", 1)])
        accepted = group.judge(view())

        made = accepted.value
        assert [(each.resource, each.start_time) for each in made] == [("b", NINE), ("a", NINE), ("a", NINE + HOUR)]
        assert accepted.inserts == made
        assert accepted.documents == [("groups", {"_id": group.group, "reservations": [each.id for each in made]})]
        assert len(accepted.blocks) == len(accepted.taken) == 3

    def test_each_member_sees_those_before_it(self) -> None:
        """Two of one group do not share a place; both refused ones are named, and nothing stays in the view."""
        seen = view(stored_row(resource="c"))
        group = BookGroup(by="caller", members=[book(ResourceId("a")), book("a"), book("b"), book("c")])

        assert refused_members(group, seen) == {1: "capacity", 3: "capacity"}
        assert (seen.live_starts("a"), seen.live_starts("b"), seen.live_starts("c")) == ([], [], [NINE])

    def test_an_unknown_resource_is_one_members_problem(self) -> None:
        """The others are judged nevertheless, and the spans of the others looked up."""
        group = BookGroup(by="caller", members=[book(ResourceId("a")), book("attic"), book("b", service="dye")])
        seen = view()

        assert refused_members(group, seen) == {1: "invalid", 2: "invalid"}
        assert [span.resource for span in group.spans(seen)] == ["a"]

    def test_a_member_that_needs_one_room_gets_it_before_one_with_a_choice(self) -> None:
        """A pool's member takes another one, though it is named first and tries that room first."""
        pool: dict[str, Any] = {"resource": None, "pool": ("a", "b", "c"), "service": "cut"}
        for seed in range(20):
            group = BookGroup(by="caller", members=[book(**pool, pool_seed=seed), book(ResourceId("a")), book("b")])
            made = group.judge(view()).value

            assert [each.resource for each in made] == ["c", "a", "b"]

    def test_a_group_without_places_is_refused_for_its_member_with_a_choice(self) -> None:
        """Members that need one room have it first, so that each time the same member is refused."""
        pool: dict[str, Any] = {"resource": None, "pool": ("a", "b"), "service": "cut"}
        for seed in range(20):
            group = BookGroup(by="caller", members=[book(**pool, pool_seed=seed), book("a"), book("b")])

            assert refused_members(group, view()) == {0: "capacity"}

    def test_what_is_needed_is_the_union_over_the_members(self) -> None:
        """Guards, services, targets and ids; writes and bytes are summed."""
        members = [book(ResourceId("a")), book("b", service="cut")]
        group = BookGroup(by="caller", members=members)

        assert group.lanes() == group.guards() == {"a", "b"}
        assert group.services() == {"cut"}
        assert not group.targets()
        assert group.reservations() == [member.reservation for member in members]
        assert (group.writes, group.size) == (2, members[0].size + members[1].size)


class TestMove:
    """New times and places for several reservations at once."""

    def test_two_bookings_swap(self) -> None:
        """Each is judged as if the other had left; one after the other they could not."""
        one, two = stored_row(resource="a"), stored_row(resource="b")
        seen = view(one, two)
        moved = Move(by="caller", members=[move(one, resource="b"), move(two, resource="a")]).judge(seen).value

        assert [each.resource for each in moved] == ["b", "a"]
        assert (len(seen.live_starts("a")), len(seen.live_starts("b"))) == (1, 1)
        with pytest.raises(Refused):
            move(one, resource="b").judge(view(one, two))

    def test_both_cannot_end_up_in_one_place(self) -> None:
        """The later one is refused, and the view is as it was before, with both where they are stored."""
        one, two = stored_row(resource="a"), stored_row(resource="b")
        seen = view(one, two)
        crossing = Move(by="caller", members=[move(one, resource="c"), move(two, resource="c")])

        assert refused_members(crossing, seen) == {1: "capacity"}
        assert [seen.live_starts(name) for name in "abc"] == [[NINE], [NINE], []]

    def test_members_with_a_choice_leave_what_others_need(self) -> None:
        """In whatever order they are named, each of three finds one of three rooms; a fourth refuses all."""
        rows = [stored_row(NINE + 9 * HOUR, resource="c", service="cut") for _ in range(4)]
        anywhere = [into(row, *pool) for row, pool in zip(rows, ("abc", "ab", "a"), strict=False)]
        for order in permutations(range(3)):
            seen = view(*rows)
            moved = Move(by="caller", members=[anywhere[index] for index in order]).judge(seen).value

            assert [each.resource for each in moved] == ["cba"[index] for index in order]
            assert [seen.live_starts(name) for name in "ab"] == [[NINE], [NINE]]
        seen = view(*rows)
        more = Move(by="caller", members=[*anywhere, move(rows[3], resource="b", startTime=NINE)])
        assert refused_members(more, seen) == {1: "capacity"}
        assert seen.live_starts("c") == [NINE + 9 * HOUR] * 4

    def test_a_search_finds_places_that_no_order_finds(self) -> None:
        """Where each takes the first by id that is free; one that gives up a part of its time is in nobody's way."""
        rows = [stored_row(NINE + 9 * HOUR, resource="c", service="cut") for _ in range(3)]
        twice = [stored_row(resource="d", endTime=NINE + 2 * HOUR) for _ in range(2)]
        rooms = [*ROOMS, ResourceRules(ResourceId("d"))]
        seen = FixedView(rooms, [replace(CUT, assignment="first")], [*rows, *twice])
        members = [into(row, *pool) for row, pool in zip(rows, ("ab", "bc", "ab"), strict=True)]
        moved = Move(by="caller", members=[*members, move(twice[0], endTime=NINE + HOUR)]).judge(seen).value

        assert [each.resource for each in moved] == ["a", "c", "b", "d"]
        assert [len(seen.live_starts(name)) for name in "abcd"] == [1, 1, 1, 2]

    def test_what_is_not_there_is_a_problem_of_its_member(self) -> None:
        """Also where others have a choice: the order in which they are tried needs no member to be there."""
        row, gone = stored_row(service="cut", resource="a"), stored_row(service="cut", resource="a")
        moves = Move(by="caller", members=[into(gone, "a", "b"), into(row, "a", "b")])

        assert refused_members(moves, view(row)) == {0: "not-found"}

    def test_a_member_that_adds_no_load_keeps_its_place(self) -> None:
        """It is never refused, so it is entered before the others are judged, wherever it is named."""
        wide, other = stored_row(resource="a", endTime=NINE + 2 * HOUR), stored_row(resource="b")
        members = [move(other, resource="a"), move(wide, endTime=NINE + HOUR)]

        assert refused_members(Move(by="caller", members=members), view(wide, other)) == {0: "capacity"}
        later = [move(other, resource="a", startTime=NINE + HOUR), move(wide, endTime=NINE + HOUR)]
        assert len(Move(by="caller", members=later).judge(view(wide, other)).value) == 2

    def test_an_unknown_member_is_named(self) -> None:
        """The others are judged nevertheless."""
        one, gone = stored_row(resource="a"), stored_row(resource="b")
        members = [move(gone, resource="c"), move(one, resource="c")]

        assert refused_members(Move(by="caller", members=members), view(one)) == {0: "not-found"}

    def test_a_member_that_lies_elsewhere_by_now_has_all_judged_again(self) -> None:
        """The view is as it was before: the same batch judges further intents."""
        one, two = stored_row(resource="a"), stored_row(resource="b")
        intent = Move(by="caller", members=[move(one, resource="c"), move(two, startTime=NINE + HOUR)])
        seen = view(one, two | {"resource": "c"})

        with pytest.raises(ReservationMoved):
            intent.judge(seen)
        assert [seen.live_starts(name) for name in "abc"] == [[NINE], [], [NINE]]


class TestAllOrNothing:
    """What all of them share."""

    def test_the_proof_is_that_of_a_member_that_writes(self) -> None:
        """One that stays as it is leaves no trace by which an unheard commit could be recognised."""
        confirmed, hold = stored_row(resource="a"), stored_row(resource="b", status="pending")
        members = [
            Confirm(by="caller", reservation=row["_id"], resource=row["resource"], admin=True)
            for row in (confirmed, hold)
        ]
        accepted = AllOrNothing(by="caller", members=members).judge(view(confirmed, hold))

        assert accepted.proof[1].keys() == {"_id", "history.operation"}
        assert accepted.proof[1]["_id"] == hold["_id"]
        assert len(accepted.updates) == 1

    def test_a_problem_of_the_spans_is_the_members_own(self) -> None:
        """It is raised again when the member is judged; the other members' spans are looked up."""
        broken, whole = stored_row(resource="a"), stored_row(resource="b")
        seen = view(whole)
        seen.documents["reservations", broken["_id"]] = broken | {"startTime": "soon"}
        intent = Move(by="caller", members=[move(broken, resource="c"), move(whole, startTime=NINE + HOUR)])

        assert [span.resource for span in intent.spans(seen)] == ["b"]
        with pytest.raises(Problem):
            intent.members[0].spans(seen)
        assert refused_members(intent, seen) == {0: "invalid"}
