"""Rendering: a template with what every page shows, and problems as pages."""

import json
from collections.abc import Mapping
from functools import cache, partial
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Response
from litestar.exceptions import HTTPException
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect, Template
from litestar.template import TemplateConfig
from litestar.types import ExceptionHandlersMap
from pymongo.errors import PyMongoError

from app.access.signed_in import csrf_token_of, has_session_cookie
from app.caller import Caller
from app.console.assets import assets
from app.console.navigation import ENTRIES
from app.console.words import LANGUAGES, Speaker, chosen_language
from app.errors import Problem
from app.http.cookies import read_cookie
from app.http.problems import EXCEPTION_HANDLERS, render_problem
from app.http.request import AnyRequest, Request

SIGN_IN = "/console/sign-in"
LANGUAGE_COOKIE = "reserva-language"
THEME_COOKIE = "reserva-theme"
ADDRESS_MAX = 2_000
"""Characters of an address to come back to."""
THEMES = ("system", "light", "dark")

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Cross-Origin-Opener-Policy": "same-origin"}


def template_config() -> "TemplateConfig[JinjaTemplateEngine]":
    """The engine of the templates."""
    return TemplateConfig(instance=JinjaTemplateEngine(engine_instance=_environment()))


@cache
def _environment() -> Environment:
    """The templates of this process; what they show is escaped. `quoted` makes a text one part of an address."""
    made = Environment(
        loader=PackageLoader("app.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["quoted"] = partial(quote, safe="")
    return made


def page(
    request: AnyRequest,
    name: str,
    *,
    section: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> Template:
    """A page.

    Args:
        request: The request that it answers.
        name: The page: its template is `<name>.html`.
        section: The entry of the navigation that is marked; left out: that of the page's own name.
        status: The HTTP status.
        headers: Beside those of every page.
        context: What the template shows.
    """
    caller = request.scope.get("user")
    theme = read_cookie(request, THEME_COOKIE)
    shared = {
        "name": section or name,
        "speak": speaker_of(request),
        "languages": LANGUAGES,
        "theme": theme if theme in THEMES else THEMES[0],
        "themes": THEMES,
        "asset": assets().address,
        "path": _own_address(request),
        "caller": caller,
        "csrf": csrf_token_of(request),
        "entries": [entry for entry in ENTRIES if isinstance(caller, Caller) and entry.is_for(caller)],
    }
    return Template(
        f"{name}.html", context=shared | context, status_code=status, headers={**_HEADERS, **(headers or {})}
    )


def refused_page(request: AnyRequest, name: str, problem: Problem, **context: Any) -> Template:
    """A page that says itself why its form was refused; the problem counts, and is logged, as any other.

    Args:
        request: The request that was refused.
        name: The page, whose template shows `problem`.
        problem: Why.
        context: As of `page`.
    """
    headers = _kept(render_problem(problem, request))
    return page(request, name, status=problem.kind.status, headers=headers, problem=problem, **context)


async def long_part(request: Request, name: str, **context: Any) -> str:
    """A long part of a page, `<name>.html`, rendered in a thread; a page shows it as it is.

    Raises:
        Problem: `overloaded` where too much work waits for a thread.
    """
    template = _environment().get_template(f"{name}.html")
    return await request.work_pool.run(template.render, speak=speaker_of(request), **context)


def speaker_of(request: AnyRequest) -> Speaker:
    """What speaks the language of a request."""
    wanted = request.headers.get("accept-language", "")
    return Speaker(chosen_language(read_cookie(request, LANGUAGE_COOKIE), wanted))


def see(address: str) -> Redirect:
    """The answer to a form that has done its work: see another page."""
    return Redirect(address, status_code=303)


def own_address(text: str | None, default: str = "/console") -> str:
    """An address of the console that a form or a query names; the default for any other."""
    if text is None or len(text) > ADDRESS_MAX or not text.startswith("/console"):
        return default
    return text if text.isprintable() and "\\" not in text else default


def _own_address(request: AnyRequest) -> str:
    """The address of a page, to come back to; of the answer to a form, that of the console."""
    if request.method != "GET":
        return SIGN_IN if request.scope["path"] == SIGN_IN else "/console"
    query = request.scope["query_string"].decode("latin-1")
    return request.scope["path"] + (f"?{query}" if query else "")


def _problem_page(request: AnyRequest, error: Exception) -> Response[Any]:
    """A problem as a page, in its own words; without a session the way to sign in, and back."""
    kind = next(kind for kind in EXCEPTION_HANDLERS if isinstance(kind, type) and isinstance(error, kind))
    answer = EXCEPTION_HANDLERS[kind](request, error)
    body = getattr(answer, "body", None)
    if body is None:  # Litestar's answer to OPTIONS
        return answer
    problem = json.loads(body)
    if isinstance(error, Problem) and error.name == "unauthenticated":
        if request.headers.get("sec-fetch-site") == "cross-site" and not has_session_cookie(request):
            return page(request, "again")  # a link in a message: browsers send the cookie with our own pages' requests
        back = quote(_own_address(request), safe="/")
        return see(f"{SIGN_IN}?next={back}")
    return page(request, "problem", status=problem["status"], headers=_kept(answer), problem=problem)


def _kept(answer: Response[Any]) -> dict[str, str]:
    """The headers of a problem document that its page has as well."""
    return {name: value for name, value in answer.headers.items() if name.lower() != "content-type"}


PAGE_PROBLEMS: ExceptionHandlersMap = {
    Problem: _problem_page,
    HTTPException: _problem_page,
    PyMongoError: _problem_page,
    Exception: _problem_page,
}
"""What becomes of problems on pages, as `EXCEPTION_HANDLERS` says it of the API."""
