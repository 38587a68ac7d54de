"""Former capacities of a resource: what held before it was lowered still judges the time before.

They are `(until, capacity)` by `until`, each capacity lower than the one before and higher than the current one. At an
instant the first one with a later `until` counts, else the current capacity. So lowering makes no finding of what was
in order when it took place, and raising heals what was not.
"""

from collections.abc import Sequence
from typing import TypeAlias

from app.domain.instants import Millis

Era: TypeAlias = tuple[Millis, int]

MOST = 50
"""Eras that are remembered; of more the two oldest become one, under the higher of their capacities."""


def eras_after(eras: Sequence[Era], before: int, after: int, now: Millis) -> tuple[Era, ...]:
    """The former capacities once the capacity is changed now, from `before` to `after`."""
    kept = [era for era in eras if era[1] > after]
    if before > after and (not kept or now > kept[-1][0]):
        kept.append((now, before))
    while len(kept) > MOST:
        kept[:2] = [(kept[1][0], kept[0][1])]
    return tuple(kept)


def capacity_at(eras: Sequence[Era], current: int, instant: Millis) -> int:
    """The capacity that counts at an instant."""
    return next((capacity for until, capacity in eras if until > instant), current)
