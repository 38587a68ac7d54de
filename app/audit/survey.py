"""The fields of a sample of documents."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from app.audit.shape import option_text
from app.storage.values import excerpt, printable, shown_text

_EXAMPLES_MAX = 2
_FIELDS_MAX = 100
_DEPTH_MAX = 6
_ELEMENTS_MAX = 20
_VALUES_MAX = 1_000


@dataclass(slots=True)
class Field:
    """A field of the sample.

    Attributes:
        documents: How many documents have it.
        values: Its values without nulls; of an array its elements.
        spread: Whether it is in an array.
    """

    documents: int = 0
    values: list[object] = field(default_factory=list)
    spread: bool = False

    @property
    def examples(self) -> list[str]:
        """The first two different values."""
        return list(islice(dict.fromkeys(map(_example, self.values)), _EXAMPLES_MAX))


def _example(value: object) -> str:
    """A value for display: texts in quotes, instants as RFC 3339."""
    if isinstance(value, bool | int | float):
        return option_text(value)
    return excerpt(value) if isinstance(value, str) else printable(shown_text(value))


@dataclass(slots=True)
class Survey:
    """The fields of a sample by dotted path, in the order of their first appearance."""

    documents: int = 0
    fields: dict[str, Field] = field(default_factory=dict)


def survey(documents: Iterable[Mapping[str, object]]) -> Survey:
    """List the fields of documents, up to a hundred of them, at most six levels deep."""
    survey_ = Survey()
    for document in documents:
        survey_.documents += 1
        seen: set[str] = set()
        for path, value, spread in _leaves(document, "", 0, spread=False):
            if path not in survey_.fields and len(survey_.fields) >= _FIELDS_MAX:
                continue
            field_ = survey_.fields.setdefault(path, Field())
            field_.documents += path not in seen
            field_.spread |= spread
            seen.add(path)
            if value is not None and len(field_.values) < _VALUES_MAX:
                field_.values.append(value)
    return survey_


def _leaves(value: object, path: str, depth: int, *, spread: bool) -> Iterator[tuple[str, object, bool]]:
    if isinstance(value, list):
        for each in value[:_ELEMENTS_MAX]:
            yield from _leaves(each, path, depth, spread=True)
        if not value:
            yield path, None, True
    elif isinstance(value, Mapping) and depth < _DEPTH_MAX:
        for name, inside in value.items():
            if name and "." not in name and not name.startswith("$"):
                yield from _leaves(inside, f"{path}.{name}" if path else name, depth + 1, spread=spread)
    else:
        yield path, value, spread
