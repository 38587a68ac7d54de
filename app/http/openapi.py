"""The description of the API: what routes declare, by Litestar's generator, with pydantic's own schemas of the bodies.

Litestar's generator knows neither the bounds of optional fields, nor headers that every answer has, nor names for
clients. They are corrected here, once, at the first use of the description.
"""

import operator
import re
from collections.abc import Mapping
from functools import reduce
from typing import TypeAlias

from litestar import Litestar
from litestar.openapi import ResponseSpec
from litestar.routes import HTTPRoute
from pydantic.alias_generators import to_camel

from app.errors import KINDS, ProblemName
from app.http.openapi_examples import ANSWERS, BODIES, PARAMETERS, PATH_PARAMETERS
from app.http.openapi_schemas import Schema, component_schemas, rename_references
from app.http.problem_schemas import GROUP_PROBLEMS, PROBLEMS
from app.http.problems import MEDIA_TYPE
from app.http.request_checks import IDEMPOTENCY, REPLAYED_KEY

ProblemNames: TypeAlias = tuple[ProblemName, ...]

SECURITY_SCHEME = "key"
_DOCUMENT = "openapi"
_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")

_HEADER_PARAMETERS: Mapping[str, str] = {
    "If-None-Match": "Tags of answers that you have; if this is one of them it is 304.",
    "Idempotency-Key": "1-255 visible ASCII characters; the same key with the same JSON gets the first answer again.",
}
"""Headers that are no parameters of a handler, since no handler reads them there."""
_STREAMED = frozenset({"exportCustomer"})
"""Operations whose answers are sent while they are made, before their `ETag` could be known."""
_TAG: Schema = {"description": "A tag of what is shown, for `If-None-Match`.", "schema": {"type": "string"}}
_RATE_LIMIT: Mapping[str, str] = {
    "RateLimit-Policy": 'The limit that the request is counted by, like `"key";q=600;w=60`: requests, and seconds.',
    "RateLimit": 'What is left of it, like `"key";r=599;t=60`: requests, and the seconds until there are more.',
}
"""Headers of every answer to a request that is counted; without a limit they are absent."""
_SUCCESSES = {
    "200": "What was asked for, or what it is now.",
    "201": "It was made; this is what it is now.",
    "202": "It will be done soon.",
    "204": "It is gone; there is no body.",
}

_ALWAYS: ProblemNames = ("invalid", "internal", "overloaded", "unavailable")
_WITH_KEY: ProblemNames = ("unauthenticated", "forbidden", "rate-limited")
_WITH_BODY: ProblemNames = ("malformed", "too-large", "unsupported-media-type", "outcome-unknown")


def problems(
    *names: ProblemName, body: bool = False, key: bool = True, members: bool = False
) -> dict[int, ResponseSpec]:
    """The problems of a route, for its `responses`.

    Args:
        names: The problems specific to the route.
        body: Whether it reads a body.
        key: Whether it needs an API key.
        members: Whether it books or moves several at once; the rules' verdicts are then those of each member.
    """
    by_status: dict[int, list[ProblemName]] = {}
    for name in (*(_WITH_KEY if key else ()), *(_WITH_BODY if body else ()), *names, *_ALWAYS):
        by_status.setdefault(KINDS[name].status, []).append(name)
    schemas = GROUP_PROBLEMS if members else PROBLEMS
    return {
        status: ResponseSpec(
            data_container=reduce(operator.or_, [schemas[name] for name in dict.fromkeys(named)]),
            generate_examples=False,
            media_type=MEDIA_TYPE,
            description=" · ".join(f"`/problems/{name}`: {KINDS[name].title}." for name in dict.fromkeys(named)),
        )
        for status, named in sorted(by_status.items())
    }


def document(app: Litestar) -> Schema:
    """The OpenAPI 3.1 description of an application, generated at its first use."""
    openapi: Schema | None = app.state.get(_DOCUMENT)
    if openapi is None:
        openapi = app.openapi_schema.to_schema()
        models = openapi["components"]["schemas"]
        replayed = _replayed_operations(app)
        for path in openapi["paths"].values():
            for method, operation in path.items():
                if operation["operationId"] in replayed:
                    operation["parameters"] = [_header_parameter("Idempotency-Key"), *operation.get("parameters", [])]
                _describe(method, operation, models)
        openapi["paths"] = {_path(path): item for path, item in sorted(openapi["paths"].items())}
        openapi["components"]["schemas"] = component_schemas(models, _patches(openapi["paths"]), ANSWERS)
        rename_references(openapi)
        app.state[_DOCUMENT] = openapi
    return openapi


def _header_parameter(name: str) -> Schema:
    described = {"description": _HEADER_PARAMETERS[name], "schema": {"type": "string"}}
    return {"name": name, "in": "header", "required": False, **described}


def _replayed_operations(app: Litestar) -> set[object]:
    """The ids of the operations whose first answer under an Idempotency-Key is stored."""
    handlers = [handler for route in app.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers]
    return {handler.operation_id for handler in handlers if handler.opt.get(IDEMPOTENCY) == REPLAYED_KEY[IDEMPOTENCY]}


def _path(path: str) -> str:
    """A path with camelCase parameters, like every name on the wire."""
    return _PATH_PARAMETER.sub(lambda match: f"{{{to_camel(match[1])}}}", path)


def _patches(paths: Schema) -> set[str]:
    """The names of the models in which null unsets a field."""
    patches = [path["patch"] for path in paths.values() if "patch" in path]
    bodies = [patch["requestBody"]["content"][_MERGE_PATCH]["schema"]["$ref"] for patch in patches]
    return {reference.rpartition("/")[2] for reference in bodies}


def _describe(method: str, operation: Schema, models: Schema) -> None:
    """Correct Litestar's description of one operation."""
    summary, _, more = operation.pop("description", "").partition("\n")
    operation["summary"] = summary.rstrip(".")
    if more.strip():
        operation["description"] = more.strip()
    operation.pop("deprecated", None)
    for parameter in operation.get("parameters", []):
        _describe_parameter(method, operation["operationId"], parameter)
    if "requestBody" in operation:
        _describe_body(method, operation["operationId"], operation["requestBody"])
    _describe_responses(method, operation, models)


def _describe_responses(method: str, operation: Schema, models: Schema) -> None:
    responses = operation["responses"]
    is_tagged = operation["operationId"] not in _STREAMED
    if method == "get" and is_tagged and _JSON in responses["200"].get("content", {}):
        operation.setdefault("parameters", []).append(_header_parameter("If-None-Match"))
        responses["304"] = {"description": "The client has this answer already; there is no body."}
    # Litestar adds its own shape of a validation error where the route declares no 400.
    if _JSON in responses.get("400", {}).get("content", {}):
        del responses["400"]
    responses.get("204", {}).pop("content", None)
    replays = any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))
    counted = dict(_RATE_LIMIT) if "429" in responses else {}
    for status, response in responses.items():
        response["description"] = _SUCCESSES.get(status, response["description"])
        texts = _headers(status, response, models, replays=replays) | counted
        response["headers"] = _strings(texts) | _declared_headers(response)
        if "304" in responses and status in {"200", "304"}:
            response["headers"].setdefault("ETag", _TAG)
    operation["responses"] = dict(sorted(responses.items()))


def _describe_body(method: str, name: str, body: Schema) -> None:
    content = body["content"][_JSON]
    choices = content["schema"].get("oneOf")
    if choices is not None:  # `X | None` of a handler: the body may be left out
        body["required"] = False
        content["schema"] = next(choice for choice in choices if "$ref" in choice)
    content["examples"] = {key: {"summary": text, "value": value} for key, (text, value) in BODIES[name].items()}
    if method == "patch":
        body["content"] = {_MERGE_PATCH: content}
        body["description"] = "A merge patch (RFC 7396): null unsets, arrays are replaced. Also as `application/json`."


def _describe_parameter(method: str, operation: str, parameter: Schema) -> None:
    for noise in ("deprecated", "allowEmptyValue", "allowReserved"):
        parameter.pop(noise, None)
    if parameter["in"] == "path":
        parameter["name"] = to_camel(parameter["name"])
        parameter["description"], parameter["example"] = PATH_PARAMETERS[parameter["name"]]
    if parameter["name"] == "If-Match":
        parameter["required"] = method in {"patch", "put"}
    schema = parameter["schema"]
    schema.pop("description", None)
    choices = [choice for choice in schema.get("oneOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        parameter["schema"] = choices[0]
    example = PARAMETERS.get(operation, {}).get(parameter["name"])
    if parameter["required"] and parameter["name"] == "If-Match":
        example = "*"
    if example is not None:
        parameter["example"] = example


def _declared_headers(response: Schema) -> Schema:
    """The headers that a route declares for this response."""
    return _strings({name: header["description"] for name, header in response.get("headers", {}).items()})


def _strings(texts: Mapping[str, str]) -> Schema:
    """Headers as the description has them, given what they mean."""
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in texts.items()}


def _headers(status: str, response: Schema, models: Schema, *, replays: bool) -> dict[str, str]:
    """The meaning of each header that an answer has by its status and its content."""
    headers = {"X-Request-Id": "The id of the request: yours, or one that was made."}
    if status in {"429", "503"}:
        headers["Retry-After"] = "Seconds after which it is worth trying again."
    if status == "401":
        headers["WWW-Authenticate"] = "`Bearer`"
    if status in {"201", "202"}:
        headers["Location"] = "Where it can be read."
    if status < "300" and replays:
        headers["Idempotent-Replayed"] = "`true` if this is the first answer under the Idempotency-Key once more."
    reference = response.get("content", {}).get(_JSON, {}).get("schema", {}).get("$ref", "")
    if status < "400" and "version" in models.get(reference.rpartition("/")[2], {}).get("properties", {}):
        headers["ETag"] = 'The version, like `"3"`, for `If-Match`.'
    return headers
