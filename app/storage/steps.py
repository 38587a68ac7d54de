"""Database operations as data, so that a body of a transaction does not depend on its driver.

A body is a generator: it yields steps and is sent their results. The service runs the whole of it in one hop on the
synchronous client under Motor; a test runs two of them step by step, in any order it likes.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

from app.storage.bson_types import Filter

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """One operation: `method` of `collection`; a find answers with a list.

    `name` is what a test pauses at, like `guards.bump` or `occupants.read`.
    """

    name: str
    collection: str = ""
    method: str = ""
    arguments: tuple[object, ...] = ()
    options: dict[str, object] = field(default_factory=dict)


Steps: TypeAlias = Generator[Step, Any, T]


class Execution(Generic[T]):
    """A body on its way from one step to the next; a driver performs the steps.

    `step` is the one to perform, None once the body has returned; then `value` is what it returned.
    """

    value: T

    def __init__(self, body: Steps[T]) -> None:
        self._body = body
        self.step: Step | None = None
        self._advance(next, body)

    def succeed(self, result: object) -> None:
        """Go on with the result of the step."""
        self._advance(self._body.send, result)

    def fail(self, error: Exception) -> None:
        """Go on with the error that the step has raised, which the body raises again unless it knows a way on."""
        self._advance(self._body.throw, error)

    def _advance(self, resume: Callable[[Any], Step], argument: object) -> None:
        try:
            self.step = resume(argument)
        except StopIteration as end:
            self.step, self.value = None, end.value


BEGIN = Step("begin")
COMMIT = Step("commit")
ABORT = Step("abort")
KILL = Step("kill")
"""End the session, and with it whatever its transaction still locks; the next one begins in a new session."""


def find(name: str, collection: str, query: Mapping[str, object], *fields: str, **options: object) -> Step:
    """All documents that match, or only these fields of them."""
    if fields:
        options["projection"] = dict.fromkeys(fields, 1)
    return Step(name, collection, "find", (query,), options)


def update(name: str, collection: str, query: Mapping[str, object], change: Mapping[str, object]) -> Step:
    """Change one document."""
    return Step(name, collection, "update_one", (query, change))


def insert(name: str, collection: str, documents: Sequence[Mapping[str, object]]) -> Step:
    """Insert documents, in order."""
    return Step(name, collection, "insert_many", (documents,))


def delete(name: str, collection: str, query: Mapping[str, object]) -> Step:
    """Delete all documents that match."""
    return Step(name, collection, "delete_many", (query,))


def by_ids(ids: Iterable[object]) -> Filter:
    """The filter of the documents with these ids."""
    return by_values("_id", ids)


def by_values(field: str, values: Iterable[object]) -> Filter:
    """The filter of the documents whose field has one of these values."""
    return {field: {"$in": [*values]}}
