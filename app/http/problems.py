"""The one mapping from errors to `application/problem+json` (RFC 9457)."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec
import structlog
from litestar import Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.status_codes import HTTP_204_NO_CONTENT
from litestar.types import ExceptionHandlersMap
from litestar.typing import FieldDefinition
from pymongo.errors import PyMongoError

from app.errors import KINDS, Fault, Problem, ProblemName, invalid_parameter
from app.http.failure_log import FailureLog
from app.http.json_response import JsonResponse
from app.http.methods import client_method, methods_of
from app.http.observer import note_problem, route_of
from app.http.pointers import pointer_of
from app.http.request import AnyConnection, AnyRequest, request_id
from app.http.validation_messages import cut, from_faults
from app.outages import problem_of

ProblemResponse: TypeAlias = Response[dict[str, object]]
"""A problem document as a response."""

MEDIA_TYPE = "application/problem+json"

FAILURE_LOG = "troubles"
"""The key of the `FailureLog` in the application's state."""

_DETAIL_LENGTH, _POINTER_LENGTH = 500, 300
"""Characters. Details and pointers can quote a client's input, and a long input must not make a long answer."""

_log = structlog.get_logger("reserva.http")


def render_problem(problem: Problem, connection: AnyConnection) -> ProblemResponse:
    """A problem as a response; failures of the service are logged."""
    kind = problem.kind
    note_problem(connection.scope, problem.name)
    _log_failure(problem, connection)
    headers = {}
    if kind.retry_after_seconds is not None:
        headers["Retry-After"] = str(kind.retry_after_seconds)
    if problem.name == "unauthenticated":
        headers["WWW-Authenticate"] = "Bearer"
    before, after = problem.encoded or encode(problem)
    body = before + msgspec.json.encode(request_id(connection.scope)) + after
    return JsonResponse(body, status=kind.status, headers=headers, media_type=MEDIA_TYPE)


def encode(problem: Problem) -> tuple[bytes, bytes]:
    """The JSON of a problem before and after the id of the request."""
    before, name, after = msgspec.json.encode(problem_body(problem, "")).partition(b'"requestId":')
    return before + name, after.removeprefix(b'""')


def problem_body(problem: Problem, request: str) -> dict[str, object]:
    """The JSON of a problem; `request` is the id of the request."""
    body: dict[str, object] = {
        "type": f"/problems/{problem.name}",
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": cut(problem.detail, _DETAIL_LENGTH),
        "requestId": request,
    }
    if problem.faults:
        body["errors"] = [
            {"pointer": cut(pointer_of(fault), _POINTER_LENGTH), "detail": cut(fault.detail, _DETAIL_LENGTH)}
            for fault in problem.faults
        ]
    return body | problem.extra


def _answer_problem(request: AnyRequest, error: Problem) -> ProblemResponse:
    return render_problem(error, request)


_NAMES_BY_STATUS: Mapping[int, ProblemName] = {
    **{kind.status: name for name, kind in reversed([*KINDS.items()])},
    422: "invalid",
}
_DETAILS = {
    404: "There is nothing at this path; /openapi.json lists what there is.",
    413: "The body is larger than 1 MiB.",
}


def _answer_http(request: AnyRequest, error: HTTPException) -> ProblemResponse | Response[None]:
    """The response to Litestar's own refusals."""
    if isinstance(error, ValidationException):
        return render_problem(_invalid(request, error), request)
    if error.status_code >= 500:  # noqa: PLR2004 -- by definition of HTTP
        return _answer_unexpected(request, error)
    name: ProblemName = _NAMES_BY_STATUS.get(error.status_code, "malformed")
    if name == "method-not-allowed":
        return _answer_allowed_methods(request, (error.headers or {}).get("allow", ""))
    return render_problem(Problem(name, _DETAILS.get(error.status_code, f"{error.detail.rstrip('.')}.")), request)


def _answer_allowed_methods(request: AnyRequest, allow: str) -> ProblemResponse | Response[None]:
    """The methods of a path: the answer to OPTIONS, and the refusal of a method that the path lacks."""
    method, allowed = client_method(request.scope), ", ".join(methods_of(allow))
    if method == "OPTIONS":
        return Response(None, status_code=HTTP_204_NO_CONTENT, headers={"Allow": allowed})
    detail = f"{cut(method, 40)} is not possible here; {allowed} are."
    response = render_problem(Problem("method-not-allowed", detail), request)
    response.headers["Allow"] = allowed
    return response


def _answer_database(request: AnyRequest, error: PyMongoError) -> ProblemResponse:
    problem = problem_of(error)
    return _answer_unexpected(request, error) if problem is None else render_problem(problem, request)


def _log_failure(problem: Problem, connection: AnyConnection) -> None:
    """Record a problem in the failure log, which an application not made by `create_app` lacks."""
    failures: FailureLog | None = connection.app.state.get(FAILURE_LOG)
    if failures is not None:
        failures.record(problem, request_id(connection.scope))


def _answer_unexpected(request: AnyRequest, error: Exception) -> ProblemResponse:
    _log.error(
        "request failed",
        request_id=request_id(request.scope),
        method=client_method(request.scope),
        route=route_of(request.scope),
        exc_info=error,
    )
    return render_problem(Problem("internal", "Something went wrong on our side; the log has the requestId."), request)


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    Problem: _answer_problem,
    HTTPException: _answer_http,
    PyMongoError: _answer_database,
    Exception: _answer_unexpected,
}


def _invalid(request: AnyRequest, error: HTTPException) -> Problem:
    """The problem of an invalid parameter; Litestar's error has the field only in its cause or extra."""
    cause = error.__cause__
    if isinstance(cause, KeyError):
        return invalid_parameter(cause.args[0], f"`{cause.args[0]}` is required.")
    fields = request.route_handler.parsed_fn_signature.parameters
    faults = [
        parameter_fault(fields[entry["key"]])
        for entry in (error.extra if isinstance(error.extra, list) else [])
        if entry.get("key") in fields and entry["key"] != "data"
    ]
    return from_faults(faults) if faults else Problem("invalid", error.detail)


def parameter_fault(field: FieldDefinition) -> Fault:
    """The fault of a parameter with a value of another type."""
    name = parameter_name(field)
    return Fault((name,), f"`{name}` must {_requirement(field)}.", in_query=True)


def parameter_name(field: FieldDefinition) -> str:
    """The name of a parameter on the wire."""
    return getattr(field.kwarg_definition, "name", None) or field.name


def is_number(field: FieldDefinition) -> bool:
    """Whether a parameter is a whole number, or one or nothing."""
    return any(kind.annotation is int for kind in [field, *_inner_fields(field)])


def is_choice(field: FieldDefinition) -> bool:
    """Whether a parameter is one of some words, or true or false, or one of these or nothing."""
    return any(kind.annotation is bool or kind.is_literal for kind in [field, *_inner_fields(field)])


def _requirement(field: FieldDefinition) -> str:
    """The requirement of a parameter, from its declaration; continues "must"."""
    definition, kinds = field.kwarg_definition, [field, *_inner_fields(field)]
    choices = [str(choice) for kind in kinds if kind.is_literal for choice in kind.args]
    if choices:
        return f"be one of {', '.join(choices)}"
    if any(kind.annotation is bool for kind in kinds):
        return "be true or false"
    if is_number(field):
        least, most = getattr(definition, "ge", None), getattr(definition, "le", None)
        bounds = (f" from {least:,}" if least is not None else "") + (f" to {most:,}" if most is not None else "")
        return f"be a whole number{bounds}"
    return "be written otherwise"


def _inner_fields(field: FieldDefinition) -> Iterator[FieldDefinition]:
    for inner in field.inner_types:
        yield inner
        yield from _inner_fields(inner)
