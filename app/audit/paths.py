"""Dotted paths into documents, as MongoDB means them, with the elements of arrays one by one.

What lies in one element stays together: of `rooms.room` and `rooms.nights` each element of `rooms` gives one pair.
Arrays that have nothing to do with each other give every combination: two rooms on three days are six places.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, TypeAlias

MOST = 10_000
"""Combinations that are believed of one document."""

Values: TypeAlias = dict[str, Any]
"""What the paths of one combination hold, by path; a path that is not there is left out."""


class TooManyError(ValueError):
    """A document of more combinations than anybody means."""


@dataclass(slots=True)
class _Node:
    """A step of some paths: `path` is the one that ends here, `spreads` whether its arrays mean one place each."""

    path: str | None = None
    spreads: bool = False
    steps: "dict[str, _Node]" = field(default_factory=dict)

    def ends(self) -> list[str]:
        """The paths that end here or further down."""
        own = [] if self.path is None else [self.path]
        return own + [path for node in self.steps.values() for path in node.ends()]


class Paths:
    """Some paths, read together.

    Args:
        spreading: Those whose arrays mean one place for each element.
        others: Those whose arrays mean one value, the list, unless an element above them is spread.
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

    def read(self, found: Mapping[str, object]) -> list[Values]:
        """The combinations of a document, at least one.

        Raises:
            TooManyError: if there are more than `MOST`.
        """
        return _inside(found, self._root)


def _inside(found: Mapping[str, object], node: _Node) -> list[Values]:
    single: Values = {}
    several: list[list[Values]] = []
    for name, step in node.steps.items():
        if name not in found:
            continue
        value = found[name]
        if not step.steps and type(value) is not list:
            single[name if step.path is None else step.path] = value
        else:
            several.append(_value(value, step))
    if not several:
        return [single]
    if prod(map(len, several)) > MOST:
        raise TooManyError
    combinations = []
    for parts in product(*several):
        values = dict(single)
        for part in parts:
            values.update(part)
        combinations.append(values)
    return combinations


def _value(value: object, node: _Node) -> list[Values]:
    if isinstance(value, list):
        if node.spreads:
            return _spread(value, node)
        return [{path: dig(value, rest) for path, rest in _rests(node)}]
    here = _inside(value, node) if node.steps and isinstance(value, Mapping) else [{}]
    if node.path is not None:
        for values in here:
            values[node.path] = value
    return here


def _spread(value: list[object], node: _Node) -> list[Values]:
    """One place for each element; of an empty array one place without values."""
    combinations: list[Values] = []
    for each in value:
        combinations += _value(each, node)
        if len(combinations) > MOST:
            raise TooManyError
    return combinations or [dict.fromkeys(node.ends())]


def _rests(node: _Node, rest: str = "") -> list[tuple[str, str]]:
    """The paths below a node, each with what of it lies below."""
    own = [] if node.path is None else [(node.path, rest)]
    return own + [
        pair for name, step in node.steps.items() for pair in _rests(step, f"{rest}.{name}" if rest else name)
    ]


def dig(value: object, path: str) -> Any:
    """What lies at a path; where it leads through an array, the list of what lies there."""
    if not path:
        return value
    if isinstance(value, list):
        return [dig(each, path) for each in value]
    first, _, rest = path.partition(".")
    return dig(value.get(first), rest) if isinstance(value, Mapping) else None


def outermost(paths: Iterable[str]) -> list[str]:
    """The paths without those that lie inside of another: MongoDB refuses to project both."""
    result: list[str] = []
    for path in sorted(set(paths)):
        if not any(path.startswith(f"{outer}.") for outer in result):
            result.append(path)
    return result
