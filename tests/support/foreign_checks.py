"""A database judged by the two that must agree: a reconciliation and an audit."""

from typing import Any

from app.audit import audit
from app.domain.ids import ResourceId
from app.reconciliation import engine
from app.storage.client import Store
from app.storage.documents import Run, RunKind
from app.storage.readonly import open_read_only


async def reconcile_run(store: Store, kind: RunKind = "full", resource: str | None = None) -> Run:
    """Run one to its end."""
    run = await engine.reconcile_reservations(store, kind, None if resource is None else ResourceId(resource))
    assert run.state == "succeeded", run.error
    return run


async def audit_of(store: Store, url: str) -> Any:
    """The audit of the same database."""
    reading = await open_read_only(url, store.database.name)
    try:
        return await audit(reading)
    finally:
        await reading.close()
