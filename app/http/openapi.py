"""The description of the API: what routes declare, by Litestar's generator, with pydantic's own schemas of the bodies.

Litestar's schemas of pydantic models forget bounds and patterns of optional fields and call every field nullable that
may be left out; its responses know no problem documents. Both are put right here, once, when somebody first asks.
"""

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from litestar import Litestar
from litestar.openapi import ResponseSpec
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.json_schema import models_json_schema

from app.errors import KINDS, ProblemName
from app.http.models import Answer, Body
from app.http.problems import MEDIA_TYPE, ProblemAnswer

Schema: TypeAlias = dict[str, Any]
ProblemNames: TypeAlias = tuple[ProblemName, ...]

SECURITY_SCHEME = "key"
_REFERENCE = "#/components/schemas/{model}"
_DOCUMENT = "openapi"
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_PAGE = re.compile(r"Page_(\w+)_")

_IF_NONE_MATCH: Schema = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "Tags of answers that you have; if this is one of them it is 304.",
    "schema": {"type": "string"},
}
_TAG: Schema = {"description": "A tag of what is shown, for `If-None-Match`.", "schema": {"type": "string"}}

_ALWAYS: ProblemNames = ("invalid", "internal", "unavailable")
_WITH_KEY: ProblemNames = ("unauthenticated", "forbidden")
_WITH_BODY: ProblemNames = ("malformed", "too-large", "unsupported-media-type", "overloaded")


def problems(*names: ProblemName, body: bool = False, key: bool = True) -> dict[int, ResponseSpec]:
    """What a route can answer instead, for its `responses`.

    Args:
        names: The problems of its own.
        body: It reads a body.
        key: It needs an API key.
    """
    by_status: dict[int, list[ProblemName]] = {}
    for name in (*(_WITH_KEY if key else ()), *(_WITH_BODY if body else ()), *names, *_ALWAYS):
        by_status.setdefault(KINDS[name].status, []).append(name)
    return {
        status: ResponseSpec(
            data_container=ProblemAnswer,
            generate_examples=False,
            media_type=MEDIA_TYPE,
            description=" · ".join(f"`/problems/{name}`: {KINDS[name].title}." for name in dict.fromkeys(which)),
        )
        for status, which in sorted(by_status.items())
    }


def document(app: Litestar) -> Schema:
    """The whole description of an application's API, as OpenAPI 3.1."""
    known: Schema | None = app.state.get(_DOCUMENT)
    if known is None:
        known = app.openapi_schema.to_schema()
        known["components"]["schemas"].update(_schemas(known["components"]["schemas"], _patches(known["paths"])))
        for path in known["paths"].values():
            for method, operation in path.items():
                _describe(method, operation, known["components"]["schemas"])
        known["paths"] = {_path(path): item for path, item in sorted(known["paths"].items())}
        known["components"]["schemas"] = _named(known["components"]["schemas"])
        _rename_references(known)
        app.state[_DOCUMENT] = known
    return known


def _path(path: str) -> str:
    """Path parameters are camelCase, as every name on the wire."""
    return _PATH_PARAMETER.sub(lambda match: f"{{{to_camel(match[1])}}}", path)


def _named(schemas: Schema) -> Schema:
    """Components under the names that clients see, in their order."""
    named = {component_name(name): schema for name, schema in schemas.items()}
    if len(named) < len(schemas):
        raise RuntimeError("Two models have the same name in the description.")
    for schema in named.values():
        schema.pop("title", None)
    return dict(sorted(named.items()))


def component_name(model: str) -> str:
    """What a model is called in the description: `ReservationAnswer` is `Reservation`, a page of it `ReservationPage`.

    Here the document that is stored has the bare noun; clients know no document.
    """
    page = _PAGE.fullmatch(model)
    return f"{component_name(page[1])}Page" if page else model.removesuffix("Answer")


def _rename_references(part: Any) -> None:
    if isinstance(part, list):
        for member in part:
            _rename_references(member)
    elif isinstance(part, dict):
        reference = part.get("$ref")
        if isinstance(reference, str):
            part["$ref"] = _REFERENCE.format(model=component_name(reference.rpartition("/")[2]))
        for member in part.values():
            _rename_references(member)


def _patches(paths: Schema) -> set[str]:
    """The names of the bodies in which null means something."""
    patches = [path["patch"] for path in paths.values() if "patch" in path]
    bodies = [patch["requestBody"]["content"]["application/json"]["schema"]["$ref"] for patch in patches]
    return {reference.rpartition("/")[2] for reference in bodies}


def _schemas(wanted: Schema, patches: set[str]) -> Schema:
    """Pydantic's schemas of our models that are among the wanted ones, and of what these refer to."""
    bodies = [model for model in _models(Body) if _name(model) in wanted]
    answers = [model for model in _models(Answer) if _name(model) in wanted]
    _, definitions = models_json_schema(
        [*((model, "validation") for model in bodies), *((model, "serialization") for model in answers)],
        ref_template=_REFERENCE,
    )
    schemas: Schema = definitions["$defs"]
    for name, schema in schemas.items():
        _tidy(schema, nulls=name in patches)
    return schemas


def _models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _name(model: type[BaseModel]) -> str:
    """The name of a component, as Litestar and pydantic both make it: `Page[A]` is `Page_A_`."""
    return "".join(character if character.isalnum() else "_" for character in model.__name__)


def _tidy(schema: Schema, *, nulls: bool) -> None:
    """Absent means unset: but in a patch, `X | None` says that there is an X or nothing."""
    for name, field in schema.get("properties", {}).items():
        field.pop("title", None)
        if field.get("default", ...) is None:
            del field["default"]
        if nulls:
            continue
        choices = [choice for choice in field.get("anyOf", []) if choice != {"type": "null"}]
        if len(choices) == 1:
            del field["anyOf"]
            schema["properties"][name] = choices[0] | field


def _describe(method: str, operation: Schema, schemas: Schema) -> None:
    """Put right what Litestar says of one operation."""
    summary, _, more = operation.pop("description", "").partition("\n")
    operation["summary"] = summary.rstrip(".")
    if more.strip():
        operation["description"] = more.strip()
    for parameter in operation.get("parameters", []):
        _describe_parameter(method, parameter)
    if "requestBody" in operation:
        _describe_body(method, operation["requestBody"])
    responses = operation["responses"]
    if method == "get" and "application/json" in responses["200"].get("content", {}):
        operation.setdefault("parameters", []).append(dict(_IF_NONE_MATCH))
        responses["304"] = {"description": "The client has this answer already; there is no body."}
    for status in [status for status in responses if status >= "400"]:
        # Litestar's own guess at a validation error, where the route declares none of that status.
        if "application/json" in responses[status].get("content", {}) and status == "400":
            del responses[status]
    for status, response in responses.items():
        response["headers"] = _headers(status, response, schemas) | _own(response)
        if "304" in responses and status in {"200", "304"}:
            response["headers"].setdefault("ETag", _TAG)


def _describe_body(method: str, body: Schema) -> None:
    content = body["content"]
    choices = content["application/json"]["schema"].get("oneOf")
    if choices is not None:  # `X | None` of a handler: the body may be left out
        body["required"] = False
        content["application/json"]["schema"] = next(choice for choice in choices if "$ref" in choice)
    if method == "patch":
        content["application/merge-patch+json"] = content["application/json"]
        body["description"] = "A merge patch (RFC 7396): null unsets, arrays are replaced."


def _describe_parameter(method: str, parameter: Schema) -> None:
    for noise in ("deprecated", "allowEmptyValue", "allowReserved"):
        parameter.pop(noise, None)
    if parameter["in"] == "path":
        parameter["name"] = to_camel(parameter["name"])
    if parameter["name"] == "If-Match":
        parameter["required"] = method in {"patch", "put"}
    schema = parameter["schema"]
    schema.pop("description", None)
    choices = [choice for choice in schema.get("oneOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        parameter["schema"] = choices[0]


def _own(response: Schema) -> Schema:
    """The headers that a route declares itself."""
    text = {"schema": {"type": "string"}}
    return {
        name: {"description": header["description"], **text} for name, header in response.get("headers", {}).items()
    }


def _headers(status: str, response: Schema, schemas: Schema) -> Schema:
    headers = {"X-Request-Id": "The id of the request: yours, or one that was made."}
    if status in {"429", "503"}:
        headers["Retry-After"] = "Seconds after which it is worth trying again."
    if status in {"201", "202"}:
        headers["Location"] = "Where it can be read."
    reference = response.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    if status < "400" and "version" in schemas.get(reference.rpartition("/")[2], {}).get("properties", {}):
        headers["ETag"] = 'The version, like `"3"`, for `If-Match`.'
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()}
