"""Reconciliations over HTTP: requested, listed and read; no worker carries them out here."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from bson import ObjectId
from redis import Redis

from app import job_queue
from app.settings import Settings
from app.storage.client import Store
from app.storage.leases import DEAD_SECONDS, OWNER
from app.storage.runs import RunStore
from tests.support.http_client import make_key, serving
from tests.support.step_driver import add_resource

URL = "/v1/reconciliations"


@pytest.fixture
async def client(mock_store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """A client that reviews findings."""
    async with serving(mock_store, scopes=["findings:review"]) as client:
        yield client


async def test_asking_answers_where_to_read_it(client: httpx.AsyncClient) -> None:
    """202 with the run as it waits, and a Location under which it is the same; no Redis is needed."""
    asked = await client.post(URL, json={"full": True})

    assert asked.status_code == 202
    assert asked.json() == {
        "id": asked.json()["id"],
        "kind": "full",
        "state": "queued",
        "scanned": 0,
        "leftOut": {},
        "resources": 0,
        "findings": 0,
        "conflicts": 0,
        "new": 0,
    }
    assert asked.headers["Location"] == f"{URL}/{asked.json()['id']}"
    assert (await client.get(asked.headers["Location"])).json() == asked.json()


async def test_what_waits_is_not_asked_for_twice(client: httpx.AsyncClient, mock_store: Store) -> None:
    """However many ask at once, one run of a kind and resource waits; once it runs, the next one is another."""
    await add_resource(mock_store, "a")
    await add_resource(mock_store, "b")
    bodies = [{"full": True}, {}, {"resource": "a"}, {"resource": "b"}]
    answers = await asyncio.gather(*(client.post(URL, json=body) for body in bodies * 5))
    ids = {answer.json()["id"] for answer in answers}

    assert len(ids) == len(bodies)
    assert sorted(answer.json()["kind"] for answer in answers[:4]) == ["full", "incremental", "resource", "resource"]
    await RunStore(mock_store).claim(OWNER)
    again = {(await client.post(URL, json=body)).json()["id"] for body in bodies}
    assert len(again - ids) == 1


async def test_no_body_asks_for_what_has_changed(client: httpx.AsyncClient) -> None:
    """Incremental is the default."""
    assert (await client.post(URL)).json()["kind"] == "incremental"
    assert (await client.post(URL, json={"full": False})).json()["kind"] == "incremental"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"resource": "nowhere"}, "/resource"),
        ({"full": True, "resource": "nowhere"}, "/resource"),
        ({"full": "yes"}, "/full"),
        ({"everything": True}, "/everything"),
    ],
)
async def test_nonsense_is_refused(client: httpx.AsyncClient, body: dict[str, object], pointer: str) -> None:
    """Unknown resources, contradictions, wrong types and unknown fields each name the field that is to blame."""
    answer = await client.post(URL, json=body)

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
    assert pointer in {fault["pointer"] for fault in answer.json()["errors"]}


async def test_runs_are_listed_newest_first(client: httpx.AsyncClient, mock_store: Store) -> None:
    """Pages follow one another without a gap or a repetition; filters take several values."""
    made = []
    for full in (True, False, True, False, True):
        made.append((await client.post(URL, json={"full": full})).json()["id"])
        await RunStore(mock_store).claim(OWNER)
    first = (await client.get(URL, params={"limit": 3})).json()
    second = (await client.get(URL, params={"limit": 3, "cursor": first["next"]})).json()

    assert [each["id"] for each in first["items"] + second["items"]] == made[::-1]
    assert "next" not in second
    await mock_store.database["reconciliations"].update_one({"_id": ObjectId(made[4])}, {"$set": {"state": "failed"}})
    for query, found in {
        "kind=full": [4, 2, 0],
        "kind=incremental": [3, 1],
        "kind=full&kind=incremental": [4, 3, 2, 1, 0],
        "state=failed": [4],
        "state=failed&state=running&kind=full": [4, 2, 0],
        "state=queued": [],
        "kind=full&limit=2": [4, 2],
    }.items():
        page = (await client.get(f"{URL}?{query}")).json()
        assert [each["id"] for each in page["items"]] == [made[place] for place in found]


@pytest.mark.parametrize("query", ["cursor=mine", "state=over", "kind=all", "kind=full&kind=", "limit=0", "resource=a"])
async def test_lists_of_nothing_are_refused(client: httpx.AsyncClient, query: str) -> None:
    """Foreign cursors, unknown states and kinds, and unknown filters are refused."""
    assert (await client.get(f"{URL}?{query}")).status_code == 422


@pytest.mark.parametrize("path", ["{}", ""])
async def test_reading_abandons_a_dead_run(client: httpx.AsyncClient, mock_store: Store, path: str) -> None:
    """A run whose process fell silent reads as abandoned, alone and in a list, though no worker runs; another waits."""
    identity = (await client.post(URL, json={"full": True})).json()["id"]
    await RunStore(mock_store).claim("the dead")
    assert (await client.get(f"{URL}/{identity}")).json()["state"] == "running"
    silent = {"beatAt": mock_store.clock.now() - timedelta(seconds=DEAD_SECONDS + 1)}
    await mock_store.database["reconciliations"].update_one({}, {"$set": silent})
    answer = (await client.get(f"{URL}/{identity}" if path else URL)).json()
    rows = [answer] if path else answer["items"]

    assert [row["state"] for row in rows if row["id"] == identity] == ["abandoned"]
    assert "the dead" in rows[-1]["error"]
    assert [run.kind for run in await RunStore(mock_store).newest(["queued"], [], None, 5)] == ["full"]


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    """An unknown id is not found, and neither is a malformed one."""
    for identity in ("0" * 24, "nothing"):
        answer = await client.get(f"{URL}/{identity}")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


async def test_only_reviewers_may_ask(client: httpx.AsyncClient, mock_store: Store) -> None:
    """Every other scope is refused by name."""
    key = await make_key(mock_store, "reservations:admin", "catalogue:write")
    headers = {"Authorization": f"Bearer {key}"}
    for answer in (
        await client.post(URL, headers=headers),
        await client.get(URL, headers=headers),
        await client.get(f"{URL}/{'0' * 24}", headers=headers),
    ):
        assert answer.status_code == 403
        assert "findings:review" in answer.json()["detail"]


async def test_the_worker_hears_of_it(mock_store: Store, redis_url: str) -> None:
    """With Redis there, the run's id stands in the queue, once, in JSON."""
    settings = Settings(redis_url=redis_url)
    async with serving(mock_store, settings=settings, scopes=["findings:review"]) as client:
        run = (await client.post(URL, json={"full": True})).json()["id"]
        await client.post(URL, json={"full": True})
    with Redis.from_url(redis_url) as redis:
        assert redis.zrange(job_queue.QUEUE, 0, -1) == [run.encode()]
        job = job_queue.deserialize(redis.get(f"arq:job:{run}"))
    assert (job["f"], job["a"]) == (job_queue.RUN, [run])


@pytest.mark.promise("bookings-without-redis")
async def test_a_redis_that_is_down_prevents_no_request(mock_store: Store) -> None:
    """202 all the same, and the run waits in MongoDB."""
    settings = Settings(redis_url="redis://127.0.0.1:1/0")
    async with serving(mock_store, settings=settings, scopes=["findings:review"]) as client:
        asked = await client.post(URL, json={"full": True})

    assert asked.status_code == 202
    claimed = await RunStore(mock_store).claim(OWNER)
    assert claimed is not None
    assert str(claimed.id) == asked.json()["id"]
