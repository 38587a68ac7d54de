"""What people say of findings: that somebody has seen one, that it may stay, that it is over, whose it is.

Only people acknowledge and accept. A word is a compare-and-set on the version, so that it is said of what was there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from app.deadline import sending
from app.domain.finding_identity import State
from app.errors import Problem, invalid, not_found
from app.http.etags import IfMatch
from app.reconciliation.finding_history import bounded
from app.reconciliation.findings.overlap import still_overlaps
from app.reconciliation.findings.schemas import TransitionTarget
from app.reconciliation.stored_findings import FINDINGS, accepted
from app.storage.client import Store
from app.storage.documents import Finding
from app.storage.values import label

TRIES = 10
"""How often the sweep or somebody else may be faster before a word is refused as overloaded."""

FROM: dict[TransitionTarget, tuple[State, ...]] = {
    "acknowledged": ("open",),
    "accepted": ("open", "acknowledged"),
    "resolved": ("open", "acknowledged", "accepted"),
    "open": ("acknowledged", "accepted", "resolved"),
    "assigned": ("open", "acknowledged", "accepted", "resolved"),
}
"""What people can say, and of findings in which states; of one that is so already, see `_is_so`."""

_WHATEVER = IfMatch(None)


@dataclass(frozen=True, slots=True)
class Said:
    """A word on a finding.

    Attributes:
        to: What it is to be.
        by: The person.
        key: The prefix of their key; None on the terminal.
        note: Why.
        until: Of an acceptance: when it ends.
        assignee: Of an assignment: whose it is; None: nobody's.
    """

    to: TransitionTarget
    by: str
    key: str | None = None
    note: str | None = None
    until: datetime | None = None
    assignee: str | None = None

    @property
    def line(self) -> str | None:
        """What the history notes of it."""
        if self.to != "assigned":
            return self.note
        whose = f"assigned to {self.assignee or 'nobody'}"
        return whose if self.note is None else f"{whose}: {self.note}"


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


async def transition(store: Store, identity: str, said: Said, matching: IfMatch = _WHATEVER) -> Finding:
    """Do what somebody says of a finding; repeating it is harmless.

    Raises:
        Problem: `not-found`, `stale`, `forbidden-transition`, `overloaded`; `invalid` for an `until` that is over.
    """
    check_until(store, said)
    for _ in range(TRIES):
        finding = await read(store, identity)
        matching.expected(finding.version)
        if _is_so(finding, said):
            return finding
        await _check(store, finding, said)
        changed = await _write(store, finding, said)
        if changed is not None:
            return changed
    raise Problem("overloaded", "Others are changing the finding; nothing was done.")


def check_until(store: Store, said: Said) -> None:
    """Refuse an acceptance that is over before it begins.

    Raises:
        Problem: `invalid`.
    """
    if said.until is not None and said.until <= store.clock.now():
        raise invalid("/until", "Say an instant in the future; left out, it stays accepted for good.")


def _is_so(finding: Finding, said: Said) -> bool:
    """Whether the finding is what it is to be, and nothing is said of it that was not said last."""
    if said.to == "assigned":
        same = finding.assignee == said.assignee
    elif said.to == "accepted":
        same = finding.state == said.to and _is_accepted(finding, said.until)
    elif said.to == "open":  # what was accepted may not cover it at present, and is taken back all the same
        same = finding.state == said.to and finding.acceptance is None
    else:
        same = finding.state == said.to
    last = finding.history[-1] if finding.history else None
    return same and (said.note is None or (last is not None and (last.by, last.note) == (said.by, said.line)))


def _is_accepted(finding: Finding, until: datetime | None) -> bool:
    """Whether just this was accepted already: these reservations, this peak, for so long."""
    said = finding.acceptance
    if said is None or said.digest != finding.digest:
        return False
    same = (said.peak, said.excess, said.until) == (finding.peak, finding.peak - finding.capacity, until)
    return same and (said.digest is not None or _keys(said.reservations) == _keys(finding.reservations))


def _keys(reservations: Iterable[Any]) -> set[Any]:
    return set(map(label, reservations))


async def _check(store: Store, finding: Finding, said: Said) -> None:
    """Refuse what cannot be said of a finding in its state, or as its reservations are now."""
    if finding.state != said.to and finding.state not in FROM[said.to]:
        raise Problem("forbidden-transition", f"The finding is {finding.state}; it cannot become {said.to}.")
    if said.to == "resolved" and finding.state != "resolved" and await still_overlaps(store, finding):
        raise Problem(
            "forbidden-transition",
            "These reservations still take more than the resource has; move or cancel one of them, or accept it.",
        )
    if said.to == "open" and finding.state == "resolved":
        if finding.merged_into is not None:
            raise Problem("forbidden-transition", f"It is part of the finding {finding.merged_into}; say it of that.")
        if not await still_overlaps(store, finding):
            raise Problem("forbidden-transition", "Nothing of it overlaps any more, so there is nothing to reopen.")


async def _write(store: Store, finding: Finding, said: Said) -> Finding | None:
    """The finding after that word; None if it changed since it was read.

    The history is written as a whole, because it is bounded: nobody else writes it at the same version.
    """
    now = store.clock.now()
    fields, gone = _changes(finding, said, now)
    before = finding.to_mongo()
    line = _entry(finding, said, now, fields.get("state", finding.state))
    fields |= {"updatedAt": now, "version": finding.version + 1, "history": bounded([*before["history"], line])}
    update: dict[str, Any] = {"$set": fields}
    if gone:
        update["$unset"] = dict.fromkeys(gone, "")
    sending()
    result = await store.database[FINDINGS].update_one({"_id": finding.id, "version": finding.version}, update)
    if not result.matched_count:
        return None
    return _finding({name: value for name, value in (before | fields).items() if name not in gone})


def _changes(finding: Finding, said: Said, now: datetime) -> tuple[dict[str, Any], Sequence[str]]:
    """The fields that a word sets, and those that it takes away."""
    if said.to == "assigned":
        return ({}, ("assignee",)) if said.assignee is None else ({"assignee": said.assignee}, ())
    fields: dict[str, Any] = {"state": said.to}
    if said.to == "accepted":
        fields["acceptance"] = accepted(finding, said.by, now, said.until)
        return fields, ("acknowledged",)
    if said.to == "acknowledged":
        return (fields if finding.state == said.to else fields | {"acknowledged": now}), ()
    if said.to == "resolved":
        return fields, ("acceptance", "acknowledged", "own")
    untold = () if finding.state == "open" else ("toldAt", "alert")
    return fields, ("acceptance", "acknowledged", *untold)


def _entry(finding: Finding, said: Said, now: datetime, state: State) -> dict[str, Any]:
    """The line of the history: who, what, and the window of which it was said."""
    entry = {
        "at": now,
        "by": said.by,
        "key": said.key,
        "to": state,
        "note": said.line,
        "from": finding.from_,
        "until": finding.to,
        "peak": finding.peak,
        "capacity": finding.capacity,
    }
    return {name: value for name, value in entry.items() if value is not None}


def _finding(row: Any) -> Finding:
    finding: Finding = Finding.model_validate(row)
    return finding
