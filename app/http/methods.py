"""Which methods a path has. The routes know them; the door asks by a method that no route can have."""

from typing import Any, Final, cast

from litestar.types import Scope

_ASKED_KEY = "reserva.method"
_NONE_OF_THEM: Final = "OPTIONS *"


def remember_method(scope: Scope) -> str:
    """The method as the client wrote it, kept for `asked_method`."""
    keys = extended(scope)
    keys[_ASKED_KEY] = keys["method"]
    return asked_method(scope)


def asked_method(scope: Scope) -> str:
    """The method as the client wrote it, whatever it was routed as."""
    keys = extended(scope)
    return str(keys.get(_ASKED_KEY, keys.get("method", "")))


def ask_for_methods(scope: Scope) -> None:
    """Have the routes refuse the request and name the methods of its path."""
    extended(scope)["method"] = _NONE_OF_THEM


def methods_of(allow: str) -> list[str]:
    """All methods of a path, given those that its routes have."""
    routed = {method.strip() for method in allow.split(",")} - {""}
    return sorted(routed | {"OPTIONS"} | ({"HEAD"} if "GET" in routed else set()))


def extended(scope: Scope) -> dict[str, Any]:
    """The scope of a request, to which ASGI lets anyone add keys of their own."""
    return cast("dict[str, Any]", scope)
