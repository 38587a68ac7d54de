"""Who changed an object, when, and which of its fields: the history of resources, services and keys."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError

from app.storage.documents.base import SubDocument

CHANGES_MAX = 50
"""An object keeps its latest changes."""


class ChangeEntry(SubDocument):
    """One change of an object, the first of which made it: `changed` are its fields by their names on the wire."""

    at: datetime
    by: str
    changed: list[str]


def read_changes(stored: object) -> list[ChangeEntry]:
    """The entries among what is stored as a history, of which other programs may have one of another shape."""
    entries: list[ChangeEntry] = []
    for each in stored[-CHANGES_MAX:] if isinstance(stored, list) else ():
        try:
            entries.append(ChangeEntry.model_validate(each))
        except ValidationError:
            continue
    return entries


ChangeHistory = Annotated[list[ChangeEntry], BeforeValidator(read_changes), Field(default_factory=list)]
"""The last changes of an object, the oldest first; empty where none was written."""


def with_change(history: Sequence[ChangeEntry], at: datetime, by: str, changed: Iterable[str]) -> list[ChangeEntry]:
    """A history after one more change, without the entries that are too many."""
    return [*history, ChangeEntry(at=at, by=by, changed=[*changed])][-CHANGES_MAX:]
