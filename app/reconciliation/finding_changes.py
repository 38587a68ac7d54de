"""What has to be written for a placed window, or for a finding that has none any more."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from bson import ObjectId

from app.domain.acceptance import RAN_OUT, digest
from app.domain.finding_identity import MatchedWindow, VanishedFinding
from app.domain.instants import from_millis
from app.domain.sweep import Window
from app.reconciliation import finding_history
from app.reconciliation.stored_findings import is_cut, listed
from app.storage.values import label

_UNKNOWN = "what was accepted is not known"


class Order(IntEnum):
    """What is written before what. A run that ends in between is repeated, and must still find what it parts from."""

    NEW = 0
    RETURNED = 1
    CHANGED = 2
    RESOLVED = 3


@dataclass(frozen=True, slots=True)
class Change:
    """A finding to make (`version` is None), or to change if it is still at that version.

    `entry` goes into its history; `opened`: people have to hear of it.
    """

    order: Order
    id: ObjectId
    version: int | None
    fields: dict[str, Any]
    unset: tuple[str, ...]
    entry: dict[str, Any] | None
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Planner:
    """Says what to write for the windows of one resource.

    Args:
        now: When the run sees them.
        run: Its id.
        rows: The findings that were read, by id.
        ids: What the ids of reservations are in the database, by their labels.
    """

    now: datetime
    run: Any
    rows: Mapping[Any, Mapping[str, Any]]
    ids: Mapping[str, Any]

    def placed(self, placed: MatchedWindow) -> Change | None:
        """Make or change the finding of a window; None where nothing but the time of the last look is new."""
        return self._new(placed) if placed.finding is None else self._changed(placed, self.rows[placed.finding])

    def gone(self, gone: VanishedFinding) -> Change:
        """Resolve what has no window. What people said of it is kept only where it became part of another finding."""
        row = self.rows[gone.finding]
        fields: dict[str, Any] = {"state": "resolved", "updatedAt": self.now}
        unset = {"acceptance", "acknowledged", "own", "mergedInto"}
        note = "nothing overlaps any more"
        if gone.into is not None:
            note = f"merged into {gone.into}"
            fields["mergedInto"] = gone.into
            unset -= {"acceptance", "own", "mergedInto"}
            if row["state"] == "acknowledged":
                unset.discard("acknowledged")
                fields["acknowledged"] = row.get("acknowledged") or self.now
        entry = finding_history.entry(self.now, "resolved", row, [note])
        return Change(Order.RESOLVED, row["_id"], row["version"], fields, _there(row, unset), entry)

    def _new(self, placed: MatchedWindow) -> Change:
        identity, window = ObjectId(), self._window(placed.window)
        fields = {
            "_id": identity,
            "resource": placed.window.resource,
            **window,
            **self._words(placed, {}),
            "state": placed.state,
            "firstSeen": self.now,
            "lastSeen": self.now,
            "updatedAt": self.now,
            "run": self.run,
            "version": 1,
        }
        notes = []
        if placed.split_from is not None:
            fields["splitFrom"] = placed.split_from
            notes = [f"split from {placed.split_from}"]
        entry = finding_history.entry(self.now, placed.state, window, notes, window["reservations"])
        return Change(Order.NEW, identity, None, fields, (), entry, placed.opened)

    def _changed(self, placed: MatchedWindow, row: Mapping[str, Any]) -> Change | None:
        same = _is_same(placed.window, row)
        window = dict(row) if same else self._window(placed.window)
        fields = ({} if same else window) | self._words(placed, row) | {"state": placed.state}
        fields = {name: value for name, value in fields.items() if row.get(name) != value}
        unset = {"mergedInto"} | _unsaid(placed) | ({"digest"} if "digest" not in window else set())
        unset |= {"toldAt", "alert"} if placed.opened else set()
        gone = _there(row, unset - fields.keys())
        if not fields and not gone:
            return None
        joined, left = self._difference(placed.window, row, window)
        entry = finding_history.entry(self.now, placed.state, window, _notes(placed, row), joined, left)
        fields |= {"lastSeen": self.now, "updatedAt": self.now, "run": self.run}
        order = Order.RETURNED if row["state"] == "resolved" else Order.CHANGED
        return Change(order, row["_id"], row["version"], fields, gone, entry, placed.opened)

    def _window(self, window: Window) -> dict[str, Any]:
        """What the window itself says."""
        fields = {
            "from": from_millis(window.start),
            "to": from_millis(window.end),
            "peak": window.peak,
            "capacity": window.capacity,
            "excess": window.peak - window.capacity,
            "reservations": listed(window.reservations, self.ids),
            "reservationCount": len(window.reservations),
        }
        return fields | ({"digest": digest(window.reservations)} if is_cut(window.reservations) else {})

    def _words(self, placed: MatchedWindow, row: Mapping[str, Any]) -> dict[str, Any]:
        """What people said of it, or of what it parts from, and what it was before others merged into it."""
        words: dict[str, Any] = {}
        source = self.rows.get(placed.split_from, {})
        if placed.acceptance is not None:
            words["acceptance"] = self.rows[placed.acceptance]["acceptance"]
        if placed.state == "acknowledged" and row.get("state") != "acknowledged":
            words["acknowledged"] = row.get("acknowledged") or source.get("acknowledged") or self.now
        if placed.own is not None:
            before = row.get("own") if placed.own_as_before else None
            words["own"] = before or {name: row[name] for name in ("from", "to", "reservations")}
        return words

    def _difference(
        self, window: Window, row: Mapping[str, Any], stored: Mapping[str, Any]
    ) -> tuple[list[Any], list[Any]]:
        """The ids that joined and those that left; none, where not all are listed."""
        if "digest" in row or "digest" in stored:
            return [], []
        before = {label(each): each for each in row["reservations"]}
        after = set(window.reservations)
        joined = [self.ids[each] for each in window.reservations if each not in before]
        return joined, [each for key, each in before.items() if key not in after]


def _unsaid(placed: MatchedWindow) -> set[str]:
    """What a finding does not bear from now on."""
    unsaid = {"acceptance"} if placed.acceptance is None else set()
    unsaid |= {"acknowledged"} if placed.state != "acknowledged" else set()
    return unsaid | ({"own"} if placed.own is None else set())


def _there(row: Mapping[str, Any], names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if name in row))


def _is_same(window: Window, row: Mapping[str, Any]) -> bool:
    """Whether a finding was this window when it was left."""
    alike = (
        from_millis(window.start) == row["from"]
        and from_millis(window.end) == row["to"]
        and (window.peak, window.capacity) == (row["peak"], row["capacity"])
    )
    if not alike or is_cut(window.reservations) != ("digest" in row):
        return False
    if "digest" in row:
        return bool(digest(window.reservations) == row["digest"])
    return set(window.reservations) == set(map(label, row["reservations"]))


def _notes(placed: MatchedWindow, row: Mapping[str, Any]) -> list[str | None]:
    """Why a finding changes, in words."""
    notes: list[str | None] = []
    if row["state"] == "resolved":
        parted = placed.split_from is not None and "mergedInto" in row
        notes.append(f"parted from {placed.split_from}" if parted else "it is back")
    elif row["state"] == "accepted" != placed.state:
        notes.append("; ".join(placed.exceeded) or _UNKNOWN)
    elif placed.state == "accepted" != row["state"]:
        notes.append("only what was accepted is left")
    elif "acceptance" in row and placed.acceptance is None:
        notes.append(RAN_OUT)
    if placed.merged:
        notes.append(f"merged with {finding_history.some(placed.merged)}")
    if len(placed.window.reservations) != row.get("reservationCount") and is_cut(placed.window.reservations):
        notes.append(f"{len(placed.window.reservations)} reservations")
    return notes
