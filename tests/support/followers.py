"""Followers of changes, each on a thread of its own: by cursor, by long poll, by stream, and by webhook.

Each is a client as people write one: it stores where it is, goes on from there whatever happened to the app, and takes
what comes in the order in which it comes.
"""

import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from typing_extensions import override

from tests.support.following_check import Received, received_of
from tests.support.load_client import Call, Client
from tests.support.slot_bookings import require

RETRY_SECONDS = 0.05
"""Before a follower asks again whom it did not reach."""
POLL_SECONDS = 0.1
"""Between two questions of the one that does not wait."""
WAIT_SECONDS = 5
"""How long a question of the one that waits may wait."""
LIMIT = 50
STREAMED = 100
"""Events after which the one that reads a stream connects again."""
_OK, _NO_CONTENT, _BAD_REQUEST = 200, 204, 400


class RefusedError(Exception):
    """The app has no answer for a follower at the moment."""


class Follower(ABC):
    """What a follower has got of reservations.

    Args:
        client: Where it follows, and the key that it uses.
    """

    name: str

    def __init__(self, client: Client) -> None:
        self.client = client
        self.received: list[Received] = []
        self.interruptions = 0
        """How often its connection or the app failed it; of a webhook, how often an event came again."""
        self.forged = 0
        """Webhooks that were not signed as they are to be."""

    def take(self, event: Mapping[str, Any]) -> None:
        """Take an event."""
        if "reservation" in event:
            self.received.append(received_of(event))

    @abstractmethod
    def following(self) -> AbstractContextManager[None]:
        """It follows until the end of this, which is to come after that of the app."""


class AskingFollower(Follower):
    """A follower that asks; `cursor` is where it is."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.cursor: str | None = None
        self._over = False

    @override
    @contextmanager
    def following(self) -> Iterator[None]:
        thread = threading.Thread(target=self._follow, name=self.name, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over = True
            thread.join()

    def _follow(self) -> None:
        while not self._over:
            with closing(self.client.connection()) as connection:
                try:
                    while not self._over:
                        self._ask(connection)
                except (OSError, HTTPException, RefusedError):
                    self.interruptions += self.cursor is not None  # at the start it waits for the app
            time.sleep(RETRY_SECONDS)

    @abstractmethod
    def _ask(self, connection: HTTPConnection) -> None:
        """Ask once, and take what comes.

        Raises:
            OSError, HTTPException: the app went away.
            RefusedError: it has no answer now.
        """

    def _get(self, connection: HTTPConnection, path: str, headers: Mapping[str, str]) -> HTTPResponse:
        """An answer whose body is not read yet."""
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.client.token}", **headers})
        response = connection.getresponse()
        if response.status != _OK:
            raise RefusedError(response.status)
        return response

    def _take_page(self, connection: HTTPConnection, **query: Any) -> bool:
        """Take the next page; whether it had events."""
        query |= {"limit": LIMIT} | ({} if self.cursor is None else {"after": self.cursor})
        page = json.loads(self._get(connection, f"/v1/events?{urlencode(query)}", {}).read())
        for event in page["items"]:
            self.take(event)
        self.cursor = page["next"]
        return bool(page["items"])


class CursorFollower(AskingFollower):
    """It asks for the next page ten times a second."""

    name = "cursor"

    @override
    def _ask(self, connection: HTTPConnection) -> None:
        if not self._take_page(connection):
            time.sleep(POLL_SECONDS)


class LongPollFollower(AskingFollower):
    """It waits for the next page."""

    name = "long poll"

    @override
    def _ask(self, connection: HTTPConnection) -> None:
        self._take_page(connection, wait=WAIT_SECONDS)


class StreamFollower(AskingFollower):
    """It reads server-sent events, and connects again with the id of the last one, at the latest after some of them."""

    name = "stream"

    @override
    def _ask(self, connection: HTTPConnection) -> None:
        known = {} if self.cursor is None else {"Last-Event-ID": self.cursor}
        fields: dict[str, str] = {}
        taken = 0
        for line in self._get(connection, "/v1/events/stream", known):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if line != b"\n":
                fields[name] = value
                continue
            if "data" in fields:  # an event counts, and so does its id, when its empty line has come
                self.take(json.loads(fields["data"]))
                taken += 1
            self.cursor = fields.get("id", self.cursor)
            fields = {}
            if taken == STREAMED:
                connection.close()
                return
        raise RefusedError("the stream has ended")


class WebhookFollower(Follower):
    """A receiver of webhooks that verifies their signatures and takes no event twice."""

    name = "webhook"

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._ids: set[str] = set()
        self._secret = ""

    @override
    @contextmanager
    def following(self) -> Iterator[None]:
        """It gets what changes from now on."""
        with ThreadingHTTPServer(("127.0.0.1", 0), self._handler()) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, name=self.name, daemon=True).start()
            made = self.client.post(Call("/v1/webhooks", {"url": f"http://127.0.0.1:{server.server_port}/hook"}))
            require(201, [made])
            self._secret = made.json()["secret"]
            try:
                yield
            finally:
                server.shutdown()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        follower = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(follower.receive(body, dict(self.headers.items())))
                self.end_headers()

            @override
            def log_message(self, *_: object) -> None:
                """Nothing."""

        return Handler

    def receive(self, body: bytes, headers: dict[str, str]) -> int:
        """Take a request; the status of its answer. One webhook gets one request at a time."""
        try:
            message = Webhook(self._secret).verify(body, headers)
        except WebhookVerificationError:
            self.forged += 1
            return _BAD_REQUEST
        identity = headers["webhook-id"]
        if identity in self._ids:
            self.interruptions += 1
        else:
            self._ids.add(identity)
            self.take(message["data"])
        return _NO_CONTENT


FOLLOWERS: tuple[type[Follower], ...] = (CursorFollower, LongPollFollower, StreamFollower, WebhookFollower)
