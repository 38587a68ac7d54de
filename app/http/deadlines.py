"""Every request is answered within its deadline: 3 seconds for a write, 10 for a read.

The deadline travels with the request (see `app.deadline`); waits for the database end with it and report truthfully
whether a write happened. Any other work that exceeds the deadline is answered here, without waiting for it.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import Context

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.types.asgi_types import ReceiveMessage

from app.deadline import Deadline, bound
from app.errors import OutcomeUnknown, Problem
from app.http.problems import render_problem
from app.http.request import AnyRequest

WRITE_SECONDS = 3.0
READ_SECONDS = 10.0
MARGIN_SECONDS = 0.2
"""The work for an answer has so much less time than the answer, because the code that did the work knows its outcome
best and should be the one to report it."""

TICK_SECONDS = 0.02
"""The interval at which the delay of the event loop is measured."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Deadlines:
    """ASGI middleware that answers each request within its deadline.

    Late work is not cancelled: a thread of the driver cannot be stopped, and the code that awaits it has to account for
    its outcome. Only the client no longer waits for it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._delay = _LoopDelay()
        self._late_work: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; after its deadline with a problem."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        is_read = scope["method"] in _READING
        deadline = Deadline((READ_SECONDS if is_read else WRITE_SECONDS) - MARGIN_SECONDS)
        answer = _ClosableSend(send)

        uploading = True

        async def receive_unhurried() -> ReceiveMessage:
            nonlocal uploading
            if not uploading:
                return await receive()
            with deadline.paused():  # a slow upload does not count against the deadline
                message = await receive()
            uploading = bool(message.get("more_body"))
            return message

        work = asyncio.create_task(self._work(deadline, scope, receive_unhurried, answer))
        with self._delay.measured():
            in_time = await self._is_done_in_time(work, deadline)
        if in_time or answer.has_started:
            await work
            return
        self._late_work.add(work)
        work.add_done_callback(self._discard)
        answer.is_closed = True
        request: AnyRequest = Request(scope, receive, send)
        response = render_problem(_late_problem(deadline, is_read=is_read), request)
        await response.to_asgi_response(None, request)(scope, receive, send)

    async def _work(self, deadline: Deadline, scope: Scope, receive: Receive, send: Send) -> None:
        with bound(deadline):
            await self._app(scope, receive, send)

    async def _is_done_in_time(self, work: "asyncio.Task[None]", deadline: Deadline) -> bool:
        """Whether the work is done by the deadline; it is cancelled with the request.

        The delay of the event loop extends the deadline: under overload a finished answer is sent a little late instead
        of an `outcome-unknown`.
        """
        before = self._delay.total_seconds()
        try:
            while not work.done():
                left = deadline.left() + MARGIN_SECONDS + self._delay.total_seconds() - before
                if left <= 0:
                    break
                await asyncio.wait((work,), timeout=left)
        except asyncio.CancelledError:
            work.cancel()
            raise
        return work.done()

    def _discard(self, work: "asyncio.Task[None]") -> None:
        self._late_work.discard(work)
        if not work.cancelled():
            work.exception()  # mark the exception as retrieved; the client has its answer


class _LoopDelay:
    """The total delay of the event loop's timers, measured while a request is in flight."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._measurements = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def measured(self) -> Generator[None]:
        """Measure while the block runs."""
        self._measurements += 1
        if self._timer is None:
            self._wait(asyncio.get_running_loop())
        try:
            yield
        finally:
            self._measurements -= 1

    def total_seconds(self) -> float:
        """The total delay until now; less than a tick does not count."""
        late = 0.0 if self._timer is None else asyncio.get_running_loop().time() - self._due
        return self._seconds + (late if late > TICK_SECONDS else 0.0)

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + TICK_SECONDS
        self._timer = loop.call_at(self._due, self._tick, loop, context=Context())

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._seconds = self.total_seconds()
        self._timer = None
        if self._measurements:
            self._wait(loop)


class _ClosableSend:
    """Passes messages on until it is closed, because the request was answered otherwise."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_started = False
        self.is_closed = False

    async def __call__(self, message: Message) -> None:
        """Send a message unless closed."""
        if not self.is_closed:
            self.has_started = True
            await self._send(message)


def _late_problem(deadline: Deadline, *, is_read: bool) -> Problem:
    if is_read:
        return Problem("overloaded", "The answer was not ready in time; ask again in a moment.")
    if not deadline.sent:
        return Problem("overloaded", "This took longer than it may; nothing was done.")
    return OutcomeUnknown()
