"""What the rounds amount to: medians with their range, and ratios within the same round."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from app.bench.loads import Load


class Spread(NamedTuple):
    """The median of some values, with the least and the most."""

    median: float
    least: float
    most: float


def spread_of(values: Sequence[float]) -> Spread:
    """The spread of at least one value."""
    return Spread(median(values), min(values), max(values))


def ratios(rounds: Sequence[Load], bases: Sequence[Load]) -> list[float]:
    """How many times as many slots were booked a second as by the base in the same round.

    What disturbs the machine for a while disturbs both, so the ratio of neighbours says more than that of medians. A
    base that booked nothing is taken to have booked one slot.
    """
    return [load.rate * base.seconds / max(base.booked, 1) for load, base in zip(rounds, bases, strict=True)]
