"""Whether the memory of the app and of the worker grows with the number of requests that were answered."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import urlencode

from bson import ObjectId

from tests.bench.report import Bench, Report
from tests.support.commands import eventually, running_reserva
from tests.support.load_client import Call, Client
from tests.support.redis_server import OwnRedis
from tests.support.slot_bookings import require, start_of
from tests.support.times import DAY

ROOMS = 200
PREFIX, SERVICE, MINUTES = "room", "cut", 45
CONNECTIONS = 16
SAMPLES = 10
"""Measurements, each after the same number of requests, and one before them all."""
WARM = 3
"""Samples that caches may take to fill; growth is measured after them."""
GROWTH_MAX = 0.1
"""Of the memory after the caches are full, for all requests that follow."""
SERVER_ERROR = 500


class Sent(NamedTuple):
    """A request."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Mebibytes of the app's process and of the worker after so many requests."""

    requests: int
    app: float
    worker: float


def run(bench: Bench) -> Report:
    """One app process and one worker under a mix of requests."""
    report = Report("Memory under a mix of requests, 1 app process and 1 worker", ("requests", "app MiB", "worker MiB"))
    with bench.stage() as stage, TemporaryDirectory() as folder:
        redis = OwnRedis(Path(folder))
        redis.start()
        with (
            stage.app(1, env={"REDIS_URL": redis.url}) as app,
            running_reserva("worker", MONGODB_URL=stage.url, REDIS_URL=redis.url) as worker,
        ):
            _furnish(app.client)
            if not eventually(lambda: stage.database["beats"].count_documents({}) > 0):
                raise RuntimeError("the worker did not start")
            [process] = app.workers
            samples = [Sample(0, resident(process), resident(worker.process.pid))]
            failed, places = 0, max(bench.requests // SAMPLES // len([*_day_at(0)]), 1)
            for number in range(SAMPLES):
                failed += _play(app.client, range(number * places, (number + 1) * places))
                answered = (number + 1) * places * len([*_day_at(0)])
                samples.append(Sample(answered, resident(process), resident(worker.process.pid)))
        redis.kill()
    report.rows += [(f"{each.requests:,}", f"{each.app:.1f}", f"{each.worker:.1f}") for each in samples]
    warm, last = samples[WARM], samples[-1]
    hundred_thousands = (last.requests - warm.requests) / 100_000
    for name, before, after in (("app", warm.app, last.app), ("worker", warm.worker, last.worker)):
        growth = (after - before) / hundred_thousands
        report.notes.append(f"{name}: {growth:+.1f} MiB for 100,000 requests, after the first {warm.requests:,}")
        report.promise(f"the memory of the {name} stays", holds=after <= before * (1 + GROWTH_MAX))
    report.promise(f"no answer is an error of the server ({failed} were)", holds=failed == 0)
    return report


def resident(process: int) -> float:
    """Mebibytes that a process has in memory."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    [kibibytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(kibibytes) / 1024


def _furnish(client: Client) -> None:
    length = {"durationType": "fixed", "durationMinutes": MINUTES}
    require(201, [client.post(Call("/v1/services", {"id": SERVICE, "name": SERVICE, **length}))])
    rooms = [f"{PREFIX}-{number}" for number in range(ROOMS)]
    calls = [Call("/v1/resources", {"id": room, "name": room, "services": [SERVICE]}) for room in rooms]
    require(201, client.in_flow(calls, width=8))


def _day_at(place: int) -> Iterator[Sent]:
    """What clients ask about one place in the calendar: each has a name of its own in whatever the app remembers."""
    slot, number = divmod(place, ROOMS)
    room, start = f"{PREFIX}-{number}", start_of(slot)
    times = {"resource": room, "startTime": start.isoformat(), "endTime": start_of(slot + 1).isoformat()}
    made = Sent("POST", "/v1/reservations", times, f"place-{place}" if place % 2 else None)
    yield made
    yield made  # with a key it is replayed, without one refused
    customer = f"customer-{place}"
    yield Sent("POST", "/v1/customers", {"id": customer, "name": customer})
    yield Sent("POST", "/v1/reservations", {**times, "startTime": start_of(slot - 1).isoformat(), "customer": customer})
    question = {"resource": room, "service": SERVICE}
    span = {"from": f"{start:%Y-%m-%d}", "to": f"{start + DAY:%Y-%m-%d}"}
    yield Sent("GET", f"/v1/availability?{urlencode({**question, **span})}")
    yield Sent("GET", f"/v1/availability/explain?{urlencode({**question, 'startTime': start.isoformat()})}")
    yield Sent("GET", f"/v1/reservations?{urlencode({'resource': room, 'from': start.isoformat(), 'limit': 5})}")
    yield Sent("GET", f"/v1/reservations/{ObjectId()}")
    yield Sent("POST", "/v1/reservations", {**times, "resource": f"nowhere-{place}"})
    yield Sent("GET", f"/nowhere/{place}")


def _play(client: Client, places: range) -> int:
    """Send the requests of all places on some connections; how many were answered with an error of the server."""

    def some(first: int) -> int:
        failed = 0
        with closing(client.connection()) as connection:
            for place in places[first::CONNECTIONS]:
                for sent in _day_at(place):
                    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"}
                    headers |= {"Idempotency-Key": sent.key} if sent.key else {}
                    body = None if sent.body is None else json.dumps(sent.body)
                    connection.request(sent.method, sent.path, body, headers)
                    response = connection.getresponse()
                    response.read()
                    failed += response.status >= SERVER_ERROR
        return failed

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        return sum(threads.map(some, range(CONNECTIONS)))
