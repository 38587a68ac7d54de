"""What the lines of threads and jobs name: the requests, the job and the run that they belong to."""

import asyncio
import json
import signal

import httpx
import pytest

from app import job_queue
from app.domain.instants import render
from app.job_queue import Queue
from app.storage.client import Store
from app.storage.runs import RunStore
from tests.support.commands import running_reserva
from tests.support.log_lines import logging_to_text
from tests.support.times import HOUR, NINE


@pytest.mark.servers("transactions", once=True)
async def test_lines_of_a_transaction_name_its_requests(app_client: httpx.AsyncClient, store: Store) -> None:
    """Lines that are logged in the thread of a batch name the requests of the batch, and only those."""
    await app_client.post("/v1/resources", json={"id": "room", "name": "a room"})
    await store.database["guards"].delete_one({"_id": "room"})
    with logging_to_text() as log:
        for identity in ("one", "two"):
            body = {"resource": "room", "startTime": render(NINE), "endTime": render(NINE + HOUR)}
            await app_client.post("/v1/reservations", json=body, headers={"X-Request-Id": identity})

    named = [line["requests"] for line in log.lines("guard missing")]
    assert [*dict.fromkeys(map(tuple, named))] == [("one",), ("two",)]


@pytest.mark.servers("fast", once=True)
async def test_lines_of_a_job_name_it(store: Store, database_url: str, redis_url: str) -> None:
    """A run names itself and the job that carries it out: the one that Redis announced, or the one that was due."""
    run = await RunStore(store).enqueue("full")
    jobs = Queue(redis_url)
    assert await jobs.put(job_queue.RUN, str(run.id), identity=str(run.id))
    await jobs.close()
    addresses = {"MONGODB_URL": database_url, "REDIS_URL": redis_url}
    with running_reserva("worker", cwd=None, **addresses, RESERVA_LOG_FORMAT="json") as worker:
        line = json.loads(await asyncio.to_thread(worker.wait_for_line, "reconciliation ended"))
        worker.end(signal.SIGTERM)

    assert line["run"] == str(run.id)
    assert str(run.id) == line["job_id"] or line["job_id"].startswith(f"{line['job']}:")
