"""The choice of a resource by an intent that may take one of several: in which order they are tried."""

import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

from app.booking.intents import View
from app.domain.ids import ResourceId
from app.domain.rules import ResourceRules, ServiceRules, Verdict

POOL_SEEDS = random.Random()  # noqa: S311  # which member of a pool serves a booking is no secret
"""The generator of the seeds by which pools are shuffled."""


def new_pool_seed() -> int:
    """A seed for the order of one intent."""
    return POOL_SEEDS.getrandbits(64)


class Chooser(Protocol):
    """An intent that takes a resource of its `pool`, or the one that it names.

    `pool_seed` is the seed of the order in which an even assignment tries the pool; it is the same in all attempts.
    `pool_round` is the number of the try in one transaction, each of which has another order; None: by id.
    `pool_choice` is the resource that a search over several intents has assigned.
    """

    pool: tuple[ResourceId, ...]
    pool_seed: int
    pool_round: int | None
    pool_choice: ResourceId | None

    @property
    @abstractmethod
    def candidates(self) -> tuple[ResourceId, ...]:
        """The resources that it may take."""

    @abstractmethod
    def rough_start(self, view: View) -> int:
        """About when it begins, to order several."""

    @abstractmethod
    def verdict_on(self, resource: ResourceId, view: View) -> Verdict:
        """The verdict of every rule on one of the resources."""


def candidates_in_order(chooser: Chooser, service_rules: ServiceRules | None, view: View) -> Sequence[ResourceId]:
    """The resources that an intent may take, in the order in which they are tried.

    An even assignment shuffles the pool for each intent. A rotation from a random start would choose the successor of a
    full resource twice as often.
    """
    if chooser.pool_choice is not None:
        return (chooser.pool_choice,)
    if not chooser.pool or service_rules is None or service_rules.assignment == "first":
        return chooser.candidates
    turns = [*chooser.pool]
    if chooser.pool_round is not None:
        random.Random(chooser.pool_seed + chooser.pool_round).shuffle(turns)  # noqa: S311  # the order of a pool is no secret
    if service_rules.assignment == "smallest":
        turns.sort(key=lambda candidate: _room_of(view.resource_rules(candidate)))
    return turns


def answering_verdict(verdicts: Mapping[ResourceId, Verdict]) -> Verdict:
    """The verdict that answers for a pool that is refused: of the resource with the fewest failed rules.

    Among equals it is one that fails the capacity alone, then the first by id: a repeated request is refused in the
    same way.
    """
    return min(verdicts.items(), key=_fewest_failures)[1]


def _fewest_failures(refused: tuple[ResourceId, Verdict]) -> tuple[int, bool, str]:
    candidate, verdict = refused
    return len(verdict.failed), not verdict.is_conflict, candidate


def _room_of(resource_rules: ResourceRules | None) -> tuple[float, int]:
    """The sort key of a resource by its size: the guests that one reservation can have, then the capacity."""
    return (0, 0) if resource_rules is None else (resource_rules.guests_limit, resource_rules.capacity)
