"""The changes to write for a matched window, or for a finding that has no window any more."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from bson import ObjectId

from app.domain.acceptance import RAN_OUT
from app.domain.finding_identity import MatchedWindow, VanishedFinding
from app.domain.sweep import Window
from app.reconciliation import finding_history
from app.storage.bson_types import BsonDocument
from app.storage.finding_rows import FindingRow, differing_fields, merged_into, present_fields, window_row
from app.storage.stored_findings import FindingWindow, is_sampled
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

    `fields` and `unset` are named as the document names them. `entry` goes into its history; `opened`: an alert has to
    be sent; `reservation_count`: how many ids of reservations are written.
    """

    order: ChangeOrder
    id: ObjectId
    version: int | None
    fields: Mapping[str, object]
    unset: tuple[str, ...]
    entry: BsonDocument
    opened: bool = False
    reservation_count: int = 0


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
        fields: dict[str, object] = {"state": "resolved", "updated_at": self.now}
        unset = {"acceptance", "acknowledged", "own", "merged_into"}
        note = "nothing overlaps any more"
        if vanished.into is not None:
            note = f"merged into {vanished.into}"
            fields["merged_into"] = vanished.into
            unset -= {"acceptance", "own", "merged_into"}
            if row["state"] == "acknowledged":
                unset.discard("acknowledged")
                fields["acknowledged"] = row.get("acknowledged") or self.now
        entry = finding_history.run_entry(self.now, "resolved", FindingWindow.of_row(row), [note])
        return Change(ChangeOrder.RESOLVED, row["_id"], row["version"], fields, present_fields(row, unset), entry)

    def _new(self, matched: MatchedWindow) -> Change:
        identity, window = ObjectId(), FindingWindow.of(matched.window, self.ids)
        fields = {
            "id": identity,
            "resource": matched.window.resource,
            **window.fields,
            **self._annotations(matched, None),
            "state": matched.state,
            "first_seen": self.now,
            "last_seen": self.now,
            "updated_at": self.now,
            "run": self.run,
            "version": 1,
        }
        notes = []
        if matched.split_from is not None:
            fields["split_from"] = matched.split_from
            notes = [f"split from {matched.split_from}"]
        entry = finding_history.run_entry(self.now, matched.state, window, notes, window.reservations)
        return Change(ChangeOrder.NEW, identity, None, fields, (), entry, matched.opened, len(window.reservations))

    def _changed(self, matched: MatchedWindow, row: FindingRow) -> Change | None:
        before = FindingWindow.of_row(row)
        is_same = before.is_exactly(matched.window)
        window = before if is_same else FindingWindow.of(matched.window, self.ids)
        fields = ({} if is_same else window.fields) | self._annotations(matched, row) | {"state": matched.state}
        fields = differing_fields(row, fields)
        unset = {"merged_into"} | _annotations_to_remove(matched) | ({"digest"} if window.digest is None else set())
        unset |= {"told_at", "alert"} if matched.opened else set()
        removed = present_fields(row, unset - fields.keys())
        if not fields and not removed:
            return None
        joined, left = self._difference(matched.window, before, window)
        entry = finding_history.run_entry(self.now, matched.state, window, _notes(matched, row), joined, left)
        weighed = len(window.reservations) if "reservations" in fields else 0
        fields |= {"last_seen": self.now, "updated_at": self.now, "run": self.run}
        order = ChangeOrder.RETURNED if row["state"] == "resolved" else ChangeOrder.CHANGED
        return Change(order, row["_id"], row["version"], fields, removed, entry, matched.opened, weighed)

    def _annotations(self, matched: MatchedWindow, row: FindingRow | None) -> dict[str, object]:
        """What people noted on it, or on the finding from which it is split, and its window before others merged."""
        annotations: dict[str, object] = {}
        sources = [each for each in (row, self.rows.get(matched.split_from)) if each is not None]
        accepted = None if matched.acceptance is None else self.rows[matched.acceptance].get("acceptance")
        if accepted is not None:
            annotations["acceptance"] = accepted
        if matched.state == "acknowledged" and (row is None or row["state"] != "acknowledged"):
            since = (at for each in sources if (at := each.get("acknowledged")))
            annotations["acknowledged"] = next(since, self.now)
        if matched.own is not None and row is not None:
            before = row.get("own") if matched.own_as_before else None
            annotations["own"] = before or window_row(row)
        return annotations

    def _difference(
        self, window: Window, before: FindingWindow, after: FindingWindow
    ) -> tuple[list[object], list[object]]:
        """The ids that joined and those that left; none where not all are listed."""
        if before.digest is not None or after.digest is not None:
            return [], []
        known = {label(each): each for each in before.reservations}
        present = set(window.reservations)
        joined = [self.ids[each] for each in window.reservations if each not in known]
        return joined, [each for key, each in known.items() if key not in present]


def _annotations_to_remove(matched: MatchedWindow) -> set[str]:
    """The annotations that a finding loses."""
    unset = {"acceptance"} if matched.acceptance is None else set()
    unset |= {"acknowledged"} if matched.state != "acknowledged" else set()
    return unset | ({"own"} if matched.own is None else set())


def _notes(matched: MatchedWindow, row: FindingRow) -> list[str | None]:
    """Why a finding changes, for its history."""
    notes: list[str | None] = []
    if row["state"] == "resolved":
        parted = matched.split_from is not None and merged_into(row) is not None
        notes.append(f"parted from {matched.split_from}" if parted else "it is back")
    elif row["state"] == "accepted" != matched.state:
        notes.append("; ".join(matched.exceeded) or _UNKNOWN_ACCEPTANCE)
    elif matched.state == "accepted" != row["state"]:
        notes.append("only what was accepted is left")
    elif "acceptance" in row and matched.acceptance is None:
        notes.append(RAN_OUT)
    if matched.merged:
        notes.append(f"merged with {finding_history.first_ids(matched.merged)}")
    count = len(matched.window.reservations)
    if count != FindingWindow.of_row(row).reservation_count and is_sampled(matched.window.reservations):
        notes.append(f"{count} reservations")
    return notes
