"""The columns of an import, and their names in a file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

REQUIRED = ("reference", "resource", "startTime", "endTime")
COLUMNS = (*REQUIRED, "customer", "service", "guests", "status", "notes", "id")
IDENTIFYING = ("reference", "id")
"""The columns of which one must be there, because a row is known by it; an export has both."""


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """The names of the columns in a file: `theirs` maps the names of the API to those of the file where they differ."""

    theirs: Mapping[str, str] = field(default_factory=dict)

    def ours(self, name: str) -> str | None:
        """The API's name of a column of the file; None if it is no known column."""
        for ours, theirs in self.theirs.items():
            if name == theirs:
                return ours
        return name if name in COLUMNS and name not in self.theirs else None

    @property
    def known_names(self) -> str:
        """The names that columns of the file may have, for people."""
        return ", ".join(self.theirs.get(name, name) for name in COLUMNS)

    def missing(self, names: Iterable[str]) -> list[str]:
        """The file's names of the required columns that are not among these."""
        there = {self.ours(name) for name in names}
        identified = any(name in there for name in IDENTIFYING)
        lacking = [name for name in REQUIRED if name not in there and not (identified and name in IDENTIFYING)]
        return [self.theirs.get(name, name) for name in lacking]


def parse_column_names(text: str) -> ColumnNames:
    """The names in a text like `startTime=from,resource=room`.

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
    return ColumnNames(theirs)
