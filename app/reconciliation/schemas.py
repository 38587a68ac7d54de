"""Reconciliations and findings on the wire."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from bson import ObjectId
from pydantic import BeforeValidator, Field

from app.reconciliation.repairs import Proposal
from app.storage.documents import Finding
from app.timeline.instants import to_millis
from app.timeline.lifecycle import status_at
from app.timeline.matching import State
from app.wire.models import Answer, Body, CatalogueId, Instant


class NewRun(Body):
    """What to look at; nothing said: what has changed since the last time."""

    full: Annotated[bool, Field(description="Look at every resource.")] = False
    resource: Annotated[CatalogueId | None, Field(description="Look at this resource only.")] = None


class RunAnswer(Answer):
    """A reconciliation. Its counts grow while it runs.

    `findings` are stretches of one resource with load above capacity, `new` those of them that this run opened;
    `conflicts` counts, for each reservation that starts while the load is above capacity, the others active then.
    """

    id: Annotated[str, BeforeValidator(str)]
    kind: Literal["full", "incremental", "resource"]
    resource: str | None = None
    state: Literal["queued", "running", "succeeded", "failed", "abandoned"]
    scanned: int
    resources: int
    findings: int
    conflicts: int
    new: int
    started_at: Instant | None = None
    finished_at: Instant | None = None
    error: str | None = None


class Word(Body):
    """What you want to have noted."""

    note: Annotated[str | None, Field(min_length=1, max_length=500)] = None


class FoundReservation(Answer):
    """A reservation of a finding as it is now; `by` is the prefix of the key that made it.

    What somebody put into the database past the API may lack some of it.
    """

    id: str
    customer: str | None = None
    start_time: Instant | None = None
    end_time: Instant | None = None
    units: int
    status: str | None = None
    created_at: Instant | None = None
    by: str | None = None


class ProposalAnswer(Answer):
    """A move that `/v1/moves` would do at this moment."""

    reservation: str
    resource: str
    start_time: Instant
    end_time: Instant


class FindingLine(Answer):
    """One word on a finding: whose (a key's prefix, or `worker`), when, and which state it brought."""

    at: Instant
    by: str
    to: State
    note: str | None = None


class FindingAnswer(Answer):
    """A stretch of one resource with load above its capacity; `peak` is the highest, in units.

    `proposals` are told of single findings only.
    """

    id: Annotated[str, BeforeValidator(str)]
    version: int
    resource: str
    from_: Annotated[Instant, Field(alias="from")]
    to: Instant
    peak: int
    capacity: int
    state: State
    reservations: list[FoundReservation]
    proposals: list[ProposalAnswer] | None = None
    merged_into: str | None = None
    first_seen: Instant
    last_seen: Instant
    run: str
    history: list[FindingLine]


def shown_finding(
    finding: Finding,
    reservations: Mapping[Any, Mapping[str, Any]],
    now: datetime,
    proposals: Sequence[Proposal] | None = None,
) -> FindingAnswer:
    """A finding with its reservations side by side; one that is gone is left with its id."""
    side_by_side = [_found(identity, reservations.get(identity, {}), now) for identity in finding.reservations]
    merged = None if finding.merged_into is None else str(finding.merged_into)
    fields = {name: getattr(finding, name) for name in _PLAIN}
    return FindingAnswer.model_validate(
        {
            **fields,
            "run": str(finding.run),
            "merged_into": merged,
            "reservations": side_by_side,
            "proposals": proposals,
        }
    )


_PLAIN = FindingAnswer.model_fields.keys() - {"run", "merged_into", "reservations", "proposals"}


def _found(identity: Any, row: Mapping[str, Any], now: datetime) -> FoundReservation:
    expires = row.get("expiresAt")
    status = row.get("status")
    if status is not None:
        status = status_at(status, None if expires is None else to_millis(expires), to_millis(now))
    made = identity.generation_time if isinstance(identity, ObjectId) else None
    return FoundReservation(
        id=str(identity),
        customer=row.get("customer"),
        start_time=row.get("startTime"),
        end_time=row.get("endTime"),
        units=row.get("units", 1),
        status=status,
        created_at=row.get("createdAt", made),
        by=row.get("key"),
    )
