"""Writers that change reservations in every way that there is, many of them the same reservations at once."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple, TypeAlias

from tests.support.load_client import Client
from tests.support.slot_bookings import start_of

SLOTS = 60
"""Slots of each room: few enough that bookings meet holds that have expired."""
KNOWN = 60
"""The reservations that writers change: the last that were made or changed."""
HOLD_SECONDS = 10
RETRY_SECONDS = 0.05
_SUCCESS = (200, 201)
_PLACE = ("resource", "startTime")


class Ask(NamedTuple):
    """A request of a writer."""

    path: str
    body: Mapping[str, Any]
    method: str = "POST"


Reservation: TypeAlias = Mapping[str, Any]
"""As the app answered it last; another writer may have changed it since."""


class Writers:
    """So many writers, each on a thread and a connection of its own.

    Args:
        client: Where they write.
        rooms: What they book.
        count: How many writers.
        pause_seconds: Between two requests of a writer.
    """

    def __init__(self, client: Client, rooms: Sequence[str], count: int, pause_seconds: float) -> None:
        self._client = client
        self._rooms = rooms
        self._count = count
        self._pause_seconds = pause_seconds
        self._known: dict[str, Reservation] = {}
        self._lock = threading.Lock()
        self._over = False
        self.done: Counter[str] = Counter()
        """The requests that were answered with success, by what they were for."""
        self.interruptions = 0
        self.acknowledged: list[tuple[str, int]] = []
        """The id and the version of each reservation in an answer."""

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All of them at work."""
        threads = [
            threading.Thread(target=self._write, args=(random.Random(number),), name=f"writer {number}", daemon=True)
            for number in range(self._count)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over = True
            for thread in threads:
                thread.join()

    def _write(self, dice: random.Random) -> None:
        while not self._over:
            with closing(self._client.connection()) as connection:
                try:
                    while not self._over:
                        self._write_once(connection, dice)
                        time.sleep(self._pause_seconds)
                except (OSError, HTTPException):
                    self.interruptions += 1
            time.sleep(RETRY_SECONDS)

    def _write_once(self, connection: HTTPConnection, dice: random.Random) -> None:
        name = dice.choices([*_WISHES], [weight for weight, _ in _WISHES.values()])[0]
        with self._lock:
            known = [*self._known.values()]
        ask = _WISHES[name][1](dice, self._rooms, known)
        if ask is None:
            return
        headers = {"Authorization": f"Bearer {self._client.token}", "Content-Type": "application/json"}
        headers |= {"If-Match": "*"} if ask.method == "PATCH" else {}
        connection.request(ask.method, ask.path, json.dumps(ask.body), headers)
        response = connection.getresponse()
        content = response.read()
        if response.status in _SUCCESS:
            self.done[name] += 1
            self._learn(json.loads(content))

    def _learn(self, answer: Mapping[str, Any]) -> None:
        reservations = answer.get("reservations", [answer])
        with self._lock:
            for each in reservations:
                self.acknowledged.append((each["id"], each["version"]))
                self._known.pop(each["id"], None)
                self._known[each["id"]] = each
            for identity in [*self._known][:-KNOWN]:
                del self._known[identity]


def _times(dice: random.Random) -> dict[str, str]:
    slot = dice.randrange(SLOTS)
    return {"startTime": start_of(slot).isoformat(), "endTime": start_of(slot + 1).isoformat()}


def _booking(dice: random.Random, rooms: Sequence[str]) -> dict[str, Any]:
    return {"resource": dice.choice(rooms), **_times(dice)}


Wish: TypeAlias = Callable[[random.Random, Sequence[str], Sequence[Reservation]], Ask | None]


def _book(dice: random.Random, rooms: Sequence[str], _: Sequence[Reservation]) -> Ask:
    return Ask("/v1/reservations", _booking(dice, rooms))


def _hold(dice: random.Random, rooms: Sequence[str], _: Sequence[Reservation]) -> Ask:
    return Ask("/v1/reservations", {**_booking(dice, rooms), "expiresInSeconds": HOLD_SECONDS})


def _group(dice: random.Random, rooms: Sequence[str], _: Sequence[Reservation]) -> Ask:
    held = {"expiresInSeconds": HOLD_SECONDS} if dice.random() < 1 / 2 else {}
    return Ask("/v1/groups", {"reservations": [_booking(dice, rooms) for _ in range(3)], **held})


def _verb(verb: str, status: str, body: Mapping[str, Any]) -> Wish:
    """One of the verbs, on a reservation of a status."""

    def wish(dice: random.Random, _: Sequence[str], known: Sequence[Reservation]) -> Ask | None:
        fitting = [each["id"] for each in known if each["status"] == status]
        return Ask(f"/v1/reservations/{dice.choice(fitting)}/{verb}", body) if fitting else None

    return wish


def _group_verb(verb: str) -> Wish:
    def wish(dice: random.Random, _: Sequence[str], known: Sequence[Reservation]) -> Ask | None:
        groups = [each["group"] for each in known if "group" in each]
        return Ask(f"/v1/groups/{dice.choice(groups)}/{verb}", {}) if groups else None

    return wish


def _patch(body: Callable[[random.Random, Sequence[str]], Mapping[str, Any]]) -> Wish:
    def wish(dice: random.Random, rooms: Sequence[str], known: Sequence[Reservation]) -> Ask | None:
        ids = [each["id"] for each in known if each["status"] in ("pending", "confirmed")]
        return Ask(f"/v1/reservations/{dice.choice(ids)}", body(dice, rooms), "PATCH") if ids else None

    return wish


def _swap(dice: random.Random, _: Sequence[str], known: Sequence[Reservation]) -> Ask | None:
    """Two reservations take each other's place."""
    fitting = [each for each in known if each["status"] == "confirmed"]
    if len(fitting) < 2:  # two
        return None
    first, second = dice.sample(fitting, 2)
    moves = [
        {"reservation": one["id"], "version": one["version"]}
        | {name: other[name] for name in ("resource", "startTime")}
        for one, other in ((first, second), (second, first))
    ]
    return Ask("/v1/moves", {"moves": moves})


_WISHES: Mapping[str, tuple[int, Wish]] = {
    "book": (6, _book),
    "hold": (4, _hold),
    "confirm": (3, _verb("confirm", "pending", {})),
    "extend": (2, _verb("extend", "pending", {"expiresInSeconds": HOLD_SECONDS})),
    "move": (3, _patch(lambda dice, _: _times(dice))),
    "change": (4, _patch(lambda dice, _: {"notes": f"{dice.random()}"})),
    "cancel": (3, _verb("cancel", "confirmed", {"reason": "storm"})),
    "group": (2, _group),
    "confirm group": (1, _group_verb("confirm")),
    "cancel group": (1, _group_verb("cancel")),
    "swap": (3, _swap),
}
"""What writers do, with how often they do it."""
OPERATIONS = tuple(_WISHES)
