"""Matches windows with findings, so that a finding keeps its id while its window grows, shrinks, splits and merges.

The windows of one resource, in order of their start, each take a finding that shares a reservation and an instant with
them and that no earlier window took. It is the first, in this order and the oldest among equals, of

1. unresolved ones, by their extent before others merged into them;
2. those that merged into an unresolved one, by their extent then: the windows have parted again;
3. unresolved ones, by their whole extent;
4. resolved ones, which return.

A window that takes none is a new finding, split from the unresolved one that it was part of, if any. An unresolved
finding that no window took has merged into another one, or nothing of it overlaps any more.

Acceptance and acknowledgement stay with their finding, also with one that merged into another for as long as the other
is unresolved; a finding that returns has neither. A window is hidden if the acceptance of its own finding covers it, or
that of the finding it split from; acceptances of findings that merged into it do not count. An acknowledgement stays
with its finding while reservations join and leave, and never passes to another.

It takes n log n steps for n windows, findings and their reservations together: a sweep along the time with a heap for
each reservation. Matching the same windows a second time changes nothing.
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import chain
from operator import attrgetter
from typing import Literal, TypeAlias

from app.domain.acceptance import Acceptance
from app.domain.instants import Millis
from app.domain.sweep import Window

State: TypeAlias = Literal["open", "acknowledged", "accepted", "resolved"]

STEP = 2_000
"""Reservations that one step examines, or all of one window: a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Extent:
    """`[start, end)` and the reservations that occupy it."""

    start: Millis
    end: Millis
    reservations: frozenset[Hashable]

    def is_in(self, window: Window) -> bool:
        """Whether the two share an instant and a reservation."""
        shared = any(reservation in self.reservations for reservation in window.reservations)
        return self.start < window.end and window.start < self.end and shared


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """A finding as it is stored, with its last window.

    `acceptance` is what a person accepted, also where it does not cover the window at present; `acknowledged` whether
    a finding that has merged was acknowledged before. `own` is the window before others merged into it.
    """

    id: Hashable
    extent: Extent
    state: State
    acceptance: Acceptance | None = None
    acknowledged: bool = False
    merged_into: Hashable | None = None
    own: Extent | None = None

    def is_in(self, window: Window) -> bool:
        """Whether the two share an instant and a reservation."""
        return self.extent.is_in(window)


@dataclass(frozen=True, slots=True)
class MatchedWindow:
    """A window and the finding that it is; `finding` is None for a new one.

    `opened`: an alert is due, since it is new, has returned, or exceeds what was accepted. `acceptance` names
    the finding whose acceptance this one has from now on, None if it has none; `exceeded` says why that does not cover
    it. `split_from` is the unresolved finding that it was part of, `merged` those that are part of it from now on.
    `own` is its window before others merged into it; `own_as_before`: that has not changed.
    """

    window: Window
    finding: Hashable | None
    state: State
    opened: bool
    acceptance: Hashable | None = None
    exceeded: tuple[str, ...] = ()
    split_from: Hashable | None = None
    merged: tuple[Hashable, ...] = ()
    own: Extent | None = None
    own_as_before: bool = False


@dataclass(frozen=True, slots=True)
class VanishedFinding:
    """A finding without a window: nothing of it overlaps any more, or it has merged into the finding `into`."""

    finding: Hashable
    into: Hashable | None


Matched: TypeAlias = tuple[list[MatchedWindow], list[VanishedFinding]]


def match(windows: Iterable[Window], known: Sequence[StoredFinding], now: Millis) -> Matched:
    """Match windows with findings.

    Args:
        windows: All windows of one resource as they stand; no two share an instant.
        known: The findings of that resource, the oldest first: all unresolved ones, and the resolved that may return.
        now: The instant at which acceptances are asked.
    """
    matching = Matching(windows, known, now)
    for _ in matching.steps():
        pass
    return matching.matched


class Matching:
    """What `match` does, in steps of a few milliseconds, for callers that have other work in between.

    `matched` is the result once `steps` has ended. Each phase yields how many reservations it has examined.
    """

    def __init__(self, windows: Iterable[Window], known: Sequence[StoredFinding], now: Millis) -> None:
        self._windows, self._known, self._now = sorted(windows, key=attrgetter("start")), known, now
        self._parts = _merged(known)
        self._places: dict[Hashable, list[int]] = {}
        self._takers: list[StoredFinding | None] = []
        self._sources: list[StoredFinding | None] = []
        self._merged: dict[int, list[Hashable]] = {}
        self._taken: set[Hashable] = set()
        self.matched: Matched = ([], [])

    def steps(self) -> Iterator[None]:
        """Run the phases in order; pause after each step."""
        examined = 0
        for count in chain(self._index(), self._take(), self._leave(), self._place()):
            examined += 1 + count
            if examined >= STEP:
                examined = 0
                yield

    def _index(self) -> Iterator[int]:
        """Index the windows by reservation."""
        for place, window in enumerate(self._windows):
            for reservation in window.reservations:
                self._places.setdefault(reservation, []).append(place)
            yield len(window.reservations)

    def _take(self) -> Iterator[int]:
        """Give each window a finding; for windows that get no unresolved one, record which they were part of."""
        claims = _Claims(_claims(self._known, self._parts), self._places)
        wholes = _Claims(_wholes(self._known), self._places)
        for window in self._windows:
            taker = claims.first(window, lambda finding: finding.id not in self._taken)
            parts = taker is None or taker.state == "resolved"
            self._takers.append(taker)
            self._sources.append(wholes.first(window, _anybody) if parts else None)
            if taker is not None:
                self._taken.add(taker.id)
            yield len(window.reservations)

    def _leave(self) -> Iterator[int]:
        """Record the unresolved findings that no window got, and what they merged into."""
        _, gone = self.matched
        for finding in self._known:
            if finding.state == "resolved" or finding.id in self._taken:
                continue
            home = _home(finding, self._windows, self._places)
            into = None if home is None else self._takers[home]
            gone.append(VanishedFinding(finding.id, None if into is None else into.id))
            if home is not None:
                self._merged.setdefault(home, []).append(finding.id)
            yield len(finding.extent.reservations)

    def _place(self) -> Iterator[int]:
        """Record the match of each window."""
        placed, _ = self.matched
        for place, (window, taker, source) in enumerate(zip(self._windows, self._takers, self._sources, strict=True)):
            stands = taker is not None and (taker.state != "resolved" or taker.id in self._parts)
            merged = tuple(self._merged.get(place, ()))
            placed.append(_matched_window(window, taker, source, merged, self._now, returns=not stands))
            yield len(window.reservations)


def _anybody(_: StoredFinding) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class _Claim:
    """A finding's claim to a window that meets this extent; a lower rank comes first."""

    rank: tuple[int, int]
    extent: Extent
    finding: StoredFinding


def _claims(known: Sequence[StoredFinding], merged: set[Hashable]) -> list[_Claim]:
    """The claims of all findings, ranked as the module says."""
    claims: list[_Claim] = []
    for age, finding in enumerate(known):
        own = finding.own or finding.extent
        if finding.state != "resolved":
            claims.append(_Claim((1, age), own, finding))
            if finding.own is not None:
                claims.append(_Claim((3, age), finding.extent, finding))
        elif finding.id in merged:
            claims.append(_Claim((2, age), own, finding))
        else:
            claims.append(_Claim((4, age), finding.extent, finding))
    return claims


def _wholes(known: Sequence[StoredFinding]) -> list[_Claim]:
    """The unresolved findings that a part may have left, those with an acceptance first."""
    return [
        _Claim((int(finding.acceptance is None), age), finding.extent, finding)
        for age, finding in enumerate(known)
        if finding.state != "resolved"
    ]


def _merged(known: Iterable[StoredFinding]) -> set[Hashable]:
    """The resolved findings that have merged into an unresolved one, directly or through others."""
    findings = {finding.id: finding for finding in known}
    part_of = {identity: True for identity, finding in findings.items() if finding.state != "resolved"}
    for finding in findings.values():
        path: list[Hashable] = []
        at: Hashable | None = finding.id
        while at in findings and at not in part_of:
            path.append(at)
            part_of[at] = False  # until the end of the path decides, and for good where the path is a circle
            at = findings[at].merged_into
        part_of.update(dict.fromkeys(path, part_of.get(at, False)))
    return {identity for identity, part in part_of.items() if part and findings[identity].state == "resolved"}


class _Claims:
    """Claims, to be queried by windows in order of their start.

    Each reservation has a heap, by rank, of its claims that have begun. A claim that has ended, or whose finding is
    taken, is dropped when it comes to the top: no later window can use it.
    """

    def __init__(self, claims: list[_Claim], wanted: dict[Hashable, list[int]]) -> None:
        self._ranked = sorted(claims, key=attrgetter("rank"))
        self._order = sorted(range(len(claims)), key=lambda rank: self._ranked[rank].extent.start)
        self._begun = 0
        self._heaps: dict[Hashable, list[int]] = {}
        self._wanted = wanted

    def first(self, window: Window, is_free: Callable[[StoredFinding], bool]) -> StoredFinding | None:
        """The finding that a window gets; a finding that is not free now never becomes free again."""
        self._begin(window.end)
        best: int | None = None
        for reservation in window.reservations:
            heap = self._heaps.get(reservation)
            while heap:
                claim = self._ranked[heap[0]]
                if claim.extent.end > window.start and is_free(claim.finding):
                    best = heap[0] if best is None else min(best, heap[0])
                    break
                heappop(heap)
        return None if best is None else self._ranked[best].finding

    def _begin(self, end: Millis) -> None:
        """Put the claims that begin before an instant into the heaps."""
        while self._begun < len(self._order):
            rank = self._order[self._begun]
            extent = self._ranked[rank].extent
            if extent.start >= end:
                return
            self._begun += 1
            for reservation in extent.reservations:
                if reservation in self._wanted:
                    heappush(self._heaps.setdefault(reservation, []), rank)


def _home(finding: StoredFinding, windows: Sequence[Window], places: dict[Hashable, list[int]]) -> int | None:
    """The first window that a finding lies in, by its extent before others merged into it, else by its whole extent."""
    for extent in (finding.extent,) if finding.own is None else (finding.own, finding.extent):
        found: int | None = None
        for reservation in extent.reservations:
            indexes = places.get(reservation, ())
            at = bisect_right(indexes, extent.start, key=lambda place: windows[place].end)
            if at < len(indexes) and windows[indexes[at]].start < extent.end:
                found = indexes[at] if found is None else min(found, indexes[at])
        if found is not None:
            return found
    return None


def _matched_window(
    window: Window,
    taker: StoredFinding | None,
    source: StoredFinding | None,
    merged: tuple[Hashable, ...],
    now: Millis,
    *,
    returns: bool,
) -> MatchedWindow:
    """The match of a window, with the acceptance and acknowledgement of its finding or of the one it split from."""
    stands = None if returns else taker
    bearers = [each for each in (stands, source) if each and each.acceptance and not each.acceptance.is_over(now)]
    excesses = [(each, _exceeded(each, window, now)) for each in bearers]
    bearer, exceeded = min(excesses, key=lambda each: bool(each[1]), default=(None, ()))
    before = None if taker is None else taker.state
    own = None if stands is None else _own(stands, window, swallows=bool(merged))
    state: State = "open"
    if bearer is not None and not exceeded:
        state = "accepted"
    elif stands is not None and _is_acknowledged(stands):
        state = "acknowledged"
    elif bearer is None and taker is not None:
        exceeded = _exceeded(taker, window, now)
    return MatchedWindow(
        window,
        None if taker is None else taker.id,
        state,
        opened=state == "open" and before not in {"open", "acknowledged"},
        acceptance=None if bearer is None else bearer.id,
        exceeded=exceeded if before == "accepted" else (),
        split_from=None if source is None or source is taker else source.id,
        merged=merged,
        own=own,
        own_as_before=own is not None and stands is not None and own is stands.own,
    )


def _exceeded(bearer: StoredFinding, window: Window, now: Millis) -> tuple[str, ...]:
    return () if bearer.acceptance is None else bearer.acceptance.exceeded(window, now)


def _is_acknowledged(finding: StoredFinding) -> bool:
    """Whether a finding is acknowledged, or was acknowledged when it merged."""
    return finding.acknowledged if finding.state == "resolved" else finding.state == "acknowledged"


def _own(taker: StoredFinding, window: Window, *, swallows: bool) -> Extent | None:
    """A finding's extent before others merged into it; None where it stands alone, or nothing of that is left."""
    for own in (taker.own, taker.extent if swallows else None):
        if own is not None:
            inside = [reservation in own.reservations for reservation in window.reservations]
            if any(inside):
                return None if all(inside) else own
    return None
