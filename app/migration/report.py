"""What a migration finds, notes and changes, in sentences for the operator; each finding names its remedy."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

FindingKind = Literal[
    "collection-missing",
    "collection-differs",
    "index-missing",
    "index-differs",
    "index-refused",
    "list-values",
    "null-key",
    "duplicate-key",
    "guard-missing",
    "reach-low",
    "occupancy-missing",
    "pool-incomplete",
    "events-missing",
    "deployment-differs",
    "processes-running",
]
NoteKind = Literal["index-twin", "index-foreign", "resource-foreign", "service-foreign"]

DUPLICATE_KEY_KINDS: frozenset[FindingKind] = frozenset({"null-key", "duplicate-key"})
"""Findings that `--apply` removes."""
OBSTACLES: frozenset[FindingKind] = frozenset(
    {*DUPLICATE_KEY_KINDS, "collection-differs", "index-differs", "list-values", "processes-running"}
)
"""Findings that a migration does not change by itself: while there is one, it builds nothing."""

EXAMPLES = 3

OnProgress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with what is done now, how much of it is done, and of how much, None where that is not known."""


@dataclass(frozen=True, slots=True)
class MigrationFinding:
    """Something in the database that Reserva cannot use as it is.

    Args:
        kind: The kind of finding.
        detail: A sentence for the operator, with the remedy.
        ids: A collection, an index or guards that it is about; or reservations, the oldest first.
    """

    kind: FindingKind
    detail: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that an operator should know, though it is no fault."""

    kind: NoteKind
    detail: str
    ids: tuple[str, ...]


@dataclass(slots=True)
class MigrationReport:
    """What a migration found and did.

    Args:
        findings: The findings that remain.
        notes: The notes.
        built: What was made, as `index reservation_start` or `2 guards: room-1, room-2`.
        changed: The changes to reservations, one sentence each.
    """

    findings: list[MigrationFinding] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether no finding remains."""
        return not self.findings

    @property
    def obstacles(self) -> list[MigrationFinding]:
        """The findings that keep a migration from building anything."""
        return [finding for finding in self.findings if finding.kind in OBSTACLES]


def number(count: int, noun: str) -> str:
    """`1 guard`, `10,000 guards`, `2 processes`."""
    ending = "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{'' if count == 1 else ending}"


def examples(ids: Collection[str], most: int = EXAMPLES) -> str:
    """The first few ids, and an ellipsis if there are more."""
    shown = ", ".join([each for each, _ in zip(ids, range(most), strict=False)])
    return f"{shown}, …" if len(ids) > most else shown


def counted(noun: str, ids: Sequence[str]) -> str:
    """`2 guards: room-1, room-2`."""
    return f"{number(len(ids), noun)}: {examples(ids)}"


def ignore_progress(_what: str, _done: int, _total: int | None) -> None:
    """Do nothing: the default for callers that show no progress."""
