"""Reconciliations on the wire."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from app.domain.ids import ResourceId
from app.http.models import Answer, Body, Instant, ResourceReference
from app.storage.documents import RunKind, RunState


class NewReconciliation(Body):
    """What to read; by default the resources that changed since the last run."""

    full: Annotated[bool, Field(description="Look at every resource.")] = False
    resource: Annotated[ResourceReference | None, Field(description="Look at this resource only.")] = None


class ReconciliationAnswer(Answer):
    """A reconciliation. Its counts grow while it runs.

    `findings` are stretches of one resource with load above capacity, `new` those of them that this run opened;
    `conflicts` counts, for each reservation that starts while the load is above capacity, the others active then.
    """

    id: Annotated[str, BeforeValidator(str)]
    """Its id."""
    kind: RunKind
    """What it reads: every resource, the resources that changed, or one resource."""
    resource: ResourceId | None = None
    """The resource that it reads, if it is one."""
    state: RunState
    """Its state; `abandoned` if its process fell silent."""
    scanned: int
    """How many reservations it has read."""
    left_out: Annotated[
        dict[str, int],
        Field(description="What could not be read, or lies in the trash: how often, by reason."),
        BeforeValidator(lambda counts: counts or {}),
    ]
    resources: int
    """How many resources it has read."""
    findings: int
    """How many windows have load above capacity."""
    conflicts: int
    """How many pairs of reservations are in conflict."""
    new: int
    """How many of the findings it has opened."""
    started_at: Instant | None = None
    """When it began."""
    finished_at: Instant | None = None
    """When it ended."""
    error: str | None = None
    """Why it failed."""
