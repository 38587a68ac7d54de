"""Orders of the steps of two actors, after PostgreSQL's isolationtester: they are enumerated, not hoped for.

An actor that loses its guard goes again once the other is through, as it would in a process. `TEST_ORDERS=all` runs
every order, else an even sample.
"""

import os
from collections.abc import Callable, Sequence
from itertools import combinations

from app.booking.intents import AnyIntent
from app.booking.transaction import Outcome, WriteConflict
from app.storage.client import Store
from app.storage.rule_cache import RuleCache
from tests.support.step_driver import Actor, run

Make = Callable[[], AnyIntent]

SAMPLE = 40


def orders(first: int, second: int) -> list[str]:
    """The ways to interleave so many steps of `a` with so many of `b`."""
    length = first + second
    ways = [
        "".join("a" if place in those else "b" for place in range(length))
        for those in combinations(range(length), first)
    ]
    return ways if os.environ.get("TEST_ORDERS") == "all" else ways[:: max(len(ways) // SAMPLE, 1)]


async def steps_alone(store: Store, make: Make, rules: RuleCache) -> int:
    """How many steps an actor takes that nobody disturbs, up to its verdict's commit; nothing of it stays."""
    actor = Actor(store, [make()], rules)
    count = 0  # the beginning is no step: the server hears of it with the first operation
    while actor.next.name not in {"commit", "abort"}:
        assert await actor.advance()
        count += 1
    actor.body.close()
    await actor.abandon()
    return count


async def interleave(store: Store, order: str, makers: Sequence[Make], rules: RuleCache) -> list[Outcome]:
    """Move both in this order, then let them finish; what each was told."""
    intents = [make() for make in makers]
    actors = [Actor(store, [intent], rules) for intent in intents]
    lost: set[int] = set()
    for actor in actors:
        await actor.advance()
    for place in [*("ab".index(name) for name in order), *[0] * 20, *[1] * 20]:
        actor = actors[place]
        if place in lost or actor.outcomes is not None:
            continue
        try:
            await actor.advance()
        except WriteConflict:
            lost.add(place)
    for place in sorted(lost):
        (actors[place].outcomes) = await run(store, intents[place], rules=rules)
    for actor in actors:
        await actor.close()
    return [actor.outcomes[0] for actor in actors if actor.outcomes]
