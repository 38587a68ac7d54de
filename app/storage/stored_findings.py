"""Stored findings as what matching needs, and windows as the fields in which findings have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from app.domain import acceptance
from app.domain.finding_identity import Extent, StoredFinding
from app.domain.instants import from_millis, to_millis
from app.domain.sweep import Window
from app.storage.bson_types import BsonDocument
from app.storage.documents import Acceptance, Finding
from app.storage.finding_rows import AcceptanceRow, FindingRow, WindowRow, merged_into
from app.storage.values import label

LISTED_IDS_MAX = 5_000
LISTED_CHARACTERS_MAX = 2**19
"""The number of ids, and of their characters together, that a finding lists; of more it lists a sample."""


def is_sampled(labels: Sequence[str]) -> bool:
    """Whether a finding lists only a sample of these reservations."""
    return len(labels) > LISTED_IDS_MAX or sum(map(len, labels)) > LISTED_CHARACTERS_MAX


def listed_ids(labels: Sequence[str], ids: Mapping[str, object]) -> list[object]:
    """The ids that a finding lists: all, or the first of them and some at even distances from the rest.

    Whatever part of a long window is left later, some of the reservations that occupy it are among them.
    """
    most = LISTED_IDS_MAX
    chosen = labels
    while is_sampled(chosen):
        head, rest = labels[: most // 2], labels[most // 2 :]
        chosen = [*head, *rest[:: len(rest) * 2 // most + 1]]
        most //= 2
    return [ids[name] for name in chosen]


def stored_finding(row: FindingRow) -> StoredFinding:
    """A stored finding, as matching needs it."""
    own = row.get("own")
    return StoredFinding(
        row["_id"],
        _extent(row),
        row["state"],
        _acceptance(row.get("acceptance")),
        row.get("acknowledged") is not None,
        merged_into(row),
        None if own is None else _extent(own),
    )


def matched_finding(finding: Finding) -> StoredFinding:
    """A finding that was read as a document, as matching needs it."""
    return stored_finding(cast("FindingRow", finding.to_mongo()))


def _extent(part: WindowRow) -> Extent:
    return Extent(to_millis(part["from"]), to_millis(part["to"]), frozenset(map(label, part["reservations"])))


def _acceptance(stored: AcceptanceRow | None) -> acceptance.Acceptance | None:
    if stored is None:
        return None
    until: datetime | None = stored.get("until")
    return acceptance.Acceptance(
        frozenset(map(label, stored["reservations"])),
        stored["peak"],
        stored["excess"],
        None if until is None else to_millis(until),
        stored.get("digest"),
    )


def new_acceptance(finding: Finding, by: str, at: datetime, until: datetime | None = None) -> BsonDocument:
    """The acceptance of a finding as it is now, in the form in which it is stored."""
    new = Acceptance(
        reservations=finding.reservations if finding.digest is None else [],
        digest=finding.digest,
        peak=finding.peak,
        excess=finding.peak - finding.capacity,
        until=until,
        by=by,
        at=at,
    )
    fields: BsonDocument = new.model_dump(by_alias=True, exclude_none=True)
    return fields


@dataclass(frozen=True, slots=True)
class FindingWindow:
    """The window of a finding as it is stored.

    `reservations` are ids; of very many only a sample, with the digest of all.
    """

    start: datetime
    end: datetime
    peak: int
    capacity: int
    reservations: Sequence[object] = ()
    reservation_count: int | None = None
    digest: str | None = None

    @classmethod
    def of(cls, window: Window, ids: Mapping[str, object]) -> "FindingWindow":
        """A window as a finding lists it; `ids` are the ids of reservations by their labels."""
        return cls(
            from_millis(window.start),
            from_millis(window.end),
            window.peak,
            window.capacity,
            listed_ids(window.reservations, ids),
            len(window.reservations),
            acceptance.digest(window.reservations) if is_sampled(window.reservations) else None,
        )

    @classmethod
    def of_row(cls, row: FindingRow) -> "FindingWindow":
        """The window of a stored finding."""
        return cls(
            row["from"],
            row["to"],
            row["peak"],
            row["capacity"],
            row["reservations"],
            row.get("reservationCount"),
            row.get("digest"),
        )

    @property
    def fields(self) -> dict[str, object]:
        """The fields of a finding that has this window."""
        fields: dict[str, object] = {
            "from_": self.start,
            "to": self.end,
            "peak": self.peak,
            "capacity": self.capacity,
            "excess": self.peak - self.capacity,
            "reservations": self.reservations,
            "reservation_count": self.reservation_count,
        }
        return fields | ({} if self.digest is None else {"digest": self.digest})

    def is_exactly(self, window: Window) -> bool:
        """Whether it is this window, with these reservations."""
        same = (
            from_millis(window.start) == self.start
            and from_millis(window.end) == self.end
            and (window.peak, window.capacity) == (self.peak, self.capacity)
        )
        if not same or is_sampled(window.reservations) != (self.digest is not None):
            return False
        if self.digest is not None:
            return acceptance.digest(window.reservations) == self.digest
        return set(window.reservations) == set(map(label, self.reservations))
