"""Signing in and out, and what a browser remembers: the language and the theme."""

from typing import Annotated, Any, cast

from litestar import Response, Router
from litestar.datastructures import Cookie
from litestar.params import QueryParameter

from app.access.keyring import KEYRING, Keyring
from app.access.rate_limits import RATE_LIMITS, RateLimits
from app.access.routes import caller_by_token, caller_of, in_session, open_to_all
from app.access.sessions import LINK_PREFIX, SESSION_HOURS, SESSIONS, Sessions
from app.access.signed_in import check_origin, cookie_name, end_session, has_session_cookie, is_secure
from app.access.tokens import Token, hash_of
from app.caller import METRICS_SCOPE, Caller
from app.console.navigation import ENTRIES
from app.console.pages import LANGUAGE_COOKIE, SIGN_IN, THEME_COOKIE, THEMES, own_address, page, refused_page, see
from app.console.words import LANGUAGES
from app.errors import Problem
from app.http.forms import read_form
from app.http.request import Request
from app.http.routing import get, post

_YEAR_SECONDS = 365 * 86_400

Next = Annotated[str | None, QueryParameter(name="next")]


@get(SIGN_IN, guards=[open_to_all()])
async def sign_in_page(request: Request, following: Next = None) -> Response[Any]:
    """The form that asks for an API key, or takes the token of a link."""
    return _form(request, own_address(following))


@post(SIGN_IN, guards=[open_to_all()], status_code=200)
async def sign_in(request: Request) -> Response[Any]:
    """Open a session with an API key, or with the token of a link; it takes the place of the browser's last one."""
    form = await read_form(request)
    following = own_address(form.get("next"))
    try:
        check_origin(request)
        token = await _open(request, form.get("key", "").strip())
        await end_session(request)
    except Problem as problem:
        return _form(request, following, problem)
    return _with_cookie(request, following, token, SESSION_HOURS * 3_600)


def _form(request: Request, following: str, problem: Problem | None = None) -> Response[Any]:
    context: dict[str, Any] = {"following": following, "has_session": has_session_cookie(request)}
    if problem is None:
        return page(request, "sign-in", problem=None, **context)
    return refused_page(request, "sign-in", problem, **context)


@post("/console/sign-out", guards=[in_session()])
async def sign_out(request: Request) -> Response[Any]:
    """End the session."""
    await end_session(request)
    return _with_cookie(request, SIGN_IN, "", 0)


@post("/console/preferences", guards=[open_to_all()])
async def preferences(request: Request) -> Response[Any]:
    """Remember the language or the theme that a person has chosen, in the browser."""
    check_origin(request)
    form = await read_form(request)
    chosen = {
        LANGUAGE_COOKIE: form.get("language") if form.get("language") in LANGUAGES else None,
        THEME_COOKIE: form.get("theme") if form.get("theme") in THEMES else None,
    }
    answer = see(own_address(form.get("next")))
    answer.cookies = [
        Cookie(name, path="/", value=value, max_age=_YEAR_SECONDS, samesite="strict", secure=is_secure(request))
        for name, value in chosen.items()
        if value is not None
    ]
    return answer


@get("/console", guards=[in_session()])
async def home(request: Request) -> Response[Any]:
    """The first page that the key may see."""
    caller = caller_of(request)
    return see(next(entry.address for entry in ENTRIES if entry.is_for(caller)))


async def _open(request: Request, text: str) -> str:
    """Open a session; its token.

    Raises:
        Problem: `unauthenticated`, `rate-limited`, or `forbidden` for a key that cannot sign in.
    """
    limits = cast("RateLimits", request.app.state[RATE_LIMITS])
    try:
        caller, key, secret_hash = await _known(request, limits, text)
    except Problem as problem:
        if problem.name == "unauthenticated":
            await limits.count_address(request)
        raise
    await limits.count_key(request, caller)
    _check_may_sign_in(caller)
    opened = await _sessions(request).open(key, secret_hash)
    return opened.token


async def _known(request: Request, limits: RateLimits, text: str) -> tuple[Caller, str, str]:
    """The caller of a key or of a link, the prefix of the key, and the hash of its secret."""
    if text.startswith(LINK_PREFIX):
        limits.refuse_full(request)
        link = await _sessions(request).take_link(text)
        keyring = cast("Keyring", request.app.state[KEYRING])
        caller = None if link is None else await keyring.caller_of(link.key, link.secret_hash)
        if link is None or caller is None:
            raise Problem("unauthenticated", "This link was used before or has expired; sign in with an API key.")
        return caller, link.key, link.secret_hash
    caller = await caller_by_token(request, limits, text)
    token = cast("Token", Token.read(text))  # else there is no caller
    return caller, token.prefix, hash_of(token.secret)


def _check_may_sign_in(caller: Caller) -> None:
    if caller.customer is not None:
        raise Problem("forbidden", f"The API key {caller.prefix} is bound to a customer; the console is for staff.")
    if caller.scopes == {METRICS_SCOPE}:
        raise Problem("forbidden", f"The API key {caller.prefix} reads /metrics alone; there is no page for it here.")


def _with_cookie(request: Request, address: str, token: str, seconds: int) -> Response[Any]:
    secure = is_secure(request)
    answer = see(address)
    answer.cookies = [
        Cookie(
            cookie_name(secure=secure),
            path="/",
            value=token,
            max_age=seconds,
            httponly=True,
            samesite="strict",
            secure=secure,
        )
    ]
    return answer


def _sessions(request: Request) -> Sessions:
    return cast("Sessions", request.app.state[SESSIONS])


router = Router("/", route_handlers=[sign_in_page, sign_in, sign_out, preferences, home])
