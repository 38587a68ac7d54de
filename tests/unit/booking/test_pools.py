"""Who of a pool is taken, who answers a refusal, and whether a group finds the places that there are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any
from weakref import ref

import pytest

from app.booking import Book, BookGroup, MembersRefused, Refused
from app.booking.group import VERDICTS_MAX
from app.booking.intents import View
from app.booking.packing import NODES_MAX, Search
from app.domain.ids import ResourceId
from app.domain.instants import MINUTE, to_millis
from app.domain.rules import ResourceRules, ServiceRules
from app.storage.documents import Reservation
from app.work import without_collector
from tests.support.booking_view import FixedView
from tests.support.ids import CUT_ID
from tests.support.times import NINE

SEED = 7
QUARTER = 15 * MINUTE
START = to_millis(NINE)
CRITICAL = {1: 10.828, 2: 13.816, 3: 16.266, 4: 18.467, 5: 20.515}
"""What chi-square exceeds once in a thousand times where all is even, by degrees of freedom."""


def pool(count: int, **fields: Any) -> list[ResourceRules]:
    """Rooms `a`, `b`, … that offer `cut`."""
    return [
        ResourceRules(ResourceId("abcdefgh"[index]), services=frozenset({CUT_ID}), **fields) for index in range(count)
    ]


def taker(rooms: Sequence[ResourceRules], start: int = 0, length: int = 4, **fields: Any) -> Book:
    """A booking of any of them, from a quarter of an hour on for so many."""
    begin = NINE + timedelta(minutes=15 * start)
    return Book(
        by="test",
        resource=None,
        pool=tuple(room.id for room in rooms),
        service=CUT_ID,
        start=begin,
        end=begin + timedelta(minutes=15 * length),
        **fields,
    )


def offering(**fields: Any) -> ServiceRules:
    """A service of a quarter of an hour to a day."""
    return ServiceRules(
        CUT_ID, "flexible", duration_min=QUARTER, duration_step=QUARTER, duration_max=96 * QUARTER, **fields
    )


@pytest.fixture(autouse=True)
def _seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same draws every time."""
    monkeypatch.setattr("app.booking.pool_choice.POOL_SEEDS", Random(SEED), raising=False)


def shares(view: FixedView, bookings: int, **fields: Any) -> Counter[str]:
    """How many of so many bookings, one after the other in time, each member gets."""
    rooms = list(view.resources.values())
    taken: Counter[str] = Counter({room.id: 0 for room in rooms})
    for place in range(bookings):
        reservation: Reservation = taker(rooms, 4 * place, **fields).judge(view).value
        taken[reservation.resource] += 1
    return taken


def chi_square(taken: Mapping[str, int]) -> float:
    """How far these counts are from even ones."""
    mean = sum(taken.values()) / len(taken)
    return sum((count - mean) ** 2 / mean for count in taken.values())


class TestAssignment:
    """`even`, `first`, `smallest`."""

    @pytest.mark.parametrize("size", [2, 3, 4, 5, 6])
    def test_each_member_gets_its_share(self, size: int) -> None:
        """Of 600 bookings, by chi-square at one in a thousand; each is made with ids of its own, as over HTTP."""
        taken = shares(FixedView(pool(size), [offering()]), 600)

        assert chi_square(taken) < CRITICAL[size - 1], taken

    @pytest.mark.parametrize("size", [3, 4, 5, 6])
    def test_who_follows_a_full_one_gets_no_more(self, size: int) -> None:
        """With one member taken all the time the others share evenly."""
        view = FixedView(pool(size), [offering()])
        view.occupy("b", START, START + 10_000 * QUARTER)
        taken = shares(view, 600)

        assert taken.pop("b") == 0
        assert chi_square(taken) < CRITICAL[size - 2], taken

    def test_the_first_by_id_while_it_is_free(self) -> None:
        """Always the same one, and the next where it is taken."""
        view = FixedView(pool(3), [offering(assignment="first")])
        view.occupy("a", START, START + 8 * QUARTER)

        assert shares(view, 12) == {"a": 10, "b": 2, "c": 0}

    def test_the_smallest_that_fits(self) -> None:
        """By capacity, whatever the ids; of equals each as often."""
        sizes = {"a": 8, "b": 2, "c": 4, "d": 4}
        rooms = [
            ResourceRules(ResourceId(name), size, by_guests=True, services=frozenset({CUT_ID}))
            for name, size in sizes.items()
        ]
        view = FixedView(rooms, [offering(assignment="smallest")])

        assert shares(view, 10, guests=2) == {"a": 0, "b": 10, "c": 0, "d": 0}
        assert shares(FixedView(rooms, [offering(assignment="smallest")]), 10, guests=5) == {
            "a": 10,
            "b": 0,
            "c": 0,
            "d": 0,
        }
        taken = shares(FixedView(rooms, [offering(assignment="smallest")]), 600, guests=3)
        assert (taken.pop("a"), taken.pop("b")) == (0, 0)
        assert chi_square(taken) < CRITICAL[1], taken

    def test_the_fewest_guests_come_before_the_capacity(self) -> None:
        """By `maxGuests`, of equals by capacity, and those without a limit last."""
        sizes = {"a": (None, 1), "b": (6, 1), "c": (4, 9), "d": (4, 2)}
        rooms = [
            ResourceRules(ResourceId(name), capacity, max_guests=most, services=frozenset({CUT_ID}))
            for name, (most, capacity) in sizes.items()
        ]
        chosen = [
            taker(rooms, guests=guests).judge(FixedView(rooms, [offering(assignment="smallest")])).value.resource
            for guests in (1, 4, 5, 7)
        ]

        assert chosen == ["d", "d", "b", "a"]

    def test_the_same_booking_is_tried_in_the_same_order_again(self) -> None:
        """A batch that goes again comes to the same choice."""
        rooms = pool(6)
        for _ in range(20):
            intent = taker(rooms)
            chosen = {intent.judge(FixedView(rooms, [offering()])).value.resource for _ in range(5)}
            assert len(chosen) == 1


class TestRefusals:
    """Who of a pool answers."""

    def refused(self, view: FixedView) -> Refused:
        """The refusal that a taker gets."""
        with pytest.raises(Refused) as refused:
            taker(list(view.resources.values())).judge(view)
        return refused.value

    def test_the_same_request_gets_the_same_refusal(self) -> None:
        """Among members with one failed rule each the one that is taken answers, of two the first by id: always."""
        rooms = [
            ResourceRules(ResourceId("a"), services=frozenset({CUT_ID}), active=False),
            ResourceRules(ResourceId("b"), services=frozenset()),
            *pool(4)[2:],
        ]
        view = FixedView(rooms, [offering()])
        for name in ("c", "d"):
            view.occupy(name, START, START + QUARTER)

        verdicts = [self.refused(view).verdict for _ in range(40)]
        assert {verdict.is_conflict for verdict in verdicts} == {True}
        assert {taken.id for verdict in verdicts for taken in verdict.conflicts} == {("c", START)}

    def test_fewest_failed_rules_come_first(self) -> None:
        """One that is taken and does not offer the service is further away than one that is deactivated."""
        rooms = [
            ResourceRules(ResourceId("a"), services=frozenset()),
            ResourceRules(ResourceId("b"), services=frozenset({CUT_ID}), active=False),
        ]
        view = FixedView(rooms, [offering()])
        view.occupy("a", START, START + QUARTER)

        failures = {tuple(check.rule for check in self.refused(view).verdict.failed) for _ in range(20)}
        assert failures == {("resource-active",)}


MEMBERS = 20


def packing(chance: Random, *, alike: bool, booked: int) -> tuple[FixedView, BookGroup]:
    """Twenty members that can be had, because they are a day of a pool cut to pieces; `booked` pieces are others'.

    Args:
        chance: Where the pool, the cuts and the order of the members come from.
        alike: Whether all pieces have the same length, though not the same starts.
        booked: How many further pieces are taken already.
    """
    rooms = pool(chance.randint(3, 6))
    pieces: list[tuple[str, int, int]] = []
    each, more = divmod(MEMBERS + booked, len(rooms))
    for index, room in enumerate(rooms):
        count = each + (index < more)
        start = chance.randint(0, 3)
        lengths = [4] * count if alike else [chance.randint(1, 8) for _ in range(count)]
        edges = [start + sum(lengths[:place]) for place in range(count + 1)]
        pieces += [(room.id, first, last - first) for first, last in pairwise(edges)]
    chance.shuffle(pieces)
    view = FixedView(rooms, [offering()])
    for name, start, length in pieces[MEMBERS:]:
        view.occupy(name, START + start * QUARTER, START + (start + length) * QUARTER)
    members = [taker(rooms, start, length) for _, start, length in pieces[:MEMBERS]]
    return view, BookGroup(by="test", members=members)


def refused_of(count: int, **kind: Any) -> int:
    """How many of so many packings are refused."""
    chance, refused = Random(SEED), 0
    for _ in range(count):
        view, group = packing(chance, **kind)
        try:
            group.judge(view)
        except MembersRefused:
            refused += 1
    return refused


class TestPackings:
    """Groups of members that may go anywhere in a pool, which can be had by construction."""

    @pytest.mark.parametrize("alike", [True, False])
    def test_a_full_packing_of_an_empty_pool_is_found(self, *, alike: bool) -> None:
        """Of two hundred none is refused, with pieces of one length or of many."""
        assert refused_of(200, alike=alike, booked=0) == 0

    @pytest.mark.parametrize("booked", [4, 10])
    @pytest.mark.parametrize("alike", [True, False])
    def test_a_full_packing_around_others_is_found(self, *, alike: bool, booked: int) -> None:
        """Where others lie between, of fifty none is refused: a search finds what no order does."""
        assert refused_of(50, alike=alike, booked=booked) == 0

    def test_a_refusal_is_freed_at_once(self) -> None:
        """Nothing that a refused group has read waits for the collector, which stops all threads while it looks."""
        rooms = pool(2)
        view = FixedView(rooms, [offering()])
        seen = ref(view)
        with without_collector():
            with pytest.raises(MembersRefused):
                BookGroup(by="test", members=[taker(rooms) for _ in range(3)]).judge(view)
            del view
            assert seen() is None

    def test_the_search_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A group that has no place costs so many verdicts and placings at most, and is refused alike each time."""
        counts: Counter[str] = Counter()
        verdict_on, put = Book.verdict_on, Search._place

        def counting(book: Book, resource: ResourceId, view: View) -> Any:
            counts["verdicts"] += 1
            return verdict_on(book, resource, view)

        def placing(search: Search, number: int, place: ResourceId, sign: int) -> bool:
            counts["placings"] += sign > 0
            return put(search, number, place, sign)

        monkeypatch.setattr(Book, "verdict_on", counting)
        monkeypatch.setattr(Search, "_place", placing)
        rooms = pool(6)
        refusals = set()
        for _ in range(5):
            group = BookGroup(by="test", members=[taker(rooms, 2 * (place % 3), 5) for place in range(20)])
            with pytest.raises(MembersRefused) as refused:
                group.judge(FixedView(rooms, [offering()]))
            refusals.add(tuple(place for place, _ in refused.value.members))
        assert len(refusals) == 1
        assert counts["verdicts"] <= 5 * VERDICTS_MAX
        assert counts["placings"] <= 5 * NODES_MAX
