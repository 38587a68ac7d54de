"""Checks of every request before its handler: parameters, headers, Idempotency-Key and body must be declared.

Routes declare parameters by `FromQuery`, a body by `JSONBody`, and an Idempotency-Key by one of the options below.
Anything that a route does not declare is refused, never ignored.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal, cast

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition

from app.errors import Fault, Problem
from app.http.models import Body
from app.http.problems import is_choice, is_number, parameter_fault, parameter_name
from app.http.request import AnyRequest, Request
from app.http.strict_json import MAX_FAULTS
from app.http.validation_messages import cut, from_faults

KeyUse = Literal["refused", "harmless", "replayed"]

IDEMPOTENCY: Final = "idempotency"
HARMLESS_KEY: Final[Mapping[str, KeyUse]] = {IDEMPOTENCY: "harmless"}
"""`opt=HARMLESS_KEY` of a route that may be repeated: an Idempotency-Key is accepted and has no effect."""

REPLAYED_KEY: Final[Mapping[str, KeyUse]] = {IDEMPOTENCY: "replayed"}
"""`opt=REPLAYED_KEY` of a route that creates objects: the first answer under an Idempotency-Key is stored with them."""

_SINGLE_HEADERS = ("Authorization", "Content-Type", "If-Match", "Idempotency-Key")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_BLANK_FOR_PLUS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+ [0-9]{2}:?[0-9]{2}|(?:Etc/)?GMT [0-9]+")

_NULL = "null"
"""A word that Litestar takes for a parameter that was left out."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key of a request; None without one.

    Raises:
        Problem: `invalid` if it is not 1 to 255 visible ASCII characters.
    """
    value = request.header_values.get(b"idempotency-key")
    if value is None:
        return None
    key = value.decode("latin-1")
    if _KEY.fullmatch(key) is None:
        raise Problem("invalid", "An Idempotency-Key has 1 to 255 visible ASCII characters.")
    return key


@dataclass(frozen=True, slots=True)
class RouteContract:
    """The declarations of one route: query parameters, body and Idempotency-Key.

    Of the parameters also which are lists, and the faults of whole numbers and of choices with another value.
    """

    parameters: frozenset[str]
    lists: frozenset[str]
    numbers: Mapping[str, Fault]
    choices: Mapping[str, Fault]
    body: bool
    model: type[Body] | None
    key: KeyUse


class RequestChecks:
    """The hook before every request; `collect` reads the routes once the application is built."""

    def __init__(self) -> None:
        self._contracts: dict[HTTPRouteHandler, RouteContract] = {}

    def collect(self, app: Litestar) -> None:
        """Read the contract of each route; routes outside of the schema (pages for browsers) have none."""
        for route in app.routes:
            for handler, model in route.route_handler_map.values() if isinstance(route, HTTPRoute) else ():
                if handler.resolve_include_in_schema():
                    self._contracts[handler] = RouteContract(
                        frozenset(parameter.field_alias for parameter in model.expected_query_params),
                        frozenset(model.sequence_query_parameter_names),
                        _faults_of(handler, is_number),
                        _faults_of(handler, is_choice),
                        _needs_body(handler),
                        _body_model(handler),
                        cast("KeyUse", handler.opt.get(IDEMPOTENCY, "refused")),
                    )

    async def __call__(self, request: AnyRequest) -> None:
        """Check a request against the contract of its route.

        Raises:
            Problem: `invalid` for undeclared or repeated parameters, keys and headers, `malformed` for a missing body.
        """
        contract = self._contracts.get(request.route_handler)
        if contract is None or not isinstance(request, Request):
            return
        request.body_model = contract.model
        _check_headers(request)
        if request.scope["query_string"]:
            _check_parameters(request, contract)
        if request.method == "POST" and contract.key == "refused" and b"idempotency-key" in request.header_values:
            raise Problem("invalid", "This route takes no Idempotency-Key; leave the header out.")
        if contract.body and not await request.body():
            raise Problem("malformed", "The body is empty; send a JSON object.")


def _needs_body(handler: HTTPRouteHandler) -> bool:
    field = handler.parsed_data_field
    return field is not None and not field.is_optional


def _body_model(handler: HTTPRouteHandler) -> type[Body] | None:
    """The model of the route's body; declared as `X | None` where the body may be left out."""
    field = handler.parsed_data_field
    kinds = [field, *field.inner_types] if field else []
    return next((kind.annotation for kind in kinds if kind.is_subclass_of(Body)), None)


def _faults_of(handler: HTTPRouteHandler, is_kind: Callable[[FieldDefinition], bool]) -> dict[str, Fault]:
    """The parameters of some kind, with the fault of any other value."""
    fields = [field for field in handler.parsed_fn_signature.parameters.values() if is_kind(field)]
    return {parameter_name(field): parameter_fault(field) for field in fields}


def _check_headers(request: Request) -> None:
    names = [name for name, _ in request.scope["headers"]]
    if len(request.header_values) == len(names):
        return
    for name in _SINGLE_HEADERS:
        if names.count(name.lower().encode()) > 1:
            raise Problem("invalid", f"The header {name} stands twice; send it once.")


def _check_parameters(request: AnyRequest, contract: RouteContract) -> None:
    values = list(request.query_params.multi_items())
    if faults := list(islice(_parameter_faults(values, contract), MAX_FAULTS)):
        raise from_faults(faults)


def _parameter_faults(values: Sequence[tuple[str, str]], contract: RouteContract) -> Iterator[Fault]:
    counts = Counter(name for name, _ in values)
    for name in sorted(counts):
        if name not in contract.parameters:
            quoted = cut(name, 80)
            yield Fault((quoted,), f"There is no parameter `{quoted}` here.", in_query=True)
    for name in sorted(contract.parameters - contract.lists):
        if counts[name] > 1:
            yield Fault((name,), f"Give `{name}` once.", in_query=True)
    for name, value in values:
        if name in contract.numbers and _NUMBER.fullmatch(value) is None:
            yield contract.numbers[name]
        elif name in contract.choices and value.lower() == _NULL:
            yield contract.choices[name]
        elif _BLANK_FOR_PLUS.fullmatch(value):
            plus = value.replace(" ", "%2B")
            yield Fault((name,), f"In a query + means a blank; write it as %2B: {plus}.", in_query=True)
