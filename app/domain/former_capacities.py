"""Former capacities of a resource: the time before a capacity was lowered is judged by the capacity of then.

They are `(until, capacity)` by `until`, each capacity lower than the one before and higher than the current one. At an
instant the first one with a later `until` counts, else the current capacity. So lowering a capacity makes no findings
of the past, and raising it resolves findings of the past.
"""

from collections.abc import Sequence
from typing import TypeAlias

from app.domain.instants import Millis

Era: TypeAlias = tuple[Millis, int]

ERAS_MAX = 50
"""Eras that are stored; beyond that the two oldest are merged, with the higher of their capacities."""


def eras_after(eras: Sequence[Era], before: int, after: int, now: Millis) -> tuple[Era, ...]:
    """The former capacities once the capacity is changed now, from `before` to `after`."""
    remaining = [era for era in eras if era[1] > after]
    if before > after and (not remaining or now > remaining[-1][0]):
        remaining.append((now, before))
    while len(remaining) > ERAS_MAX:
        remaining[:2] = [(remaining[1][0], remaining[0][1])]
    return tuple(remaining)


def capacity_at(eras: Sequence[Era], current: int, instant: Millis) -> int:
    """The capacity that counts at an instant."""
    return next((capacity for until, capacity in eras if until > instant), current)
