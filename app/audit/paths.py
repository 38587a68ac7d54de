"""Dotted paths into documents, as MongoDB means them, with the elements of arrays one by one.

Values of one element stay together: of `rooms.room` and `rooms.nights` each element of `rooms` gives one pair.
Independent arrays give every combination: two rooms on three days are six places.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import TypeAlias

COMBINATIONS_MAX = 10_000
"""A document with more combinations is refused."""

Values: TypeAlias = dict[str, object]
"""The values of one combination, by path; a path that the document lacks has no entry."""


class TooManyCombinationsError(ValueError):
    """A document has more than `COMBINATIONS_MAX` combinations."""


@dataclass(slots=True)
class _Node:
    """A step of paths: `path` is the one that ends here, `spreads` whether each element is a place of its own."""

    path: str | None = None
    spreads: bool = False
    steps: "dict[str, _Node]" = field(default_factory=dict)

    def paths(self) -> list[str]:
        """The paths that end at this node or below."""
        own = [] if self.path is None else [self.path]
        return own + [path for node in self.steps.values() for path in node.paths()]


class Paths:
    """Paths that are read together.

    Args:
        spreading: Paths whose arrays mean one place for each element.
        others: Paths whose arrays are one value, the list, unless an array above them is spread.
    """

    def __init__(self, spreading: Iterable[str], others: Iterable[str] = ()) -> None:
        self._root = _Node(spreads=True)
        for paths, spreads in ((spreading, True), (others, False)):
            for path in paths:
                self._add(path, spreads=spreads)

    def _add(self, path: str, *, spreads: bool) -> None:
        node = self._root
        for step in path.split("."):
            node = node.steps.setdefault(step, _Node())
            node.spreads |= spreads
        node.path = path

    def read(self, document: Mapping[str, object]) -> list[Values]:
        """The combinations of a document, at least one.

        Raises:
            TooManyCombinationsError: if there are more than `COMBINATIONS_MAX`.
        """
        return _combinations(document, self._root)


def _combinations(document: Mapping[str, object], node: _Node) -> list[Values]:
    single: Values = {}
    several: list[list[Values]] = []
    for name, step in node.steps.items():
        if name not in document:
            continue
        value = document[name]
        if not step.steps and type(value) is not list:
            single[name if step.path is None else step.path] = value
        else:
            several.append(_combinations_of_value(value, step))
    if not several:
        return [single]
    if prod(map(len, several)) > COMBINATIONS_MAX:
        raise TooManyCombinationsError
    combinations = []
    for parts in product(*several):
        values = dict(single)
        for part in parts:
            values.update(part)
        combinations.append(values)
    return combinations


def _combinations_of_value(value: object, node: _Node) -> list[Values]:
    if isinstance(value, list):
        if node.spreads:
            return _combinations_of_elements(value, node)
        return [{path: value_at(value, rest) for path, rest in _relative_paths(node)}]
    combinations = _combinations(value, node) if node.steps and isinstance(value, Mapping) else [{}]
    if node.path is not None:
        for values in combinations:
            values[node.path] = value
    return combinations


def _combinations_of_elements(value: list[object], node: _Node) -> list[Values]:
    """One place for each element; an empty array gives one place without values."""
    combinations: list[Values] = []
    for each in value:
        combinations += _combinations_of_value(each, node)
        if len(combinations) > COMBINATIONS_MAX:
            raise TooManyCombinationsError
    return combinations or [Values(dict.fromkeys(node.paths()))]


def _relative_paths(node: _Node, rest: str = "") -> list[tuple[str, str]]:
    """The paths at a node and below, each with its remainder relative to the node."""
    own = [] if node.path is None else [(node.path, rest)]
    return own + [
        pair for name, step in node.steps.items() for pair in _relative_paths(step, f"{rest}.{name}" if rest else name)
    ]


def value_at(value: object, path: str) -> object:
    """The value at a path; where the path leads through an array, the list of its elements' values."""
    if not path:
        return value
    if isinstance(value, list):
        return [value_at(each, path) for each in value]
    first, _, rest = path.partition(".")
    return value_at(value.get(first), rest) if isinstance(value, Mapping) else None


def outermost(paths: Iterable[str]) -> list[str]:
    """The paths without those below another one: MongoDB refuses to project both."""
    result: list[str] = []
    for path in sorted(set(paths)):
        if not any(path.startswith(f"{outer}.") for outer in result):
            result.append(path)
    return result
