"""Acceptances: what a person accepted, and whether a window is still within it.

An acceptance names reservations. It hides a window of these or fewer of them, never one with any other reservation in
it. Two acceptances do not add up, because neither accepts that its reservations overlap those of the other.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from app.domain.instants import Millis
from app.domain.sweep import Window

RAN_OUT = "the acceptance ran out"
JOINED = "others joined"
TOO_MANY = "it is not exactly what was accepted, and there are too many to tell whether others joined"
HIGHER = "the load is above what was accepted"
LOWER = "the capacity is lower"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """These reservations or fewer, up to a peak and an excess over capacity, both in units, before `until`.

    Where there are very many, their digest stands for them. It matches exactly these, not fewer: a digest cannot tell a
    subset from other reservations.
    """

    reservations: frozenset[Hashable]
    peak: int
    excess: int
    until: Millis | None = None
    digest: str | None = None

    def is_over(self, now: Millis) -> bool:
        """Whether the acceptance has run out at that instant."""
        return self.until is not None and now >= self.until

    def exceeded(self, window: Window, now: Millis) -> tuple[str, ...]:
        """The reasons why the acceptance does not hide a window at that instant; empty if it hides it."""
        reasons = [RAN_OUT] if self.is_over(now) else []
        if self.digest is not None:
            reasons += [TOO_MANY] if digest(window.reservations) != self.digest else []
        elif not all(reservation in self.reservations for reservation in window.reservations):
            reasons.append(JOINED)
        if window.peak > self.peak:
            reasons.append(HIGHER)
        elif window.peak - window.capacity > self.excess:
            reasons.append(LOWER)
        return tuple(reasons)


def digest(reservations: Iterable[Hashable]) -> str:
    """A digest of a set of ids, whatever their order."""
    return sha256("\0".join(sorted(map(repr, reservations))).encode()).hexdigest()
