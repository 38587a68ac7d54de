"""Access over HTTP: the guard by which every route declares who may use it."""

from collections.abc import Sequence
from typing import cast

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import HTTPRoute
from typing_extensions import override

from app.access.keyring import KEYRING, Keyring
from app.access.rate_limits import RATE_LIMITS, RateLimits
from app.access.signed_in import caller_by_session, has_session_cookie
from app.caller import Caller, Scope
from app.errors import Problem
from app.http.openapi import SECURITY_SCHEME
from app.http.request import AnyConnection, Request


class Access:
    """The requirement of a route, as a guard. Made by `needs`, `any_key` and `open_to_all`."""

    def __init__(self, *scopes: Scope, requires_key: bool = True) -> None:
        self.scopes: tuple[Scope, ...] = scopes
        self.requires_key = requires_key

    async def __call__(self, connection: AnyConnection, handler: BaseRouteHandler) -> None:
        """Check the API key of a request, count the request, and set its `Caller` as the user.

        Raises:
            Problem: `unauthenticated`, `rate-limited`, or `forbidden` naming the scope that is missing.
        """
        del handler
        if not self.requires_key:
            return
        limits = cast("RateLimits", connection.app.state[RATE_LIMITS])
        try:
            caller = await self._authenticate(connection, limits)
        except Problem as problem:
            if problem.name == "unauthenticated":
                await limits.count_address(connection)
            raise
        await limits.count_key(connection, caller)
        self._require(caller)
        connection.scope["user"] = caller

    async def still_admits(self, connection: AnyConnection) -> bool:
        """Whether the key of a request that goes on is still accepted; as long as it cannot be read, it is."""
        try:
            self._require(await self._authenticate(connection, cast("RateLimits", connection.app.state[RATE_LIMITS])))
        except Problem as problem:
            return problem.name not in {"unauthenticated", "forbidden"}
        return True

    async def _authenticate(self, connection: AnyConnection, limits: RateLimits) -> Caller:
        """The caller of the key in the header; without that header, of the session in the cookie."""
        headers = [value for name, value in connection.scope["headers"] if name == b"authorization"]
        if headers:
            return await _caller_by_key(connection, limits, headers)
        if has_session_cookie(connection):
            return await caller_by_session(connection, limits)
        raise Problem("unauthenticated", "Send an API key: Authorization: Bearer rsv_…")

    def _require(self, caller: Caller) -> None:
        for scope in self.scopes:
            caller.require(scope)
        if not self.scopes:
            caller.require_any()

    def security(self) -> list[dict[str, list[str]]]:
        """The requirement in the form of OpenAPI."""
        return [{SECURITY_SCHEME: [*self.scopes]}] if self.requires_key else [{}]


class SessionAccess(Access):
    """The requirement of a page of the console: a session whose key has these scopes. Made by `in_session`."""

    @override
    async def _authenticate(self, connection: AnyConnection, limits: RateLimits) -> Caller:
        return await caller_by_session(connection, limits, takes_forms=True)


def needs(*scopes: Scope) -> Access:
    """Require a key with this scope, or all of these: `guards=[needs("catalogue:write")]`."""
    return Access(*scopes)


def any_key() -> Access:
    """Require any valid key, except one for monitoring alone."""
    return Access()


def in_session(*scopes: Scope) -> Access:
    """Require a session of the console, of a key with these scopes."""
    return SessionAccess(*scopes)


def open_to_all() -> Access:
    """Require no key."""
    return Access(requires_key=False)


def caller_of(request: Request) -> Caller:
    """The caller of a request to a route that requires a key."""
    return cast("Caller", request.scope["user"])


def access_of(handler: HTTPRouteHandler) -> Access | None:
    """The guard of a route; None if it declares none."""
    guards = [guard for guard in handler.resolve_guards() if isinstance(guard, Access)]
    return guards[-1] if guards else None


def describe_access(app: Litestar) -> None:
    """Add the requirement of each route's guard to its description."""
    for route in app.routes:
        for handler, _ in route.route_handler_map.values() if isinstance(route, HTTPRoute) else ():
            access = access_of(handler)
            if access is not None:
                handler.security = access.security()


async def _caller_by_key(connection: AnyConnection, limits: RateLimits, headers: Sequence[bytes]) -> Caller:
    if len(headers) > 1:
        raise Problem("unauthenticated", "The header Authorization stands twice; send it once.")
    scheme, _, token = headers[0].decode("latin-1").strip().partition(" ")
    if scheme.lower() != "bearer":
        raise Problem("unauthenticated", "Send the API key as a bearer token: Authorization: Bearer rsv_…")
    return await caller_by_token(connection, limits, token.strip())


async def caller_by_token(connection: AnyConnection, limits: RateLimits, token: str) -> Caller:
    """The caller of an API key.

    Raises:
        Problem: `unauthenticated`; `rate-limited` for an address that sent too many that are not known.
    """
    keyring = cast("Keyring", connection.app.state[KEYRING])
    if keyring.is_crowded(token):  # an address that sent too much does not make the crowd larger
        limits.refuse_full(connection)
    caller = await keyring.caller(token)
    if caller is None:
        raise Problem("unauthenticated", "The API key is not known, was revoked or has expired.")
    return caller
