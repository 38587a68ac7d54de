"""Followers of the log over HTTP: a cursor, waiting, and a stream each get every version once and in order."""

import asyncio
import json
import signal
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.domain.instants import render
from tests.support.commands import SECONDS, running_reserva
from tests.support.redis_server import OwnRedis
from tests.support.staged_app import Stage, staged
from tests.support.times import HOUR, NINE

URL = "/v1/events"
BOOKINGS, CHANGES = 40, 3
RESOURCES = 4

Event = dict[str, Any]


class Follower:
    """What one follower has got."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.arrived = asyncio.Event()
        self.wanted = 0

    def take(self, events: list[Event]) -> None:
        """Take what came."""
        self.events += events
        if self.wanted and len(self.events) >= self.wanted:
            self.arrived.set()


async def _page_through(http: httpx.AsyncClient, follower: Follower) -> None:
    after: dict[str, str] = {}
    while True:
        page = (await http.get(URL, params={"limit": "7", **after})).json()
        follower.take(page["items"])
        after = {"after": page["next"]}


async def _wait_for_each(http: httpx.AsyncClient, follower: Follower) -> None:
    after: dict[str, str] = {}
    while True:
        page = (await http.get(URL, params={"wait": "30", **after})).json()
        follower.take(page["items"])
        after = {"after": page["next"]}


async def _stream(http: httpx.AsyncClient, follower: Follower) -> None:
    """Read a stream, and connect again after every tenth event."""
    last = ""
    while True:
        async with http.stream("GET", f"{URL}/stream", headers={"Last-Event-ID": last} if last else {}) as answer:
            count = 0
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    last = line.removeprefix("id: ")
                elif line.startswith("data: "):
                    follower.take([json.loads(line.removeprefix("data: "))])
                    count += 1
                    if count == 10:
                        break


async def _book_and_change(http: httpx.AsyncClient, number: int) -> None:
    start = NINE + number * HOUR
    times = {"startTime": render(start), "endTime": render(start + HOUR)}
    made = await http.post("/v1/reservations", json={"resource": f"room-{number % RESOURCES}", **times})
    assert made.status_code == 201, made.text
    path = f"/v1/reservations/{made.json()['id']}"
    for change in range(CHANGES - 2):
        patched = await http.patch(path, json={"notes": f"{change}"}, headers={"If-Match": "*"})
        assert patched.status_code == 200, patched.text
    assert (await http.post(f"{path}/cancel")).status_code == 200


async def _follow(stage: Stage, port: int, redis_url: str) -> list[list[Event]]:
    """Book, with a relay that is killed and another one later; what each follower has got in the end."""
    follow: list[Callable[[httpx.AsyncClient, Follower], Any]] = [_page_through, _wait_for_each, _stream]
    followers = [Follower() for _ in follow]
    headers = {"Authorization": f"Bearer {stage.token}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=SECONDS) as http:
        for number in range(RESOURCES):
            await http.post("/v1/resources", json={"id": f"room-{number}", "name": "Room"})
        tasks = [asyncio.create_task(each(http, got)) for each, got in zip(follow, followers, strict=True)]
        with running_reserva("worker", MONGODB_URL=stage.url, REDIS_URL=redis_url) as first:
            await asyncio.gather(*(_book_and_change(http, number) for number in range(BOOKINGS // 2)))
            first.end(signal.SIGKILL)
        await asyncio.gather(*(_book_and_change(http, number) for number in range(BOOKINGS // 2, BOOKINGS)))
        with running_reserva("worker", MONGODB_URL=stage.url, REDIS_URL=redis_url):
            for got in followers:
                got.wanted = BOOKINGS * CHANGES
                got.take([])
            async with asyncio.timeout(SECONDS):
                await asyncio.gather(*(got.arrived.wait() for got in followers))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [got.events for got in followers]


@pytest.mark.servers("fast", once=True)
def test_each_follower_gets_every_version_once(database_url: str, redis: OwnRedis) -> None:
    """Two processes book, a relay is killed and another one takes over: each follower has every version, in order."""
    with staged(database_url) as stage, stage.app(2, env={"REDIS_URL": redis.url}) as app:
        got = asyncio.run(_follow(stage, app.client.port, redis.url))
        stored = {str(row["_id"]): row["version"] for row in stage.database["reservations"].find()}

    assert len(stored) == BOOKINGS
    for events in got:
        versions = defaultdict(list)
        for event in events:
            versions[event["reservation"]["id"]].append(event["version"])
        assert versions == {identity: [*range(1, version + 1)] for identity, version in stored.items()}
        places = [int(event["id"]) for event in events]
        assert places == [*range(1, len(places) + 1)]
