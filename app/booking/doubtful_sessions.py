"""Sessions that were given up while the outcome of their transactions was unknown.

An open transaction of such a session locks its resources for the server's transaction lifetime, a minute. So each
session is ended until the server has confirmed it. Where the first statement of a transaction was not answered, the
session is ended again with every heartbeat for as long as a packet can be late, because that statement may still arrive
and begin the transaction.
"""

import math
import time
from collections.abc import Callable, Iterable
from threading import Lock

from pymongo.synchronous.mongo_client import MongoClient

from app.cluster.reaper import kill_command
from app.storage.bson_types import BsonDocument

LATE_PACKET_SECONDS = 120.0
"""How late a packet can arrive: a kernel keeps sending for a closed connection for about 100 s."""


class DoubtfulSessions:
    """The doubtful sessions of one process; any thread may add and end them.

    Args:
        client: The client that ends them.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, client: "MongoClient[BsonDocument]", clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._since: dict[bytes, float] = {}
        self._lock = Lock()

    def add(self, sessions: Iterable[bytes], *, late: bool) -> None:
        """Add doubtful sessions; `late`: a statement that begins a transaction may still arrive."""
        since = self._clock() if late else -math.inf
        with self._lock:
            self._since.update((session, max(since, self._since.get(session, since))) for session in sessions)

    def ids(self) -> list[bytes]:
        """The ids of the sessions in which a transaction may be open, or may yet be begun by a late statement."""
        with self._lock:
            return [*self._since]

    def end(self) -> None:
        """Let the server end all of them; forget those that it has ended and for which no statement can be late.

        Raises:
            pymongo.errors.PyMongoError: the server did not confirm; all stay in doubt.
        """
        sessions = self.ids()
        if not sessions:
            return
        asked = self._clock()
        self._client.admin.command(*kill_command(sessions))
        with self._lock:
            for session in sessions:
                if asked - self._since.get(session, asked) >= LATE_PACKET_SECONDS:
                    del self._since[session]
