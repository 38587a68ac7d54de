"""Every request is answered within its deadline: 3 seconds for what writes, 10 for what reads.

The deadline travels with the request (see `app.deadline`), and whatever waits for the database ends with it and says
truthfully what came of it. What waits for anything else has its end here: the answer goes out without it.
"""

import asyncio
from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.deadline import Deadline, bound
from app.errors import Problem
from app.wire.problems import render_problem

WRITE_SECONDS = 3.0
READ_SECONDS = 10.0
MARGIN_SECONDS = 0.2
"""So much earlier than the answer must be there, the work for it is to end: it is told by whoever knows most."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Deadlines:
    """The application, each request of which has its time.

    Work that is late is not cancelled: a thread of the driver cannot be stopped, and what it does is accounted for by
    whoever waits for it. Only nobody is kept waiting for the answer any longer.
    """

    def __init__(
        self, app: ASGIApp, *, write_seconds: float = WRITE_SECONDS, read_seconds: float = READ_SECONDS
    ) -> None:
        self._app = app
        self._write_seconds = write_seconds
        self._read_seconds = read_seconds
        self._late: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or say that it cannot be answered in time."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        reading = scope["method"] in _READING
        deadline = Deadline((READ_SECONDS if reading else WRITE_SECONDS) - MARGIN_SECONDS)
        answer = _Answer(send)

        async def received() -> Any:
            with deadline.paused():  # how long a client takes to send its body is not for us to answer for
                return await receive()

        work = asyncio.create_task(self._work(deadline, scope, received, answer))
        if await _ends(work, deadline) or answer.begun:
            await work
            return
        self._late.add(work)
        work.add_done_callback(self._ended)
        answer.closed = True
        request: Request[Any, Any, Any] = Request(scope, receive, send)
        response = render_problem(_late(reading=reading), request)
        await response.to_asgi_response(None, request)(scope, receive, send)

    async def _work(self, deadline: Deadline, scope: Scope, receive: Receive, send: Send) -> None:
        with bound(deadline):
            await self._app(scope, receive, send)

    def _ended(self, work: "asyncio.Task[None]") -> None:
        self._late.discard(work)
        if not work.cancelled():
            work.exception()  # it was answered for already


class _Answer:
    """Sends what is sent, unless somebody else has answered by then."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False
        self.closed = False

    async def __call__(self, message: Message) -> None:
        """Send a part of the answer."""
        if not self.closed:
            self.begun = True
            await self._send(message)


async def _ends(work: "asyncio.Task[None]", deadline: Deadline) -> bool:
    """Whether the work ends in time; if nobody wants it any more it is cancelled."""
    try:
        while not work.done() and (left := deadline.left() + MARGIN_SECONDS) > 0:
            await asyncio.wait((work,), timeout=left)
    except asyncio.CancelledError:
        work.cancel()
        raise
    return work.done()


def _late(*, reading: bool) -> Problem:
    if reading:
        return Problem("overloaded", "The answer was not ready in time; ask again in a moment.")
    return Problem(
        "outcome-unknown",
        "This took longer than it may and can still be done; repeat it with the same Idempotency-Key, or look for it.",
        reservations=[],
    )
