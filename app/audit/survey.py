"""The fields that documents have, by a sample of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from app.audit.shape import plain
from app.storage.values import excerpt, printable, shown_text

_EXAMPLES = 2
_FIELDS = 100
_DEEPEST = 6
_ELEMENTS = 20
_VALUES = 1_000


@dataclass(slots=True)
class Field:
    """A field of the sample.

    Attributes:
        documents: How many have it.
        values: What it holds, but for nulls; of an array its elements.
        spread: Whether it lies in an array.
    """

    documents: int = 0
    values: list[Any] = field(default_factory=list)
    spread: bool = False

    @property
    def examples(self) -> list[str]:
        """The first two different values."""
        return list(islice(dict.fromkeys(map(_example, self.values)), _EXAMPLES))


def _example(value: object) -> str:
    """A value as people write it: texts in quotes, instants as RFC 3339."""
    if isinstance(value, bool | int | float):
        return plain(value)
    return excerpt(value) if isinstance(value, str) else printable(shown_text(value))


@dataclass(slots=True)
class Survey:
    """What a sample of documents has, by dotted path, in the order in which it is met."""

    documents: int = 0
    fields: dict[str, Field] = field(default_factory=dict)


def survey(documents: Iterable[Mapping[str, object]]) -> Survey:
    """Look through documents; of dynamic and very deep ones not everything is listed."""
    found = Survey()
    for document in documents:
        found.documents += 1
        seen: set[str] = set()
        for path, value, spread in _leaves(document, "", 0, spread=False):
            if path not in found.fields and len(found.fields) >= _FIELDS:
                continue
            its = found.fields.setdefault(path, Field())
            its.documents += path not in seen
            its.spread |= spread
            seen.add(path)
            if value is not None and len(its.values) < _VALUES:
                its.values.append(value)
    return found


def _leaves(value: object, path: str, depth: int, *, spread: bool) -> Iterator[tuple[str, Any, bool]]:
    if isinstance(value, list):
        for each in value[:_ELEMENTS]:
            yield from _leaves(each, path, depth, spread=True)
        if not value:
            yield path, None, True
    elif isinstance(value, Mapping) and depth < _DEEPEST:
        for name, inside in value.items():
            if name and "." not in name and not name.startswith("$"):
                yield from _leaves(inside, f"{path}.{name}" if path else name, depth + 1, spread=spread)
    else:
        yield path, value, spread
