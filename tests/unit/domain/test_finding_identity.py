"""Findings keep their identity and their review: the cases of the design, a model, and laws."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import log2
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from app.domain.acceptance import JOINED, LOWER, RAN_OUT, TOO_MANY, Acceptance, digest
from app.domain.finding_identity import (
    Extent,
    MatchedWindow,
    Matching,
    State,
    StoredFinding,
    VanishedFinding,
    match,
)
from app.domain.instants import Millis
from app.domain.sweep import Row, Window, sweep
from tests.support.ids import ROOM_ID

NOW = Millis(1_000)


def window(start: int, end: int, *reservations: str, peak: int = 2, capacity: int = 1) -> Window:
    """A window, by default of a capacity of one."""
    return Window(ROOM_ID, Millis(start), Millis(end), peak, capacity, reservations, 1)


def accepted(*reservations: str, peak: int = 2, excess: int = 1, until: int | None = None) -> Acceptance:
    """An acceptance of these."""
    return Acceptance(frozenset(reservations), peak, excess, None if until is None else Millis(until))


def extent(start: int, end: int, reservations: Iterable[str]) -> Extent:
    """An extent, short to write."""
    return Extent(Millis(start), Millis(end), frozenset(reservations))


def known(name: int, start: int, end: int, *reservations: str, state: State = "open", peak: int = 2) -> StoredFinding:
    """A finding; an accepted one was accepted as it is, up to its peak."""
    acceptance = accepted(*reservations, peak=peak, excess=peak - 1) if state == "accepted" else None
    return StoredFinding(name, extent(start, end, reservations), state, acceptance)


def merged(finding: StoredFinding, into: int) -> StoredFinding:
    """A finding after it merged into another."""
    return replace(finding, state="resolved", merged_into=into, acknowledged=finding.state == "acknowledged")


def test_a_window_without_a_finding_is_new() -> None:
    """It is opened; a finding elsewhere, or of others at that time, has nothing to do with it and is gone."""
    others = [known(1, 20, 30, "a", "b"), known(2, 0, 10, "x", "y")]
    (placed,), gone = match([window(0, 10, "a", "b")], others, NOW)

    assert (placed.finding, placed.state, placed.opened, placed.split_from) == (None, "open", True, None)
    assert gone == [VanishedFinding(1, None), VanishedFinding(2, None)]


def test_the_oldest_unresolved_is_taken_before_a_resolved_one() -> None:
    """A resolved one reopens only where no unresolved one is left, and has no acceptance any more."""
    there = [known(1, 0, 10, "a", "b", state="resolved"), known(2, 0, 10, "b", "c", state="acknowledged")]
    there[0] = replace(there[0], acceptance=accepted("a", "b"))
    (first, second), gone = match([window(0, 4, "a", "b", "c"), window(6, 10, "a", "b")], there, NOW)

    assert (first.finding, first.state, first.opened) == (2, "acknowledged", False)
    assert (second.finding, second.state, second.opened, second.acceptance) == (1, "open", True, None)
    assert gone == []


def test_an_acceptance_is_for_these_or_fewer() -> None:
    """It may grow in length; a new reservation opens it again, and once that has left the acceptance holds again."""
    whole = known(1, 0, 10, "a", "b", "c", state="accepted", peak=3)
    (longer,), _ = match([window(0, 50, "a", "b", "c", peak=3)], [whole], NOW)
    (fewer,), _ = match([window(0, 10, "a", "c", peak=2)], [whole], NOW)
    (joined,), _ = match([window(0, 10, "a", "x", peak=2)], [whole], NOW)
    (higher,), _ = match([window(0, 10, "a", "b", "c", peak=4)], [whole], NOW)
    opened = replace(whole, state="open", extent=extent(0, 10, frozenset("abcx")))
    (left,), _ = match([window(0, 10, "a", "b")], [opened], NOW)

    assert [(each.state, each.opened, each.acceptance) for each in (longer, fewer, left)] == [
        ("accepted", False, 1)
    ] * 3
    assert (joined.state, joined.opened, joined.acceptance, joined.exceeded) == ("open", True, 1, (JOINED,))
    assert (higher.state, higher.opened, higher.acceptance) == ("open", True, 1)


def test_an_acceptance_is_for_its_excess_and_its_time() -> None:
    """The same load over a lower capacity is more than was accepted; at `until` it is over and forgotten."""
    whole = known(1, 0, 10, "a", "b", "c", state="accepted", peak=3)
    above = replace(whole, acceptance=accepted("a", "b", "c", peak=3, excess=1))
    (lower,), _ = match([window(0, 10, "a", "b", "c", peak=3, capacity=1)], [above], NOW)
    (wider,), _ = match([window(0, 10, "a", "b", "c", peak=3, capacity=2)], [above], NOW)
    ending = replace(whole, acceptance=accepted("a", "b", "c", peak=3, excess=2, until=NOW))
    (in_time,), _ = match([window(0, 10, "a", "b", peak=2)], [ending], Millis(NOW - 1))
    (late,), _ = match([window(0, 10, "a", "b", peak=2)], [ending], NOW)

    assert (lower.state, lower.exceeded, wider.state) == ("open", (LOWER,), "accepted")
    assert (in_time.state, late.state, late.opened, late.acceptance) == ("accepted", "open", True, None)
    assert late.exceeded == (RAN_OUT,)


def test_an_acceptance_of_very_many_is_for_exactly_these() -> None:
    """Whether fewer are a subset cannot be known, so that no reservation outside of it is hidden by it."""
    names = [f"r{number}" for number in range(50)]
    acceptance = Acceptance(frozenset(), 2, 1, None, digest(names))
    finding = replace(known(1, 0, 10, *names[:5]), state="accepted", acceptance=acceptance)
    (same,), _ = match([window(0, 10, *reversed(names))], [finding], NOW)
    (fewer,), _ = match([window(0, 10, *names[:-1])], [finding], NOW)

    assert (same.state, fewer.state, fewer.exceeded) == ("accepted", "open", (TOO_MANY,))


def test_a_further_half_inherits_an_acceptance() -> None:
    """The earlier half keeps the name; later ones are new, split from it, accepted if none joined."""
    whole = known(1, 0, 10, "a", "b", "c", state="accepted")
    parts = [window(0, 3, "a", "b"), window(5, 8, "a", "c"), window(9, 10, "a", "x")]
    placed, gone = match(parts, [whole], NOW)
    seen, _ = match(parts, [replace(whole, state="acknowledged", acceptance=None)], NOW)

    assert [(each.finding, each.state, each.split_from, each.opened) for each in placed] == [
        (1, "accepted", None, False),
        (None, "accepted", 1, False),
        (None, "open", 1, True),
    ]
    assert [each.acceptance for each in placed] == [1, 1, 1]
    assert [each.state for each in seen] == ["acknowledged", "open", "open"]
    assert gone == []


def test_a_merger_keeps_the_oldest_name_and_its_review() -> None:
    """The others are resolved into it. Two acceptances do not add up, and an acknowledgement is for its own window."""
    one, two = known(1, 0, 3, "a", "b", state="accepted"), known(2, 5, 8, "a", "c", state="accepted")
    (whole,), gone = match([window(0, 8, "a", "b", "c")], [one, two], NOW)
    both = [known(1, 0, 3, "a", "b"), known(2, 5, 8, "a", "c", state="acknowledged")]
    (seen,), _ = match([window(0, 8, "a", "b", "c")], both, NOW)

    assert (whole.finding, whole.state, whole.opened, whole.merged) == (1, "open", True, (2,))
    assert (whole.acceptance, whole.exceeded, whole.own) == (1, (JOINED,), one.extent)
    assert gone == [VanishedFinding(2, 1)]
    assert (seen.finding, seen.state, seen.opened) == (1, "open", False)


def test_windows_that_part_again_are_what_they_were() -> None:
    """Each has its own finding with its review, also where the younger one lies first and one is in both."""
    early = merged(known(2, 0, 3, "a", "c", state="accepted"), 1)
    late = known(1, 0, 9, "a", "b", "c")
    late = replace(late, own=extent(6, 9, frozenset("ab")), acceptance=accepted("a", "b"))
    placed, gone = match([window(0, 3, "a", "c"), window(6, 9, "a", "b")], [late, early], NOW)
    acknowledged = merged(known(2, 0, 3, "a", "c", state="acknowledged"), 1)
    (first, _), _ = match([window(0, 3, "a", "c"), window(6, 9, "a", "b")], [late, acknowledged], NOW)

    assert [(each.finding, each.state, each.opened, each.own) for each in placed] == [
        (2, "accepted", False, None),
        (1, "accepted", False, None),
    ]
    assert (first.finding, first.state, first.opened) == (2, "acknowledged", False)
    assert gone == []


def test_an_acceptance_of_the_whole_is_one_of_its_parts() -> None:
    """Accepted after it merged: the part that was open before is accepted with it, as long as no reservation joins."""
    part = merged(known(2, 5, 8, "c", "d"), 1)
    whole = replace(known(1, 0, 8, "a", "b", "c", "d", state="accepted"), own=extent(0, 3, frozenset("ab")))
    _, parted = match([window(0, 3, "a", "b"), window(5, 8, "c", "d")], [whole, part], NOW)[0]
    _, strange = match([window(0, 3, "a", "b"), window(5, 8, "c", "d", "x")], [whole, part], NOW)[0]

    assert (parted.finding, parted.state, parted.acceptance) == (2, "accepted", 1)
    assert (strange.finding, strange.state, strange.opened) == (2, "open", True)


def test_what_is_left_of_a_merger_keeps_its_own_name() -> None:
    """If only the window of one that merged remains, that finding comes back, and the survivor is part of it."""
    part = merged(known(2, 5, 8, "c", "d", state="acknowledged"), 1)
    whole = replace(known(1, 0, 8, "a", "b", "c", "d"), own=extent(0, 3, frozenset("ab")))
    (left,), gone = match([window(5, 8, "c", "d")], [whole, part], NOW)

    assert (left.finding, left.state, left.merged) == (2, "acknowledged", (1,))
    assert gone == [VanishedFinding(1, 2)]


NAMES = st.frozensets(st.sampled_from("abcdef"), min_size=1, max_size=4)
SPANS = st.tuples(st.integers(0, 20), st.integers(1, 10))
STATES: Any = st.sampled_from(["open", "acknowledged", "accepted", "resolved"])
ACCEPTANCES = st.builds(
    Acceptance, NAMES, st.integers(1, 4), st.integers(0, 3), st.none() | st.sampled_from([NOW, NOW + 1])
)


@st.composite
def extents(draw: st.DrawFn) -> Extent:
    """Any time and any reservations."""
    start, length = draw(SPANS)
    return extent(start, start + length, draw(NAMES))


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Window], list[StoredFinding]]:
    """Windows that share no instant, and findings of any past, whether or not a run could have left them."""
    windows, at = [], 0
    for gap, length in draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 6)), max_size=5)):
        start, at = at + gap, at + gap + length
        windows.append(window(start, at, *sorted(draw(NAMES)), peak=draw(st.integers(2, 4))))
    findings = []
    for name in range(draw(st.integers(0, 7))):
        state, acceptance, seen = draw(STATES), draw(st.none() | ACCEPTANCES), draw(st.booleans())
        into = draw(st.none() | st.integers(0, 6)) if state == "resolved" else None
        own = draw(st.none() | extents())
        findings.append(StoredFinding(name, draw(extents()), state, acceptance, seen, into, own))
    return windows, findings


@given(situations())
@pytest.mark.promise("acceptances")
def test_it_is_what_comparing_every_pair_gives(situation: tuple[list[Window], list[StoredFinding]]) -> None:
    """Which finding takes which window, merged into which and split from which, by comparing all pairs."""
    windows, findings = situation
    placed, gone = match(windows, findings, NOW)

    assert ([(each.finding, each.split_from) for each in placed], gone) == by_pairs(windows, findings)


def by_pairs(
    windows: list[Window], findings: list[StoredFinding]
) -> tuple[list[tuple[Any, Any]], list[VanishedFinding]]:
    """The rules of the module, one after the other, over all windows and all findings."""
    unresolved = [each for each in findings if each.state != "resolved"]
    parts = [each for each in findings if each.state == "resolved" and ends_unresolved(each, findings)]
    past = [each for each in findings if each.state == "resolved" and each not in parts]
    taken: dict[Any, int] = {}
    answers: list[tuple[Any, Any]] = []
    for place, each in enumerate(windows):
        asked = [
            *[(one, one.own or one.extent) for one in (*unresolved, *parts)],
            *[(one, one.extent) for one in (*unresolved, *past)],
        ]
        taker = next((one for one, extent in asked if one.id not in taken and extent.is_in(each)), None)
        whole = [one for one in unresolved if one.is_in(each)]
        whole.sort(key=lambda one: one.acceptance is None)
        parted = whole[0].id if whole and (taker is None or taker in (*parts, *past)) else None
        answers.append((None if taker is None else taker.id, parted))
        if taker is not None:
            taken[taker.id] = place
    gone = []
    for one in unresolved:
        if one.id not in taken:
            homes = [
                name for (name, _), each in zip(answers, windows, strict=True) if (one.own or one.extent).is_in(each)
            ]
            homes += [name for (name, _), each in zip(answers, windows, strict=True) if one.is_in(each)]
            gone.append(VanishedFinding(one.id, homes[0] if homes else None))
    return answers, gone


def ends_unresolved(finding: StoredFinding, findings: list[StoredFinding]) -> bool:
    """Whether the chain of findings into which it merged ends at an unresolved one."""
    for _ in findings:
        finding = next((one for one in findings if one.id == finding.merged_into), finding)
    return finding.state != "resolved"


@given(situations())
@pytest.mark.promise("acceptances")
def test_no_reservation_is_hidden_that_was_not_accepted(situation: tuple[list[Window], list[StoredFinding]]) -> None:
    """A window is accepted only by one acceptance that names all of its reservations, is high enough, and lasts."""
    windows, findings = situation
    named = {each.id: each for each in findings}
    for each in match(windows, findings, NOW)[0]:
        if each.state == "accepted":
            acceptance = named[each.acceptance].acceptance
            assert acceptance is not None
            assert set(each.window.reservations) <= acceptance.reservations
            assert each.window.peak <= acceptance.peak
            assert each.window.peak - each.window.capacity <= acceptance.excess
            assert acceptance.until is None or acceptance.until > NOW


class Counted(str):
    """An id that counts how often it is looked up or compared."""

    __slots__ = ()
    lookups = 0

    @override
    def __hash__(self) -> int:
        Counted.lookups += 1
        return super().__hash__()

    @override
    def __eq__(self, other: object) -> bool:
        Counted.lookups += 1
        return super().__eq__(other)


def lookup_count(windows: list[Window], findings: list[StoredFinding]) -> int:
    """How often ids were compared to match these windows and findings."""
    Counted.lookups = 0
    match(windows, findings, NOW)
    return Counted.lookups


@pytest.mark.promise("acceptances")
def test_it_takes_little_more_than_each_once() -> None:
    """However many windows and findings share one reservation: the comparisons grow as n log n, not as pairs."""
    all_day = Counted("all day")
    worst = []
    for count in (200, 2_000):
        own = [Counted(f"r{number}") for number in range(count)]
        windows = [window(4 * at, 4 * at + 2, all_day, name) for at, name in enumerate(own)]
        moved = [known(at, 4 * at + 3, 4 * at + 4, all_day, name) for at, name in enumerate(own)]
        same = [known(at, 4 * at, 4 * at + 2, all_day, name) for at, name in enumerate(own)]
        long = [known(at, 0, 4 * count, all_day, name, state="resolved") for at, name in enumerate(own)]
        one = [window(0, 4 * count, all_day, *own)]
        cases = [(windows, moved), (windows, same), (windows, long), (windows, same + long), (one, same), (one, long)]
        worst.append(max(lookup_count(*case) for case in cases) / (count * log2(count)))

    assert worst[1] <= 1.1 * worst[0]


def test_it_stops_often_enough() -> None:
    """A process with very many windows has its event loop back after a few thousand reservations each time."""
    windows = [window(4 * at, 4 * at + 2, "all day", f"r{at}") for at in range(10_000)]
    pauses = sum(1 for _ in Matching(windows, [], NOW).steps())

    assert pauses >= 3 * 20_000 // 2_000


@dataclass
class Book:
    """What a store would keep, the oldest first; merely the bookkeeping around `match`."""

    findings: dict[int, StoredFinding] = field(default_factory=dict)
    peaks: dict[int, int] = field(default_factory=dict)
    """By the start of the window."""

    def run(self, windows: Sequence[Window]) -> list[MatchedWindow]:
        """Place the windows, and note what became of each finding."""
        placed, gone = match(windows, list(self.findings.values()), NOW)
        before = dict(self.findings)
        self.peaks = {each.start: each.peak for each in windows}
        for each in placed:
            name = len(self.findings) if each.finding is None else each.finding
            assert isinstance(name, int)
            now = each.window
            acceptance = before[each.acceptance].acceptance if isinstance(each.acceptance, int) else None
            extent = Extent(now.start, now.end, frozenset(now.reservations))
            seen = each.state == "acknowledged"
            self.findings[name] = StoredFinding(name, extent, each.state, acceptance, seen, None, each.own)
        for left in gone:
            assert isinstance(left.finding, int)
            was = self.findings[left.finding]
            self.findings[left.finding] = (
                StoredFinding(was.id, was.extent, "resolved")
                if left.into is None
                else replace(was, state="resolved", merged_into=left.into, acknowledged=was.state == "acknowledged")
            )
        return placed

    def unresolved(self) -> dict[int, StoredFinding]:
        """The unresolved findings."""
        return {name: each for name, each in self.findings.items() if each.state != "resolved"}

    def say(self, name: int, word: State) -> None:
        """What a person says of a finding as it is."""
        finding = self.findings[name]
        peak = self.peaks[finding.extent.start]
        acceptance = (
            Acceptance(finding.extent.reservations, peak, peak - 1) if word == "accepted" else finding.acceptance
        )
        self.findings[name] = replace(finding, state=word, acceptance=acceptance, acknowledged=word == "acknowledged")


OCCUPANCIES = st.dictionaries(
    st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 16), st.integers(1, 8), st.integers(1, 2)), max_size=8
)
WORDS: Any = st.dictionaries(st.integers(0, 6), st.sampled_from(["acknowledged", "accepted"]), max_size=4)


def windows_of(occupancies: dict[str, tuple[int, int, int]]) -> list[Window]:
    """The windows of a resource of capacity one."""
    rows = [
        Row(ROOM_ID, Millis(start), name, Millis(start + length), units)
        for name, (start, length, units) in occupancies.items()
    ]
    return list(sweep(sorted(rows), {}))


@given(st.lists(st.tuples(OCCUPANCIES, WORDS), max_size=6))
def test_laws_over_a_changing_history(history: list[tuple[dict[str, tuple[int, int, int]], dict[int, State]]]) -> None:
    """Each window is one unresolved finding; a repetition changes nothing; an acceptance stands while it covers."""
    book = Book()
    for occupancies, words in history:
        windows = windows_of(occupancies)
        before = book.unresolved()
        book.run(windows)
        after = book.unresolved()
        assert sorted((each.extent.start, each.extent.end) for each in after.values()) == [
            (each.start, each.end) for each in windows
        ]
        for each in windows:
            name = next(name for name, one in after.items() if one.extent.start == each.start)
            acceptance = before[name].acceptance if name in before else None
            if acceptance is not None:
                covered = set(each.reservations) <= acceptance.reservations and each.peak <= acceptance.peak
                assert (after[name].state == "accepted") == covered
            elif name in before:
                assert after[name].state == before[name].state

        before_repetition = dict(book.findings)
        assert not any(each.opened for each in book.run(windows))
        assert book.findings == before_repetition
        for name, word in words.items():
            if name in after:
                book.say(name, word)


@given(OCCUPANCIES, OCCUPANCIES, WORDS)
def test_a_detour_changes_no_review(
    there: dict[str, tuple[int, int, int]], between: dict[str, tuple[int, int, int]], words: dict[int, State]
) -> None:
    """While all that overlapped goes on to overlap, whatever joins and merges: gone again, all is what it was."""
    book = Book()
    book.run(windows_of(there))
    for name, word in words.items():
        if name in book.unresolved():
            book.say(name, word)
    before = book.unresolved()
    joined = {f"{name}'": occupancy for name, occupancy in between.items()}
    book.run(windows_of({**there, **joined}))
    book.run(windows_of(there))
    after = book.unresolved()

    assert {name: (each.extent, each.state) for name, each in after.items()} == {
        name: (each.extent, each.state) for name, each in before.items()
    }
