"""Everything that can go wrong with a request, as `application/problem+json` (RFC 9457): mapped here alone."""

from collections.abc import Iterator
from typing import Any

import structlog
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, ValidationException
from litestar.status_codes import HTTP_204_NO_CONTENT
from litestar.types import ExceptionHandlersMap
from litestar.typing import FieldDefinition
from pymongo.errors import PyMongoError

from app.errors import KINDS, Fault, Problem, invalid_parameter
from app.http.failure_log import FailureLog
from app.http.methods import asked_method, methods_of
from app.http.pointers import pointer_of
from app.http.request import request_id
from app.http.validation_messages import cut, from_faults
from app.outages import problem_of

MEDIA_TYPE = "application/problem+json"

TROUBLES = "troubles"
"""Where the application keeps its `Troubles` in its state."""

_DETAIL_LENGTH, _POINTER_LENGTH = 500, 300
"""Characters; sentences and pointers may name what a client sent, and that is not sent back at any length."""

_log = structlog.get_logger("reserva.http")


def render_problem(problem: Problem, connection: ASGIConnection[Any, Any, Any, Any]) -> Response[dict[str, Any]]:
    """A problem as an answer."""
    kind = problem.kind
    _note(problem, connection)
    headers = {}
    if kind.retry_after_seconds is not None:
        headers["Retry-After"] = str(kind.retry_after_seconds)
    if problem.name == "unauthenticated":
        headers["WWW-Authenticate"] = "Bearer"
    body = problem_body(problem, request_id(connection.scope))
    return Response(body, status_code=kind.status, headers=headers, media_type=MEDIA_TYPE)


def problem_body(problem: Problem, request: str) -> dict[str, Any]:
    """A problem as JSON, in the answer to the request of that id."""
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


def _answer_problem(request: Request[Any, Any, Any], error: Problem) -> Response[dict[str, Any]]:
    return render_problem(error, request)


_BY_STATUS = {kind.status: name for name, kind in reversed([*KINDS.items()])} | {422: "invalid"}
_DETAILS = {
    404: "There is nothing at this path; /openapi.json lists what there is.",
    413: "The body is larger than 1 MiB.",
}


def _answer_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Litestar's own refusals."""
    if isinstance(error, ValidationException):
        return render_problem(_invalid(request, error), request)
    if error.status_code >= 500:  # noqa: PLR2004 -- by definition of HTTP
        return _answer_unexpected(request, error)
    name = _BY_STATUS.get(error.status_code, "malformed")
    if name == "method-not-allowed":
        return _answer_methods(request, (error.headers or {}).get("allow", ""))
    return render_problem(Problem(name, _DETAILS.get(error.status_code, f"{error.detail.rstrip('.')}.")), request)


def _answer_methods(request: Request[Any, Any, Any], allow: str) -> Response[Any]:
    """Which methods there are: what OPTIONS asks, and what another method should have been."""
    asked, allowed = asked_method(request.scope), ", ".join(methods_of(allow))
    if asked == "OPTIONS":
        return Response(None, status_code=HTTP_204_NO_CONTENT, headers={"Allow": allowed})
    detail = f"{cut(asked, 40)} is not possible here; {allowed} are."
    answer = render_problem(Problem("method-not-allowed", detail), request)
    answer.headers["Allow"] = allowed
    return answer


def _answer_database(request: Request[Any, Any, Any], error: PyMongoError) -> Response[dict[str, Any]]:
    problem = problem_of(error)
    return _answer_unexpected(request, error) if problem is None else render_problem(problem, request)


def _note(problem: Problem, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Tell the log of what its readers must know; `TROUBLES` is missing only where no application was made by us."""
    troubles: FailureLog | None = connection.app.state.get(TROUBLES)
    if troubles is not None:
        troubles.note(problem, request_id(connection.scope))


def _answer_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    _log.error(
        "request failed",
        request_id=request_id(request.scope),
        method=asked_method(request.scope),
        path=request.scope["path"],
        exc_info=error,
    )
    return render_problem(Problem("internal", "Something went wrong on our side; the log has the requestId."), request)


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    Problem: _answer_problem,
    HTTPException: _answer_http,
    PyMongoError: _answer_database,
    Exception: _answer_unexpected,
}


def _invalid(request: Request[Any, Any, Any], error: HTTPException) -> Problem:
    """Litestar says that a parameter is not valid; who found out is the cause, with what is needed here."""
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
    """What a parameter must be and is not."""
    name = parameter_name(field)
    return Fault((name,), f"`{name}` must {_must(field)}.", in_query=True)


def parameter_name(field: FieldDefinition) -> str:
    """How clients write a parameter."""
    return getattr(field.kwarg_definition, "name", None) or field.name


def is_number(field: FieldDefinition) -> bool:
    """Whether a parameter is a whole number, or may be."""
    return any(kind.annotation is int for kind in [field, *_within(field)])


def _must(field: FieldDefinition) -> str:
    """What a parameter must be, by its declaration."""
    about, kinds = field.kwarg_definition, [field, *_within(field)]
    choices = [str(choice) for kind in kinds if kind.is_literal for choice in kind.args]
    if choices:
        return f"be one of {', '.join(choices)}"
    if any(kind.annotation is bool for kind in kinds):
        return "be true or false"
    if is_number(field):
        least, most = getattr(about, "ge", None), getattr(about, "le", None)
        bounds = (f" from {least:,}" if least is not None else "") + (f" to {most:,}" if most is not None else "")
        return f"be a whole number{bounds}"
    return "be written otherwise"


def _within(field: FieldDefinition) -> Iterator[FieldDefinition]:
    for inner in field.inner_types:
        yield inner
        yield from _within(inner)
