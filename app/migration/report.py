"""What a migration finds, notes and does, in sentences for the operator; each finding says what helps."""

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
    "deployment-differs",
    "processes-running",
]
NoteKind = Literal["index-twin", "index-foreign", "resource-foreign", "service-foreign"]

DUPLICATE_KEY_KINDS: frozenset[FindingKind] = frozenset({"null-key", "duplicate-key"})
"""What `--apply` takes out of the way."""
OBSTACLES: frozenset[FindingKind] = DUPLICATE_KEY_KINDS | {
    "collection-differs",
    "index-differs",
    "list-values",
    "processes-running",
}
"""What a migration must not touch by itself: while there is one, it builds nothing."""

EXAMPLES = 3

OnProgress: TypeAlias = Callable[[str, int, int | None], None]
"""Told what is done now, how much of it, and of how much, where that is known."""


@dataclass(frozen=True, slots=True)
class MigrationFinding:
    """Something that is not as it must be.

    Args:
        kind: What sort of thing.
        detail: A sentence for the operator, with what helps.
        ids: What it is about: a collection, index or guards; or reservations, the oldest first.
    """

    kind: FindingKind
    detail: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that an operator should know, and that is no fault."""

    kind: NoteKind
    detail: str
    ids: tuple[str, ...]


@dataclass(slots=True)
class MigrationReport:
    """What a migration found and did.

    Args:
        findings: What is not as it must be, still.
        notes: What is as it may be, but worth to know.
        built: What was made, as `index reservation_start` or `2 guards: room-1, room-2`.
        changed: What was done to reservations, one sentence each.
    """

    findings: list[MigrationFinding] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether the database is as it must be."""
        return not self.findings

    @property
    def obstacles(self) -> list[MigrationFinding]:
        """What keeps a migration from building anything."""
        return [finding for finding in self.findings if finding.kind in OBSTACLES]


def number(count: int, noun: str) -> str:
    """`1 guard`, `10,000 guards`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def examples(ids: Collection[str], most: int = EXAMPLES) -> str:
    """The first few of them, and a sign that there are more."""
    shown = ", ".join([each for each, _ in zip(ids, range(most), strict=False)])
    return f"{shown}, …" if len(ids) > most else shown


def counted(noun: str, ids: Sequence[str]) -> str:
    """`2 guards: room-1, room-2`."""
    return f"{number(len(ids), noun)}: {examples(ids)}"


def ignore_progress(_what: str, _done: int, _total: int | None) -> None:
    """Nobody watches."""
