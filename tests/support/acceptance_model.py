"""A model of acceptances, by the hour: which reservations an acceptance may hide, and which never.

It knows reservations, decisions and the fields of findings (id, state, `splitFrom`, `mergedInto`); it ignores how a run
matches windows to findings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import ObjectId

from tests.support.times import HOUR, NINE

HOURS = 14


@dataclass(frozen=True)
class Stretch:
    """Hours in a row with load above capacity, and all that occupy any of them."""

    first: int
    last: int
    ids: frozenset[str]
    peak: int
    capacity: int

    @property
    def where(self) -> tuple[datetime, datetime]:
        """The stretch as two instants."""
        return NINE + self.first * HOUR, NINE + (self.last + 1) * HOUR


def stretches(booked: Mapping[str, range], capacity: int) -> list[Stretch]:
    """Count each hour by itself."""
    load = [sum(hour in span for span in booked.values()) for hour in range(HOURS)]
    found, hour = [], 0
    while hour < HOURS:
        if load[hour] <= capacity:
            hour += 1
            continue
        first = hour
        while hour < HOURS and load[hour] > capacity:
            hour += 1
        ids = frozenset(name for name, span in booked.items() if span[0] < hour and first <= span[-1])
        found.append(Stretch(first, hour - 1, ids, max(load[first:hour]), capacity))
    return found


@dataclass(frozen=True)
class Promise:
    """An acceptance of a finding."""

    ids: frozenset[str]
    peak: int
    excess: int
    until: datetime | None

    def covers(self, stretch: Stretch, now: datetime) -> bool:
        """Whether a stretch has no other reservations, no higher peak or excess, and the acceptance has not ended."""
        lasts = self.until is None or now < self.until
        high = stretch.peak <= self.peak and stretch.peak - stretch.capacity <= self.excess
        return lasts and high and stretch.ids <= self.ids


@dataclass
class Model:
    """The acceptance of each finding, and its row after the last run or decision."""

    promises: dict[ObjectId, Promise] = field(default_factory=dict)
    rows: dict[ObjectId, dict[str, Any]] = field(default_factory=dict)

    def hear(self, row: dict[str, Any], word: str, until: datetime | None) -> None:
        """Record a decision on a finding, which left it as `row`."""
        if word == "accepted":
            ids = frozenset(map(str, row["reservations"]))
            self.promises[row["_id"]] = Promise(ids, row["peak"], row["peak"] - row["capacity"], until)
        elif word in {"open", "resolved"}:
            self.promises.pop(row["_id"], None)
        self.rows[row["_id"]] = row

    def check(self, rows: Iterable[dict[str, Any]], found: list[Stretch], now: datetime) -> None:
        """Compare what a run left with what it may have left, and take it over."""
        after = {row["_id"]: row for row in rows}
        standing = {row["from"]: row for row in after.values() if row["state"] != "resolved"}
        assert sorted((row["from"], row["to"]) for row in standing.values()) == [each.where for each in found]
        for stretch in found:
            row = standing[stretch.where[0]]
            assert frozenset(map(str, row["reservations"])) == stretch.ids
            self._check_one(row, stretch, now)
        self._take_over(after, now)

    def _check_one(self, row: dict[str, Any], stretch: Stretch, now: datetime) -> None:
        before = self.rows.get(row["_id"])
        own = self.promises.get(row["_id"])
        hidden = row["state"] == "accepted"
        covered = own is not None and own.covers(stretch, now)
        if hidden:  # never a stranger, whatever the finding is called
            assert any(promise.covers(stretch, now) for promise in self._borne())
        if before is None:
            source = self.promises.get(row.get("splitFrom", row["_id"]))
            assert hidden == (source is not None and source.covers(stretch, now))
        elif before["state"] != "resolved":
            assert hidden == covered
        elif self._is_part(before):  # parted again, and perhaps accepted as part of the whole
            assert hidden or not covered
        if before is not None and self._was_acknowledged(before) and not hidden:
            assert row["state"] == "acknowledged"
        self._check_parts(stretch, now, hidden=hidden)
        _check_history(row, before, stretch)

    def _was_acknowledged(self, row: dict[str, Any]) -> bool:
        return row["state"] == "acknowledged" or (self._is_part(row) and "acknowledged" in row)

    def _check_parts(self, stretch: Stretch, now: datetime, *, hidden: bool) -> None:
        """Exactly what merged into another and was accepted is there again: it is hidden as it was."""
        for identity, part in self.rows.items():
            promise = self.promises.get(identity)
            same = (part["from"], part["to"]) == stretch.where
            if self._is_part(part) and same and promise is not None and promise.ids == stretch.ids:
                assert hidden or not promise.covers(stretch, now)

    def _borne(self) -> list[Promise]:
        """The acceptances of visible findings, and of findings merged into them."""
        return [
            promise
            for identity, promise in self.promises.items()
            if self.rows[identity]["state"] != "resolved" or self._is_part(self.rows[identity])
        ]

    def _is_part(self, row: dict[str, Any]) -> bool:
        if row["state"] != "resolved":
            return False
        while row["state"] == "resolved" and "mergedInto" in row:
            row = self.rows[row["mergedInto"]]
        return bool(row["state"] != "resolved")

    def _take_over(self, after: dict[ObjectId, dict[str, Any]], now: datetime) -> None:
        promises: dict[ObjectId, Promise] = {}
        for identity, row in after.items():
            own = self.promises.get(identity)
            acceptance = row.get("acceptance")
            if row["state"] == "resolved" and "mergedInto" not in row:
                assert acceptance is None
                continue
            if acceptance is not None:  # its own, or that of the finding it parted from
                ids = frozenset(map(str, acceptance["reservations"]))
                promise = Promise(ids, acceptance["peak"], acceptance["excess"], acceptance.get("until"))
                assert promise == own or promise in self.promises.values()
                promises[identity] = promise
            else:
                before = self.rows.get(identity)
                stood = before is not None and (before["state"] != "resolved" or self._is_part(before))
                assert own is None or not stood or (own.until is not None and own.until <= now)
        self.promises, self.rows = promises, after


def _check_history(row: dict[str, Any], before: dict[str, Any] | None, stretch: Stretch) -> None:
    """Check that the last history entry has the window, and the reservations that joined and left."""
    last = row["history"][-1]
    if before is None or any(before[name] != row[name] for name in ("from", "to", "peak", "capacity", "state")):
        known = frozenset() if before is None else frozenset(map(str, before["reservations"]))
        assert (last["from"], last["until"]) == stretch.where
        assert (last["by"], last["to"], last["peak"], last["capacity"]) == (
            "worker",
            row["state"],
            stretch.peak,
            stretch.capacity,
        )
        assert set(last.get("joined", [])) == stretch.ids - known
        assert set(last.get("left", [])) == known - stretch.ids
    if before is not None and before["state"] == "accepted" != row["state"]:
        assert last["note"]
