"""The changes to write for a matched window, or for a finding that has no window any more."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from bson import ObjectId

from app.domain.acceptance import RAN_OUT, digest
from app.domain.finding_identity import MatchedWindow, VanishedFinding
from app.domain.instants import from_millis
from app.domain.sweep import Window
from app.reconciliation import finding_history
from app.reconciliation.stored_findings import is_sampled, listed_ids
from app.storage.bson_types import BsonDocument, Row
from app.storage.finding_rows import FindingRow
from app.storage.values import label

_UNKNOWN_ACCEPTANCE = "what was accepted is not known"


class ChangeOrder(IntEnum):
    """The order in which changes are written.

    A run that ends in between is repeated, and must still find the finding from which another was split.
    """

    NEW = 0
    RETURNED = 1
    CHANGED = 2
    RESOLVED = 3


@dataclass(frozen=True, slots=True)
class Change:
    """A finding to insert (`version` is None), or to change if it is still at that version.

    `entry` goes into its history; `opened`: an alert has to be sent.
    """

    order: ChangeOrder
    id: ObjectId
    version: int | None
    fields: BsonDocument
    unset: tuple[str, ...]
    entry: BsonDocument | None
    opened: bool = False


@dataclass(frozen=True, slots=True)
class ChangePlanner:
    """Plans the changes for the windows of one resource.

    Args:
        now: When the run sees them.
        run: Its id.
        rows: The findings that were read, by id.
        ids: The ids of reservations as they are in the database, by their labels.
    """

    now: datetime
    run: ObjectId
    rows: Mapping[Hashable, FindingRow]
    ids: Mapping[str, object]

    def change_for(self, matched: MatchedWindow) -> Change | None:
        """Insert or change the finding of a window; None where the finding stays as it is."""
        return self._new(matched) if matched.finding is None else self._changed(matched, self.rows[matched.finding])

    def resolution_of(self, vanished: VanishedFinding) -> Change:
        """Resolve a finding without a window. Its annotations remain only where it became part of another finding."""
        row = self.rows[vanished.finding]
        fields: BsonDocument = {"state": "resolved", "updatedAt": self.now}
        unset = {"acceptance", "acknowledged", "own", "mergedInto"}
        note = "nothing overlaps any more"
        if vanished.into is not None:
            note = f"merged into {vanished.into}"
            fields["mergedInto"] = vanished.into
            unset -= {"acceptance", "own", "mergedInto"}
            if row["state"] == "acknowledged":
                unset.discard("acknowledged")
                fields["acknowledged"] = row.get("acknowledged") or self.now
        entry = finding_history.run_entry(self.now, "resolved", row, [note])
        return Change(ChangeOrder.RESOLVED, row["_id"], row["version"], fields, _present(row, unset), entry)

    def _new(self, matched: MatchedWindow) -> Change:
        identity, window = ObjectId(), self._window(matched.window)
        fields = {
            "_id": identity,
            "resource": matched.window.resource,
            **window,
            **self._annotations(matched, None),
            "state": matched.state,
            "firstSeen": self.now,
            "lastSeen": self.now,
            "updatedAt": self.now,
            "run": self.run,
            "version": 1,
        }
        notes = []
        if matched.split_from is not None:
            fields["splitFrom"] = matched.split_from
            notes = [f"split from {matched.split_from}"]
        entry = finding_history.run_entry(self.now, matched.state, window, notes, window["reservations"])
        return Change(ChangeOrder.NEW, identity, None, fields, (), entry, matched.opened)

    def _changed(self, matched: MatchedWindow, row: FindingRow) -> Change | None:
        is_same = _is_unchanged(matched.window, row)
        window = dict(row) if is_same else self._window(matched.window)
        fields = ({} if is_same else window) | self._annotations(matched, row) | {"state": matched.state}
        fields = {name: value for name, value in fields.items() if row.get(name) != value}
        unset = {"mergedInto"} | _annotations_to_remove(matched) | ({"digest"} if "digest" not in window else set())
        unset |= {"toldAt", "alert"} if matched.opened else set()
        removed = _present(row, unset - fields.keys())
        if not fields and not removed:
            return None
        joined, left = self._difference(matched.window, row, window)
        entry = finding_history.run_entry(self.now, matched.state, window, _notes(matched, row), joined, left)
        fields |= {"lastSeen": self.now, "updatedAt": self.now, "run": self.run}
        order = ChangeOrder.RETURNED if row["state"] == "resolved" else ChangeOrder.CHANGED
        return Change(order, row["_id"], row["version"], fields, removed, entry, matched.opened)

    def _window(self, window: Window) -> BsonDocument:
        """The fields of the window itself."""
        fields = {
            "from": from_millis(window.start),
            "to": from_millis(window.end),
            "peak": window.peak,
            "capacity": window.capacity,
            "excess": window.peak - window.capacity,
            "reservations": listed_ids(window.reservations, self.ids),
            "reservationCount": len(window.reservations),
        }
        return fields | ({"digest": digest(window.reservations)} if is_sampled(window.reservations) else {})

    def _annotations(self, matched: MatchedWindow, row: FindingRow | None) -> BsonDocument:
        """What people noted on it, or on the finding from which it is split, and its window before others merged."""
        annotations: BsonDocument = {}
        sources = [each for each in (row, self.rows.get(matched.split_from)) if each is not None]
        accepted = None if matched.acceptance is None else self.rows[matched.acceptance].get("acceptance")
        if accepted is not None:
            annotations["acceptance"] = accepted
        if matched.state == "acknowledged" and (row is None or row["state"] != "acknowledged"):
            since = (at for each in sources if (at := each.get("acknowledged")))
            annotations["acknowledged"] = next(since, self.now)
        if matched.own is not None and row is not None:
            before = row.get("own") if matched.own_as_before else None
            annotations["own"] = before or {"from": row["from"], "to": row["to"], "reservations": row["reservations"]}
        return annotations

    def _difference(self, window: Window, row: FindingRow, stored: Row) -> tuple[list[object], list[object]]:
        """The ids that joined and those that left; none where not all are listed."""
        if "digest" in row or "digest" in stored:
            return [], []
        before = {label(each): each for each in row["reservations"]}
        after = set(window.reservations)
        joined = [self.ids[each] for each in window.reservations if each not in before]
        return joined, [each for key, each in before.items() if key not in after]


def _annotations_to_remove(matched: MatchedWindow) -> set[str]:
    """The annotations that a finding loses."""
    unset = {"acceptance"} if matched.acceptance is None else set()
    unset |= {"acknowledged"} if matched.state != "acknowledged" else set()
    return unset | ({"own"} if matched.own is None else set())


def _present(row: Row, names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if name in row))


def _is_unchanged(window: Window, row: FindingRow) -> bool:
    """Whether a stored finding is exactly this window."""
    same = (
        from_millis(window.start) == row["from"]
        and from_millis(window.end) == row["to"]
        and (window.peak, window.capacity) == (row["peak"], row["capacity"])
    )
    if not same or is_sampled(window.reservations) != ("digest" in row):
        return False
    if "digest" in row:
        return bool(digest(window.reservations) == row["digest"])
    return set(window.reservations) == set(map(label, row["reservations"]))


def _notes(matched: MatchedWindow, row: FindingRow) -> list[str | None]:
    """Why a finding changes, for its history."""
    notes: list[str | None] = []
    if row["state"] == "resolved":
        parted = matched.split_from is not None and "mergedInto" in row
        notes.append(f"parted from {matched.split_from}" if parted else "it is back")
    elif row["state"] == "accepted" != matched.state:
        notes.append("; ".join(matched.exceeded) or _UNKNOWN_ACCEPTANCE)
    elif matched.state == "accepted" != row["state"]:
        notes.append("only what was accepted is left")
    elif "acceptance" in row and matched.acceptance is None:
        notes.append(RAN_OUT)
    if matched.merged:
        notes.append(f"merged with {finding_history.first_ids(matched.merged)}")
    if len(matched.window.reservations) != row.get("reservationCount") and is_sampled(matched.window.reservations):
        notes.append(f"{len(matched.window.reservations)} reservations")
    return notes
