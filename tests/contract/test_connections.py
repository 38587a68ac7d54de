"""`reserva serve` at its sockets: silent and slow clients, the loss of processes, and the end of it all."""

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from typing_extensions import override

from app.cli.serve import HEAD_BYTES
from app.storage.client import Store
from tests.support.commands import (
    SECONDS,
    RunningCommand,
    accepts_connections,
    eventually,
    run_reserva,
    running_reserva,
)
from tests.support.http_client import make_key
from tests.support.load_client import Client
from tests.support.servers import BIN, free_port, unmeasured
from tests.support.slot_bookings import booking, make_rooms

pytestmark = pytest.mark.servers("transactions", once=True)

BODY = b'{"resource": "room", "startTime": "2030-03-04T09:00:00Z", "endTime": "2030-03-04T10:00:00Z"}'


@pytest.fixture
async def key(store: Store) -> str:
    """A key of a database that is ready, at `database_url`."""
    return await make_key(store, "admin")


@contextmanager
def serving(*options: str, **env: str) -> Iterator[tuple[int, RunningCommand]]:
    """The app with these options, on a port where it answers."""
    port = free_port()
    with running_reserva("serve", "--port", str(port), *options, cwd=None, **env) as app:
        app.wait_for_line("Started worker-1")
        assert eventually(lambda: accepts_connections(port))
        yield port, app


def half_sent(port: int, key: str) -> socket.socket:
    """A booking whose body stops in the middle, and the connection on which it was sent."""
    client = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    head = (
        f"POST /v1/reservations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(BODY)}\r\n"
    )
    client.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + BODY[:20])
    return client


def everything(client: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    received = b""
    with client:
        while got := client.recv(65_536):
            received += got
    return received


def test_silent_connections_do_not_make_it_deaf(key: str, database_url: str) -> None:
    """1,100 connections that say nothing do not block clients that ask."""
    with serving("--workers", "2", MONGODB_URL=database_url) as (port, _), ExitStack() as silent:
        for _ in range(1_100):
            silent.enter_context(socket.create_connection(("127.0.0.1", port), timeout=SECONDS))
        answers = [httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=20).status_code for _ in range(10)]

    assert answers == [200] * 10


def test_their_number_can_be_limited(key: str, database_url: str) -> None:
    """`--connections` holds for all processes together; who comes next waits until one is closed."""
    with serving("--connections", "2", MONGODB_URL=database_url) as (port, _):
        first, second, third = (socket.create_connection(("127.0.0.1", port), timeout=SECONDS) for _ in range(3))
        third.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        second.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        second_answer = everything(second)  # once it is answered and closed there is a place for the third
        third_answer = everything(third)
        first.close()

    assert [answer.split(b"\r\n")[0] for answer in (second_answer, third_answer)] == [b"HTTP/1.1 200 OK"] * 2


def test_a_long_head(key: str, database_url: str) -> None:
    """The head of a request has a bound, whatever it is made of."""
    with serving(MONGODB_URL=database_url) as (port, _):
        client = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        client.sendall(b"GET /console/sign-in HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * 2 * HEAD_BYTES)
        answer = everything(client)

    assert answer.startswith(b"HTTP/1.1 431 ")


def test_a_body_that_does_not_arrive(key: str, database_url: str) -> None:
    """A body that stops half-way is refused in the end, and its connection closed."""
    with serving(MONGODB_URL=database_url) as (port, _):
        head, _, body = everything(half_sent(port, key)).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body)["type"] == "/problems/malformed"
    assert "did not arrive within 10 seconds" in json.loads(body)["detail"]


def test_the_end_does_not_wait_for_bodies(key: str, database_url: str) -> None:
    """After SIGTERM half-sent bodies get a second more, so that the process ends by itself and is not killed."""
    with serving(MONGODB_URL=database_url) as (port, app):
        clients = [half_sent(port, key) for _ in range(3)]
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        assert app.end(signal.SIGTERM) == 0
        answers = [everything(client) for client in clients]

    assert [answer.split(b"\r\n")[0] for answer in answers] == [b"HTTP/1.1 400 Bad Request"] * 3
    assert not any("refused to gracefully stop" in line for line in app.err)


class Asking(threading.Thread):
    """A client that asks again and again on one connection, until an answer ends the connection."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        self.answers = 0
        self.asked_to_close = False
        self.broken: Exception | None = None

    @override
    def run(self) -> None:
        """Ask."""
        try:
            while not self.asked_to_close:
                self._connection.request("GET", "/healthz")
                answer = self._connection.getresponse()
                answer.read()
                self.asked_to_close = answer.getheader("Connection") == "close"
                self.answers += 1
        except (OSError, http.client.HTTPException) as error:
            self.broken = error


def test_a_lame_duck_loses_no_request(key: str, database_url: str) -> None:
    """After SIGTERM it is not ready, answers on, and ends each connection by its answer; none is cut."""
    with serving("--workers", "2", MONGODB_URL=database_url, RESERVA_LAME_DUCK_SECONDS="3") as (port, app):
        clients = [Asking(port) for _ in range(40)]
        for client in clients:
            client.start()
        assert eventually(lambda: all(client.answers > 1 for client in clients))
        app.process.send_signal(signal.SIGTERM)
        for client in clients:
            client.join(SECONDS)
        ready = httpx.get(f"http://127.0.0.1:{port}/readyz")
        alive = httpx.get(f"http://127.0.0.1:{port}/healthz")
        assert app.end() == 0

    assert [client.broken for client in clients if client.broken] == []
    assert all(client.asked_to_close for client in clients)
    assert (ready.status_code, ready.json()["reason"]) == (503, "This process has been asked to end.")
    assert (alive.status_code, alive.headers["Connection"]) == (200, "close")


def test_the_end_loses_no_request(key: str, database_url: str) -> None:
    """A hundred bookings that are under way at SIGTERM are all made and answered before the process ends."""
    with serving("--workers", "2", MONGODB_URL=database_url, RESERVA_LAME_DUCK_SECONDS="2") as (port, app):
        client = Client(port, key)
        rooms = make_rooms(client, "room", 100)
        answers = client.at_once(
            [booking(room) for room in rooms], on_sent=lambda: app.process.send_signal(signal.SIGTERM)
        )
        assert app.end() == 0

    assert [answer.status for answer in answers] == [201] * 100


@pytest.mark.parametrize(
    "numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT), (signal.SIGINT,)]
)
def test_the_waiting_can_be_ended(key: str, database_url: str, numbers: tuple[signal.Signals, ...]) -> None:
    """A second signal ends the listening on, and Ctrl-C does without it, whichever of its processes gets the signal."""
    with serving(MONGODB_URL=database_url, RESERVA_LAME_DUCK_SECONDS="300") as (port, app):
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=20).status_code == 200
        *before, last = numbers
        for number in before:
            app.process.send_signal(number)
            app.wait_for_line("asked to end")
        assert app.end(last) == 0
    assert not any("refused to gracefully stop" in line for line in app.err)


class Database:
    """A server of this test alone, which it may kill and start again over the same data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"mongodb://127.0.0.1:{self._port}/reserva"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [str(BIN / "secantusd-py"), "--port", str(self._port), "--storage-path", str(self._folder)]
        self._process = subprocess.Popen(
            [*command, "--sync-on-commit"], env=unmeasured(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert eventually(lambda: accepts_connections(self._port))

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A server of this test alone."""
    if not (BIN / "secantusd-py").exists():
        pytest.skip("SecantusDB is not installed (the extra `trial`)")
    server = Database(tmp_path)
    server.start()
    yield server
    server.kill()


def test_lost_processes_without_a_database(database: Database) -> None:
    """What lives answers on, what is lost is tried again and again, and comes back with the database."""
    assert run_reserva("migrate", MONGODB_URL=database.url).returncode == 0
    with serving("--workers", "2", MONGODB_URL=database.url) as (port, app):
        app.wait_for_line("Started worker-2")
        database.kill()
        os.kill(int(app.wait_for_line("Spawning worker-1").split()[-2]), signal.SIGKILL)
        assert eventually(lambda: counted(app, "a process of the app is lost") >= 3)
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/readyz").json()["reason"] == "The database does not answer."
        app.wait_for_line("No MongoDB server can be used")
        assert [line for line in app.err if "Traceback" in line] == [], "\n".join(app.err)

        database.start()
        assert eventually(lambda: counted(app, "Started worker-1") >= 2)
        assert app.end(signal.SIGTERM) == 0


def counted(app: RunningCommand, words: str) -> int:
    """How many lines with these words it has printed."""
    return sum(words in line for line in app.err)
