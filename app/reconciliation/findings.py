"""Findings as people read them and what people say of them.

Only people acknowledge and accept. A word is a compare-and-set on the version, so that it is said of what was there.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument

from app.deadline import sending
from app.errors import Problem, not_found
from app.reconciliation.record import FINDINGS, known_of
from app.reconciliation.settle import settled
from app.storage.client import Store
from app.storage.documents import Finding
from app.timeline.matching import State

TRIES = 10
"""How often the sweep or somebody else may be faster before a word is refused as overloaded."""

FROM: dict[State, tuple[State, ...]] = {
    "acknowledged": ("open",),
    "accepted": ("open", "acknowledged"),
    "resolved": ("open", "acknowledged", "accepted"),
}
"""What people can say, and of findings in which states."""

_SHOWN = dict.fromkeys(("customer", "startTime", "endTime", "units", "status", "expiresAt", "createdAt", "key"), 1)


async def read(store: Store, identity: str) -> Finding:
    """One finding.

    Raises:
        Problem: `not-found`.
    """
    row = None
    if ObjectId.is_valid(identity):
        row = await store.database[FINDINGS].find_one({"_id": ObjectId(identity)})
    if row is None:
        raise not_found("finding", identity)
    return _finding(row)


async def listed(
    store: Store, state: State | None, resource: str | None, after: ObjectId | None, limit: int
) -> Sequence[Finding]:
    """Up to `limit` findings by id, those behind `after`."""
    where: dict[str, Any] = {}
    if state is not None:
        where["state"] = state
    if resource is not None:
        where["resource"] = resource
    if after is not None:
        where["_id"] = {"$gt": after}
    found = store.database[FINDINGS].find(where, sort=[("_id", 1)], limit=limit)
    return [_finding(row) async for row in found]


async def reservations_of(store: Store, findings: Iterable[Finding]) -> dict[Any, dict[str, Any]]:
    """The reservations of these findings as they are now, by id; whatever is gone is not among them."""
    wanted = {reservation for finding in findings for reservation in finding.reservations}
    found = store.database["reservations"].find({"_id": {"$in": list(wanted)}}, _SHOWN)
    return {row["_id"]: row async for row in found}


async def say(store: Store, identity: str, to: State, by: str, note: str | None) -> Finding:
    """Bring a finding to a state for a person, with their note; repeating it is harmless.

    Raises:
        Problem: `not-found`, `forbidden-transition`, `overloaded`.
    """
    for _ in range(TRIES):
        finding = await read(store, identity)
        last = finding.history[-1] if finding.history else None
        if finding.state == to and (note is None or (last is not None and (last.by, last.note) == (by, note))):
            return finding
        if finding.state != to and finding.state not in FROM[to]:
            raise Problem("forbidden-transition", f"The finding is {finding.state}; it cannot become {to}.")
        if to == "resolved" and finding.state != to and await still_overlaps(store, finding):
            raise Problem(
                "forbidden-transition",
                "These reservations still take more than the resource has; move or cancel one of them, or accept it.",
            )
        said = await _write(store, finding, to, by, note)
        if said is not None:
            return said
    raise Problem("overloaded", "Others are changing the finding; nothing was done.")


async def still_overlaps(store: Store, finding: Finding) -> bool:
    """Whether something of a finding is above capacity at this moment, by the reservations themselves."""
    windows = await settled(store, [finding.resource])
    known = known_of(finding.to_mongo())
    return any(known.is_in(window) for window in windows)


async def _write(store: Store, finding: Finding, to: State, by: str, note: str | None) -> Finding | None:
    """The finding after that word; None if it changed since it was read."""
    entry = {"at": store.clock.now(), "by": by, "to": to} | ({} if note is None else {"note": note})
    update: dict[str, Any] = {"$set": {"state": to}, "$inc": {"version": 1}, "$push": {"history": entry}}
    if to == "accepted" and finding.state != to:
        update["$set"]["acceptedPeak"] = finding.peak
    if to == "resolved":
        update["$unset"] = {"acceptedPeak": ""}
    sending()
    row = await store.database[FINDINGS].find_one_and_update(
        {"_id": finding.id, "version": finding.version}, update, return_document=ReturnDocument.AFTER
    )
    return None if row is None else _finding(row)


def _finding(row: Any) -> Finding:
    finding: Finding = Finding.model_validate(row)
    return finding
