"""A client that sends an exact number of requests at exact moments, which a load generator cannot."""

import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any

TIMEOUT_SECONDS = 60.0
"""No answer by then is no answer: every request must end."""


@dataclass(frozen=True, slots=True)
class Call:
    """A POST; `key` is its Idempotency-Key."""

    path: str
    body: Mapping[str, Any] | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.content)


class Client:
    """Asks the app on a port of this machine, with an API key."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.token = token

    def reaches(self) -> bool:
        """Whether anybody listens."""
        try:
            self._socket().close()
        except ConnectionRefusedError:
            return False
        return True

    def post(self, call: Call) -> Answer:
        """One request by itself."""
        return self.in_flow([call], 1)[0]

    def in_flow(self, calls: Sequence[Call], width: int) -> list[Answer]:
        """So many requests at a time, each sent when the one before it on its connection was answered."""

        def some(first: int) -> list[Answer]:
            with closing(self.connection()) as connection:
                return [self.ask(connection, call) for call in calls[first::width]]

        answers: dict[int, Answer] = {}
        with ThreadPoolExecutor(width) as threads:
            for first, part in enumerate(threads.map(some, range(width))):
                answers |= zip(range(first, len(calls), width), part, strict=True)
        return [answers[index] for index in range(len(calls))]

    def at_once(
        self,
        calls: Sequence[Call],
        moments: Sequence[float] | None = None,
        *,
        on_sent: Callable[[], None] = lambda: None,
    ) -> list[Answer]:
        """Send all requests before any answer is read, each on a connection of its own that was open before.

        Args:
            calls: The requests.
            moments: The times of `time.time()` to send them at, in order; without them, as fast as they can be sent.
            on_sent: Called when all are sent.
        """
        with ExitStack() as stack:
            sockets = [stack.enter_context(self._socket()) for _ in calls]
            for index, (line, call) in enumerate(zip(sockets, [self._bytes(call) for call in calls], strict=True)):
                if moments is not None:
                    time.sleep(max(moments[index] - time.time(), 0))
                line.sendall(call)
            on_sent()
            return [_read(line) for line in sockets]

    def connection(self) -> HTTPConnection:
        """A persistent connection."""
        return HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)

    def ask(self, connection: HTTPConnection, call: Call) -> Answer:
        """Send on an open connection and wait for the answer.

        Raises:
            OSError, HTTPException: the other side went away.
        """
        body, headers = self._parts(call)
        connection.request("POST", call.path, body, headers)
        return _answer(connection.getresponse())

    def _socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), TIMEOUT_SECONDS)

    def _parts(self, call: Call) -> tuple[bytes, dict[str, str]]:
        headers = {"Authorization": f"Bearer {self.token}"}
        if call.key is not None:
            headers["Idempotency-Key"] = call.key
        if call.body is None:
            return b"", headers
        return json.dumps(call.body).encode(), headers | {"Content-Type": "application/json"}

    def _bytes(self, call: Call) -> bytes:
        """The whole request; its connection is closed by the server, which then takes the next one in line."""
        body, headers = self._parts(call)
        headers |= {"Host": f"127.0.0.1:{self.port}", "Content-Length": str(len(body)), "Connection": "close"}
        lines = [f"POST {call.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode() + body


def _read(line: socket.socket) -> Answer:
    response = HTTPResponse(line, method="POST")
    response.begin()
    answer = _answer(response)
    line.close()
    return answer


def _answer(response: HTTPResponse) -> Answer:
    content = response.read()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)
