"""Lists and mappings in bodies: their length is checked before their members, and the number of faults is bounded.

Pydantic collects every fault of a body before it reports any. A body of 1 MiB has room for 350,000 of them, so a list
stops at `MAX_FAULTS` faults here, and an object with far too many fields is refused for these alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticKnownError, core_schema

from app.http.strict_json import MAX_FAULTS

Read = Callable[[object], Any]

PORTION = 100
"""Members that are validated at a time; between two portions other threads get the interpreter."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """The bounds of a list's or mapping's length: `Annotated[list[X], Bounded(20)]`."""

    most: int
    least: int = 0

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's own schema with these bounds, which puts them into the OpenAPI description as well."""
        schema: Any = handler(source)
        schema |= {"max_length": self.most} | ({"min_length": self.least} if self.least else {})
        read = self._mapping
        if schema["type"] == "list":
            schema["fail_fast"] = True
            read = self._list
        return core_schema.no_info_wrap_validator_function(read, schema)

    def _mapping(self, value: object, read: Read) -> object:
        if isinstance(value, dict):
            self._check("Dictionary", len(value))
        return read(value)

    def _list(self, value: object, read: Read) -> object:
        if not isinstance(value, list) or not value:
            return read(value)
        self._check("List", len(value))
        members: list[object] = []
        for start in range(0, len(value), PORTION):
            try:
                members += read(value[start : start + PORTION])
            except ValidationError:
                raise _refusal(value, start, read) from None
        return members

    def _check(self, kind: str, length: int) -> None:
        if length > self.most:
            about = {"field_type": kind, "max_length": self.most, "actual_length": length}
            raise PydanticKnownError("too_long", about)


def check_fields(shape: object, model: type[BaseModel]) -> None:
    """Refuse an object whose unknown fields alone fill an answer with faults.

    Raises:
        ValidationError: with as many faults as one answer lists.
    """
    fields = model.__pydantic_fields__
    if not isinstance(shape, dict) or len(shape) < len(fields) + MAX_FAULTS:
        return
    known = {field.alias or name for name, field in fields.items()}
    unknown = [name for name in shape if name not in known][:MAX_FAULTS]
    faults = [InitErrorDetails(type="extra_forbidden", loc=(name,), input=shape[name]) for name in unknown]
    raise ValidationError.from_exception_data(model.__name__, faults)


def _refusal(value: list[object], start: int, read: Read) -> ValidationError:
    """The first faults of a list whose members before `start` are valid."""
    faults: list[InitErrorDetails] = []
    for index in range(start, len(value)):
        faults += _faults_of(index, value, read)
        if len(faults) >= MAX_FAULTS:
            break
    return ValidationError.from_exception_data("list", faults)


def _faults_of(index: int, value: list[object], read: Read) -> Iterator[InitErrorDetails]:
    try:
        read(value[index : index + 1])
    except ValidationError as error:
        for found in error.errors(include_url=False):
            _, *below = found["loc"]
            yield InitErrorDetails(
                type=found["type"], loc=(index, *below), input=found["input"], ctx=found.get("ctx", {})
            )
