"""The result of an audit: what it read, what it left out and why, and the windows above capacity."""

from collections import Counter
from dataclasses import dataclass, field

from app.domain.instants import render
from app.domain.sweep import Window
from app.storage.row_reader import TRASH

EXAMPLES_MAX = 3
_REASONS_MAX = 100
_OTHERS = "others"
_READABLE_SHARE = 100


@dataclass(slots=True)
class ReasonCounts:
    """Counts by reason, with the first examples of each; reasons beyond the first hundred count as `others`."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, example: str) -> None:
        """Count one document or row, with an example."""
        if reason not in self.counts and len(self.counts) >= _REASONS_MAX:
            reason = _OTHERS
        self.counts[reason] = self.counts.get(reason, 0) + 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES_MAX:
            shown.append(example)


@dataclass(slots=True)
class Report:
    """An audit of one collection.

    `read` counts its documents and `occupancies` the rows that occupy a resource: a document with items has several.
    `left_out` counts what cannot be placed or lies in the trash, `notes` what was read with an assumption, and `lapsed`
    the holds whose time is over.
    `active` and `idle` count by status what blocks and what does not, `unknown_statuses` the rows of any other status.
    `windows` are by resource, then start; their `reservations` are ids as text, each once.
    """

    blocking: tuple[str, ...]
    read: int = 0
    occupancies: int = 0
    resources: int = 0
    active: Counter[str] = field(default_factory=Counter)
    idle: Counter[str] = field(default_factory=Counter)
    lapsed: int = 0
    left_out: ReasonCounts = field(default_factory=ReasonCounts)
    notes: ReasonCounts = field(default_factory=ReasonCounts)
    unknown_statuses: ReasonCounts = field(default_factory=ReasonCounts)
    windows: list[Window] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def conflicts(self) -> int:
        """The number of conflicts, counted as in a reconciliation."""
        return sum(window.conflicts for window in self.windows)

    @property
    def is_readable(self) -> bool:
        """Whether at least a hundredth of the rows that may occupy a resource could be placed, or no row may.

        Rows in the trash, idle or lapsed ones are understood; a row of an unknown status is not.
        """
        trash = self.left_out.counts.get(TRASH, 0)
        unplaced = sum(self.left_out.counts.values()) - trash + sum(self.unknown_statuses.counts.values())
        return self.read > 0 and (not unplaced or self.occupancies * _READABLE_SHARE >= self.occupancies + unplaced)

    def count_active(self, status: str) -> None:
        """Count a row that blocks."""
        _count(self.active, status)

    def count_idle(self, status: str) -> None:
        """Count a row that does not block."""
        _count(self.idle, status)

    def as_json(self) -> dict[str, object]:
        """The report as `--json` prints it."""
        return {
            "read": self.read,
            "leftOut": self.left_out.counts,
            "unknownStatuses": self.unknown_statuses.counts,
            "conflicts": self.conflicts,
            "findings": [self._finding(window) for window in self.windows],
        }

    def _finding(self, window: Window) -> dict[str, object]:
        name = self.names.get(window.resource)
        return {
            "resource": window.resource,
            **({"name": name} if name else {}),
            "from": render(window.start),
            "to": render(window.end),
            "peak": window.peak,
            "capacity": window.capacity,
            "reservations": list(window.reservations),
        }


def _count(statuses: "Counter[str]", status: str) -> None:
    """Count a status; statuses beyond the first hundred count as `others`."""
    statuses[status if status in statuses or len(statuses) < _REASONS_MAX else _OTHERS] += 1
