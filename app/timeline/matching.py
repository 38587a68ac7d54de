"""Which window is which finding: what people were told of keeps its name while it grows, shrinks, splits and merges.

The windows of one resource, in order of their start, each take the oldest finding that shares a reservation and an
instant with them and that no earlier window took: unresolved ones first, then resolved ones, which reopen. What people
said goes with the finding. Nothing here knows a database; the same windows a second time change nothing.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.timeline.instants import Millis
from app.timeline.sweep import Window

State: TypeAlias = Literal["open", "acknowledged", "accepted", "resolved"]


@dataclass(frozen=True, slots=True)
class Known:
    """A finding as it was left: `[start, end)` and the reservations of its window then.

    `accepted` is the peak up to which somebody accepted it; None unless it is accepted.
    """

    id: Hashable
    start: Millis
    end: Millis
    reservations: frozenset[Hashable]
    state: State
    accepted: int | None = None

    def is_in(self, window: Window) -> bool:
        """Whether the two share an instant and a reservation."""
        return (
            self.start < window.end
            and window.start < self.end
            and not self.reservations.isdisjoint(window.reservations)
        )


@dataclass(frozen=True, slots=True)
class Placed:
    """A window and the finding that it is; `finding` is None for a new one.

    `opened`: this puts it before people, as new, as one that has returned, or because it outgrew what was accepted.
    `split_from` is the finding of which it is a further half.
    """

    window: Window
    finding: Hashable | None
    state: State
    accepted: int | None
    opened: bool
    split_from: Hashable | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """A finding that is none any more: nothing of it overlaps now, or it is part of the finding `into`."""

    finding: Hashable
    into: Hashable | None


def match(windows: Iterable[Window], known: Sequence[Known]) -> tuple[list[Placed], list[Gone]]:
    """Say which finding each window is, and which findings have none.

    Args:
        windows: All windows of one resource as they stand.
        known: All findings of that resource, the oldest first.
    """
    unresolved = [finding for finding in known if finding.state != "resolved"]
    resolved = [finding for finding in known if finding.state == "resolved"]
    ordered = sorted(windows, key=lambda window: window.start)
    taken: dict[Hashable, int] = {}
    takers: list[Known | None] = []
    for place, window in enumerate(ordered):
        free = (finding for finding in (*unresolved, *resolved) if finding.id not in taken and finding.is_in(window))
        taker = next(free, None)
        takers.append(taker)
        if taker is not None:
            taken[taker.id] = place
    left = [finding for finding in unresolved if finding.id not in taken]
    swallowed: dict[int, list[Known]] = {}
    gone: list[Gone] = []
    for finding in left:
        home = next((place for place, window in enumerate(ordered) if finding.is_in(window)), None)
        into = None if home is None else takers[home]
        gone.append(Gone(finding.id, None if into is None else into.id))
        if home is not None:
            swallowed.setdefault(home, []).append(finding)
    placed = [
        _placed(window, taker, swallowed.get(place, []), unresolved)
        for place, (window, taker) in enumerate(zip(ordered, takers, strict=True))
    ]
    return placed, gone


def _placed(window: Window, taker: Known | None, swallowed: list[Known], unresolved: list[Known]) -> Placed:
    """The finding that a window is, with what people said of it and of those that it swallowed."""
    if taker is not None and taker.state != "resolved":
        accepted = _highest(taker, *swallowed)
        if accepted is not None and window.peak <= accepted:
            return Placed(window, taker.id, "accepted", accepted, opened=False)
        if taker.state == "accepted":
            return Placed(window, taker.id, "open", None, opened=True)
        seen = any(finding.state == "acknowledged" for finding in (taker, *swallowed))
        return Placed(window, taker.id, "acknowledged" if seen else "open", None, opened=False)
    # Whatever unresolved finding it is part of was taken by an earlier window: this is a further half of it.
    whole = [finding for finding in unresolved if finding.is_in(window)]
    split_from = whole[0].id if whole and taker is None else None
    accepted = _highest(*whole)
    finding = None if taker is None else taker.id
    if accepted is not None and window.peak <= accepted:
        return Placed(window, finding, "accepted", accepted, opened=False, split_from=split_from)
    return Placed(window, finding, "open", None, opened=True, split_from=split_from)


def _highest(*findings: Known) -> int | None:
    """The highest peak that somebody accepted among these."""
    return max((finding.accepted for finding in findings if finding.accepted is not None), default=None)
