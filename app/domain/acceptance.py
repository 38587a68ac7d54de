"""What a person accepted, and whether a window is still only that.

An acceptance names reservations. It hides a window of these or fewer of them, never one that anybody else is in; and
two acceptances do not add up, because nobody accepted that those of the one overlap those of the other.
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

    Of very many, the digest of all stands for them: then exactly these, because fewer could not be told from others.
    """

    reservations: frozenset[Hashable]
    peak: int
    excess: int
    until: Millis | None = None
    digest: str | None = None

    def is_over(self, now: Millis) -> bool:
        """Whether it has run out at that instant."""
        return self.until is not None and now >= self.until

    def exceeded(self, window: Window, now: Millis) -> tuple[str, ...]:
        """Why it does not hide a window at that instant; empty if it does."""
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
