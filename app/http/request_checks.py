"""What holds for every request before its handler is asked: it takes these parameters, this key, a body.

Routes say what they take: parameters by `FromQuery`, a body by `JSONBody`, an Idempotency-Key by one of the options
below. What a route did not declare is refused, never ignored.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Final, Literal, TypeAlias, cast

from litestar import Litestar, Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter
from litestar.routes import HTTPRoute

from app.errors import Fault, Problem
from app.http.problems import is_number, parameter_fault, parameter_name
from app.http.strict_json import MAX_FAULTS
from app.http.validation_messages import cut, from_faults

KeyUse = Literal["refused", "harmless", "kept"]

IDEMPOTENCY: Final = "idempotency"
HARMLESS_KEY: Final[Mapping[str, KeyUse]] = {IDEMPOTENCY: "harmless"}
"""`opt=HARMLESS_KEY` of a verb: repeating it is harmless, so an Idempotency-Key is accepted and changes nothing."""

KEPT_KEY: Final[Mapping[str, KeyUse]] = {IDEMPOTENCY: "kept"}
"""`opt=KEPT_KEY` of a route that makes things: the first answer under an Idempotency-Key is kept with what it made."""

IdempotencyKeyHeader: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="1-255 visible ASCII characters; the same key with the same JSON gets the first answer again.",
    ),
]
"""How a handler declares it: `key: IdempotencyKeyHeader = None`."""

_ONCE = ("Authorization", "Content-Type", "If-Match", "Idempotency-Key")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_BLANK_FOR_PLUS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+ [0-9]{2}:?[0-9]{2}|(?:Etc/)?GMT [0-9]+")

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def idempotency_key(request: Request[Any, Any, Any]) -> str | None:
    """The key that came with a request.

    Raises:
        Problem: `invalid` if it is not 1 to 255 visible ASCII characters.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and _KEY.fullmatch(key) is None:
        raise Problem("invalid", "An Idempotency-Key has 1 to 255 visible ASCII characters.")
    return key


@dataclass(frozen=True, slots=True)
class RouteContract:
    """What one route declared."""

    parameters: frozenset[str]
    lists: frozenset[str]
    numbers: Mapping[str, Fault]
    body: bool
    key: KeyUse


class RequestChecks:
    """The hook before every request; it knows all routes once the application is built."""

    def __init__(self) -> None:
        self._takes: dict[HTTPRouteHandler, RouteContract] = {}

    def collect(self, app: Litestar) -> None:
        """Read from the routes what each takes; pages for browsers, which are not in the schema, take what comes."""
        for route in app.routes:
            for handler, model in route.route_handler_map.values() if isinstance(route, HTTPRoute) else ():
                if handler.resolve_include_in_schema():
                    self._takes[handler] = RouteContract(
                        frozenset(parameter.field_alias for parameter in model.expected_query_params),
                        frozenset(model.sequence_query_parameter_names),
                        _numbers(handler),
                        _needs_body(handler),
                        cast("KeyUse", handler.opt.get(IDEMPOTENCY, "refused")),
                    )

    async def __call__(self, request: Request[Any, Any, Any]) -> None:
        """Hold a request against what its route takes.

        Raises:
            Problem: `invalid` for undeclared or repeated parameters, keys and headers, `malformed` for a missing body.
        """
        takes = self._takes.get(request.route_handler)
        if takes is None:
            return
        _check_headers(request)
        if request.scope["query_string"]:
            _check_parameters(request, takes)
        if request.method == "POST" and takes.key == "refused" and "idempotency-key" in request.headers:
            raise Problem("invalid", "This route takes no Idempotency-Key; leave the header out.")
        if takes.body and not await request.body():
            raise Problem("malformed", "The body is empty; send a JSON object.")


def _needs_body(handler: HTTPRouteHandler) -> bool:
    field = handler.parsed_data_field
    return field is not None and not field.is_optional


def _numbers(handler: HTTPRouteHandler) -> dict[str, Fault]:
    """The parameters that are whole numbers, and what to say where one is not."""
    fields = [field for field in handler.parsed_fn_signature.parameters.values() if is_number(field)]
    return {parameter_name(field): parameter_fault(field) for field in fields}


def _check_headers(request: Request[Any, Any, Any]) -> None:
    names = [name for name, _ in request.scope["headers"]]
    for name in _ONCE:
        if names.count(name.lower().encode()) > 1:
            raise Problem("invalid", f"The header {name} stands twice; send it once.")


def _check_parameters(request: Request[Any, Any, Any], takes: RouteContract) -> None:
    given = list(request.query_params.multi_items())
    if faults := list(islice(_parameter_faults(given, takes), MAX_FAULTS)):
        raise from_faults(faults)


def _parameter_faults(given: Sequence[tuple[str, str]], takes: RouteContract) -> Iterator[Fault]:
    counts = Counter(name for name, _ in given)
    for name in sorted(counts):
        if name not in takes.parameters:
            shown = cut(name, 80)
            yield Fault((shown,), f"There is no parameter `{shown}` here.", in_query=True)
    for name in sorted(takes.parameters - takes.lists):
        if counts[name] > 1:
            yield Fault((name,), f"Give `{name}` once.", in_query=True)
    for name, value in given:
        if name in takes.numbers and _NUMBER.fullmatch(value) is None:
            yield takes.numbers[name]
        elif _BLANK_FOR_PLUS.fullmatch(value):
            plus = value.replace(" ", "%2B")
            yield Fault((name,), f"In a query + means a blank; write it as %2B: {plus}.", in_query=True)
