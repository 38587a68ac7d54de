"""What requests cost with 10,000, 100,000 and 1,000,000 stored reservations: it should not grow with them.

MongoDB's own engine (`--mongodb`) shows what MongoDB reads. SecantusDB reads every match of a find before it sorts,
whatever its `explain` says, so lists of many grow there.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPConnection
from statistics import median
from typing import Any
from urllib.parse import urlencode

from tests.bench.history import PREFIX, ROOMS, SERVICE, UNTIL, customer, fill
from tests.bench.noted import NOTED, Cost, Notes, noting
from tests.bench.report import Bench, Report
from tests.support.load_client import Client
from tests.support.slot_bookings import LENGTH
from tests.support.staged_app import Stage
from tests.support.times import DAY

SHARES = (100, 10, 1)
"""Each database has the largest number of reservations, divided by one of these."""
REQUESTS = 20
"""Of each question in each round, and less where they take long."""
SECONDS_MAX = 2.0
"""No further request of a question begins after so long in one round."""
ROOM = f"{PREFIX}-7"


@dataclass(slots=True)
class Place:
    """A database of one size with an app; `known` has what questions name: an id, and cursors of middle pages."""

    size: int
    stage: Stage
    client: Client
    notes: Notes
    connection: HTTPConnection
    known: dict[str, str] = field(default_factory=dict)
    booked: int = 0
    took: dict[str, list[float]] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    failed: int = 0

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one request; what it is answered, or None where it is refused."""
        headers = {"Authorization": f"Bearer {self.client.token}", "Content-Type": "application/json"}
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = self.connection.getresponse()
        content = response.read()
        if response.status not in (200, 201):
            self.failed += 1
            return None
        return json.loads(content)

    def create(self) -> None:
        """Book the next free slot, on the rooms in turn."""
        slot, room = divmod(self.booked, ROOMS // 2)
        start = UNTIL + slot * LENGTH
        self.booked += 1
        times = {"startTime": start.isoformat(), "endTime": (start + LENGTH).isoformat()}
        self.ask("POST", "/v1/reservations", {"resource": f"{PREFIX}-{room}", **times})


Asking = Callable[[Place], Any]


def run(bench: Bench) -> Report:
    """One database of each size beside the others, and each question to all of them in turn."""
    counts = [bench.stored // share for share in SHARES]
    sizes = [f"{count:,}" for count in counts]
    columns = ("request", "commands", *(f"documents at {size}" for size in sizes), f"p50 ms at {sizes[0]}", *sizes[1:])
    report = Report("Requests by how much is stored; the last columns are times the first p50", columns)
    with ExitStack() as stack:
        places = [_place(bench, stack, count) for count in counts]
        for place in places:
            place.connection.close()  # the app closes one that is idle while a larger database is filled; it opens anew
        for name, ask in QUESTIONS.items():
            for place in places:
                ask(place)
                place.notes.skip()
                ask(place)
                place.costs[name] = place.notes.cost(place.stage.database)
        for _ in range(bench.rounds):
            for name, ask in QUESTIONS.items():
                for place in places:
                    _time(place, name, ask)
    for name in QUESTIONS:
        _tell(report, name, places)
    refused = sum(place.failed for place in places)
    report.notes.append("documents: those that the finds of one request examine, as the server's `explain` says")
    report.promise(f"every request is answered ({refused} were not)", holds=refused == 0)
    return report


def _place(bench: Bench, stack: ExitStack, size: int) -> Place:
    stage = stack.enter_context(bench.stage())
    notes = stack.enter_context(noting())
    app = stack.enter_context(stage.app(1, NOTED, env=notes.env))
    fill(app.client, stage.database, size)
    place = Place(size, stage, app.client, notes, app.client.connection())
    middle = stage.database["reservations"].find_one({"resource": ROOM}, skip=size // ROOMS // 2)
    if middle is None:
        raise RuntimeError(f"{ROOM} has no reservations")
    place.known["id"] = str(middle["_id"])
    span = {"from": _text(middle["startTime"]), "to": _text(middle["startTime"] + DAY)}
    for name, query in (("of all", {}), ("of a resource", {"resource": ROOM}), ("of a span", span)):
        place.known[name] = urlencode({**query, "cursor": _cursor(place, query | span)})
    place.known["span"] = urlencode(span)
    place.known["since"] = urlencode({"updatedSince": _text(middle["updatedAt"])})
    return place


def _cursor(place: Place, query: Mapping[str, str]) -> str:
    """The cursor after the first reservation in the middle of a list."""
    answer = place.ask("GET", f"/v1/reservations?{urlencode({'limit': 1, **query})}")
    return str(answer["next"])


def _text(instant: Any) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def _list(**query: str | list[str]) -> Asking:
    return lambda place: place.ask("GET", f"/v1/reservations?{urlencode(query, doseq=True)}")


def _known(name: str, **query: str) -> Asking:
    """A list whose query depends on what is stored."""
    more = f"&{urlencode(query)}" if query else ""
    return lambda place: place.ask("GET", f"/v1/reservations?{place.known[name]}{more}")


def _get(path: str, **query: str) -> Asking:
    return lambda place: place.ask("GET", f"{path}?{urlencode(query)}" if query else path)


_DAY = {"from": f"{UNTIL - DAY:%Y-%m-%d}", "to": f"{UNTIL + DAY:%Y-%m-%d}"}
_TAKEN = {"startTime": _text(UNTIL - LENGTH - timedelta(minutes=5)), "resource": ROOM, "service": SERVICE}
QUESTIONS: Mapping[str, Asking] = {
    "create": Place.create,
    "get": lambda place: place.ask("GET", f"/v1/reservations/{place.known['id']}"),
    "slots of two days": _get("/v1/availability", resource=ROOM, service=SERVICE, **_DAY),
    "explain": _get("/v1/availability/explain", **_TAKEN),
    "list": _list(),
    "list, middle page": _known("of all"),
    "list by resource": _list(resource=ROOM),
    "list by resource, middle page": _known("of a resource"),
    "list by resource and status": _list(resource=ROOM, status=["pending", "confirmed"]),
    "list by resource and day": _known("span", resource=ROOM),
    "list by customer": _list(customer=customer(7)),
    "list by customer and status": _list(customer=customer(7), status="confirmed"),
    "list by frequent status": _list(status="confirmed"),
    "list by rare status": _list(status="pending"),
    "list by two statuses": _list(status=["expired", "no-show"]),
    "list by day": _known("span"),
    "list by day, second page": _known("of a span"),
    "list by change": _known("since"),
    "list by change of a resource": _known("since", resource=ROOM),
    "history of a customer": _get(f"/v1/customers/{customer(7)}/reservations"),
}


def _time(place: Place, name: str, ask: Asking) -> None:
    began = time.perf_counter()
    for _ in range(REQUESTS):
        before = time.perf_counter()
        ask(place)
        after = time.perf_counter()
        place.took.setdefault(name, []).append((after - before) * 1_000)
        if after - began > SECONDS_MAX:
            return


def _tell(report: Report, name: str, places: list[Place]) -> None:
    p50 = [median(place.took[name]) for place in places]
    documents = [f"{place.costs[name].documents:,}" for place in places]
    commands = str(places[-1].costs[name].commands)
    report.rows.append((name, commands, *documents, f"{p50[0]:.1f}", *(f"{each / p50[0]:.2f}" for each in p50[1:])))
