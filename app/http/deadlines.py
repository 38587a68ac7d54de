"""Every request is answered within its deadline: 3 seconds for what writes, 10 for what reads.

The deadline travels with the request (see `app.deadline`), and whatever waits for the database ends with it and says
truthfully what came of it. What waits for anything else has its end here: the answer goes out without it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.deadline import Deadline, bound
from app.errors import OutcomeUnknown, Problem
from app.http.problems import render_problem

WRITE_SECONDS = 3.0
READ_SECONDS = 10.0
MARGIN_SECONDS = 0.2
"""So much earlier than the answer must be there, the work for it is to end: it is told by whoever knows most."""

TICK_SECONDS = 0.02
"""How often it is looked whether the event loop comes round."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Deadlines:
    """The application, each request of which has its time.

    Work that is late is not cancelled: a thread of the driver cannot be stopped, and what it does is accounted for by
    whoever waits for it. Only nobody is kept waiting for the answer any longer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._busy = _Busy()
        self._late: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or say that it cannot be answered in time."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        reading = scope["method"] in _READING
        deadline = Deadline((READ_SECONDS if reading else WRITE_SECONDS) - MARGIN_SECONDS)
        answer = _Answer(send)

        uploading = True

        async def received() -> Any:
            nonlocal uploading
            if not uploading:
                return await receive()
            with deadline.paused():  # how long a client takes to send its body is not for us to answer for
                message = await receive()
            uploading = bool(message.get("more_body"))
            return message

        work = asyncio.create_task(self._work(deadline, scope, received, answer))
        with self._busy.watched():
            ended = await self._ends(work, deadline)
        if ended or answer.begun:
            await work
            return
        self._late.add(work)
        work.add_done_callback(self._ended)
        answer.closed = True
        request: Request[Any, Any, Any] = Request(scope, receive, send)
        response = render_problem(_late(deadline, reading=reading), request)
        await response.to_asgi_response(None, request)(scope, receive, send)

    async def _work(self, deadline: Deadline, scope: Scope, receive: Receive, send: Send) -> None:
        with bound(deadline):
            await self._app(scope, receive, send)

    async def _ends(self, work: "asyncio.Task[None]", deadline: Deadline) -> bool:
        """Whether the work ends in time; if nobody wants it any more it is cancelled.

        The time in which the event loop was at work for all is not waited for anything: under a storm an answer that is
        there is sent, a little late, instead of the word that nobody knows it.
        """
        before = self._busy.so_far()
        try:
            while not work.done():
                left = deadline.left() + MARGIN_SECONDS + self._busy.so_far() - before
                if left <= 0:
                    break
                await asyncio.wait((work,), timeout=left)
        except asyncio.CancelledError:
            work.cancel()
            raise
        return work.done()

    def _ended(self, work: "asyncio.Task[None]") -> None:
        self._late.discard(work)
        if not work.cancelled():
            work.exception()  # it was answered for already


class _Busy:
    """For how long the event loop has been too busy to come back in time, as long as somebody watches."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._watching = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, it is measured."""
        self._watching += 1
        if self._timer is None:
            self._wait(asyncio.get_running_loop())
        try:
            yield
        finally:
            self._watching -= 1

    def so_far(self) -> float:
        """The seconds until now; what is less than a tick is no delay."""
        late = 0.0 if self._timer is None else asyncio.get_running_loop().time() - self._due
        return self._seconds + (late if late > TICK_SECONDS else 0.0)

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + TICK_SECONDS
        self._timer = loop.call_at(self._due, self._tick, loop, context=Context())

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._seconds = self.so_far()
        self._timer = None
        if self._watching:
            self._wait(loop)


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


def _late(deadline: Deadline, *, reading: bool) -> Problem:
    if reading:
        return Problem("overloaded", "The answer was not ready in time; ask again in a moment.")
    if not deadline.sent:
        return Problem("overloaded", "This took longer than it may; nothing was done.")
    return OutcomeUnknown()
