"""Access over HTTP: the one statement that every route makes about who may use it."""

from typing import Any, cast

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute

from app.access.keyring import Keyring
from app.caller import Caller, Scope
from app.errors import Problem
from app.http.openapi import SECURITY_SCHEME
from app.http.request import Request

KEYRING = "keyring"
"""Where the application's state has it."""


class Access:
    """What a route asks of its caller. Made by `needs`, `any_key` and `open_to_all`."""

    def __init__(self, scope: Scope | None, *, keyed: bool = True) -> None:
        self.scope = scope
        self.keyed = keyed

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Let the request pass, with its `Caller` as the user.

        Raises:
            Problem: `unauthenticated`, or `forbidden` naming the scope that is missing.
        """
        del handler
        if not self.keyed:
            return
        caller = await _authenticate(connection)
        if self.scope is not None:
            caller.require(self.scope)
        connection.scope["user"] = caller

    def security(self) -> list[dict[str, list[str]]]:
        """The same for OpenAPI."""
        return [{SECURITY_SCHEME: [self.scope] if self.scope else []}] if self.keyed else [{}]


def needs(scope: Scope) -> Access:
    """Keys with this scope: `guards=[needs("catalogue:write")]`."""
    return Access(scope)


def any_key() -> Access:
    """Any valid key."""
    return Access(None)


def open_to_all() -> Access:
    """Nobody needs a key."""
    return Access(None, keyed=False)


def caller_of(request: Request) -> Caller:
    """Who is asking; of a route that needs a key."""
    return cast("Caller", request.scope["user"])


def access_of(handler: HTTPRouteHandler) -> Access | None:
    """What a route stated; None if it forgot."""
    stated = [guard for guard in handler.resolve_guards() if isinstance(guard, Access)]
    return stated[-1] if stated else None


def describe_access(app: Litestar) -> None:
    """Put into every route's description what its guard asks for."""
    for route in app.routes:
        for handler, _ in route.route_handler_map.values() if isinstance(route, HTTPRoute) else ():
            access = access_of(handler)
            if access is not None:
                handler.security = access.security()


async def _authenticate(connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    headers = [value for name, value in connection.scope["headers"] if name == b"authorization"]
    if not headers:
        raise Problem("unauthenticated", "Send an API key: Authorization: Bearer rsv_…")
    if len(headers) > 1:
        raise Problem("unauthenticated", "The header Authorization stands twice; send it once.")
    scheme, _, token = headers[0].decode("latin-1").strip().partition(" ")
    if scheme.lower() != "bearer":
        raise Problem("unauthenticated", "Send the API key as a bearer token: Authorization: Bearer rsv_…")
    keyring = cast("Keyring", connection.app.state[KEYRING])
    caller = await keyring.caller(token.strip())
    if caller is None:
        raise Problem("unauthenticated", "The API key is not known, was revoked or has expired.")
    return caller
