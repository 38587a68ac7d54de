"""A proxy of MongoDB that loses, delays or refuses the messages and answers that a test names by their command."""

import asyncio
import re
import struct
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import bson

from app.booking import BookingService
from app.storage.client import Store, connect
from tests.support.step_driver import running_booking_service

_HEADER, _OP_MSG, _DOCUMENT = 16, 2013, 21

_LOCAL_TIME = re.compile(rb"(\x09localTime\x00)(.{8})", re.DOTALL)
"""The server's clock in an answer: a date of eight bytes."""

Wanted = Callable[[dict[str, Any]], bool]


class Fault:
    """What happens to the messages that are meant, from the first on; all others pass."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wanted: Wanted, kind: str, times: int | None) -> None:
        self.wanted = wanted
        self.kind = kind
        self.met = threading.Event()
        self.times = times
        self.over = asyncio.Event()
        self._loop = loop

    def meant(self, command: dict[str, Any]) -> bool:
        """Whether this one is meant as well; counts it."""
        if self.over.is_set() or self.times == 0 or not self.wanted(command):
            return False
        if self.times is not None:
            self.times -= 1
        self.met.set()
        return True

    def end(self) -> None:
        """Let the delayed messages pass, and all later ones."""
        self._loop.call_soon_threadsafe(self.over.set)


class Proxy:
    """Forwards messages between a driver and its server; commands and their answers can be lost or delayed.

    It has a loop and a thread of its own: closing a client keeps the loop that does so waiting for an answer.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._faults: list[Fault] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self.url = ""
        self.clock_ahead_ms = 0
        """By how much the server's clock reads later here than it is."""

    def lose(self, wanted: Wanted, *, times: int | None = None) -> Fault:
        """The wanted commands never arrive, and are not answered."""
        return self._fault(wanted, "command", times)

    def lose_answer(self, wanted: Wanted, *, times: int | None = None) -> Fault:
        """The wanted commands arrive and are done; their answers are lost."""
        return self._fault(wanted, "answer", times)

    def hold(self, wanted: Wanted, *, times: int | None = 1) -> Fault:
        """The wanted commands arrive when the fault is over, even if the driver has closed its connection by then."""
        return self._fault(wanted, "hold", times)

    def cut(self, wanted: Wanted, *, times: int | None = 1) -> Fault:
        """The wanted commands never arrive, and their connections are closed."""
        return self._fault(wanted, "cut", times)

    def refuse_as_overloaded(self, wanted: Wanted, *, times: int | None = 1) -> Fault:
        """The wanted commands never arrive, and are answered as by a server that has too much to do."""
        return self._fault(wanted, "overloaded", times)

    def note(self, wanted: Wanted) -> Fault:
        """The wanted commands pass; the fault records that there was one."""
        return self._fault(wanted, "none", None)

    def _fault(self, wanted: Wanted, kind: str, times: int | None) -> Fault:
        fault = Fault(self._loop, wanted, kind, times)
        self._faults.append(fault)
        return fault

    async def start(self) -> None:
        """Listen; `url` is the address to use."""
        self._thread.start()
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._listen(), self._loop))

    async def stop(self) -> None:
        """Close everything."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._close(), self._loop))
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        options = f"{self._target.query}&directConnection=true".removeprefix("&")
        self.url = urlunsplit(("mongodb", f"127.0.0.1:{port}", self._target.path, options, ""))

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass_on(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection(self._target.hostname, self._target.port)
        unanswered: set[int] = set()
        delayed = False
        answers = asyncio.create_task(self._answers(inner, writer, unanswered))
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    message = await _message(reader)
                    fault = self._met(message)
                    if fault is not None and fault.kind == "cut":
                        break
                    if fault is not None and fault.kind == "overloaded":
                        writer.write(_overloaded(message))
                    elif fault is not None and fault.kind != "none":
                        unanswered.add(_number(message, 4))
                    if fault is None or fault.kind in {"answer", "none"}:
                        outer.write(message)
                    elif fault.kind == "hold":
                        delayed = True
                        await fault.over.wait()
                        outer.write(message)
                        await outer.drain()
            if delayed:  # a server may end what is open when a connection closes; this one is as good as lost
                await asyncio.Event().wait()
        finally:
            outer.close()
            answers.cancel()

    async def _answers(self, inner: asyncio.StreamReader, writer: asyncio.StreamWriter, unanswered: set[int]) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                message = await _message(inner)
                if _number(message, 8) not in unanswered:
                    writer.write(_LOCAL_TIME.sub(self._shifted, message) if self.clock_ahead_ms else message)
        writer.close()

    def _shifted(self, time: re.Match[bytes]) -> bytes:
        shifted = int.from_bytes(time[2], "little") + self.clock_ahead_ms
        return time[1] + shifted.to_bytes(8, "little")

    def _met(self, message: bytes) -> Fault | None:
        if _number(message, 12) != _OP_MSG:
            return None
        length = _number(message, _DOCUMENT)
        command = bson.decode(message[_DOCUMENT : _DOCUMENT + length])
        return next((fault for fault in self._faults if fault.meant(command)), None)


async def _message(reader: asyncio.StreamReader) -> bytes:
    header = await reader.readexactly(_HEADER)
    return header + await reader.readexactly(_number(header, 0) - _HEADER)


def _overloaded(message: bytes) -> bytes:
    """The answer of an overloaded server, which has not begun with the command."""
    labels = ["SystemOverloadedError", "RetryableError", "NoWritesPerformed"]
    answer = bson.encode({"ok": 0, "errmsg": "overloaded", "code": 462, "errorLabels": labels})
    return struct.pack("<iiiiiB", _DOCUMENT + len(answer), 0, _number(message, 4), _OP_MSG, 0, 0) + answer


def _number(message: bytes, place: int) -> int:
    return int.from_bytes(message[place : place + 4], "little")


def command(name: str) -> Wanted:
    """Commands of that name."""
    return lambda command: next(iter(command)) == name


def first_statement(collection: str) -> Wanted:
    """Updates of that collection which begin a transaction."""
    return lambda command: command.get("update") == collection and command.get("startTransaction") is True


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    """A proxy before the server of this address."""
    proxy = Proxy(url)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Store]:
    """A store at an address, closed in the end."""
    store = await connect(url)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def faulty(url: str) -> AsyncIterator[tuple[Proxy, BookingService]]:
    """The write path of a process whose connection to the database is unreliable."""
    async with proxied(url) as proxy, connected(proxy.url) as store, running_booking_service(store) as booking:
        yield proxy, booking
