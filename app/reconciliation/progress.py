"""The progress of a run, for its document and for its callers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from app.reconciliation.sweep_reader import Tally


@dataclass(slots=True)
class RunProgress:
    """The counts of a run, as they grow: rows and resources read, findings seen, conflicts in them, findings opened."""

    tally: Tally = field(default_factory=Tally)
    findings: int = 0
    conflicts: int = 0
    new: int = 0
    unaccepted: int = 0

    def counts(self) -> dict[str, object]:
        """The counts as the run's document has them."""
        return {
            "scanned": self.tally.scanned,
            "resources": self.tally.resources,
            "leftOut": dict(self.tally.left_out),
            "unreadable": self.tally.unreadable,
            "findings": self.findings,
            "conflicts": self.conflicts,
            "new": self.new,
            "unaccepted": self.unaccepted,
        }


OnProgress: TypeAlias = Callable[[RunProgress], None]
"""Called between steps while a run is carried out."""
