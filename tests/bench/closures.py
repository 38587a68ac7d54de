"""How long it takes until one entry closes 1,000 resources with 10,000 bookings, beside the time that a request has."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date, timedelta
from http.client import HTTPConnection
from itertools import count, product
from statistics import median
from threading import Event, Thread
from typing import Any
from urllib.parse import urlencode

from app.http.deadlines import WRITE_SECONDS
from tests.bench.prefill import fill
from tests.bench.report import Bench, Report
from tests.support.load_client import Answer, Call, Client
from tests.support.slot_bookings import FIRST, booking, require
from tests.support.times import DAY

ROOMS = 1_000
EACH = 10
"""Bookings of every room, all of them on one day."""
PREFIX = "room"
SERVICE = "visit"
APART = 20
"""Every so many rooms one is asked whether it is closed."""
WIDTH = 4
"""Bookings at a time, where they go on."""
LATER = 64
"""The slot from which on they book: after the day of the first ones, and never on the free day."""
CLOSURES = "/v1/closures"
BOOKED = FIRST.date()
FREE = BOOKED - timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Case:
    """A closure of all rooms for one day, and how it is answered."""

    name: str
    day: date
    status: int
    query: str = ""


CASES = (
    Case("nobody has booked", FREE, 201),
    Case(f"{ROOMS * EACH:,} are stranded", BOOKED, 409),
    Case(f"{ROOMS * EACH:,} are left", BOOKED, 201, "?force=true"),
)
EXTENTS: dict[str, dict[str, Any]] = {
    "all": {},
    "by a service": {"services": [SERVICE]},
    "each named": {"resources": [f"{PREFIX}-{number}" for number in range(ROOMS)]},
}


def run(bench: Bench) -> Report:
    """Every case and extent by turns: what is made closes each room at once, and is deleted."""
    report = Report(
        f"POST /v1/closures over {ROOMS:,} resources with {ROOMS * EACH:,} bookings",
        ("day", "rooms", "beside", "answer", "s, median", "slowest", "of the deadline"),
    )
    took: dict[tuple[Case, str, str], list[float]] = defaultdict(list)
    made: list[int] = []
    with bench.stage() as stage, stage.app(1) as app:
        service = {"id": SERVICE, "name": "Visit", "durationType": "fixed", "durationMinutes": 45}
        require(201, [app.client.post(Call("/v1/services", service))])
        fill(app.client, stage.database, PREFIX, ROOMS, EACH, services=[SERVICE])
        for beside in ("nothing", "bookings"):
            with _bookings(app.client, made) if beside == "bookings" else nullcontext():
                for _, case, extent in product(range(bench.rounds), CASES, EXTENTS):
                    took[case, extent, beside].append(_close(report, app.client, case, extent))
        stored = stage.database["reservations"].count_documents({"status": "confirmed"})
    for (case, extent, beside), seconds in took.items():
        figures = (f"{median(seconds):.2f}", f"{max(seconds):.2f}", f"{median(seconds) / WRITE_SECONDS:.0%}")
        report.rows.append((case.name, extent, beside, str(case.status), *figures))
        in_time = max(seconds) <= WRITE_SECONDS
        report.promise(f"{case.name}, {extent}: within {WRITE_SECONDS:.0f} seconds", holds=in_time)
    report.notes.append(f"{len(made):,} bookings were accepted meanwhile, {WIDTH} at a time.")
    report.promise("no booking is lost", holds=stored == ROOMS * EACH + len(made))
    return report


def _close(report: Report, client: Client, case: Case, extent: str) -> float:
    """Close all rooms, look whether they are, and open them again. Returns how long the first took."""
    connection = client.connection()
    body = {"id": "it", "name": "Works", "from": f"{case.day}", "to": f"{case.day + DAY}", **EXTENTS[extent]}
    began = time.perf_counter()
    answer = _send(client, connection, "POST", CLOSURES + case.query, body)
    seconds = time.perf_counter() - began
    name, is_made = f"{case.name}, {extent}", answer.status == 201
    report.promise(f"{name}: {case.status}, not {answer.status}", holds=answer.status == case.status)
    report.promise(
        f"{name}: all rooms are closed, or none", holds=_are_closed(client, connection, case.day) == {is_made}
    )
    if is_made:
        require(204, [_send(client, connection, "DELETE", f"{CLOSURES}/it")])
    elif answer.status == 409:
        report.promise(f"{name}: all bookings count", holds=answer.json()["total"] == ROOMS * EACH)
    return seconds


def _are_closed(client: Client, connection: HTTPConnection, day: date) -> set[bool]:
    """Whether some of the rooms are closed in the evening of a day."""
    found = set()
    for number in range(0, ROOMS, APART):
        times = {"startTime": f"{day}T20:00:00Z", "endTime": f"{day}T21:00:00Z"}
        query = urlencode({"resource": f"{PREFIX}-{number}", **times})
        answer = _send(client, connection, "GET", f"/v1/availability/explain?{query}")
        found.add(not answer.json()["bookable"])
    return found


def _send(
    client: Client, connection: HTTPConnection, method: str, path: str, body: dict[str, Any] | None = None
) -> Answer:
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"}
    connection.request(method, path, json.dumps(body) if body else None, headers)
    response = connection.getresponse()
    return Answer(response.status, {}, response.read())


@contextmanager
def _bookings(client: Client, made: list[int]) -> Iterator[None]:
    """Room after room is booked meanwhile, for later days; `made` gets the status of each that was accepted."""
    ended = Event()

    def book() -> None:
        for slot in count(LATER):
            for first in range(0, ROOMS, 10 * WIDTH):
                if ended.is_set():
                    return
                calls = [booking(f"{PREFIX}-{number}", slot) for number in range(first, first + 10 * WIDTH)]
                made.extend(each.status for each in client.in_flow(calls, WIDTH) if each.status == 201)

    thread = Thread(target=book)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
