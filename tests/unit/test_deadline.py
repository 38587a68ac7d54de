"""The time that a request has: it travels with the work for it, and with nothing else."""

import asyncio
import time
from typing import Any

import pytest
from pymongo import _csot

from app.deadline import LEAST_SECONDS, Deadline, bound, current, detached, sending, within
from app.errors import KINDS, Problem, ProblemName
from app.http import deadlines
from app.http.deadlines import Deadlines
from app.main import create_app
from app.settings import Settings


class Hands:
    """A clock that a test moves."""

    seconds = 100.0

    def __call__(self) -> float:
        """What it shows."""
        return self.seconds


def test_time_does_not_count_while_the_client_is_waited_for() -> None:
    """What passes while a body is on its way moves the deadline, and before that is over nothing has passed."""
    clock = Hands()
    deadline = Deadline(3.0, clock)
    clock.seconds += 1
    deadline.pause()
    clock.seconds += 50
    assert deadline.left() == 2.0
    deadline.resume()
    clock.seconds += 1.5

    assert deadline.left() == 0.5


def test_nobody_asks_for_more_than_is_left() -> None:
    """A limit of one's own counts as long as it is shorter; what is late gets next to nothing, not no limit."""
    clock = Hands()

    assert within(5.0) == 5.0
    with bound(Deadline(3.0, clock)):
        assert (within(5.0), within(1.0)) == (3.0, 1.0)
        clock.seconds += 4
        assert within(1.0) == LEAST_SECONDS


def test_the_driver_knows_how_long_the_client_was_waited_for() -> None:
    """After a body that took longer than all the time of its request, operations on the database still have theirs."""
    with bound(deadline := Deadline(0.05)):
        deadline.pause()
        while _left_to_the_driver() > 0:
            pass
        deadline.resume()
        assert _left_to_the_driver() > 0
    assert _csot.get_timeout() is None


def _left_to_the_driver() -> float:
    left = _csot.remaining()
    assert left is not None
    return left


def test_nothing_is_sent_after_the_time_is_over() -> None:
    """The caller may have heard by then that nothing was done; what was sent before may be gone on with."""
    clock = Hands()
    sending()
    with bound(Deadline(3.0, clock)):
        sending()
        clock.seconds += 4
        sending()
    with bound(late := Deadline(3.0, clock)):
        clock.seconds += 4
        with pytest.raises(Problem) as refused:
            sending()

    assert (refused.value.name, late.sent) == ("overloaded", False)


async def test_what_serves_others_too_is_not_bound() -> None:
    """A detached task knows neither the deadline of who starts it nor the driver's."""

    async def seen() -> tuple[Any, Any]:
        return current(), _csot.get_timeout()

    deadline = Deadline(3.0)
    with bound(deadline):
        assert await seen() != (None, None)
        assert (await asyncio.create_task(seen()))[0] is deadline
        assert await detached(seen()) == (None, None)
    assert await seen() == (None, None)


class Caller:
    """Somebody who sends one request to an ASGI application and collects its answer."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.answered = asyncio.Event()

    async def ask(self, app: Any, method: str) -> int:
        """The status of the answer."""
        scope = {
            "type": "http",
            "method": method,
            "path": "/v1/x",
            "raw_path": b"/v1/x",
            "query_string": b"",
            "headers": [],
            "litestar_app": create_app(Settings()),
            "state": {},
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            self.messages.append(message)
            if message["type"] == "http.response.body":
                self.answered.set()

        await app(scope, receive, send)
        status: int = self.messages[0]["status"]
        return status


class TestAnswersInTime:
    """The last resort: whatever a request waits for, its answer goes out."""

    @pytest.fixture(autouse=True)
    def _short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deadlines, "WRITE_SECONDS", 0.05)
        monkeypatch.setattr(deadlines, "READ_SECONDS", 0.05)
        monkeypatch.setattr(deadlines, "MARGIN_SECONDS", 0.01)

    @pytest.mark.parametrize(
        ("method", "sends", "name"),
        [("GET", False, "overloaded"), ("POST", False, "overloaded"), ("POST", True, "outcome-unknown")],
    )
    async def test_a_wait_without_end_has_one(self, method: str, name: ProblemName, *, sends: bool) -> None:
        """It is answered while it still waits; what comes after that reaches nobody, and is not cut short.

        Only where something was sent nobody knows what came of it.
        """
        waited, done = asyncio.Event(), asyncio.Event()

        async def waits(scope: Any, receive: Any, send: Any) -> None:
            del scope, receive
            if sends:
                sending()
            await waited.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            done.set()

        caller = Caller()
        asked = asyncio.create_task(caller.ask(Deadlines(waits), method))
        await caller.answered.wait()
        told = len(caller.messages)
        waited.set()
        await done.wait()

        assert await asked == KINDS[name].status
        assert name.encode() in caller.messages[1]["body"]
        assert len(caller.messages) == told

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_a_busy_loop_is_no_wait(self, method: str) -> None:
        """Where the process itself was at work all the time, the answer that it came to is sent."""

        async def works(scope: Any, receive: Any, send: Any) -> None:
            del scope, receive
            for _ in range(5):
                until = time.monotonic() + 3 * deadlines.WRITE_SECONDS
                while time.monotonic() < until:
                    pass
                await asyncio.sleep(0)
            await send({"type": "http.response.start", "status": 200, "headers": []})

        assert await Caller().ask(Deadlines(works), method) == 200

    async def test_an_answer_that_has_begun_comes_to_its_end(self) -> None:
        """Nothing is put behind its first part."""

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            del scope, receive
            await send({"type": "http.response.start", "status": 200, "headers": []})
            long_after = asyncio.Event()
            asyncio.get_running_loop().call_later(0.2, long_after.set)
            await long_after.wait()
            await send({"type": "http.response.body", "body": b"all", "more_body": False})

        caller = Caller()
        assert await caller.ask(Deadlines(slow), "GET") == 200
        assert [message.get("body") for message in caller.messages] == [None, b"all"]
