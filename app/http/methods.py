"""The methods of a path. Only the routes know them; the middleware asks them by a method that no route can have."""

from typing import Any, Final, cast

from litestar.types import Scope

_METHOD_KEY = "reserva.method"
_UNROUTED_METHOD: Final = "OPTIONS *"


def store_client_method(scope: Scope) -> str:
    """Store the client's method in the scope for `client_method`, before routing changes it; returns it."""
    keys = scope_keys(scope)
    keys[_METHOD_KEY] = keys["method"]
    return client_method(scope)


def client_method(scope: Scope) -> str:
    """The method that the client sent, whatever the request was routed as."""
    keys = scope_keys(scope)
    return str(keys.get(_METHOD_KEY, keys.get("method", "")))


def route_as_options(scope: Scope) -> None:
    """Make the routes refuse the request, with the methods of its path in `Allow`."""
    scope_keys(scope)["method"] = _UNROUTED_METHOD


def methods_of(allow: str) -> list[str]:
    """All methods of a path, given those of its routes."""
    routed = {method.strip() for method in allow.split(",")} - {""}
    return sorted(routed | {"OPTIONS"} | ({"HEAD"} if "GET" in routed else set()))


def scope_keys(scope: Scope) -> dict[str, Any]:
    """The scope of a request as a mapping; ASGI allows keys of one's own in it."""
    return cast("dict[str, Any]", scope)
