"""Reconciliations over HTTP: asked for, found again, and carried out by nobody here."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from redis import Redis

from app.reconciliation import queue, runs, service
from app.settings import Settings
from app.storage.client import Store
from tests.actors import add_resource
from tests.http import make_key, serving

URL = "/v1/reconciliations"


@pytest.fixture
async def client(mock_store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who reviews findings."""
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
    await runs.claim(mock_store, service.OWNER)
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


async def test_runs_are_listed_by_id(client: httpx.AsyncClient, mock_store: Store) -> None:
    """Pages follow one another without a gap or a repetition."""
    made = []
    for _ in range(5):
        made.append((await client.post(URL, json={"full": True})).json()["id"])
        await runs.claim(mock_store, service.OWNER)
    first = (await client.get(URL, params={"limit": 3})).json()
    second = (await client.get(URL, params={"limit": 3, "cursor": first["next"]})).json()

    assert [each["id"] for each in first["items"] + second["items"]] == made
    assert "next" not in second
    assert (await client.get(URL, params={"cursor": "mine"})).status_code == 422


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    """An id that nobody has, and one that nobody could have."""
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
        assert redis.zrange(queue.QUEUE, 0, -1) == [run.encode()]
        kept = queue.deserialize(redis.get(f"arq:job:{run}"))
    assert (kept["f"], kept["a"]) == (queue.RUN, [run])


async def test_a_redis_that_is_down_keeps_nobody_from_asking(mock_store: Store) -> None:
    """202 all the same, and the run waits in MongoDB."""
    settings = Settings(redis_url="redis://127.0.0.1:1/0")
    async with serving(mock_store, settings=settings, scopes=["findings:review"]) as client:
        asked = await client.post(URL, json={"full": True})

    assert asked.status_code == 202
    claimed = await runs.claim(mock_store, service.OWNER)
    assert claimed is not None
    assert str(claimed.id) == asked.json()["id"]
