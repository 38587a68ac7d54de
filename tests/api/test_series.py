"""Series over HTTP, as far as a server without transactions goes: one occurrence at a time.

Series of several occurrences are tested in tests/server.
"""

from tests.support.api_client import ApiClient, created, ok, problem
from tests.support.series_requests import SERIES, post_series, series_verb

ONCE = "FREQ=DAILY;COUNT=1"


async def test_several_occurrences_need_transactions(api: ApiClient) -> None:
    """More than one is `strict-only` here, and nothing is written."""
    await api.resource()
    before = await api.contents()

    problem(await post_series(api), "strict-only")
    assert await api.contents() == before


async def test_a_series_of_one(api: ApiClient) -> None:
    """It is booked, read, moved and cancelled like any other."""
    await api.resource()
    body = created(await post_series(api, rule=ONCE))

    assert ok(await api.get(f"{SERIES}/{body['id']}")) == body
    moved = ok(await series_verb(api, body, "move", localStart="2030-01-08T09:00"))
    assert moved["reservations"][0]["startTime"] == "2030-01-08T09:00:00.000Z"
    assert ok(await series_verb(api, body, "cancel"))["reservations"][0]["status"] == "cancelled"


async def test_what_others_keep_there_is_no_series(api: ApiClient) -> None:
    """A document of another program in the collection is not found, and a damaged one gives no error."""
    await api.resource()
    body = created(await post_series(api, rule=ONCE))
    rows = api.store.database["series"]
    await rows.update_one({}, {"$set": {"timezone": "Mars/Olympus"}})
    problem(await series_verb(api, body, "move", localStart="2030-01-08T09:00"), "invalid")
    await rows.update_one({}, {"$set": {"occurrences": 7}})

    problem(await api.get(f"{SERIES}/{body['id']}"), "not-found")
    problem(await api.get(f"{SERIES}/nothing"), "not-found")
