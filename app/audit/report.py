"""What an audit says: what it read, what it left out and why, and the windows above capacity."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from app.domain.instants import render
from app.domain.sweep import Window
from app.storage.row_reader import TRASH

EXAMPLES = 3
_NAMES = 100
_OTHERS = "others"
_HUNDREDTH = 100


@dataclass(slots=True)
class Tally:
    """How often something was so, with the first few examples of it; many different things are `others`."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, example: str) -> None:
        """Count one."""
        if reason not in self.counts and len(self.counts) >= _NAMES:
            reason = _OTHERS
        self.counts[reason] = self.counts.get(reason, 0) + 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES:
            shown.append(example)


@dataclass(slots=True)
class Report:
    """An audit of one collection.

    `read` counts its documents and `taken` what of them occupies a resource: with items one document takes several.
    `left_out` counts what cannot be placed and what lies in the trash, and `notes` what was read with an assumption.
    `idle` are the statuses that do not block, `unknown_statuses` those of which nobody knows. `windows` are by
    resource, then start; their `reservations` are ids as text, each once.
    """

    blocking: tuple[str, ...]
    read: int = 0
    taken: int = 0
    resources: int = 0
    active: Counter[str] = field(default_factory=Counter)
    idle: Counter[str] = field(default_factory=Counter)
    lapsed: int = 0
    left_out: Tally = field(default_factory=Tally)
    notes: Tally = field(default_factory=Tally)
    unknown_statuses: Tally = field(default_factory=Tally)
    windows: list[Window] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def conflicts(self) -> int:
        """As a reconciliation counts them."""
        return sum(window.conflicts for window in self.windows)

    @property
    def readable(self) -> bool:
        """Whether at least a hundredth of what may occupy something could be placed, or all surely does not.

        What lies in the trash, does not block or is over is understood; an unknown status is not.
        """
        trash = self.left_out.counts.get(TRASH, 0)
        puzzling = sum(self.left_out.counts.values()) - trash + sum(self.unknown_statuses.counts.values())
        return self.read > 0 and (not puzzling or self.taken * _HUNDREDTH >= self.taken + puzzling)

    def blocks(self, status: str) -> None:
        """Count one that blocks."""
        _count(self.active, status)

    def idles(self, status: str) -> None:
        """Count one that does not block."""
        _count(self.idle, status)

    def as_json(self) -> dict[str, Any]:
        """The report as scripts read it."""
        return {
            "read": self.read,
            "leftOut": self.left_out.counts,
            "unknownStatuses": self.unknown_statuses.counts,
            "conflicts": self.conflicts,
            "findings": [self._finding(window) for window in self.windows],
        }

    def _finding(self, window: Window) -> dict[str, Any]:
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
    """Count a status; of many different ones the later are only `others`."""
    statuses[status if status in statuses or len(statuses) < _NAMES else _OTHERS] += 1
