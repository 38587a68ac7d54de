"""Metadata in bodies: the caller's own keys and values, on reservations and in the catalogue alike."""

from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from app.domain.metadata import KEY_LENGTH, KEYS_MAX, VALUE_LENGTH
from app.http.bounds import Bounded


def _key(key: str) -> str:
    if not 1 <= len(key) <= KEY_LENGTH:
        raise ValueError(f"a key of metadata has 1 to {KEY_LENGTH} characters")
    if any(character in key for character in "$.\0"):
        raise ValueError("a key of metadata contains no $, no dot and no NUL")
    return key


def _value(value: object) -> object:
    """Check a value with one fault: a union of types would name a fault per type."""
    if not isinstance(value, str | bool | int | float):
        raise ValueError("a value of metadata is a text, a number, true or false")  # noqa: TRY004  # pydantic wants it
    if isinstance(value, str) and len(value) > VALUE_LENGTH:
        raise ValueError(f"a text in metadata has at most {VALUE_LENGTH} characters")
    return value


MetadataKey: TypeAlias = Annotated[str, AfterValidator(_key)]
MetadataValue: TypeAlias = Annotated[
    Any,
    PlainValidator(_value),
    WithJsonSchema({"anyOf": [{"type": "string", "maxLength": VALUE_LENGTH}, {"type": "number"}, {"type": "boolean"}]}),
]
Metadata: TypeAlias = Annotated[
    dict[MetadataKey, MetadataValue],
    Bounded(KEYS_MAX),
    Field(description=f"Yours: up to {KEYS_MAX} keys, texts, numbers, booleans."),
]
MetadataPatch: TypeAlias = Annotated[
    Annotated[dict[MetadataKey, MetadataValue | None], Bounded(2 * KEYS_MAX)] | None,
    Field(description="Merged by key; null removes a key. All keys may be removed and as many added."),
]
