"""A bounded cache of parsed rules, each valid for one stamp; see `app.storage.rule_cache`."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, Generic, TypeAlias, TypeVar

from cachetools import FIFOCache

from app.domain.rules import ResourceRules, ServiceRules
from app.storage.documents import RulesId

Id = TypeVar("Id", bound=str)
F = TypeVar("F", ResourceRules, ServiceRules)

CACHE_SIZE_MAX = 1_000_000
"""The size of each cache: an entry counts one, and one more for each override and time off."""

CatalogueRow: TypeAlias = Mapping[str, Any]
"""A stored resource or service, whose parser turns what cannot be read into a problem."""
RulesIds: TypeAlias = Mapping[str, RulesId]


class VersionedCache(Generic[Id, F]):
    """Parsed rules by id, each valid for the stamp that it was read under.

    Args:
        collection: The collection of the objects.
        parse: From a stored object to its rules.
        guard: The id of an object's guard.
        atomic: Whether edits are transactions.
        limit: The size of all entries.
    """

    def __init__(
        self,
        collection: str,
        parse: Callable[[CatalogueRow], F],
        guard: Callable[[Id], str],
        *,
        atomic: bool,
        limit: int = CACHE_SIZE_MAX,
    ) -> None:
        self.collection = collection
        self.guard = guard
        self.atomic = atomic
        self._parse: Callable[[CatalogueRow], F] = parse
        # The oldest entry is evicted: edits replace entries anyway, and then reads, also in threads, change nothing.
        self._entries: FIFOCache[Id, tuple[str, F]] = FIFOCache(limit, getsizeof=lambda entry: size_of(entry[1]))
        self._lock = Lock()

    def stamp(self, guards: RulesIds, row: CatalogueRow) -> str | None:
        """For what an object's rules are valid: its guard's `rules`, without transactions its `version` as well."""
        guard = guards.get(self.guard(row["_id"]))
        if guard is None:
            return None
        rules: str = guard["rules"]
        return rules if self.atomic else f"{rules} {row.get('version', 1)}"

    def valid(self, guards: RulesIds, rows: Iterable[CatalogueRow]) -> dict[Id, F]:
        """The rules of those that were not edited since; a row needs its id, without transactions its version too."""
        found: dict[Id, F] = {}
        with self._lock:
            for row in rows:
                known = self._entries.get(row["_id"])
                if known is not None and known[0] == self.stamp(guards, row):
                    found[row["_id"]] = known[1]
        return found

    def put(self, row: CatalogueRow, stamp: str | None) -> F:
        """Parse a stored object, and keep its rules for its stamp if it has one."""
        rules = self._parse(row)
        if stamp is not None:
            self.keep(row["_id"], stamp, rules)
        return rules

    def keep(self, identity: Id, stamp: str, rules: F) -> None:
        """Keep rules that are parsed already for their stamp."""
        # Batches do so in threads of their own. Rules that are larger than the limit are not cached.
        with self._lock, suppress(ValueError):
            self._entries[identity] = (stamp, rules)


def size_of(rules: ResourceRules | ServiceRules) -> int:
    """The size of rules in a cache."""
    return 1 + len(rules.schedule.overrides) + len(rules.time_off) if isinstance(rules, ResourceRules) else 1
