"""Every request is answered within its deadline: 3 seconds for a write, 10 for a read.

The deadline travels with the request (see `app.deadline`); waits for the database end with it and report truthfully
whether a write happened. Any other work that exceeds the deadline is answered here, without waiting for it.
"""

import asyncio
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
_NO_CONTEXT = Context()
"""Timers run in it, not in the context of the request that sets them."""


class Deadlines:
    """ASGI middleware that answers each request within its deadline.

    Late work is not cancelled: a thread of the driver cannot be stopped, and the code that awaits it has to account for
    its outcome. Only the client no longer waits for it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._delay = _LoopDelay()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; after its deadline with a problem."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._delay)
        try:
            with bound(exchange.deadline):
                await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            if exchange.late_answer is None:  # else the client has its answer
                raise
        finally:
            await exchange.end()


class _LoopDelay:
    """The total delay of the event loop's timers, measured while a request is in flight."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._measurements = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Measure until `stop` was called as often."""
        self._measurements += 1
        if self._timer is None:
            self._wait(asyncio.get_running_loop())

    def stop(self) -> None:
        """End one of the measurements."""
        self._measurements -= 1

    def total_seconds(self) -> float:
        """The total delay until now; less than a tick does not count."""
        late = 0.0 if self._timer is None else asyncio.get_running_loop().time() - self._due
        return self._seconds + (late if late > TICK_SECONDS else 0.0)

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + TICK_SECONDS
        self._timer = loop.call_at(self._due, self._tick, loop, context=_NO_CONTEXT)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._seconds = self.total_seconds()
        self._timer = None
        if self._measurements:
            self._wait(loop)


class _Exchange:
    """One request and its answer: that of the application, or after the deadline a problem."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, delay: _LoopDelay) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._delay = delay
        self._is_read = scope.get("method") in _READING
        self._uploading = True
        self._has_started = False
        self.deadline = Deadline((READ_SECONDS if self._is_read else WRITE_SECONDS) - MARGIN_SECONDS)
        self.late_answer: asyncio.Task[None] | None = None
        delay.start()
        self._delay_before = delay.total_seconds()
        self._timer = self._wait(self.deadline.left() + MARGIN_SECONDS)

    async def receive(self) -> ReceiveMessage:
        """Receive a part of the request; a slow upload does not count against the deadline.

        Once the answer has started its deadline is met. From then on a task of its own may receive, to notice that the
        client leaves; it has another context, in which the driver's timeout cannot be set anew.
        """
        if not self._uploading or self._has_started:
            return await self._receive()
        self.deadline.pause()
        try:
            message = await self._receive()
        finally:
            self.deadline.resume()
        self._uploading = bool(message.get("more_body"))
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer, unless the client was answered at the deadline."""
        if self.late_answer is None:
            self._has_started = True
            await self._send(message)

    async def end(self) -> None:
        """Stop the timer, and wait until an answer that was sent at the deadline is complete."""
        self._timer.cancel()
        self._delay.stop()
        if self.late_answer is not None:
            await self.late_answer

    def _wait(self, seconds: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, self._on_deadline, context=_NO_CONTEXT)

    def _on_deadline(self) -> None:
        """Answer with a problem, unless the answer has started.

        The delay of the event loop extends the deadline: under overload a finished answer is sent a little late instead
        of an `outcome-unknown`.
        """
        if self._has_started:
            return
        left = self.deadline.left() + MARGIN_SECONDS + self._delay.total_seconds() - self._delay_before
        if left > 0:
            self._timer = self._wait(left)
        else:
            self.late_answer = asyncio.get_running_loop().create_task(self._answer_late(), context=Context())

    async def _answer_late(self) -> None:
        request: AnyRequest = Request(self._scope, self._receive, self._send)
        response = render_problem(_late_problem(self.deadline, is_read=self._is_read), request)
        await response.to_asgi_response(None, request)(self._scope, self._receive, self._send)


def _late_problem(deadline: Deadline, *, is_read: bool) -> Problem:
    if is_read:
        return Problem("overloaded", "The answer was not ready in time; ask again in a moment.")
    if not deadline.sent:
        return Problem("overloaded", "This took longer than it may; nothing was done.")
    return OutcomeUnknown()
