"""The steps on guards in a transaction of the write path."""

from collections.abc import Sequence
from datetime import datetime

from bson import ObjectId

from app.storage.bson_types import UpdateDocument
from app.storage.documents import Guard, GuardRow
from app.storage.reach import Reach
from app.storage.steps import Step, by_ids, find, update

GUARDS: str = Guard.Settings.name

BUMP: UpdateDocument = {"$inc": {"seq": 1}, "$currentDate": {"at": True}}
"""A real change: a no-op takes no lock (SERVER-77616), and `at` is the database's clock."""


def bump_guards(guards: Sequence[str]) -> Step:
    """Change guards, before anything else is read."""
    return Step("guards.bump", GUARDS, "update_many", (by_ids(guards), BUMP))


def read_guards(guards: Sequence[str]) -> Step:
    """Read guards and the rows of services."""
    return find("guards.read", GUARDS, by_ids(guards))


def has_reach(guard: GuardRow) -> bool:
    """Whether a guard is that of a resource, not the row of a service."""
    return "reachBack" in guard


def yield_until(guard: GuardRow, owner: ObjectId) -> datetime | None:
    """Until when a guard is asked for by another process than the owner's; None where it is not."""
    return guard.get("yieldUntil") if guard.get("yieldTo") != owner else None


def bump_chosen_guard(guard: str) -> Step:
    """Change the guard of a resource that was chosen from a pool."""
    return update("guards.choose", GUARDS, {"_id": guard}, BUMP)


def read_chosen_guard(guard: str) -> Step:
    """Read the guard of a chosen resource again, for its stamp."""
    return find("guards.chosen", GUARDS, {"_id": guard})


def raise_guards(guards: Sequence[str], reach: Reach) -> Step:
    """Raise the reach of guards to at least this one."""
    raised: UpdateDocument = {"$max": {"reachBack": reach.back, "reachAhead": reach.ahead}}
    if reach.long:
        raised["$set"] = {"long": True}
    return Step("guards.reach", GUARDS, "update_many", (by_ids(guards), raised))


def fence(guard: str) -> Step:
    """Change a guard outside a transaction, which waits for the transaction that has locked it."""
    return update("commit.fence", GUARDS, {"_id": guard}, BUMP)


def rules_update(rules: str) -> UpdateDocument:
    """The update that gives a guard another id of its rules."""
    return {"$set": {"rules": rules}}
