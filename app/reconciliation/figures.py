"""What an operator watches of reconciliation, read from what is kept: the same whichever process is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.reconciliation.record import FINDINGS
from app.storage.client import Store

KINDS = ("full", "incremental")


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last run of a kind that succeeded."""

    seconds: float
    rows: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Findings that are open, the age of the oldest of them (0 without one), and the last run of each kind."""

    findings_open: int
    oldest_seconds: float
    runs: Mapping[str, LastRun]


async def read_figures(store: Store) -> Figures:
    """The figures as they are now."""
    where = {"state": "open"}
    count = await store.database[FINDINGS].count_documents(where)
    oldest = await store.database[FINDINGS].find_one(where, {"firstSeen": 1}, sort=[("_id", 1)])
    age = 0.0 if oldest is None else (store.clock.now() - oldest["firstSeen"]).total_seconds()
    last = {kind: await _last(store, kind) for kind in KINDS}
    return Figures(count, age, {kind: run for kind, run in last.items() if run is not None})


async def _last(store: Store, kind: str) -> LastRun | None:
    row: dict[str, Any] | None = await store.database["reconciliations"].find_one(
        {"state": "succeeded", "kind": kind}, sort=[("_id", -1)]
    )
    if row is None:
        return None
    return LastRun((row["finishedAt"] - row["startedAt"]).total_seconds(), row["scanned"])
