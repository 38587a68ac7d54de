"""What a page of events costs at the beginning, in the middle and at the end of a long log: the same."""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from itertools import islice
from statistics import median
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from tests.bench.cpu import computed_seconds, listeners
from tests.bench.report import Bench, Report
from tests.support.load_client import Client
from tests.support.reservation_rows import reservation_row
from tests.support.slot_bookings import LENGTH, start_of

LIMIT = 200
REQUESTS = 20
"""At each place in each round."""
BATCH = 5_000
RESOURCES = 200
APART = 0.15
"""The processor time of one place may differ from that of another by this share of it."""


@dataclass(slots=True)
class Place:
    """A cursor, and what its pages took: milliseconds of each, and CPU seconds of the app and the server in all."""

    name: str
    after: int
    took: list[float] = field(default_factory=list)
    computed: float = 0.0


def run(bench: Bench) -> Report:
    """Pages of 200 at three places by turns."""
    count = max(bench.stored, LIMIT)
    report = Report(
        f"GET /v1/events?limit={LIMIT} in a log of {count:,} events",
        ("after", "ms, median", "p99", "of the beginning", "CPU ms", "of the beginning"),
    )
    places = [Place("beginning", 0), Place("middle", (count - LIMIT) // 2), Place("end", count - LIMIT)]
    with bench.stage() as stage:
        fill(stage.database, count)
        with stage.app(1) as app:
            connection, processes = app.client.connection(), [app.running.process.pid, *listeners(stage.url)]
            for place in places:
                _ask(app.client, connection, place)
                place.took.clear()
            for _ in range(bench.rounds):
                for place in places:
                    before = computed_seconds(processes)
                    for _ in range(REQUESTS):
                        _ask(app.client, connection, place)
                    place.computed += computed_seconds(processes) - before
    first = places[0]
    for place in places:
        ratio = median(place.took) / median(first.took)
        p99 = sorted(place.took)[-max(len(place.took) // 100, 1)]
        each, of_first = place.computed / len(place.took), place.computed / first.computed
        figures = (f"{median(place.took):.1f}", f"{p99:.1f}", f"{ratio:.2f}", f"{each * 1_000:.1f}", f"{of_first:.2f}")
        report.rows.append((f"{place.name} ({place.after:,})", *figures))
        report.promise(f"{place.name}: costs what the beginning does", holds=abs(of_first - 1) <= APART)
    return report


def _ask(client: Client, connection: HTTPConnection, place: Place) -> None:
    began = time.perf_counter()
    path = f"/v1/events?after={place.after}&limit={LIMIT}"
    connection.request("GET", path, headers={"Authorization": f"Bearer {client.token}"})
    content = connection.getresponse().read()
    place.took.append((time.perf_counter() - began) * 1_000)
    ids = [int(event["id"]) for event in json.loads(content)["items"]]
    if ids != [*range(place.after + 1, place.after + LIMIT + 1)]:
        raise RuntimeError(f"after {place.after} came {content[:200]!r}")


def fill(database: Database[dict[str, Any]], count: int) -> None:
    """Put so many events into the log, as the relay does, but for the outbox."""
    made = (event_row(place) for place in range(1, count + 1))
    while some := list(islice(made, BATCH)):
        database["events"].insert_many(some, ordered=False)
    database["leases"].update_one({"_id": "events"}, {"$set": {"place": count, "floor": 0, "epoch": 1}}, upsert=True)


def event_row(place: int) -> dict[str, Any]:
    """The event of a booking."""
    at = datetime.now(UTC) - timedelta(days=1)
    slot, number = divmod(place, RESOURCES)
    resource, start = f"room-{number}", start_of(slot)
    history = [{"at": at, "by": "bench", "operation": ObjectId(), "to": "confirmed"}]
    stamps = {"createdAt": at, "updatedAt": at}
    row = reservation_row(resource, start, start + LENGTH, timezone="UTC", key="bench", history=history, **stamps)
    row["_id"] = subject = ObjectId()
    common = {"type": "reservation.created", "subject": subject, "version": 1, "resource": resource, "at": at}
    return {"_id": place, "key": f"{subject}:0000000001:{ObjectId()}", "by": "bench", "state": row, **common}
