"""Transitions of findings by people: acknowledge, accept, resolve, reopen, assign.

Only people acknowledge and accept. A transition is a compare-and-set on the version, so it applies to the finding that
was checked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.deadline import sending
from app.domain.finding_identity import State
from app.errors import Problem, invalid_field, not_found
from app.http.etags import IfMatch
from app.reconciliation.finding_history import bounded
from app.reconciliation.findings.overlap import still_overlaps
from app.reconciliation.findings.schemas import TransitionTarget
from app.retries import retry
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.documents import Finding
from app.storage.errors import VersionConflict
from app.storage.finding_updates import FindingUpdate
from app.storage.findings import FindingStore
from app.storage.stored_findings import new_acceptance
from app.storage.values import label, object_id

TRIES_MAX = 10
"""How often a run or another person may change the finding first before a transition is `overloaded`."""

FROM: dict[TransitionTarget, tuple[State, ...]] = {
    "acknowledged": ("open",),
    "accepted": ("open", "acknowledged"),
    "resolved": ("open", "acknowledged", "accepted"),
    "open": ("acknowledged", "accepted", "resolved"),
    "assigned": ("open", "acknowledged", "accepted", "resolved"),
}
"""From which states each transition is allowed; for a finding in the wanted state already see `_is_repeated`."""

_WHATEVER = IfMatch(None)


@dataclass(frozen=True, slots=True)
class FindingTransition:
    """What a person wants to do with a finding.

    Attributes:
        to: The wanted state, or `assigned`.
        by: The person.
        key: The prefix of their API key; None on the terminal.
        note: Why.
        until: When an acceptance ends; None: never.
        assignee: The person to assign it to; None removes the assignment.
    """

    to: TransitionTarget
    by: str
    key: str | None = None
    note: str | None = None
    until: datetime | None = None
    assignee: str | None = None

    @property
    def history_note(self) -> str | None:
        """The note of its entry in the history."""
        if self.to != "assigned":
            return self.note
        whose = f"assigned to {self.assignee or 'nobody'}"
        return whose if self.note is None else f"{whose}: {self.note}"


async def read(store: Store, identity: str) -> Finding:
    """One finding.

    Raises:
        Problem: `not-found`.
    """
    known = object_id(identity)
    finding = None if known is None else await FindingStore(store).read(known)
    if finding is None:
        raise not_found("finding", identity)
    return finding


async def transition(store: Store, identity: str, request: FindingTransition, matching: IfMatch = _WHATEVER) -> Finding:
    """Apply a transition to a finding; repeating it is harmless.

    Raises:
        Problem: `not-found`, `stale`, `forbidden-transition`, `overloaded`; `invalid` for an `until` that is over.
    """
    check_until(store, request)

    async def read_and_write() -> Finding:
        finding = await read(store, identity)
        matching.expected(finding.version)
        if _is_repeated(finding, request):
            return finding
        await _check(store, finding, request)
        return await _write(store, finding, request)

    try:
        return await retry(read_and_write, TRIES_MAX, on=VersionConflict)
    except VersionConflict:
        raise Problem("overloaded", "Others are changing the finding; nothing was done.") from None


def check_until(store: Store, request: FindingTransition) -> None:
    """Refuse an acceptance that is over before it begins.

    Raises:
        Problem: `invalid`.
    """
    if request.until is not None and request.until <= store.clock.now():
        raise invalid_field("until", "Say an instant in the future; left out, it stays accepted for good.")


def _is_repeated(finding: Finding, request: FindingTransition) -> bool:
    """Whether the finding is in the wanted state already, and the last entry of its history has the same note."""
    if request.to == "assigned":
        same = finding.assignee == request.assignee
    elif request.to == "accepted":
        same = finding.state == request.to and _is_accepted(finding, request.until)
    elif request.to == "open":  # an acceptance that does not cover it at present is removed all the same
        same = finding.state == request.to and finding.acceptance is None
    else:
        same = finding.state == request.to
    last = finding.history[-1] if finding.history else None
    return same and (
        request.note is None or (last is not None and (last.by, last.note) == (request.by, request.history_note))
    )


def _is_accepted(finding: Finding, until: datetime | None) -> bool:
    """Whether the same was accepted already: these reservations, this peak, until that instant."""
    acceptance = finding.acceptance
    if acceptance is None or acceptance.digest != finding.digest:
        return False
    same = (acceptance.peak, acceptance.excess, acceptance.until) == (
        finding.peak,
        finding.peak - finding.capacity,
        until,
    )
    return same and (acceptance.digest is not None or _keys(acceptance.reservations) == _keys(finding.reservations))


def _keys(reservations: Iterable[object]) -> set[str]:
    return set(map(label, reservations))


async def _check(store: Store, finding: Finding, request: FindingTransition) -> None:
    """Refuse a transition that the state of the finding, or its reservations as they are now, do not allow."""
    if finding.state != request.to and finding.state not in FROM[request.to]:
        raise Problem("forbidden-transition", f"The finding is {finding.state}; it cannot become {request.to}.")
    if request.to == "resolved" and finding.state != "resolved" and await still_overlaps(store, finding):
        raise Problem(
            "forbidden-transition",
            "These reservations still take more than the resource has; move or cancel one of them, or accept it.",
        )
    if request.to == "open" and finding.state == "resolved":
        if finding.merged_into is not None:
            raise Problem("forbidden-transition", f"It is part of the finding {finding.merged_into}; say it of that.")
        if not await still_overlaps(store, finding):
            raise Problem("forbidden-transition", "Nothing of it overlaps any more, so there is nothing to reopen.")


async def _write(store: Store, finding: Finding, request: FindingTransition) -> Finding:
    """Store a transition; returns the finding after it.

    The history is written as a whole, because it is bounded: no other writer has the same version.

    Raises:
        VersionConflict: it has changed since it was read.
    """
    now = store.clock.now()
    fields, unset = _changes(finding, request, now)
    before = finding.to_mongo()
    entry = _history_entry(finding, request, now, fields.get("state", finding.state))
    fields |= {"updated_at": now, "history": bounded([*before["history"], entry])}
    update = FindingUpdate(before, fields, unset)
    sending()
    await FindingStore(store).change_one(update)
    return update.after


def _changes(finding: Finding, request: FindingTransition, now: datetime) -> tuple[BsonDocument, Sequence[str]]:
    """The fields that a transition sets, and those that it removes, named as the document names them."""
    if request.to == "assigned":
        return ({}, ("assignee",)) if request.assignee is None else ({"assignee": request.assignee}, ())
    fields: BsonDocument = {"state": request.to}
    if request.to == "accepted":
        fields["acceptance"] = new_acceptance(finding, request.by, now, request.until)
        return fields, ("acknowledged",)
    if request.to == "acknowledged":
        return (fields if finding.state == request.to else fields | {"acknowledged": now}), ()
    if request.to == "resolved":
        return fields, ("acceptance", "acknowledged", "own")
    alert = () if finding.state == "open" else ("told_at", "alert")
    return fields, ("acceptance", "acknowledged", *alert)


def _history_entry(finding: Finding, request: FindingTransition, now: datetime, state: State) -> BsonDocument:
    """The entry of the history: who, what, and the window as it was then."""
    entry = {
        "at": now,
        "by": request.by,
        "key": request.key,
        "to": state,
        "note": request.history_note,
        "from": finding.from_,
        "until": finding.to,
        "peak": finding.peak,
        "capacity": finding.capacity,
    }
    return {name: value for name, value in entry.items() if value is not None}
