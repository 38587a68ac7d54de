"""Reconciliations on the wire."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from app.http.models import Answer, Body, CatalogueId, Instant
from app.storage.documents import RunKind, RunState


class NewReconciliation(Body):
    """What to look at; nothing said: what has changed since the last time."""

    full: Annotated[bool, Field(description="Look at every resource.")] = False
    resource: Annotated[CatalogueId | None, Field(description="Look at this resource only.")] = None


class ReconciliationAnswer(Answer):
    """A reconciliation. Its counts grow while it runs.

    `findings` are stretches of one resource with load above capacity, `new` those of them that this run opened;
    `conflicts` counts, for each reservation that starts while the load is above capacity, the others active then.
    """

    id: Annotated[str, BeforeValidator(str)]
    kind: RunKind
    resource: str | None = None
    state: RunState
    scanned: int
    left_out: Annotated[
        dict[str, int],
        Field(description="What could not be read, or lies in the trash: how often, by reason."),
        BeforeValidator(lambda counts: counts or {}),
    ]
    resources: int
    findings: int
    conflicts: int
    new: int
    started_at: Instant | None = None
    finished_at: Instant | None = None
    error: str | None = None
