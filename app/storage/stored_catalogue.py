"""Stored objects of the catalogue as models, and the problems of those that cannot be read."""

from typing import TypeVar

from pydantic import ValidationError

from app.errors import Fault, Problem
from app.storage.bson_types import Row
from app.storage.documents import CatalogueObject
from app.storage.values import excerpt, shown_text

C = TypeVar("C", bound=CatalogueObject)

HOURS_FIELDS = frozenset({"schedule", "timeOff"})
"""The long parts of a stored resource, which are shown under paths of their own."""


LONG_FIELDS = HOURS_FIELDS | {"history"}
"""These, and what neither rules nor the keys of customers need."""

DESCRIBING_FIELDS = frozenset({"name", "description", "metadata"})
"""What says something to people and to other programs, and decides nothing."""

UNLISTED_FIELDS = LONG_FIELDS | DESCRIBING_FIELDS - {"name"}
"""What a list to choose from by name does not show."""


def collection_of(kind: type[CatalogueObject]) -> str:
    """The collection of a kind: `resources`, `services`, `customers`."""
    name: str = kind.Settings.name
    return name


def noun_of(kind: type[CatalogueObject]) -> str:
    """The noun for one object of a kind: `resource`."""
    return collection_of(kind).removesuffix("s")


def object_of(kind: type[C], row: Row) -> C:
    """A stored object as a model.

    Raises:
        Problem: `invalid`, with each field that cannot be read.
    """
    try:
        found: C = kind.model_validate(row)
    except ValidationError as error:
        names = [str(fault["loc"][0]).removeprefix("_") for fault in error.errors()]
        faults = [Fault((name,), _flaw(name, row.get(name))) for name in dict.fromkeys(names)]
        what = f"The {noun_of(kind)} {shown_text(row['_id'])!r} cannot be read."
        raise Problem(
            "invalid",
            f"{what} {' '.join(fault.detail for fault in faults)} Correct it where it was written.",
            faults=faults,
        ) from None
    return found


def _flaw(name: str, value: object) -> str:
    return f"Its {name} is missing." if value is None else f"Its {name} is {excerpt(value)}."


def version_of(kind: type[CatalogueObject], row: Row) -> int:
    """The version of a stored object.

    Raises:
        Problem: `invalid` where another program has removed or changed it.
    """
    version = row.get("version")
    if type(version) is not int:
        raise Problem(
            "invalid",
            f"The {noun_of(kind)} {shown_text(row['_id'])!r} cannot be changed. {_flaw('version', version)}",
            faults=[Fault(("version",), _flaw("version", version))],
        )
    return version
