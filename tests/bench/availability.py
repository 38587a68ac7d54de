"""How long it takes to list free slots: on a resource with a long history, and over a month of a pool."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from statistics import median
from typing import Any
from urllib.parse import urlencode

from bson import ObjectId
from pymongo.database import Database

from tests.bench.report import Bench, Report
from tests.support.load_client import Call, Client
from tests.support.slot_bookings import LENGTH, require
from tests.support.times import DAY

HISTORY = 50_000
POOL, POOL_RESERVATIONS = 20, 10_000
BATCH = 5_000
MONTH_DAYS = 30
REQUESTS, MONTHS = 200, 3
"""Of a day and of a month, in each round."""
CANDIDATES = 61
OPEN = {"weekly": [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "08:00", "to": "23:15"}]}
"""A quarter of an hour, 61 times."""


def run(bench: Bench) -> Report:
    """Rounds of both resources in turn, then the pool; one client, one process."""
    report = Report("GET /v1/availability, 1 app process", ("question", "slots", "p50 ms", "of none"))
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + 2 * DAY
    pool = [f"pool-{number}" for number in range(POOL)]
    with bench.stage() as stage, stage.app(1) as app:
        connection = app.client.connection()
        for service, rooms in (("day", ["none", "past"]), ("month", pool)):
            fields = {"id": service, "name": service, "durationType": "fixed", "durationMinutes": 15}
            require(201, [app.client.post(Call("/v1/services", fields))])
            for room in rooms:
                _open(app.client, connection, room, service)
        _copy(app.client, stage.database, "past", HISTORY, until=day)
        for room in pool:
            _copy(app.client, stage.database, room, POOL_RESERVATIONS // POOL, until=day + MONTH_DAYS * DAY)

        took: dict[str, list[float]] = {"none": [], "past": [], "month": []}
        slots = {}
        for _ in range(bench.rounds):
            for room in ("none", "past") * REQUESTS:
                slots[room] = _timed(app.client, connection, took[room], _question("day", day, DAY, resource=room))
            for _ in range(MONTHS):
                slots["month"] = _timed(
                    app.client, connection, took["month"], _question("month", day, MONTH_DAYS * DAY)
                )
        connection.close()
    none, past, month = (median(took[name]) for name in ("none", "past", "month"))
    report.rows += [
        ("a day of a resource without bookings", str(slots["none"]), f"{none:.2f}", ""),
        (f"the same with {HISTORY:,} reservations before", str(slots["past"]), f"{past:.2f}", f"{past / none:.2f}"),
        (f"a month of {POOL} resources with {POOL_RESERVATIONS:,} in it", str(slots["month"]), f"{month:.0f}", ""),
    ]
    report.promise(f"{CANDIDATES} slots on a free day", holds=slots["none"] == slots["past"] == CANDIDATES)
    return report


def _question(service: str, day: datetime, length: timedelta, **more: str) -> str:
    span = {"from": f"{day:%Y-%m-%d}", "to": f"{day + length:%Y-%m-%d}"}
    return f"/v1/availability?{urlencode({'service': service, **span, **more})}"


def _timed(client: Client, connection: HTTPConnection, took: list[float], path: str) -> int:
    """Ask, note the milliseconds, and tell how many slots there are."""
    begin = time.perf_counter()
    answer = _ask(client, connection, "GET", path)
    took.append((time.perf_counter() - begin) * 1_000)
    return len(answer["items"])


def _ask(
    client: Client, connection: HTTPConnection, method: str, path: str, body: Mapping[str, Any] | None = None
) -> Any:
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json", "If-Match": "*"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise RuntimeError(f"{method} {path}: {response.status}: {content.decode()}")
    return json.loads(content)


def _open(client: Client, connection: HTTPConnection, room: str, service: str) -> None:
    require(201, [client.post(Call("/v1/resources", {"id": room, "name": room, "services": [service]}))])
    _ask(client, connection, "PUT", f"/v1/resources/{room}/schedule", OPEN)


def _copy(client: Client, database: Database[dict[str, Any]], room: str, count: int, until: datetime) -> None:
    """Reservations one after the other up to an instant: the first is booked through the app, the others are its."""
    times = {"startTime": (until - LENGTH).isoformat(), "endTime": until.isoformat()}
    require(201, [client.in_flow([Call("/v1/reservations?force=true", {"resource": room, **times})], 1)[0]])
    row = database["reservations"].find_one({"resource": room})
    if row is None:
        raise RuntimeError(f"{room} was booked, and is not")
    for first in range(1, count, BATCH):
        copies = []
        for number in range(first, min(first + BATCH, count)):
            start, end = until - (number + 1) * LENGTH, until - number * LENGTH
            block = {"startTime": start, "endTime": end, "blockStart": start, "blockEnd": end}
            copies.append(row | {"_id": ObjectId(), **block})
        database["reservations"].insert_many(copies, ordered=False)
