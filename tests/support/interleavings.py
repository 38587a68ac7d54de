"""Orders of the steps of two drivers, after PostgreSQL's isolationtester: they are enumerated, not hoped for.

An driver that loses its guard goes again once the other is through, as it would in a process. `TEST_ORDERS=all` runs
every order, else an even sample.
"""

import os
from collections.abc import Callable, Sequence
from itertools import combinations

from app.booking.batch import Outcome, WriteConflict
from app.booking.intents import AnyIntent
from app.storage.client import Store
from app.storage.rule_cache import RuleCache
from tests.support.step_driver import StepDriver, run_batch

Make = Callable[[], AnyIntent]

SAMPLE = 40


def orders(first: int, second: int) -> list[str]:
    """The ways to interleave so many steps of `a` with so many of `b`."""
    length = first + second
    ways = [
        "".join("a" if place in places else "b" for place in range(length))
        for places in combinations(range(length), first)
    ]
    return ways if os.environ.get("TEST_ORDERS") == "all" else ways[:: max(len(ways) // SAMPLE, 1)]


async def steps_alone(store: Store, make: Make, rules: RuleCache) -> int:
    """How many steps an undisturbed driver takes up to its commit; its writes are rolled back."""
    driver = StepDriver(store, [make()], rules)
    count = 0  # the beginning is no step: the server hears of it with the first operation
    while driver.next.name not in {"commit", "abort"}:
        assert await driver.advance()
        count += 1
    driver.body.close()
    await driver.abandon()
    return count


async def interleave(store: Store, order: str, makers: Sequence[Make], rules: RuleCache) -> list[Outcome]:
    """Advance both in this order, then let them finish; the outcome of each."""
    intents = [make() for make in makers]
    drivers = [StepDriver(store, [intent], rules) for intent in intents]
    lost: set[int] = set()
    for driver in drivers:
        await driver.advance()
    for place in [*("ab".index(name) for name in order), *[0] * 20, *[1] * 20]:
        driver = drivers[place]
        if place in lost or driver.outcomes is not None:
            continue
        try:
            await driver.advance()
        except WriteConflict:
            lost.add(place)
    for place in sorted(lost):
        (drivers[place].outcomes) = await run_batch(store, intents[place], rules=rules)
    for driver in drivers:
        await driver.close()
    return [driver.outcomes[0] for driver in drivers if driver.outcomes]
