"""The caller of a request that comes with the cookie of a session instead of an API key.

The cookie alone lets read. A change must also prove that a page of the console sent it: by the token that only these
pages know, and by the browser's own word on where the request comes from.
"""

import hmac
from typing import cast

from app.access.keyring import KEYRING, Keyring
from app.access.rate_limits import RateLimits
from app.access.sessions import SESSIONS, Sessions
from app.caller import Caller
from app.errors import Problem
from app.http.cookies import read_cookie
from app.http.forms import read_form
from app.http.methods import scope_keys
from app.http.request import AnyConnection, Request
from app.storage.documents import Session

CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf"
"""The hidden field of a form that has the session's token."""

_COOKIE = "reserva"
_SESSION_KEY = "reserva.session"
_OWN_SITES = (None, b"same-origin", b"none")


def cookie_name(*, secure: bool) -> str:
    """The name of the cookie; behind TLS one that no other host and no unencrypted answer can set."""
    return f"__Host-{_COOKIE}" if secure else _COOKIE


def is_secure(connection: AnyConnection) -> bool:
    """Whether the browser speaks TLS, to this process or to a proxy before it."""
    sessions = cast("Sessions", connection.app.state[SESSIONS])
    forwarded = (_header(connection, b"x-forwarded-proto") or b"").partition(b",")[0].strip().lower()
    return sessions.is_public_secure or b"https" in {forwarded, connection.scope["scheme"].encode()}


def csrf_token_of(connection: AnyConnection) -> str:
    """The token that proves that a page of the session of a request sent a change; empty without a session."""
    session: Session | None = scope_keys(connection.scope).get(_SESSION_KEY)
    return "" if session is None else session.csrf_token


def has_session_cookie(connection: AnyConnection) -> bool:
    """Whether a request comes with the cookie of a session, be it over or not."""
    return _token(connection) is not None


async def end_session(connection: AnyConnection) -> None:
    """End the session whose cookie a request brings, if it brings one."""
    if (token := _token(connection)) is not None:
        await cast("Sessions", connection.app.state[SESSIONS]).end(token)


async def caller_by_session(connection: AnyConnection, limits: RateLimits, *, takes_forms: bool = False) -> Caller:
    """The caller of the key that the session of a request was opened with.

    Args:
        connection: The request.
        limits: Those of addresses.
        takes_forms: Whether a change may have its token in a field of its form.

    Raises:
        Problem: `unauthenticated` without a live session; `forbidden` for a change that no page of ours has sent.
    """
    token = _token(connection)
    if token is None:
        raise Problem("unauthenticated", "Sign in first.")
    sessions = cast("Sessions", connection.app.state[SESSIONS])
    if sessions.is_crowded(token):  # an address that sent too much does not make the crowd larger
        limits.refuse_full(connection)
    session = await sessions.find(token)
    keyring = cast("Keyring", connection.app.state[KEYRING])
    caller = None if session is None else await keyring.caller_of(session.key, session.secret_hash)
    if session is None or caller is None:
        raise Problem("unauthenticated", "The session has ended; sign in again.")
    if scope_keys(connection.scope).get("method") != "GET":
        check_origin(connection)
        await _check_token(connection, session, takes_forms=takes_forms)
    scope_keys(connection.scope)[_SESSION_KEY] = session
    return caller


def check_origin(connection: AnyConnection) -> None:
    """Refuse what the browser says another site has sent.

    Raises:
        Problem: `forbidden`.
    """
    if _header(connection, b"sec-fetch-site") not in _OWN_SITES:
        raise Problem("forbidden", "This request was sent by a page of another site; nothing was done.")


async def _check_token(connection: AnyConnection, session: Session, *, takes_forms: bool) -> None:
    sent = (_header(connection, CSRF_HEADER.lower().encode()) or b"").decode("latin-1")
    if not sent and takes_forms:
        sent = (await read_form(cast("Request", connection))).get(CSRF_FIELD, "")
    if not hmac.compare_digest(sent.encode(), session.csrf_token.encode()):
        raise Problem(
            "forbidden", f"With a session, a change needs the header {CSRF_HEADER} of that session; nothing was done."
        )


def _token(connection: AnyConnection) -> str | None:
    return read_cookie(connection, cookie_name(secure=is_secure(connection)))


def _header(connection: AnyConnection, name: bytes) -> bytes | None:
    return next((value for key, value in connection.scope["headers"] if key == name), None)
