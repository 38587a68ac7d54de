"""`/v1/events`: pages, cursors, filters, waiting, and the stream."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest
from bson import ObjectId
from pymongo.read_concern import ReadConcern

from app import deadline
from app.access.service import Keys
from app.errors import Problem
from app.events import readers, service
from app.events.filters import EventFilters
from app.events.hub import Hub
from app.http.shutdown import SHUTDOWN
from app.main import create_app
from app.settings import Settings
from app.storage.client import Store
from app.storage.documents import Event
from app.storage.event_log import MAJORITY_READ, RELAY, SURE_READ, EventLog
from app.wakeups import Wakeups
from app.webhooks.service import Webhooks
from tests.support.http_client import make_key, running, serving
from tests.support.relaying import add_events, event_document, later, place_all
from tests.support.times import HOUR, NINE

URL = "/v1/events"


@pytest.fixture
async def http(mock_store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """A client that reads events, of an app of its own: what it keeps is of this database."""
    async with serving(mock_store, scopes=["events:read", "reservations:read"]) as client:
        yield client


async def insert_reservation(store: Store, **fields: Any) -> ObjectId:
    """A reservation as it is stored."""
    identity = ObjectId()
    times = {"startTime": NINE, "endTime": NINE + HOUR, "blockStart": NINE, "blockEnd": NINE + HOUR}
    row = {"_id": identity, "resource": "room", "status": "confirmed", **times, "guests": 1, "units": 1, "version": 1}
    about = {"timezone": "UTC", "createdAt": NINE, "updatedAt": NINE, "history": [], "key": "k"}
    await store.database["reservations"].insert_one(row | about | fields)
    return identity


async def place(store: Store, *events: dict[str, Any]) -> None:
    """Put events into the log."""
    await add_events(store, *events)
    await place_all(store)


async def place_numbered(store: Store, count: int, **fields: Any) -> None:
    """So many events of different reservations, in the order of their versions."""
    await place(store, *(event_document(ObjectId(), number, at=later(number), **fields) for number in range(count)))


async def get(http: httpx.AsyncClient, **query: Any) -> Any:
    """The page that a query gets."""
    answer = await http.get(URL, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def problem(http: httpx.AsyncClient, **query: Any) -> tuple[int, str]:
    """The status and the type of the problem that a query gets."""
    answer = await http.get(URL, params=query)
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


async def test_an_event(http: httpx.AsyncClient, mock_store: Store) -> None:
    """An event has its place, what has happened, and the reservation as reading it gives."""
    room = await insert_reservation(mock_store, notes="window", version=4)
    moved = event_document(room, 4, type="reservation.moved", changed=["resource"], formerResource="hall")
    await place(mock_store, moved)

    page = await get(http)

    [event] = page["items"]
    assert page["next"] == event["id"] == "0000000000000001"
    assert event.pop("reservation") == (await http.get(f"/v1/reservations/{room}")).json()
    assert event == {
        "id": "0000000000000001",
        "type": "reservation.moved",
        "at": "2030-01-07T09:00:00.000Z",
        "by": "test",
        "version": 4,
        "resource": "room",
        "formerResource": "hall",
        "changed": ["resource"],
    }


async def test_other_subjects(http: httpx.AsyncClient, mock_store: Store) -> None:
    """An event of a finding has the finding, one of an erasure the customer, of what is gone the id is left."""
    finding, gone = ObjectId(), ObjectId()
    window = {"resource": "room", "from": NINE, "to": NINE + HOUR, "peak": 2, "capacity": 1, "state": "open"}
    seen = {"firstSeen": NINE, "lastSeen": NINE, "run": ObjectId(), "version": 1, "history": [], "reservations": [1, 2]}
    await mock_store.database["findings"].insert_one({"_id": finding, **window, **seen})
    await place(
        mock_store,
        event_document(finding, 1, type="finding.opened", at=later(0)),
        event_document("mia", 2, type="customer.erased", at=later(1)),
        event_document(gone, 3, at=later(2)),
    )

    opened, erased, of_gone = (await get(http))["items"]

    assert opened["finding"] == {
        "id": str(finding),
        "version": 1,
        "resource": "room",
        "from": "2030-01-07T09:00:00.000Z",
        "to": "2030-01-07T10:00:00.000Z",
        "peak": 2,
        "capacity": 1,
        "state": "open",
        "firstSeen": "2030-01-07T09:00:00.000Z",
        "lastSeen": "2030-01-07T09:00:00.000Z",
    }
    assert erased["customer"] == "mia"
    assert of_gone["reservation"] == {"id": str(gone)}


async def test_cursor(http: httpx.AsyncClient, mock_store: Store) -> None:
    """Who goes on from `next` gets each event once and in order, whatever comes meanwhile; `next` stays at the end."""
    await place_numbered(mock_store, 5)
    seen, after, page = [], None, await get(http, limit=2)
    while page["items"]:
        seen += [event["id"] for event in page["items"]]
        after = page["next"]
        if len(seen) == 4:
            await place_numbered(mock_store, 4)
        page = await get(http, limit=2, after=after)

    assert seen == [f"{number:016d}" for number in range(1, 10)]
    assert page["next"] == after
    assert (await get(http, after="now")) == {"items": [], "next": after}
    assert [event["id"] for event in (await get(http, after="7"))["items"]] == seen[7:]


@pytest.mark.parametrize("after", ["", "abc", "-1", "1.5", "0x10", "9" * 31, "NOW", "\u0661"])
async def test_malformed_cursor(http: httpx.AsyncClient, after: str) -> None:
    """What is no cursor is refused, and the parameter named."""
    answer = await http.get(URL, params={"after": after})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "?after"


async def test_gone(http: httpx.AsyncClient, mock_store: Store) -> None:
    """A cursor before what is kept, or beyond what there is, is 410, also where events go while they are read."""
    await place_numbered(mock_store, 5)
    assert await problem(http, after="6") == (410, "gone")
    assert await problem(http, after="9" * 30) == (410, "gone")

    await mock_store.database["events"].delete_many({"_id": {"$lte": 2}})
    assert await problem(http, after="1") == (410, "gone")

    await mock_store.database["leases"].update_one({"_id": RELAY}, {"$set": {"floor": 2}})
    assert await problem(http, after="1") == (410, "gone")
    assert await problem(http, after="0") == (410, "gone")
    assert [event["id"] for event in (await get(http, after="2"))["items"]] == [f"{each:016d}" for each in (3, 4, 5)]
    assert len((await get(http))["items"]) == 3


async def test_a_beginning_that_is_removed(
    http: httpx.AsyncClient, mock_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who names no cursor begins with what is left, also if the oldest events are removed while they are read."""
    await place_numbered(mock_store, 6)
    reading, removed = EventLog.read, iter([2])

    async def removed_meanwhile(log: EventLog, *bounds: int) -> AsyncIterator[Event]:
        for place in removed:
            await log.raise_floor(place)
            await mock_store.database["events"].delete_many({"_id": {"$lte": place}})
        async for event in reading(log, *bounds):
            yield event

    monkeypatch.setattr(EventLog, "read", removed_meanwhile)
    assert [event["id"][-1] for event in (await get(http))["items"]] == [*"3456"]

    removed = iter([4])
    feed = service.Feed(EventLog(mock_store), Wakeups(None, mock_store.database.name))
    async with aclosing(await feed.stream(None, EventFilters(), AsyncMock(return_value=True), key="k")) as parts:
        await anext(parts)
        assert re.findall(r"id: 0*(\d)", (await anext(parts)).decode()) == [*"56"]
    await feed.aclose()

    removed = iter([6])
    assert await problem(http, after="5") == (410, "gone")


async def test_a_server_that_is_behind(
    http: httpx.AsyncClient, mock_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new primary that does not know the last events yet lets nobody start anew: a majority is asked before that."""
    behind = mock_store.client.get_database(f"{mock_store.database.name}_behind")
    await place_numbered(mock_store, 3)
    for name in ("events", "leases"):
        await behind[name].insert_many(await mock_store.database[name].find().to_list(None))
    await place_numbered(mock_store, 2)
    present, is_behind = EventLog._collection, True

    def read(log: EventLog, name: str, concern: ReadConcern = MAJORITY_READ) -> Any:
        nonlocal is_behind
        is_behind = is_behind and concern != SURE_READ
        return behind[name] if is_behind else present(log, name, concern)

    monkeypatch.setattr(EventLog, "_collection", read)
    assert (await get(http, after="5"))["items"] == []
    is_behind = True
    assert [event.id async for event in EventLog(mock_store).read(2, 5, 9)] == [3, 4, 5]
    is_behind = True
    replayed = Webhooks(mock_store, Settings()).replay
    with pytest.raises(Problem, match="There is no webhook"):
        await replayed(str(ObjectId()), "0000000000000005", "test")
    is_behind = True
    assert await problem(http, after="6") == (410, "gone")


async def test_filters(http: httpx.AsyncClient, mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters of types and resources take several values; `next` goes on past what they leave out."""
    await place(
        mock_store,
        event_document(1, 1, type="reservation.created", resource="a", at=later(1)),
        event_document(2, 1, type="reservation.cancelled", resource="b", at=later(2)),
        event_document(3, 1, type="reservation.moved", resource="c", formerResource="a", at=later(3)),
        event_document(4, 1, type="reservation.created", resource="d", at=later(4)),
    )

    async def places(**query: Any) -> list[int]:
        return [int(event["id"]) for event in (await get(http, **query))["items"]]

    assert await places(type="reservation.created") == [1, 4]
    assert await places(type=["reservation.created", "reservation.cancelled"]) == [1, 2, 4]
    assert await places(resource="a") == [1, 3]
    assert await places(resource=["b", "d"], type="reservation.created") == [4]
    assert (await get(http, resource="nowhere"))["next"] == "0000000000000004"
    assert (await problem(http, type="reservation.exploded"))[0] == 422

    monkeypatch.setattr(service, "LOOKED_AT_MAX", 2)
    first = await get(http, resource="d")
    assert first == {"items": [], "next": "0000000000000002"}
    assert await places(resource="d", after=first["next"]) == [4]


async def test_scopes(mock_store: Store) -> None:
    """Events need both scopes; a key that is bound to a customer cannot have them."""
    async with serving(mock_store) as client:
        for scopes, status in ((["events:read"], 403), (["reservations:read"], 403), (["admin"], 200)):
            headers = {"Authorization": f"Bearer {await make_key(mock_store, *scopes)}"}
            assert (await client.get(URL, headers=headers)).status_code == status
        bound = {"name": "n", "scopes": ["events:read", "reservations:read"], "customer": "ann"}
        await mock_store.database["customers"].insert_one({"_id": "ann", "name": "Ann"})
        assert (await client.post("/v1/keys", json=bound)).status_code == 422


async def test_waiting(http: httpx.AsyncClient, mock_store: Store) -> None:
    """A request that waits is answered with the first event that is wanted, and at its time if none comes."""
    await place_numbered(mock_store, 1)
    waiting = asyncio.create_task(get(http, after="now", wait=30, resource="hall"))
    await asyncio.sleep(0)
    await place_numbered(mock_store, 2)
    await place_numbered(mock_store, 1, resource="hall")

    page = await waiting

    assert [event["id"] for event in page["items"]] == ["0000000000000004"]
    assert (await get(http, after="now", wait=1)) == {"items": [], "next": "0000000000000004"}
    assert (await problem(http, wait=31))[0] == 422


async def test_three_hundred_wait(mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait, one look a time serves them, and each gets every event."""
    events = EventLog(mock_store)
    feed = service.Feed(events, Wakeups(None, mock_store.database.name))
    await place_numbered(mock_store, 1)
    wait = [feed.page("1", EventFilters(), 50, 30, key=f"{number % 3}") for number in range(300)]
    readers = [asyncio.create_task(each) for each in wait]
    hub: Hub = feed._hub
    while hub._waiting < 300:  # noqa: ASYNC110  # nobody tells how many wait
        await asyncio.sleep(0)
    reads: list[str] = []
    find = EventLog._collection

    def counted(self: EventLog, name: str, *concern: ReadConcern) -> Any:
        reads.append(name)
        return find(self, name, *concern)

    monkeypatch.setattr(EventLog, "_collection", counted)
    await place_numbered(mock_store, 3)
    pages = await asyncio.gather(*readers)

    assert {tuple(event.place for event in page.items) for page in pages} == {(2, 3, 4)}
    assert reads.count("events") == 1
    await feed.aclose()


class Stream:
    """A stream of the app, read part by part."""

    def __init__(
        self, app: Any, token: str, query: str = "", method: str = "GET", path: str = f"{URL}/stream", **headers: str
    ) -> None:
        self.parts: asyncio.Queue[Any] = asyncio.Queue()
        self.gone = asyncio.Event()
        named = {"authorization": f"Bearer {token}", **headers}
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()],
            "client": ("127.0.0.1", 1),
            "server": ("test", 80),
            "scheme": "http",
            "root_path": "",
        }
        self._asked = False
        self.task = asyncio.create_task(app(self._scope, self._receive, self._send))

    async def _send(self, message: Any) -> None:
        await self.parts.put(message)

    async def _receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def next(self) -> Any:
        """The next message."""
        async with asyncio.timeout(30):
            return await self.parts.get()

    async def last(self) -> Any:
        """The last message."""
        while (message := await self.next()).get("more_body", True):
            pass
        return message

    async def leave(self) -> None:
        """End as a client does that goes away."""
        self.gone.set()
        await self.task

    async def until(self, words: str) -> str:
        """Everything up to a part with these words."""
        text = ""
        while words not in text:
            message = await self.next()
            text += message.get("body", b"").decode()
            assert message.get("more_body", True) or words in text, text
        return text


@pytest.fixture
async def app(mock_store: Store) -> AsyncIterator[Any]:
    """The app itself."""
    made = create_app(Settings(), store=mock_store)
    async with running(made):
        yield made


@pytest.fixture
async def token(mock_store: Store) -> str:
    """A key that reads events."""
    return await make_key(mock_store, "events:read", "reservations:read")


async def test_stream(app: Any, mock_store: Store, token: str) -> None:
    """A stream has what follows its cursor and then what comes, each event with id, type and JSON on one line."""
    await place_numbered(mock_store, 3)
    stream = Stream(app, token, "after=1")

    start = await stream.next()
    text = await stream.until("id: 0000000000000003")
    await place_numbered(mock_store, 1, type="reservation.cancelled")
    text += await stream.until("id: 0000000000000004")
    await stream.leave()

    assert start["status"] == 200
    assert dict(start["headers"])[b"content-type"] == b"text/event-stream"
    assert [line for line in text.splitlines() if line.startswith("id: ")] == [f"id: {n:016d}" for n in (2, 3, 4)]
    assert "event: reservation.cancelled\ndata: {" in text


async def test_a_stream_whose_request_arrives_slowly(
    app: Any, mock_store: Store, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the head of the request took, the stream goes on until its client leaves."""
    monkeypatch.setattr(deadline, "NEGLIGIBLE_SECONDS", -1.0)
    stream = Stream(app, token)
    await stream.until("retry")
    await place_numbered(mock_store, 1)

    assert "event: " in await stream.until("id: 0000000000000001")
    await stream.leave()


async def test_last_event_id(app: Any, mock_store: Store, token: str) -> None:
    """A client that connects again goes on from its last event, whatever its address says."""
    await place_numbered(mock_store, 3)
    stream = Stream(app, token, "after=0", last_event_id="2")

    text = await stream.until("id: 0000000000000003")
    await stream.leave()

    assert text.count("id: ") == 1


async def test_keep_alive(app: Any, mock_store: Store, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent stream says where it is, without an event, so that a client with few events has a late cursor."""
    monkeypatch.setattr(service, "KEEP_ALIVE_SECONDS", 0)
    await place_numbered(mock_store, 3)
    stream = Stream(app, token, "resource=nowhere")

    text = await stream.until("id: 0000000000000003")
    await stream.leave()

    assert ":\nid: 0000000000000003\n\n" in text
    assert "data" not in text


async def test_the_end_of_a_key(app: Any, mock_store: Store, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream ends when its key is revoked; so does one that is refused before it begins."""
    monkeypatch.setattr(service, "KEY_SECONDS", 0.01)
    stream = Stream(app, token)
    await stream.until("retry")

    await Keys(mock_store).revoke(token.split("_")[1], "test")

    assert (await stream.last())["more_body"] is False
    refused = Stream(app, token)
    assert (await refused.next())["status"] == 401
    await refused.leave()


async def test_the_end_of_the_process(app: Any, token: str) -> None:
    """Streams and requests that wait end when the process is asked to."""
    stream = Stream(app, token)
    waiting = Stream(app, token, "after=now&wait=30", path=URL)
    await stream.until("retry")

    app.state[SHUTDOWN].announce()

    assert (await stream.last())["more_body"] is False
    assert (await waiting.next())["status"] == 200
    assert (await waiting.last())["body"] == b'{"items":[],"next":"0000000000000000"}'


@pytest.mark.parametrize(("limit", "status"), [("READERS_MAX", 503), ("READERS_OF_KEY_MAX", 429)])
@pytest.mark.parametrize("waits", [{}, {"query": "after=now&wait=30", "path": URL}])
async def test_many_readers(
    app: Any,
    mock_store: Store,
    token: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    limit: str,
    status: int,
    waits: dict[str, str],
) -> None:
    """So many wait and no more, of all keys and of one; there is room again when one has ended, however it did."""
    monkeypatch.setattr(readers, limit, 2)
    enter, entered = readers.Readers._enter, asyncio.Semaphore(0)

    def noted(self: readers.Readers, key: str) -> None:
        enter(self, key)
        entered.release()

    monkeypatch.setattr(readers.Readers, "_enter", noted)
    waiting, first = Stream(app, token, **waits), Stream(app, token)
    for _ in "12":
        await entered.acquire()
    more = [Stream(app, token), Stream(app, token, method="HEAD"), Stream(app, token, "after=now&wait=1", path=URL)]
    assert [(await each.next())["status"] for each in more] == [status] * 3
    at_once = Stream(app, token, path=URL)
    assert (await at_once.next())["status"] == 200
    await first.leave()
    head = Stream(app, token, method="HEAD")
    assert (await head.next())["status"] == 200
    await head.leave()
    last = Stream(app, token)

    assert (await last.next())["status"] == 200
    await place_numbered(mock_store, 1)
    for each in (waiting, at_once, last):
        await each.leave()


async def test_a_key_leaves_room_for_others(
    app: Any, token: str, mock_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that has as many readers as it may holds up no other."""
    monkeypatch.setattr(readers, "READERS_OF_KEY_MAX", 1)
    mine = Stream(app, token)
    await mine.until("retry")
    other = Stream(app, await make_key(mock_store, "events:read", "reservations:read"))

    assert (await other.next())["status"] == 200
    for each in (mine, other):
        await each.leave()


async def test_refused_streams(app: Any, token: str) -> None:
    """A stream that cannot begin is a problem; HEAD has the head alone, and the rest of the methods is refused."""
    for query, method, status in (
        ("after=9", "GET", 410),
        ("after=x", "GET", 422),
        ("wait=1", "GET", 422),
        ("", "HEAD", 200),
        ("", "POST", 405),
        ("", "OPTIONS", 204),
    ):
        stream = Stream(app, token, query, method)
        assert (await stream.next())["status"] == status, (query, method)
        assert (await stream.last())["more_body"] is False
        await stream.leave()


async def test_a_slow_reader(app: Any, mock_store: Store, token: str) -> None:
    """A reader that takes nothing costs one part, and gets all that came meanwhile once it reads."""
    stream = Stream(app, token)
    await stream.until("retry")
    stream.parts = asyncio.Queue(1)
    await place_numbered(mock_store, 400)
    seen: list[int] = []
    while len(seen) < 400:
        body = (await stream.next())["body"].decode()
        found = [int(line.removeprefix("id: ")) for line in body.splitlines() if line.startswith("id: ")]
        assert len(found) <= service.STREAMED_EVENTS
        seen += found
    await stream.leave()

    assert seen == [*range(1, 401)]
