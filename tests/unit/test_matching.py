"""Findings keep their identity: the cases of the design, and laws over changing histories."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from app.timeline.matching import Known, State, match
from app.timeline.sweep import Row, Window, sweep


def window(start: int, end: int, *reservations: str, peak: int = 2) -> Window:
    """A window of a capacity of one."""
    return Window("room", start, end, peak, 1, reservations, 1)


def known(name: int, start: int, end: int, *reservations: str, state: State = "open", peak: int = 2) -> Known:
    """A finding; an accepted one was accepted up to its peak."""
    return Known(name, start, end, frozenset(reservations), state, peak if state == "accepted" else None)


def test_a_window_that_nobody_knows_is_new() -> None:
    """It is opened; a finding elsewhere, or of others at that time, has nothing to do with it and is gone."""
    others = [known(1, 20, 30, "a", "b"), known(2, 0, 10, "x", "y")]
    (placed,), gone = match([window(0, 10, "a", "b")], others)

    assert (placed.finding, placed.state, placed.opened, placed.split_from) == (None, "open", True, None)
    assert {(each.finding, each.into) for each in gone} == {(1, None), (2, None)}


def test_the_oldest_unresolved_is_taken_before_a_resolved_one() -> None:
    """A resolved one reopens only where no unresolved one is left."""
    there = [known(1, 0, 10, "a", "b", state="resolved"), known(2, 0, 10, "b", "c", state="acknowledged")]
    (first, second), gone = match([window(0, 4, "a", "b", "c"), window(6, 10, "a", "b")], there)

    assert (first.finding, first.state, first.opened) == (2, "acknowledged", False)
    assert (second.finding, second.state, second.opened) == (1, "open", True)
    assert gone == []


def test_what_was_accepted_stands_up_to_its_peak() -> None:
    """It may grow in length; above the peak it is open again, and the acceptance is used up."""
    accepted = known(1, 0, 10, "a", "b", "c", state="accepted", peak=3)
    (longer,), _ = match([window(0, 50, "a", "b", "c", peak=3)], [accepted])
    (higher,), _ = match([window(0, 10, "a", "b", "c", peak=4)], [accepted])

    assert (longer.finding, longer.state, longer.accepted, longer.opened) == (1, "accepted", 3, False)
    assert (higher.finding, higher.state, higher.accepted, higher.opened) == (1, "open", None, True)


def test_a_further_half_inherits_an_acceptance() -> None:
    """The earlier half keeps the name, the later one is new, split from it, and accepted up to the same peak."""
    accepted = known(1, 0, 10, "a", "b", "c", state="accepted", peak=2)
    halves, gone = match([window(0, 3, "a", "b"), window(5, 8, "a", "c"), window(9, 10, "a", "c", peak=3)], [accepted])

    assert [(each.finding, each.state, each.split_from, each.opened) for each in halves] == [
        (1, "accepted", None, False),
        (None, "accepted", 1, False),
        (None, "open", 1, True),
    ]
    assert gone == []


def test_a_merger_keeps_the_oldest_name_and_the_highest_acceptance() -> None:
    """The swallowed are resolved into it; an acknowledgement among them stays one."""
    two = [known(1, 0, 3, "a", "b"), known(2, 5, 8, "a", "c", state="accepted", peak=4)]
    (whole,), gone = match([window(0, 8, "a", "b", "c", peak=4)], two)
    seen = [known(1, 0, 3, "a", "b"), known(2, 5, 8, "a", "c", state="acknowledged")]
    (looked_at,), _ = match([window(0, 8, "a", "b", "c")], seen)

    assert (whole.finding, whole.state, whole.accepted, whole.opened) == (1, "accepted", 4, False)
    assert [(each.finding, each.into) for each in gone] == [(2, 1)]
    assert (looked_at.finding, looked_at.state) == (1, "acknowledged")


@dataclass
class Book:
    """What a store would keep, the oldest first; merely the bookkeeping around `match`."""

    findings: dict[int, Known] = field(default_factory=dict)
    merged: dict[int, int] = field(default_factory=dict)

    def run(self, windows: Sequence[Window]) -> int:
        """Place the windows; how many findings were opened."""
        placed, gone = match(windows, list(self.findings.values()))
        for each in placed:
            name = len(self.findings) if each.finding is None else each.finding
            assert isinstance(name, int)
            now = each.window
            who = frozenset(now.reservations)
            self.findings[name] = Known(name, now.start, now.end, who, each.state, each.accepted)
            self.merged.pop(name, None)
        for left in gone:
            assert isinstance(left.finding, int)
            self.findings[left.finding] = replace(self.findings[left.finding], state="resolved", accepted=None)
            if left.into is not None:
                assert isinstance(left.into, int)
                self.merged[left.finding] = left.into
        return sum(each.opened for each in placed)

    def unresolved(self) -> dict[int, Known]:
        """Those that people still see."""
        return {name: each for name, each in self.findings.items() if each.state != "resolved"}


OCCUPANCIES = st.dictionaries(
    st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 16), st.integers(1, 8), st.integers(1, 2)), max_size=8
)
WORDS = st.dictionaries(st.integers(0, 6), st.sampled_from(["acknowledged", "accepted"]), max_size=4)


def windows_of(occupancies: dict[str, tuple[int, int, int]]) -> list[Window]:
    """The windows of a resource of capacity one."""
    rows = [Row("room", start, name, start + length, units) for name, (start, length, units) in occupancies.items()]
    return list(sweep(sorted(rows), {}))


@given(st.lists(st.tuples(OCCUPANCIES, WORDS), max_size=6))
def test_laws_over_a_changing_history(history: list[tuple[dict[str, tuple[int, int, int]], dict[int, State]]]) -> None:
    """Each window is one unresolved finding; a repetition changes nothing; no word is lost while its peak stands."""
    book = Book()
    for occupancies, words in history:
        windows = windows_of(occupancies)
        peaks = {name: each.accepted for name, each in book.unresolved().items() if each.accepted is not None}
        before = dict(book.findings)
        book.run(windows)
        after = book.unresolved()
        assert sorted((each.start, each.end) for each in after.values()) == [(w.start, w.end) for w in windows]

        by_start = {w.start: w for w in windows}
        for name, accepted in peaks.items():
            home = name if name in after else book.merged.get(name)
            if home is None:
                assert not any(before[name].is_in(w) for w in windows)
            elif by_start[after[home].start].peak <= accepted:
                assert after[home].state == "accepted"
                assert (after[home].accepted or 0) >= accepted
        for name, each in before.items():
            if each.state == "acknowledged" and name in after:
                assert after[name].state != "open"

        again = replace_nothing(book, windows)
        assert again == 0
        for name, word in words.items():
            if name in after:
                peak = by_start[after[name].start].peak
                book.findings[name] = replace(
                    book.findings[name], state=word, accepted=peak if word == "accepted" else None
                )


def replace_nothing(book: Book, windows: Sequence[Window]) -> int:
    """Run once more; the book must be as it was."""
    kept, merged = dict(book.findings), dict(book.merged)
    opened = book.run(windows)
    assert (book.findings, book.merged) == (kept, merged)
    return opened
