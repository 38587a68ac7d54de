"""What a week with 5,000 bookings costs in the calendar of the console, beside the same bookings by the API."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import product
from statistics import median
from typing import Any
from urllib.parse import urlencode

import httpx
from bson import ObjectId
from pymongo.database import Database

from app.console.calendar import BOOKINGS_MAX
from app.http.paging import MAX_LIMIT
from tests.bench.cpu import computed_seconds, listeners
from tests.bench.report import Bench, Report
from tests.support.load_client import Client
from tests.support.slot_bookings import FIRST, LENGTH, booking, make_rooms, require

MONDAY = FIRST + timedelta(days=6)
WEEK = timedelta(days=7)
SLOTS = WEEK // LENGTH
SIDE_BY_SIDE = -(-BOOKINGS_MAX // SLOTS)
"""Bookings of one slot, so that the week has enough of them."""
MOST = 2.0
"""How many times the time and the bytes of the API the page may take."""


@dataclass(slots=True)
class Way:
    """A way to get the bookings, and what it took: seconds, CPU seconds of app and server, and bytes of its answers."""

    name: str
    get: Callable[[], bytes]
    took: list[float] = field(default_factory=list)
    computed: list[float] = field(default_factory=list)
    size: int = 0


def run(bench: Bench) -> Report:
    """The page and all pages of the API by turns."""
    report = Report(
        f"A week of one resource with {BOOKINGS_MAX:,} bookings",
        ("way", "s, median", "slowest", "CPU s", "kB", "times"),
    )
    with bench.stage() as stage, stage.app(1) as app:
        (room,) = make_rooms(app.client, "week", 1, SIDE_BY_SIDE)
        _fill(app.client, stage.database, room)
        with httpx.Client(base_url=f"http://127.0.0.1:{app.client.port}", timeout=60) as browser:
            browser.post("/console/sign-in", data={"key": app.client.token})
            key = {"Authorization": f"Bearer {app.client.token}"}
            ways = [Way("API", lambda: _list(browser, room, key)), Way("page", lambda: _page(browser, room))]
            processes = [app.running.process.pid, *listeners(stage.url)]
            for number, way in product(range(bench.rounds + 1), ways):
                before, began = computed_seconds(processes), time.perf_counter()
                way.size = len(way.get())
                if number:  # the first one fills caches
                    way.took.append(time.perf_counter() - began)
                    way.computed.append(computed_seconds(processes) - before)
    api, page = ways
    for way in ways:
        times = f"{median(way.computed) / median(api.computed):.2f}, {way.size / api.size:.2f}"
        seconds = (median(way.took), max(way.took), median(way.computed))
        report.rows.append((way.name, *(f"{each:.2f}" for each in seconds), f"{way.size / 1_000:,.0f}", times))
    report.notes.append("`times` are CPU and bytes beside those of the API.")
    within = median(page.computed) <= MOST * median(api.computed)
    report.promise(f"the page computes at most {MOST:g} times as long as the API", holds=within)
    report.promise(f"the page has at most {MOST:g} times the bytes of the API", holds=page.size <= MOST * api.size)
    return report


def _fill(client: Client, database: Database[dict[str, Any]], room: str) -> None:
    """Book once through the app, and copy that over the week."""
    require(201, [client.post(booking(room))])
    row = database["reservations"].find_one_and_delete({"resource": room}) or {}
    rows = []
    for slot, _ in product(range(SLOTS), range(SIDE_BY_SIDE)):
        start, end = MONDAY + slot * LENGTH, MONDAY + (slot + 1) * LENGTH
        times = {"startTime": start, "endTime": end, "blockStart": start, "blockEnd": end}
        rows.append(row | {"_id": ObjectId(), **times})
    database["reservations"].insert_many(rows[:BOOKINGS_MAX])


def _list(browser: httpx.Client, room: str, key: Mapping[str, str]) -> bytes:
    """All bookings by the API, page after page."""
    span = {"resource": room, "from": MONDAY.isoformat(), "to": (MONDAY + WEEK).isoformat(), "limit": MAX_LIMIT}
    parts, cursor, found = list[bytes](), dict[str, str](), 0
    while True:
        answer = browser.get(f"/v1/reservations?{urlencode(span | cursor)}", headers=key).raise_for_status()
        page = answer.json()
        parts.append(answer.content)
        found += len(page["items"])
        if "next" not in page:
            break
        cursor = {"cursor": page["next"]}
    if found != BOOKINGS_MAX:
        raise RuntimeError(f"the API lists {found:,} bookings")
    return b"".join(parts)


def _page(browser: httpx.Client, room: str) -> bytes:
    """The page of the week."""
    asked = {"view": "week", "date": f"{MONDAY:%Y-%m-%d}", "of": f"resource:{room}"}
    answer = browser.get(f"/console/calendar?{urlencode(asked)}").raise_for_status()
    if (found := answer.text.count('class="booking ')) < BOOKINGS_MAX:
        raise RuntimeError(f"the page shows {found:,} bookings")
    return answer.content
