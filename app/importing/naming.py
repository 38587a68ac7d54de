"""The columns of an import, and what a file calls them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

NEEDED = ("reference", "resource", "startTime", "endTime")
COLUMNS = (*NEEDED, "customer", "service", "guests", "status", "notes")


@dataclass(frozen=True, slots=True)
class Naming:
    """What a file calls the columns: `theirs` has their names by ours, where they differ."""

    theirs: Mapping[str, str] = field(default_factory=dict)

    def ours(self, name: str) -> str | None:
        """The column that is meant by a name in the file; None if none is."""
        for ours, theirs in self.theirs.items():
            if name == theirs:
                return ours
        return name if name in COLUMNS and name not in self.theirs else None

    @property
    def known(self) -> str:
        """The names that a file may have, for people."""
        return ", ".join(self.theirs.get(name, name) for name in COLUMNS)

    def lacking(self, names: Iterable[str]) -> list[str]:
        """What the needed columns are called that are not among these."""
        there = {self.ours(name) for name in names}
        return [self.theirs.get(name, name) for name in NEEDED if name not in there]


def parse_naming(text: str) -> Naming:
    """What `startTime=from,resource=room` says.

    Raises:
        ValueError: with a sentence.
    """
    theirs: dict[str, str] = {}
    for part in text.split(","):
        ours, equals, name = (each.strip() for each in part.partition("="))
        if not equals or not name:
            raise ValueError(f"Write each as OURS=THEIRS, like startTime=from; {part.strip()!r} is not like that.")
        if ours not in COLUMNS:
            raise ValueError(f"There is no column {ours!r}; there are {', '.join(COLUMNS)}.")
        if ours in theirs:
            raise ValueError(f"{ours!r} is named twice.")
        if name in theirs.values():
            raise ValueError(f"{name!r} cannot be two columns.")
        theirs[ours] = name
    return Naming(theirs)
