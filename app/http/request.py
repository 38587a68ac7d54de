"""The request as Reserva reads it: strict bodies, and an id for the answer and for what the log says of it."""

import re
from collections.abc import Callable
from contextlib import nullcontext
from secrets import token_hex
from typing import Any, ParamSpec, TypeVar

from litestar import Request as LitestarRequest
from litestar.exceptions import InternalServerException
from litestar.types import Empty, Scope
from typing_extensions import override

from app.errors import Problem
from app.http.methods import extended
from app.http.models import Body, read_body
from app.http.shutdown import BODY_SECONDS, CLOSING, Shutdown
from app.http.strict_json import read_json
from app.http.validation_messages import cut
from app.work import WORK, WorkPool, without_collector

P = ParamSpec("P")
T = TypeVar("T")

MAX_BODY_BYTES = 1024 * 1024
LARGE_BODY_BYTES = 16 * 1024
"""What is larger is read beside the event loop: the worst of so many bytes takes it 15 ms, of 1 MiB a second."""

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,64}")
_ID_KEY = "reserva.request_id"
_CHANGEABLE_KEY = "reserva.changeable"
_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"


class Request(LitestarRequest[Any, Any, Any]):
    """Litestar's request with a body that is read once, strictly, into the model that its route declared."""

    _read: tuple[Any, Any] | None = None

    @override
    async def json(self) -> Any:
        """The body as the model of the route, which Litestar hands on to the handler as it is.

        Raises:
            Problem: `unsupported-media-type`, `malformed` or `invalid`; `overloaded` where too many large bodies wait.
        """
        return (await self._content())[1]

    async def shape(self) -> Any:
        """The same body as plain JSON."""
        return (await self._content())[0]

    @override
    async def body(self) -> bytes:
        """The bytes of the body, 1 MiB at most.

        Raises:
            Problem: `malformed` if it takes too long, or if the client left before its end, which is no fault of ours.
        """
        if self._body is not Empty:  # read before
            return await super().body()
        closing: Shutdown = self.app.state[CLOSING]
        try:
            async with closing.body():
                return await super().body()
        except TimeoutError:
            raise Problem("malformed", f"The body did not arrive within {BODY_SECONDS:.0f} seconds.") from None
        except InternalServerException:
            raise Problem("malformed", "The body broke off before its end.") from None

    async def beside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do work that takes time in proportion to the body: beside the event loop if the body is large."""
        if len(await self.body()) <= LARGE_BODY_BYTES:
            return work(*args, **kwargs)
        return await self.work_pool.run(work, *args, **kwargs)

    @property
    def work_pool(self) -> WorkPool:
        """Where long work is done beside the event loop."""
        pool: WorkPool = self.app.state[WORK]
        return pool

    def answer_anew(self) -> None:
        """What is shown may change without a new version, so `If-None-Match` is not asked."""
        extended(self.scope)[_CHANGEABLE_KEY] = True

    async def _content(self) -> tuple[Any, Any]:
        if self._read is None:
            self._require_json()
            self._read = await self.beside(_read, await self.body(), self._model(), nulls=self.method == "PATCH")
        return self._read

    def _model(self) -> type[Body] | None:
        """What the route makes of its body; `X | None` where that may be left out."""
        field = self.route_handler.parsed_data_field
        kinds = [field, *field.inner_types] if field else []
        return next((kind.annotation for kind in kinds if kind.is_subclass_of(Body)), None)

    def _require_json(self) -> None:
        """Another type is refused; without one the body is taken for the only thing that it can be."""
        if "content-encoding" in self.headers:
            raise Problem("unsupported-media-type", "Send the body as it is, without a Content-Encoding.")
        kind, options = self.content_type
        patch = self.method == "PATCH"
        if kind in {"", _JSON} or (patch and kind == _MERGE_PATCH):
            charset = options.get("charset", "utf-8").lower()
            if charset in {"utf-8", "utf8"}:
                return
            raise Problem("unsupported-media-type", f"Send JSON in UTF-8, not in {cut(charset, 40)}.")
        allowed = f"{_JSON} or {_MERGE_PATCH}" if patch else _JSON
        raise Problem("unsupported-media-type", f"Send the body with Content-Type: {allowed}.")


def _read(body: bytes, model: type[Body] | None, *, nulls: bool) -> tuple[Any, Any]:
    """A body from its bytes: as JSON, and as a model.

    A refusal leaves without what was parsed: to free half a million values takes long, and is done here.
    """
    with without_collector() if len(body) > LARGE_BODY_BYTES else nullcontext():
        try:
            return _parsed(body, model, nulls=nulls)
        except Problem as problem:
            problem.__context__ = None
            raise problem.with_traceback(None) from None


def _parsed(body: bytes, model: type[Body] | None, *, nulls: bool) -> tuple[Any, Any]:
    shape = read_json(body, nulls=nulls)
    return shape, shape if model is None else read_body(model, shape)


def request_id(scope: Scope) -> str:
    """The id of a request: the client's `X-Request-Id`, if it is 1 to 64 visible characters, else one of ours."""
    keys = extended(scope)
    known: str | None = keys.get(_ID_KEY)
    if known is None:
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        known = given.decode("ascii") if _REQUEST_ID.fullmatch(given) else token_hex(12)
        keys[_ID_KEY] = known
    return known


def is_changeable(scope: Scope) -> bool:
    """Whether what is shown may have changed at the same version; see `Request.answer_anew`."""
    return _CHANGEABLE_KEY in extended(scope)
