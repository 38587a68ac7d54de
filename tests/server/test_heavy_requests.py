"""One process under the heaviest requests that are allowed: other callers go on booking."""

import json
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.hostile_requests import BASE, Heavy, heavy_requests, stage_catalogue
from tests.support.load_client import Client
from tests.support.loop_meter import FILE, METERED, Stretch, read_stretches
from tests.support.servers import UNMEASURED, new_database
from tests.support.slot_bookings import BOOKINGS
from tests.support.staged_app import LOOP, staged

EVERY_SECONDS = 0.1
LIMIT_MS = 50.0
REPEATED = 2


@dataclass
class Booker:
    """A client that books a free slot every 100 ms, one after the other, until it is stopped."""

    client: Client
    stopped: threading.Event = field(default_factory=threading.Event)
    beside: str = ""
    answers: Counter[int] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)

    def book(self) -> None:
        """Book on; each wait is for the next moment, not for the answer before it."""
        with closing(self.client.connection()) as connection:
            moment = time.monotonic()
            for number in range(1_000_000):
                start = BASE + timedelta(days=200, minutes=15 * number)
                times = {"startTime": start.isoformat(), "endTime": (start + timedelta(minutes=15)).isoformat()}
                request = Heavy("book", "POST", BOOKINGS, json.dumps({"resource": "free", **times}).encode())
                status, body = request.send(connection, self.client.token)
                self.answers[status] += 1
                if status not in (201, 409, 422):
                    self.refusals.append(f"beside {self.beside}: {body.decode()[:300]}")
                moment += EVERY_SECONDS
                if self.stopped.wait(max(moment - time.monotonic(), 0)):
                    return


def _is_an_answer(answer: str) -> bool:
    return not answer.startswith("5") or "/problems/overloaded" in answer


@contextmanager
def booking(client: Client) -> Iterator[Booker]:
    """A booker that books until the block ends."""
    booker = Booker(client)
    thread = threading.Thread(target=booker.book)
    thread.start()
    try:
        yield booker
    finally:
        booker.stopped.set()
        thread.join()


def _blocking(server: str, notes: Path, names: frozenset[str] | None) -> dict[str, list[Stretch]]:
    """Send the requests of these names, or all, beside bookings to an app of its own.

    What held its loop for longer than the limit, by the name of the request beside which it did.
    """
    env = {FILE: str(notes), LOOP: "asyncio", **UNMEASURED}
    answers, blocking = defaultdict[str, list[str]](list), defaultdict[str, list[Stretch]](list)
    with staged(new_database(server, "reserva_bench")) as stage, stage.app(1, METERED, env=env) as app:
        stage_catalogue(app.client, stage.database)
        assert read_stretches(notes), "the meter notes what the app's start and its catalogue take"
        with booking(app.client) as booker:
            for heavy in heavy_requests(stage.database):
                if names is not None and heavy.name not in names:
                    continue
                os.truncate(notes, 0)
                booker.beside = heavy.name
                with closing(app.client.connection()) as connection:
                    status, body = heavy.send(connection, app.client.token)
                    connection.request("GET", "/healthz")  # what the request left to the loop comes before it
                    connection.getresponse().read()
                answers[heavy.name].append(f"{status} {body[:200]!r}")
                blocking[heavy.name] += [each for each in read_stretches(notes) if each.ms > LIMIT_MS]
    print(*(f"{name}: {seen}" for name, seen in answers.items()), sep="\n")  # noqa: T201  # shown where it fails
    assert booker.answers[201] > 0
    if names is None:  # by itself a request meets empty caches, and may take too long
        failed = {name: seen for name, seen in answers.items() if not all(map(_is_an_answer, seen))}
        assert (booker.refusals, failed) == ([], {}), booker.answers
    return {name: found for name, found in blocking.items() if found}


@pytest.mark.servers("fast")
def test_the_heaviest_requests_delay_no_other_booking(server: str, tmp_path: Path) -> None:
    """While each is sent in turn, bookings are made, and no callback holds the loop for more than 50 ms of CPU.

    What is too much for the process at that moment may be `overloaded`, and is no other problem of ours. A virtual
    machine counts what its host takes from it as CPU, so a request is at fault if it blocks each of three times.
    """
    found = _blocking(server, tmp_path / "stretches", None)
    for number in range(REPEATED):
        if found:
            found = _blocking(server, tmp_path / f"stretches{number}", frozenset(found))

    assert found == {}
