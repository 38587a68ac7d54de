"""Base classes of bodies and answers, and the types of their fields."""

from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import parse, render
from app.errors import invalid_field
from app.http.bounds import check_fields
from app.http.validation_messages import invalid_body

B = TypeVar("B", bound="Body")


class NeverNull:
    """`Annotated[X | None, NeverNull()]`: a field of a patch that can be left out but not unset."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema of X."""
        described = handler(schema)
        choices = [choice for choice in described.get("anyOf", []) if choice != {"type": "null"}]
        return choices[0] if len(choices) == 1 else described


class Body(BaseModel):
    """A request's body: camelCase, without conversion of types and without unknown fields.

    A field that may be left out defaults to None. `null` is refused except in a merge patch, where `model_fields_set`
    distinguishes an unset field from one that was left out.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _has_few_unknown_fields(cls, shape: object) -> object:
        check_fields(shape, cls)
        return shape

    def sent_fields(self) -> dict[str, Any]:
        """The fields that were sent, by their names in Python; None means unset.

        Raises:
            Problem: `invalid` where a field is unset that must have a value (`NeverNull`).
        """
        sent = {name: getattr(self, name) for name in self.model_fields_set}
        for name, value in sent.items():
            field = type(self).model_fields[name]
            if value is None and any(isinstance(each, NeverNull) for each in field.metadata):
                public = field.alias or name
                raise invalid_field(public, f"`{public}` cannot be unset.")
        return sent


class Answer(BaseModel):
    """An answer: camelCase, instants in UTC, without unset fields. Built from documents by attribute."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=False,
        serialize_by_alias=True,
        from_attributes=True,
        frozen=True,
    )

    def to_json(self) -> bytes:
        """The JSON of the answer."""
        return self.__pydantic_serializer__.to_json(
            self,
            by_alias=True,
            exclude_none=True,
            warnings=False,  # a stored value of another type is shown as text
        )


def read_body(model: type[B], body: object) -> B:
    """Validate a body that was composed by the application, such as a merged patch.

    Raises:
        Problem: `invalid`, as for a body of a request.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise invalid_body(error) from None


def _instant(value: object) -> object:
    return parse(value) if isinstance(value, str) else value


def _rendered(value: datetime | str) -> str:
    """An unreadable stored instant is text already."""
    return render(value) if isinstance(value, datetime) else value


Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    PlainSerializer(_rendered, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-08T09:00:00.000Z"]}),
]
"""RFC 3339 with an offset in, 1970 to 2200, nothing finer than milliseconds; UTC with milliseconds out."""


class ChangeHistoryEntry(Answer):
    """One change of an object; the first one made it."""

    at: Instant
    """When it was made."""
    by: str
    """Who made it: the prefix of an API key, or a program or person of the operator, like `import`."""
    changed: list[str]
    """The names of the fields that it set or unset."""


ShownHistory = Annotated[list[ChangeHistoryEntry] | None, BeforeValidator(lambda entries: entries or None)]
"""The history of an object; left out where there is none."""

_CATALOGUE_ID = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="1-64 of `A-Z a-z 0-9 . _ -`")
CatalogueId = Annotated[str, _CATALOGUE_ID]
"""The id of a resource, service or customer."""
ResourceReference = Annotated[ResourceId, _CATALOGUE_ID]
"""The id of a resource in a body that is not the resource's own."""
ServiceReference = Annotated[ServiceId, _CATALOGUE_ID]
"""The id of a service in a body that is not the service's own."""

ObjectIdText = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]
"""The id of a reservation, group, finding or reconciliation."""
