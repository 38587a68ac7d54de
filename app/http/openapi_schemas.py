"""The components of the description: pydantic's own schemas of what is sent and answered, under clients' names."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.http.models import Answer, Body

Schema: TypeAlias = dict[str, Any]

REFERENCE = "#/components/schemas/{model}"
_PAGE = re.compile(r"Page_(\w+)_")


def component_schemas(wanted: Schema, patches: set[str], examples: Mapping[str, Any]) -> Schema:
    """The schemas of our models that are among the wanted ones, and of what these refer to.

    Litestar's schemas of pydantic models forget bounds and patterns of optional fields and call every field nullable
    that may be left out.

    Args:
        wanted: Litestar's schemas, by the names of models.
        patches: The names of the bodies in which null unsets.
        examples: An example for each component, by the name that clients see.

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
    schemas: Schema = {}
    for name, schema in sorted(definitions["$defs"].items()):
        _tidy(schema, nulls=name in patches, sent=name in sent)
        schema.setdefault("description", "A page of a list; the last one has no `next`.")
        if component_name(name) in examples:
            schema["examples"] = [examples[component_name(name)]]
        schemas[component_name(name)] = schema
    if len(schemas) < len(definitions["$defs"]):
        raise RuntimeError("Two models have the same name in the description.")
    return schemas


def component_name(model: str) -> str:
    """What a model is called in the description: `ReservationAnswer` is `Reservation`, a page of it `ReservationPage`.

    Here the document that is stored has the bare noun; clients know no document.
    """
    page = _PAGE.fullmatch(model)
    return f"{component_name(page[1])}Page" if page else model.removesuffix("Answer")


def model_name(model: type[BaseModel]) -> str:
    """The name of a model, as Litestar and pydantic both make it: `Page[A]` is `Page_A_`."""
    return "".join(character if character.isalnum() else "_" for character in model.__name__)


def rename_references(part: Any) -> None:
    """Let every reference in a part of the description lead to the name that clients see."""
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


def _tidy(schema: Schema, *, nulls: bool, sent: bool) -> None:
    """Absent means unset, and nothing is filled in by the client; in a patch `X | None` is an X or nothing."""
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
        if sent or field.get("default", ...) is None:
            field.pop("default", None)
        if not nulls:
            _take_null_out(field)


def _take_null_out(field: Schema) -> None:
    choices = [choice for choice in field.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del field["anyOf"]
        field.update(choices[0] | field)
