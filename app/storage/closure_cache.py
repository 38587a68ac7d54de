"""The cache of all closures in one process, and of the rules of resources as closures leave them.

The closures are valid for the `rules` id of their row among the guards. Without transactions they are read every time:
there a change is several writes, and the id can get lost.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from threading import Lock

from cachetools import FIFOCache

from app.domain.closures import NO_CLOSURES, Closures
from app.domain.ids import ResourceId
from app.domain.rules import ResourceRules
from app.storage.documents import CLOSURES_ROW
from app.storage.stored_closures import UNSTABLE
from app.storage.versioned_cache import CACHE_SIZE_MAX, RulesIds, size_of


class ClosureCache:
    """All closures of one moment, parsed.

    Args:
        atomic: Whether changes are transactions.
        limit: The size of all rules that are kept with their closures.
    """

    def __init__(self, *, atomic: bool, limit: int = CACHE_SIZE_MAX) -> None:
        self._atomic = atomic
        self._closures = NO_CLOSURES
        self._applied: FIFOCache[ResourceId, tuple[ResourceRules, ResourceRules]] = FIFOCache(
            limit, getsizeof=lambda entry: size_of(entry[1])
        )
        self._lock = Lock()

    def valid(self, guards: RulesIds) -> Closures | None:
        """The closures that are valid now; None where they have to be read. Without a row there never were any."""
        row = guards.get(CLOSURES_ROW)
        if row is None:
            return NO_CLOSURES
        known = self._closures
        return known if self._atomic and known.stamp == row["rules"] else None

    def keep(self, closures: Closures) -> Closures:
        """Keep what was read, and return it."""
        if closures.stamp != UNSTABLE:
            self._closures = closures
        return closures

    def applied(
        self, closures: Closures, resources: Mapping[ResourceId, ResourceRules]
    ) -> dict[ResourceId, ResourceRules]:
        """The rules of resources with these closures."""
        return {identity: self._applied_to(rules, closures) for identity, rules in resources.items()}

    def _applied_to(self, rules: ResourceRules, closures: Closures) -> ResourceRules:
        if rules.closures is closures:
            return rules
        with self._lock:
            before, after = self._applied.get(rules.id, (None, rules))
            if before is not rules or after.closures is not closures:
                after = replace(rules, closures=closures)
                with suppress(ValueError):  # rules that are larger than the limit are not cached
                    self._applied[rules.id] = (rules, after)
        return after
