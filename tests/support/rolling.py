"""Clients of several instances of the app, as behind a proxy, and the restart of one instance after the other."""

import itertools
import select
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from tests.support.load_client import Client
from tests.support.servers import free_port
from tests.support.slot_bookings import booking, make_rooms
from tests.support.staged_app import App, Stage

INSTANCES = 2
CHECK_SECONDS = 0.2
"""Between two questions to `/readyz`."""
REFUSED_SECONDS = 20.0
"""How long a request is offered to instances that refuse the connection."""
_PAUSE_SECONDS = 0.02
_OK = 200


class Upstreams:
    """What a proxy knows of its instances: it sends nothing new to one that is not ready.

    Args:
        ports: Where they listen.
        checked: Whether it asks them; otherwise it takes each for ready, and learns only by refused connections.
    """

    def __init__(self, ports: Sequence[int], *, checked: bool) -> None:
        self.ports = ports
        self._checked = checked
        self._ready = set(ports)
        self._turn = itertools.count()

    def pick(self) -> int:
        """The port of an instance that was ready when it was last asked, by turns; of any if none was."""
        ports = sorted(self._ready) or self.ports
        return ports[next(self._turn) % len(ports)]

    def is_ready(self, port: int) -> bool:
        """Whether the instance was ready when it was last asked."""
        return port in self._ready

    def check(self) -> None:
        """Ask each instance once."""
        for port in self.ports:
            if not self._checked or _is_ready(port):
                self._ready |= {port}
            else:
                self._ready -= {port}

    def drop(self, port: int) -> None:
        """Take an instance that refused a connection for not ready."""
        self._ready -= {port}


@dataclass(slots=True)
class Traffic:
    """Senders that book without a pause, one slot after the other, each on one connection at a time.

    A sender offers a request again only if the connection for it was refused. Everything else that goes wrong is a
    failure: a connection that ends before its answer, or an answer other than 201.
    """

    upstreams: Upstreams
    token: str
    rooms: Sequence[str]
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    refused: int = 0
    longest_seconds: float = 0.0
    over: bool = False

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """All senders at work, one for each room, and the checks of readiness."""
        threads = [threading.Thread(target=self._send_all, args=(room,), daemon=True) for room in self.rooms]
        threads.append(threading.Thread(target=self._check, daemon=True))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over = True
            for thread in threads:
                thread.join()

    def _check(self) -> None:
        while not self.over:
            self.upstreams.check()
            time.sleep(CHECK_SECONDS)

    def _send_all(self, room: str) -> None:
        connection: HTTPConnection | None = None
        for slot in itertools.count():
            if self.over:
                break
            asked = time.monotonic()
            try:
                connection = self._connected(connection)
                answer = Client(connection.port, self.token).ask(connection, booking(room, slot))
                self.statuses[answer.status] += 1
            except (OSError, HTTPException) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                connection = None
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - asked)
        if connection is not None:
            connection.close()

    def _connected(self, connection: HTTPConnection | None) -> HTTPConnection:
        """The same connection if it is open and its instance ready, else another one.

        Raises:
            OSError: the connection failed other than by a refusal, or all instances refuse it.
        """
        if connection is not None and self._is_usable(connection):
            return connection
        until = time.monotonic() + REFUSED_SECONDS
        while True:
            port = self.upstreams.pick()
            opened = Client(port, self.token).connection()
            try:
                opened.connect()
            except ConnectionRefusedError:
                if time.monotonic() > until:
                    raise
                self.refused += 1
                self.upstreams.drop(port)
                time.sleep(_PAUSE_SECONDS)
            else:
                return opened

    def _is_usable(self, connection: HTTPConnection) -> bool:
        """Whether a proxy would send the next request on it: not if the other side has closed it."""
        if connection.sock is None or not self.upstreams.is_ready(connection.port):
            return False
        readable, _, _ = select.select([connection.sock], [], [], 0)
        return not readable


class Instances:
    """Instances of the app at ports of their own, each a `reserva serve` with one process.

    Args:
        stage: Their database.
        env: Their environment.
    """

    def __init__(self, stage: Stage, env: Mapping[str, str]) -> None:
        self._stage = stage
        self._env = env
        self._running: dict[int, tuple[App, ExitStack]] = {}
        self.ports = [free_port() for _ in range(INSTANCES)]
        self.codes: list[int] = []
        """The exit codes of those that were ended."""

    @contextmanager
    def running(self) -> Iterator[Client]:
        """All of them, and a client of the first."""
        try:
            for port in self.ports:
                self._start(port)
            yield self._running[self.ports[0]][0].client
        finally:
            for port in [*self._running]:
                self._end(port)

    def restart(self, port: int) -> None:
        """End one by SIGTERM, and start it anew."""
        self._end(port)
        self._start(port)

    def _start(self, port: int) -> None:
        stack = ExitStack()
        self._running[port] = (stack.enter_context(self._stage.app(1, port=port, env=self._env)), stack)

    def _end(self, port: int) -> None:
        app, stack = self._running.pop(port)
        with stack:
            self.codes.append(app.running.end(signal.SIGTERM))


@dataclass(frozen=True, slots=True)
class Rolled:
    """What came of a rolling restart: what was sent, the exit codes of the instances, and the stored reservations."""

    traffic: Traffic
    codes: Sequence[int]
    stored: int


def roll(stage: Stage, *, connections: int, seconds: float, lame_duck_seconds: int, checked: bool = True) -> Rolled:
    """Restart one instance after the other while clients book: each once at least, and for so many seconds."""
    instances = Instances(stage, {"RESERVA_LAME_DUCK_SECONDS": str(lame_duck_seconds)})
    with instances.running() as client:
        traffic = Traffic(
            Upstreams(instances.ports, checked=checked), stage.token, make_rooms(client, "room", connections)
        )
        with traffic.flowing():
            until = time.monotonic() + seconds
            for number, port in enumerate(itertools.cycle(instances.ports)):
                if number >= INSTANCES and time.monotonic() > until:
                    break
                instances.restart(port)
    return Rolled(traffic, instances.codes, stage.database["reservations"].count_documents({}))


def _is_ready(port: int) -> bool:
    with closing(HTTPConnection("127.0.0.1", port, timeout=REFUSED_SECONDS)) as connection:
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == _OK
        except (OSError, HTTPException):
            return False
