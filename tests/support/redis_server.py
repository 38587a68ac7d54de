"""A Redis of a test's own, which may be killed, filled and spoilt; and one that only ever complains."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from typing_extensions import override

from tests.support.servers import Child, free_port, redis


class OwnRedis:
    """A Redis at one address, whether it runs or not."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._child: Child | None = None
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty; nothing happens if it runs."""
        if self._child is None:
            with (self._data / "redis.log").open("w+", encoding="utf-8") as log:
                self._child = redis(self._data, log, self.port)

    def kill(self) -> None:
        """End it at once."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    @property
    def process(self) -> Any:
        """The process that runs."""
        return self._child.process if self._child is not None else None

    @contextmanager
    def client(self) -> Iterator[Redis]:
        """A client of it."""
        with Redis.from_url(self.url) as client:
            yield client


class _Complaint(socketserver.StreamRequestHandler):
    @override
    def handle(self) -> None:
        """Answer each command, a list of words, with the complaint."""
        while count := self.rfile.readline().strip().removeprefix(b"*"):
            for _ in range(2 * int(count)):
                self.rfile.readline()
            self.wfile.write(b"-%s\r\n" % self.server.complaint)  # type: ignore[attr-defined]  # set below


@contextmanager
def failing_redis(port: int, complaint: str) -> Iterator[None]:
    """A Redis at a port that answers every command with an error."""
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", port), _Complaint) as server:
        server.daemon_threads = True
        server.complaint = complaint.encode()  # type: ignore[attr-defined]  # for the handler
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()
