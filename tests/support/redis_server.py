"""A Redis of a test's own, the troubles that it can have, and one that only ever complains."""

import signal
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

    def connections(self) -> int:
        """How many connections it has taken since its start, with that of this question."""
        with self.client() as client:
            stats: Any = client.info("stats")  # its types know asynchronous clients as well
            return int(stats["total_connections_received"])


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


@contextmanager
def gone(redis: OwnRedis) -> Iterator[None]:
    """Killed, and empty afterwards."""
    redis.kill()
    yield
    redis.start()


@contextmanager
def frozen(redis: OwnRedis) -> Iterator[None]:
    """Its connections stay, and nothing is answered."""
    redis.process.send_signal(signal.SIGSTOP)
    yield
    redis.process.send_signal(signal.SIGCONT)


@contextmanager
def full(redis: OwnRedis) -> Iterator[None]:
    """It answers, and takes nothing."""
    with redis.client() as client:
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@contextmanager
def read_only(redis: OwnRedis) -> Iterator[None]:
    """A replica, which answers reads."""
    with redis.client() as client:
        client.replicaof("127.0.0.1", 1)
        yield
        client.replicaof("NO", "ONE")


@contextmanager
def loading(redis: OwnRedis) -> Iterator[None]:
    """It answers everything with an error."""
    redis.kill()
    with failing_redis(redis.port, "LOADING Redis is loading the dataset in memory"):
        yield
    redis.start()
