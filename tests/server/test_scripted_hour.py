"""The metrics of two processes against what their client counted: requests, problems, refusals by rule, batches."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.instants import render
from app.reconciliation import engine
from app.storage.client import Store
from tests.support.commands import RunningCommand, eventually, running_reserva
from tests.support.http_client import make_key
from tests.support.scraped import Scraped
from tests.support.servers import free_port
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("fast", once=True)

WORKERS = 2
RESERVATIONS = "/v1/reservations"


class Served:
    """`reserva serve` with two processes, and a client that counts what it is answered."""

    def __init__(self, running: RunningCommand, client: httpx.AsyncClient) -> None:
        self.running = running
        self.client = client
        self.requests: Counter[Any] = Counter()
        self.problems: Counter[Any] = Counter()
        self.refusals: Counter[Any] = Counter()
        self.intents: Counter[Any] = Counter()

    @property
    def workers(self) -> list[int]:
        """The process ids that answer requests."""
        parent = self.running.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
        return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]

    async def send(self, method: str, path: str, route: str, **more: Any) -> httpx.Response:
        """Send a request and count its answer."""
        answer = await self.client.request(method, path, **more)
        self.requests[route, method, str(answer.status_code)] += 1
        if answer.is_error:
            body = answer.json()
            self.problems[body["type"].removeprefix("/problems/")] += 1
            self.refusals.update(check["rule"] for check in body.get("checks", ()) if not check["ok"])
        return answer

    async def book(self, resource: str, hour: int, *, key: str | None = None, **fields: Any) -> httpx.Response:
        """Book an hour, and count the intent."""
        start = NINE + hour * HOUR
        body = {"resource": resource, "startTime": render(start), "endTime": render(start + HOUR)} | fields
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = await self.send("POST", RESERVATIONS, RESERVATIONS, json=body, headers=headers)
        if answer.is_success:
            self.intents["replayed" if "Idempotent-Replayed" in answer.headers else "accepted"] += 1
        elif "checks" in answer.json():
            self.intents["refused"] += 1
        elif answer.json()["type"] == "/problems/idempotency-mismatch":
            self.intents["idempotency-mismatch"] += 1
        return answer

    async def scrape(self) -> Scraped:
        """What the metrics say."""
        answer = await self.client.get("/metrics")
        assert answer.status_code == 200
        return Scraped(answer.text)


@pytest.fixture
async def served(store: Store, database_url: str) -> AsyncIterator[Served]:
    """Two processes on a migrated database, with rooms."""
    token, port = await make_key(store, "admin"), free_port()
    serve = ("serve", "--port", str(port), "--workers", str(WORKERS))
    with running_reserva(*serve, MONGODB_URL=database_url, RESERVA_LOG_FORMAT="json") as running:
        for number in range(1, WORKERS + 1):
            await asyncio.to_thread(running.wait_for_line, f"Started worker-{number}")
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            served = Served(running, client)
            for number in range(4):
                room = {"id": f"room-{number}", "name": "a room"}
                assert (await served.send("POST", "/v1/resources", "/v1/resources", json=room)).status_code == 201
            cut = {"id": "cut", "name": "a cut", "durationType": "fixed", "durationMinutes": 60}
            assert (await client.post("/v1/services", json=cut)).status_code == 201
            closed = {"id": "closed", "name": "closed", "active": False}
            assert (await client.post("/v1/resources", json=closed)).status_code == 201
            yield served
        running.end(signal.SIGTERM)


def hour_of_requests(served: Served) -> list[Any]:
    """A shuffled mix: bookings, conflicts, refusals by one rule and by two, replays, and faults of every kind."""
    script: list[Any] = []
    for number in range(40):
        room = f"room-{number % 4}"
        script += [
            lambda room=room, number=number: served.book(room, number, key=f"key-{number}"),
            lambda room=room, number=number: served.book(room, number, key=f"key-{number}"),  # a replay
            lambda room=room, number=number: served.book(room, number, key=f"key-{number}", guests=2),  # or the first
            lambda room=room, number=number: served.book(room, number),  # a conflict, unless it is the first
        ]
    for number in range(10):
        script += [
            lambda number=number: served.book("closed", number),
            lambda number=number: served.book("closed", number, service="cut"),
            lambda: served.book("nowhere", 0),
            lambda: served.send("GET", "/nowhere", "unrouted"),
            lambda: served.send("PUT", RESERVATIONS, "unrouted"),
            lambda: served.send("POST", RESERVATIONS, RESERVATIONS, content=b"{"),
            lambda: served.send("GET", RESERVATIONS, RESERVATIONS, headers={"Authorization": "Bearer nobody"}),
            lambda: served.send("GET", f"{RESERVATIONS}/none", RESERVATIONS + "/{reservation_id}"),
            lambda: served.send("GET", RESERVATIONS, RESERVATIONS, params={"limit": 5}),
            lambda: served.client.request("GET", "/healthz"),
        ]
    random.Random(7).shuffle(script)
    return script


async def test_an_hour_of_requests_is_counted_as_its_client_counts_it(served: Served) -> None:
    """Every request, problem, failed rule and intent, whichever of two processes had it, and no other."""
    before = await served.scrape()
    served.requests.clear()
    script = iter(hour_of_requests(served))

    async def work() -> None:
        for call in script:
            await call()

    await asyncio.gather(*(work() for _ in range(8)))
    after = await served.scrape()

    def grown(name: str, *labels: str) -> Counter[Any]:
        return after.by(name, *labels) - before.by(name, *labels)

    requests = grown("reserva_http_request_seconds_count", "route", "method", "status")
    assert requests.pop(("/healthz", "GET", "200")) == 10
    assert requests.pop(("/metrics", "GET", "200")) == 1
    assert requests == served.requests
    assert grown("reserva_http_problems_total", "problem") == served.problems
    assert grown("reserva_booking_refusals_total", "rule") == served.refusals
    intents = grown("reserva_booking_intents_total", "outcome")
    assert {name: intents[name] for name in served.intents} == served.intents
    assert {"accepted", "refused"} <= served.intents.keys()
    assert {"capacity", "resource-active", "service-offered"} <= served.refusals.keys()


async def test_batches_are_counted_as_they_were_sent(served: Served) -> None:
    """Of requests one after the other each is a batch; of many at once, all that were answered or ran again."""
    first = await served.scrape()
    for hour in range(5):
        await served.book("room-0", hour)
        await served.book("room-0", hour)
    alone = await served.scrape()
    await asyncio.gather(*(served.book(f"room-{hour % 4}", hour) for hour in range(40, 80)))
    together = await served.scrape()

    def grown(after: Scraped, before: Scraped, name: str) -> float:
        return after.total(name) - before.total(name)

    outcomes = alone.by("reserva_booking_transactions_total", "outcome")
    assert outcomes - first.by("reserva_booking_transactions_total", "outcome") == {"committed": 5, "nothing": 5}
    assert grown(alone, first, "reserva_booking_batch_intents_count") == 10
    assert grown(alone, first, "reserva_booking_batch_intents_sum") == 10
    assert grown(alone, first, "reserva_booking_commit_seconds_count") == 5
    answered = grown(together, alone, "reserva_booking_intents_total")
    assert answered == 40
    again = grown(together, alone, "reserva_booking_retries_total")
    assert grown(together, alone, "reserva_booking_batch_intents_sum") == answered + again


async def test_no_count_goes_back_when_processes_die(served: Served) -> None:
    """What killed processes had counted stays, and those in their places go on from there."""

    async def ask() -> None:
        for _ in range(20):
            async with httpx.AsyncClient(base_url=served.client.base_url) as anew:
                assert (await anew.get("/healthz")).status_code == 200

    async def counted() -> int:
        return (await served.scrape()).by("reserva_http_request_seconds_count", "route")["/healthz"]

    await ask()
    before = await counted()
    old = served.workers
    for worker in old:
        os.kill(worker, signal.SIGKILL)
    assert await asyncio.to_thread(eventually, lambda: answers(served) and not {*old} & {*served.workers})
    between = await counted()
    await ask()

    assert before == 20
    assert between > 20
    assert await counted() == between + 20


async def test_each_figure_of_the_database_has_one_value(store: Store, served: Served) -> None:
    """It is what the database has now, whichever processes were scraped before."""

    async def scrapes() -> list[Scraped]:
        found = []
        for _ in range(10):
            async with httpx.AsyncClient(base_url=served.client.base_url, headers=served.client.headers) as anew:
                found.append(Scraped((await anew.get("/metrics")).text))
        return found

    times = {"startTime": NINE, "endTime": NINE + HOUR, "status": "confirmed"}
    await store.database["reservations"].insert_many([{"resource": "r", **times} for _ in "12"])
    await engine.reconcile_reservations(store, "full")
    before = await scrapes()
    await store.database["findings"].update_many({}, {"$set": {"state": "resolved"}})
    after = await scrapes()

    assert [each.values("reserva_findings_open") for each in before] == [[1]] * 10
    assert [each.values("reserva_findings_open") for each in after] == [[0]] * 10
    for scraped in before + after:
        names = [family.name for family in scraped.families]
        assert len(names) == len({*names})
        assert not any("pid" in sample.labels for sample in scraped.samples)


def answers(served: Served) -> bool:
    """Whether a process answers."""
    try:
        return httpx.get(f"{served.client.base_url}/healthz").is_success
    except httpx.HTTPError:
        return False
