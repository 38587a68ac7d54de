"""The components of the OpenAPI description: pydantic's schemas of bodies and answers, under the names for clients."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.http.field_descriptions import field_descriptions
from app.http.models import Answer, Body

Schema: TypeAlias = dict[str, Any]

REFERENCE = "#/components/schemas/{model}"
_PAGE = re.compile(r"Page_(\w+)_")


def component_schemas(wanted: Schema, patches: set[str], examples: Mapping[str, object]) -> Schema:
    """The schemas of the wanted models, and of the models that they refer to.

    They replace Litestar's, which lack bounds and patterns of optional fields and call every field nullable that may be
    left out.

    Args:
        wanted: Litestar's schemas, by the names of models.
        patches: The names of the bodies in which null unsets a field.
        examples: An example for each component, by its name for clients.

    Raises:
        RuntimeError: two models have the same name.
    """
    bodies = [model for model in _models(Body) if model_name(model) in wanted]
    answers = [model for model in _models(Answer) if model_name(model) in wanted]
    _, definitions = models_json_schema(
        [*((model, "validation") for model in bodies), *((model, "serialization") for model in answers)],
        ref_template=REFERENCE,
    )
    sent = {model_name(model) for model in _models(Body)}
    described = {model_name(model): model for model in (*_models(Body), *_models(Answer))}
    schemas: Schema = {}
    for name, schema in sorted(definitions["$defs"].items()):
        _describe_fields(schema, described[name])
        _normalize(schema, nulls=name in patches, sent=name in sent)
        schema.setdefault("description", "A page of a list; the last one has no `next`.")
        if component_name(name) in examples:
            schema["examples"] = [examples[component_name(name)]]
        schemas[component_name(name)] = schema
    if len(schemas) < len(definitions["$defs"]):
        raise RuntimeError("Two models have the same name in the description.")
    return schemas


def component_name(model: str) -> str:
    """A model's name for clients: `ReservationAnswer` is `Reservation`, a page of it `ReservationPage`.

    In the code the bare noun belongs to the stored document, which clients never see.
    """
    page = _PAGE.fullmatch(model)
    return f"{component_name(page[1])}Page" if page else model.removesuffix("Answer")


def model_name(model: type[BaseModel]) -> str:
    """The name that Litestar and pydantic give a model: `Page[A]` is `Page_A_`."""
    return "".join(character if character.isalnum() else "_" for character in model.__name__)


def rename_references(part: object) -> None:
    """Rename every reference in a part of the description to the name for clients."""
    if isinstance(part, list):
        for member in part:
            rename_references(member)
    elif isinstance(part, dict):
        reference = part.get("$ref")
        if isinstance(reference, str):
            part["$ref"] = REFERENCE.format(model=component_name(reference.rpartition("/")[2]))
        for member in part.values():
            rename_references(member)


def _models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _describe_fields(schema: Schema, model: type[BaseModel]) -> None:
    fields = schema.get("properties", {})
    for name, description in field_descriptions(model).items():
        fields[name]["description"] = description


def _normalize(schema: Schema, *, nulls: bool, sent: bool) -> None:
    """Remove titles, defaults that clients should not send, and null except in patches."""
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
        if sent or field.get("default", ...) is None:
            field.pop("default", None)
        if not nulls:
            _remove_null(field)


def _remove_null(field: Schema) -> None:
    choices = [choice for choice in field.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del field["anyOf"]
        field.update(choices[0] | field)
    elif choices:
        field["anyOf"] = choices
