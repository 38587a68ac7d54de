"""Random databases of foreign shapes: the model by the minute, a run and the audit all find the same windows."""

import os
from typing import Any

import pytest

from app.domain.ids import ResourceId
from app.domain.instants import from_millis
from app.reconciliation import engine
from app.storage import raw_batches
from app.storage.client import Store
from app.storage.row_reader import TRASH, UNKNOWN_STATUS
from app.storage.values import label
from tests.support.foreign_checks import audit_of, reconcile_run
from tests.support.foreign_model import Expected, World, world

pytestmark = pytest.mark.servers("wire")

DATABASES = int(os.environ.get("TEST_FOREIGN_DATABASES", "10"))
"""How many to try; `TEST_FOREIGN_DATABASES=500` is the long form."""
TOGETHER = 25
EMPTIED = ("reservations", "resources", "findings", "occupancies", "reconciliations", "awaited")


def named(identity: Any) -> str:
    """The id of a reservation in a run and an audit; a document id becomes a stable label."""
    return label(identity) if isinstance(identity, dict) else str(identity)


async def fill(store: Store, made: World) -> None:
    """Replace the content of the database."""
    for name in EMPTIED:
        await store.database[name].delete_many({})
    await store.database["reservations"].insert_many(made.reservations)
    if made.resources:
        await store.database["resources"].insert_many(made.resources)


async def found(store: Store) -> list[Expected]:
    """The open findings."""
    return sorted(
        [
            Expected(
                row["resource"],
                row["from"],
                row["to"],
                row["peak"],
                row["capacity"],
                tuple(map(named, row["reservations"])),
            )
            async for row in store.lenient("findings").find({"state": "open"})
        ]
    )


@pytest.mark.parametrize("begin", range(0, DATABASES, TOGETHER))
@pytest.mark.promise("foreign-rows")
async def test_model_run_and_audit_agree(
    store: Store, server: str, begin: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model, run and audit agree on every window, and a run of each resource then changes nothing."""
    windows = 0
    for seed in range(begin, min(begin + TOGETHER, DATABASES)):
        monkeypatch.setattr(raw_batches, "BATCH", (2, 5, 2_000)[seed % 3])  # so that resources lie in several of them
        made = world(seed)
        await fill(store, made)
        expected, conflicts = made.windows(named)
        run = await reconcile_run(store)
        report = await audit_of(store, server)
        seen = [
            Expected(
                each.resource,
                from_millis(each.start),
                from_millis(each.end),
                each.peak,
                each.capacity,
                each.reservations,
            )
            for each in report.windows
        ]
        assert sorted(seen) == expected, f"the audit, seed {seed}"
        assert await found(store) == expected, f"the run, seed {seed}"
        assert (run.findings, run.conflicts, report.conflicts) == (len(expected), conflicts, conflicts), f"seed {seed}"
        known = {TRASH, UNKNOWN_STATUS}
        left_out = {reason: count for reason, count in (run.left_out or {}).items() if reason not in known}
        audited = {reason: count for reason, count in report.left_out.counts.items() if reason not in known}
        assert left_out == audited, f"seed {seed}"
        for room in made.rooms if seed % 5 == 0 else ():
            again = await engine.reconcile_reservations(store, "resource", ResourceId(room.name))
            assert (again.state, again.new) == ("succeeded", 0), f"{room.name}, seed {seed}"
        assert await found(store) == expected, f"once more, seed {seed}"
        windows += len(expected)
    assert windows > 0
