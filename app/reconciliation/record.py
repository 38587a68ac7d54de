"""Writing down what a run found: each window is a finding, new or known, and what has no window is resolved.

The findings of a resource are written together, under the run's lease, each by compare-and-set on its version: a
person's word in between is read again first, and wins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import ReadPreference
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from app.reconciliation import lease as leases
from app.reconciliation.lease import Lease
from app.storage.client import Store
from app.storage.documents import Finding, Run
from app.storage.values import label
from app.timeline.instants import from_millis, to_millis
from app.timeline.matching import Gone, Known, Placed, State, match
from app.timeline.sweep import Window

FINDINGS = "findings"
BY = "worker"
TRIES = 20
"""How often others may be faster before a run gives up."""

_KNOWN = {"history": 0, "firstSeen": 0}


class _Overtaken(Exception):  # noqa: N818 -- an event: somebody said something in between
    """A finding is not at the version that was read."""


@dataclass(slots=True)
class Recorded:
    """What came of the windows: the findings that this opened, and how many stand that nobody accepted."""

    opened: list[Finding] = field(default_factory=list)
    unaccepted: int = 0


async def record(
    store: Store,
    lease: Lease,
    run: Run,
    resources: Sequence[str],
    windows: Sequence[Window],
    ids: Mapping[str, Any],
) -> Recorded:
    """Write down the windows of these resources, which are all that they have.

    `ids` are what the ids of reservations are in the database, by their texts, which windows have.

    Raises:
        LostRun: somebody else has the lease; nothing was written then (without transactions: nothing more).
    """
    for left in reversed(range(TRIES)):
        try:
            if store.mode == "strict":
                return await _in_a_transaction(store, lease, run, resources, windows, ids)
            await leases.prove(store, lease)
            return await _write(store, run, resources, windows, ids, None)
        except _Overtaken:
            if not left:
                raise
        except PyMongoError as error:
            if not left or not error.has_error_label("TransientTransactionError"):
                raise
    raise AssertionError("The last try returns or raises.")


async def unresolved_resources(store: Store, among: Sequence[str] | None = None) -> set[str]:
    """The resources that have findings which a run may have to resolve."""
    where: dict[str, Any] = {"state": {"$in": ["open", "acknowledged", "accepted"]}}
    if among is not None:
        where["resource"] = {"$in": list(among)}
    return {str(name) for name in await store.database[FINDINGS].distinct("resource", where)}


async def _in_a_transaction(
    store: Store,
    lease: Lease,
    run: Run,
    resources: Sequence[str],
    windows: Sequence[Window],
    ids: Mapping[str, Any],
) -> Recorded:
    async with await store.client.start_session() as session:
        session.start_transaction(ReadConcern("snapshot"), WriteConcern("majority", j=True), ReadPreference.PRIMARY)
        try:
            await leases.prove(store, lease, session)
            recorded = await _write(store, run, resources, windows, ids, session)
        except BaseException:
            await session.abort_transaction()
            raise
        await _commit(session)
        return recorded


async def _commit(session: AsyncIOMotorClientSession) -> None:
    """Commit, and where the answer is lost ask again: the server knows a transaction that it has committed."""
    for left in reversed(range(TRIES)):
        try:
            await session.commit_transaction()
        except PyMongoError as error:
            if not left or not error.has_error_label("UnknownTransactionCommitResult"):
                raise
        else:
            return


async def _write(
    store: Store,
    run: Run,
    resources: Sequence[str],
    windows: Sequence[Window],
    ids: Mapping[str, Any],
    session: AsyncIOMotorClientSession | None,
) -> Recorded:
    found = store.database[FINDINGS].find({"resource": {"$in": list(resources)}}, _KNOWN, session=session)
    rows = sorted(await found.to_list(None), key=lambda row: row["_id"])
    known: dict[str, list[Known]] = {}
    for row in rows:
        known.setdefault(row["resource"], []).append(known_of(row))
    own = {name: list(those) for name, those in groupby(windows, key=attrgetter("resource"))}
    writer = _Writer(store, run, {row["_id"]: row for row in rows}, ids, session, store.clock.now())
    recorded = Recorded()
    for resource in resources:
        placed, gone = match(own.get(resource, []), known.get(resource, []))
        for each in placed:
            finding = await writer.place(each)
            if finding is not None and each.opened:
                recorded.opened.append(finding)
            recorded.unaccepted += each.state != "accepted"
        for left in gone:
            await writer.resolve(left)
    await writer.finish()
    return recorded


def known_of(row: dict[str, Any]) -> Known:
    """A stored finding, as far as matching must know it."""
    return Known(
        row["_id"],
        to_millis(row["from"]),
        to_millis(row["to"]),
        frozenset(map(label, row["reservations"])),
        row["state"],
        row.get("acceptedPeak"),
    )


@dataclass(slots=True)
class _Writer:
    """Puts findings where they are placed; what is as it was is only noted as seen."""

    store: Store
    run: Run
    rows: dict[Any, dict[str, Any]]
    ids: Mapping[str, Any]
    session: AsyncIOMotorClientSession | None
    now: datetime
    made: list[Finding] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)

    async def place(self, placed: Placed) -> Finding | None:
        """Make or change the finding of a window; None where nothing but the time of the last look is new."""
        if placed.finding is None:
            finding = self._new(placed)
            self.made.append(finding)
            return finding
        row = self.rows[placed.finding]
        fields = _extent(placed.window, self.ids)
        changes = {name: value for name, value in fields.items() if row.get(name) != value}
        if placed.accepted is not None and row.get("acceptedPeak") != placed.accepted:
            changes["acceptedPeak"] = placed.accepted
        if row["state"] == placed.state and not changes:
            self.seen.append(placed.finding)
            return None
        unset = {"mergedInto": ""} | ({"acceptedPeak": ""} if placed.accepted is None else {})
        changes |= {"lastSeen": self.now, "run": self.run.id}
        note = None if placed.state == row["state"] else _why(row["state"], placed)
        return await self._change(row, placed.state, changes, unset, note)

    async def resolve(self, gone: Gone) -> None:
        """Resolve what has no window, or is part of another finding by now."""
        row = self.rows[gone.finding]
        if gone.into is None:
            await self._change(row, "resolved", {}, {"acceptedPeak": ""}, "nothing overlaps any more")
            return
        note = f"merged into {gone.into}"
        await self._change(row, "resolved", {"mergedInto": gone.into}, {"acceptedPeak": ""}, note)

    async def finish(self) -> None:
        """Write what is written for all at once."""
        findings = self.store.database[FINDINGS]
        if self.made:
            await findings.insert_many([each.to_mongo() for each in self.made], session=self.session)
        if self.seen:
            change = {"$set": {"lastSeen": self.now, "run": self.run.id}}
            await findings.update_many({"_id": {"$in": self.seen}}, change, session=self.session)

    async def _change(
        self, row: dict[str, Any], state: State, changes: dict[str, Any], unset: dict[str, str], note: str | None
    ) -> Finding:
        fields = {"state": state, "updatedAt": self.now, **changes}
        update: dict[str, Any] = {"$set": fields, "$unset": unset, "$inc": {"version": 1}}
        if row["state"] != state:
            update["$push"] = {"history": _entry(self.now, state, note)}
        findings = self.store.database[FINDINGS]
        where = {"_id": row["_id"], "version": row["version"]}
        result = await findings.update_one(where, update, session=self.session)
        if not result.matched_count:
            raise _Overtaken
        after = {**row, **changes, "state": state, "version": row["version"] + 1, "firstSeen": self.now, "history": []}
        changed: Finding = Finding.model_validate(after)
        return changed

    def _new(self, placed: Placed) -> Finding:
        note = None if placed.split_from is None else f"split from {placed.split_from}"
        finding: Finding = Finding.model_validate(
            {
                "_id": ObjectId(),
                "resource": placed.window.resource,
                **_extent(placed.window, self.ids),
                "state": placed.state,
                "acceptedPeak": placed.accepted,
                "splitFrom": placed.split_from,
                "firstSeen": self.now,
                "lastSeen": self.now,
                "updatedAt": self.now,
                "run": self.run.id,
                "history": [_entry(self.now, placed.state, note)],
            }
        )
        return finding


def _extent(window: Window, ids: Mapping[str, Any]) -> dict[str, Any]:
    """What the window itself says."""
    return {
        "from": from_millis(window.start),
        "to": from_millis(window.end),
        "peak": window.peak,
        "capacity": window.capacity,
        "excess": window.peak - window.capacity,
        "reservations": [ids[text] for text in window.reservations],
        "reservationCount": len(window.reservations),
    }


def _why(before: str, placed: Placed) -> str | None:
    if placed.state == "open":
        return "it is back" if before == "resolved" else "the load is above what was accepted"
    return "merged with one of that state"


def _entry(at: datetime, state: State, note: str | None) -> dict[str, Any]:
    return {"at": at, "by": BY, "to": state} | ({} if note is None else {"note": note})
