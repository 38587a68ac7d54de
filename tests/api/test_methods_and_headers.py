"""What holds on every path: methods, headers and tags, and which parts of a request are never echoed."""

import asyncio
import json
import re
import threading
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import httpx
import pytest
from bson import ObjectId
from litestar import Litestar
from litestar.routes import HTTPRoute
from structlog.testing import capture_logs
from typing_extensions import override

from app.catalogue.schemas import NewResource
from app.domain.instants import parse
from app.errors import Problem, ProblemName
from app.http.middleware import MAX_PATH_LENGTH
from app.http.request import LARGE_BODY_BYTES, _read
from app.main import create_app
from app.settings import Settings
from app.storage.client import Store
from app.work import WORK, WorkPool
from tests.support.api_client import ApiClient, booking_body, path_of, problem
from tests.support.http_client import make_key, running

RESOURCES = "/v1/resources"
SCHEDULE = {"weekly": [{"days": ["mon"], "from": "09:00", "to": "17:00"}]}


@pytest.fixture
async def api(api: ApiClient) -> ApiClient:
    """A client with a room and a booking in it."""
    await api.resource()
    return api


@pytest.fixture(scope="module")
def app() -> Litestar:
    """The application, for its routes."""
    return create_app(Settings())


def described(app: Litestar) -> dict[str, set[str]]:
    """The methods of every path, as the routes have them."""
    paths: dict[str, set[str]] = {}
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        shape = re.sub(r"\{[^}]*\}", "x", route.path)
        paths.setdefault(shape, set()).update(route.route_handler_map)
    return {path: methods | ({"HEAD"} if "GET" in methods else set()) for path, methods in paths.items()}


async def test_options_and_405_name_the_methods_that_there_are(api: ApiClient, app: Litestar) -> None:
    """On every path, the same in both, without a key; no other method is answered, and none of them with 405."""
    for path, methods in described(app).items():
        options = await api.client.options(path, headers={"Authorization": ""})
        refused = await api.client.request("BREW", path)
        assert (options.status_code, options.content) == (204, b""), path
        assert set(options.headers["Allow"].split(", ")) == methods, path
        problem(refused, "method-not-allowed")
        assert refused.headers["Allow"] == options.headers["Allow"], path
        assert options.headers["Allow"] in refused.json()["detail"]
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            answer = await api.request(method, path)
            assert (answer.status_code == 405) is (method not in methods), (method, path)


async def test_head_is_answered_wherever_get_is(api: ApiClient, app: Litestar) -> None:
    """With the status and the headers of GET, and no body."""
    made = await api.booked()
    paths = [path for path, methods in described(app).items() if "GET" in methods]
    for path in [*paths, path_of(made), "/docs/assets/swagger-ui.css", "/v1/nope"]:
        got, head = await api.request("GET", path), await api.request("HEAD", path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        for name in ("Content-Type", "Content-Length", "ETag"):
            if path != "/metrics" and got.status_code == 200:
                assert head.headers.get(name) == got.headers.get(name), (path, name)


async def test_what_the_client_has_already_is_not_sent_again(api: ApiClient) -> None:
    """A GET of one object or page is 304 for its tag, weak or among others, and whole for any other."""
    made = await api.booked()
    await api.request("PUT", f"{RESOURCES}/room/schedule", json=SCHEDULE, headers={"If-Match": "*"})
    pages = [RESOURCES, "/v1/reservations", "/v1/services", "/v1/findings", f"{RESOURCES}/room/time-off"]
    for path in [path_of(made), f"{RESOURCES}/room", f"{RESOURCES}/room/schedule", *pages, "/openapi.json"]:
        whole = await api.request("GET", path)
        tag = whole.headers["ETag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            for method in ("GET", "HEAD"):
                answer = await api.request(method, path, headers={"If-None-Match": known})
                assert (answer.status_code, answer.content) == (304, b""), (path, known)
                assert answer.headers["ETag"] == tag
                assert "Content-Type" not in answer.headers
        for other in ('"other"', "nonsense", f"{tag[:-1]}x{tag[-1]}"):
            answer = await api.request("GET", path, headers={"If-None-Match": other})
            assert (answer.status_code, answer.content) == (200, whole.content), (path, other)


async def test_the_tag_of_a_page_is_that_of_what_it_shows(api: ApiClient) -> None:
    """It changes with any item and with what a key may see, and a new read after a change is whole."""
    made = await api.booked(customer=(await api.add("customers", id="ann"))["id"])
    bound = await api.with_scopes("reservations:read", customer="ann")
    await api.booked(parse(made["endTime"]))
    before = await api.request("GET", "/v1/reservations")
    hers = await bound.request("GET", "/v1/reservations")
    await api.change(made, notes="new")
    after = await api.request("GET", "/v1/reservations", headers={"If-None-Match": before.headers["ETag"]})

    assert after.status_code == 200
    assert len({before.headers["ETag"], hers.headers["ETag"], after.headers["ETag"]}) == 3


async def test_a_hold_whose_time_is_over_is_shown_though_its_version_is_known(api: ApiClient) -> None:
    """It reads as expired by the clock, not by a change, so its tag does not say that it is as it was."""
    made = await api.booked(expiresInSeconds=60)
    known = {"If-None-Match": (await api.request("GET", path_of(made))).headers["ETag"]}
    assert (await api.request("GET", path_of(made), headers=known)).status_code == 304
    await api.expire(made)
    answer = await api.request("GET", path_of(made), headers=known)

    assert (answer.status_code, answer.json()["status"]) == (200, "expired")


async def test_a_weak_tag_counts_as_its_strong_one(api: ApiClient) -> None:
    """A proxy that compresses weakens the tags that pass through it, and its clients must be able to change things."""
    stale = await api.request("PATCH", f"{RESOURCES}/room", json={"name": "b"}, headers={"If-Match": 'W/"2"'})
    done = await api.request("PATCH", f"{RESOURCES}/room", json={"name": "b"}, headers={"If-Match": 'W/"1"'})

    problem(stale, "stale")
    assert (done.status_code, done.headers["ETag"]) == (200, '"2"')


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Authorization", "unauthenticated"),
        ("Content-Type", "invalid"),
        ("If-Match", "invalid"),
        ("Idempotency-Key", "invalid"),
    ],
)
async def test_a_header_that_stands_once_is_refused_twice(api: ApiClient, name: str, kind: ProblemName) -> None:
    """A request with the header twice is refused and nothing is done, because a proxy may have read the other value."""
    ours = {
        "Authorization": f"Bearer {api.token}",
        "Content-Type": "application/json",
        "If-Match": "*",
        "Idempotency-Key": "k",
    }
    headers = [*ours.items(), (name, ours[name])]
    for method, path in (("PATCH", f"{RESOURCES}/room"), ("POST", "/v1/reservations")):
        answer = await api.client.request(method, path, content=json.dumps(booking_body()), headers=headers)
        assert name in problem(answer, kind)["detail"]
    assert await api.ids() == []


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity", "nonsense"])
async def test_a_body_comes_as_it_is(api: ApiClient, coding: str) -> None:
    """A body with a Content-Encoding is not read, whatever it holds; without a body the header means nothing."""
    answer = await api.request("POST", "/v1/reservations", json=booking_body(), headers={"Content-Encoding": coding})

    assert "Content-Encoding" in problem(answer, "unsupported-media-type")["detail"]
    assert await api.ids() == []
    assert (await api.request("GET", RESOURCES, headers={"Content-Encoding": coding})).status_code == 200


async def test_the_length_of_a_body_is_a_number(api: ApiClient) -> None:
    """A Content-Length that is no number is malformed, and no failure of ours; most servers refuse it before."""
    headers = {"Content-Type": "application/json", "Content-Length": "abc"}

    problem(await api.request("POST", "/v1/reservations", content="{}", headers=headers), "malformed")


async def test_answers_are_safe_in_a_browser(api: ApiClient) -> None:
    """Answers and problems alike: browsers do not guess their type, do not frame them, and do not store them."""
    made = await api.booked()
    for path in (path_of(made), "/v1/reservations", "/v1/customers", "/v1/nope", "/healthz", f"{RESOURCES}?x=1"):
        answer = await api.request("GET", path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert answer.headers["X-Frame-Options"] == "DENY", path
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"], path
        assert answer.headers["Cache-Control"] == "no-store", path


async def test_the_page_of_the_docs_runs_its_own_scripts_alone(api: ApiClient) -> None:
    """Its policy names the script that starts it by its hash, its files by their origin, and nothing else."""
    page = await api.client.get("/docs")
    rules = dict(rule.strip().split(" ", 1) for rule in page.headers["Content-Security-Policy"].split(";"))
    inline = [
        body for head, body in re.findall(r"<script([^>]*)>(.*?)</script>", page.text, re.DOTALL) if "src=" not in head
    ]
    linked = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text.partition("<body>")[0])

    assert len(inline) == 1
    assert "SwaggerUIBundle(" in inline[0]
    assert rules["script-src"] == f"'self' 'sha256-{b64encode(sha256(inline[0].encode()).digest()).decode()}'"
    assert (rules["default-src"], rules["frame-ancestors"], rules["connect-src"]) == ("'none'", "'none'", "'self'")
    assert all(link.startswith("/docs/assets/") for link in linked)
    assert page.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/docs/nope",
        "/docs/a/b",
        "/docs/assets",
        "/docs/assets/nope.js",
        "/docs/assets/%00",
        "/docs/assets/swagger-ui.css%00",
        "/docs/assets/%2e%2e/%2e%2e/metadata",
        "/docs/assets/..%2f..%2fMETADATA",
        "/docs/assets/%ff",
        f"/docs/assets/{'x' * 300}",
        f"/docs/assets/{'x/' * 400}",
        f"/docs/assets/{'x' * 5_000}",
    ],
)
async def test_there_is_nothing_below_the_docs(api: ApiClient, path: str) -> None:
    """Whatever a name is made of: a problem, no page, and no word in the log."""
    with capture_logs() as logged:
        answer = await api.client.get(path, headers={"Authorization": ""})

    problem(answer, "not-found")
    assert logged == []


async def test_what_a_client_sends_does_not_come_back_whole(api: ApiClient) -> None:
    """A path, an id, a name or a value of any length is cut in the answer."""
    long = "x" * 60_000
    fields = {"name": "a", "services": [long], "timezone": long, long: 1}
    answers = [
        await api.request("GET", f"/{long}"),
        await api.request("GET", f"{RESOURCES}/{long}"),
        await api.request("GET", f"{RESOURCES}/{'x' * (MAX_PATH_LENGTH - 20)}"),
        await api.request("GET", f"{RESOURCES}?{long}=1"),
        await api.request("GET", f"{RESOURCES}?limit={long}"),
        await api.request("GET", f"{RESOURCES}?cursor={long}"),
        await api.request("GET", f"/v1/reservations?status={long}"),
        await api.request("GET", f"/v1/reservations?from={long}"),
        await api.request("GET", f"/v1/reservations?resource={long}"),
        await api.request("GET", f"/v1/availability?resource={long}&from=2026-03-02&to=2026-03-03"),
        await api.request("GET", f"/v1/availability?resource=room&from={long[:30_000]}&to={long[:30_000]}"),
        await api.request("GET", f"/v1/availability?resource=room&from=2026-03-02&to=2026-03-03&timezone={long}"),
        await api.request("GET", f"/v1/availability?resource=room&from=2026-03-02&to=2026-03-03&service={long}"),
        await api.request("GET", f"/v1/availability/explain?resource={long}&startTime=2026-03-02T09:00:00Z"),
        await api.request(
            "GET", f"/v1/availability/explain?resource=room&service={long}&startTime=2026-03-02T09:00:00Z"
        ),
        await api.request(long[:2_000], RESOURCES),
        await api.request("POST", RESOURCES, json=fields),
        await api.request("POST", RESOURCES, json={long: [{long: None}]}),
        await api.request("POST", RESOURCES, content=f'{{"{long}": 1, "{long}": 2}}'),
        await api.request("POST", RESOURCES, content="{}", headers={"Content-Type": long[:5_000]}),
        await api.request("POST", "/v1/reservations", json=booking_body() | {"startTime": long, "timezone": long}),
        await api.request("POST", "/v1/reservations", json=booking_body() | {"metadata": {long: 1}}),
        await api.request("PUT", f"{RESOURCES}/room/schedule", json={"weekly": [{long: 1}]}, headers={"If-Match": "*"}),
        await api.request(
            "PUT",
            f"{RESOURCES}/room/schedule",
            json={"overrides": [{"date": long, "windows": []}]},
            headers={"If-Match": "*"},
        ),
        await api.request("POST", f"{RESOURCES}/room/time-off", json={"from": long, "to": long}),
    ]
    for answer in answers:
        assert len(answer.content) < 4_000, answer.content[:200]
        assert answer.status_code < 500


@pytest.mark.parametrize("number", ["1e2", "1e1", "1.0", "0x10", "1_0", " 1", "+1", "\uff11", "1e400"])
async def test_a_number_in_a_query_is_written_in_digits(api: ApiClient, number: str) -> None:
    """A hundred is written 100 everywhere, and every other notation is refused."""
    for path in (RESOURCES, "/v1/availability?resource=room&from=2026-03-02&to=2026-03-03&minutes=60"):
        name = "limit" if path == RESOURCES else "guests"
        answer = await api.request("GET", path, params=dict(httpx.URL(path).params) | {name: number})
        assert "whole number" in problem(answer, "invalid", f"?{name}")["detail"]


@pytest.mark.parametrize(
    "query",
    [
        "reservations?from=2026-03-02T09:00:00+01:00",
        "reservations?updatedSince=2026-03-02T09:00:00.000+0100",
        "availability?resource=room&from=2026-03-02T09:00:00+01:00&to=2026-03-03T09:00:00%2B01:00",
        "availability?resource=room&from=2026-03-02&to=2026-03-03&timezone=Etc/GMT+3",
    ],
)
async def test_a_plus_that_became_a_blank_is_named(api: ApiClient, query: str) -> None:
    """The commonest slip with instants in an address: the answer says what to write."""
    assert "%2B" in problem(await api.request("GET", f"/v1/{query}"), "invalid")["detail"]


async def test_the_query_is_part_of_an_idempotent_request(api: ApiClient) -> None:
    """The same key and body with another query is another request; with the same one it is the first answer."""
    first = await api.post(booking_body(), key="k", force=True)
    again = await api.post(booking_body(), key="k", force=True)

    assert first.status_code == 201
    assert (again.headers["Idempotent-Replayed"], again.content) == ("true", first.content)
    problem(await api.post(booking_body(), key="k"), "idempotency-mismatch")
    problem(await api.post(booking_body(), key="k", force=False), "idempotency-mismatch")


class Watched(WorkPool):
    """A pool that counts what it is given."""

    def __init__(self, threads: int = 1, queue_limit: int = 0) -> None:
        super().__init__(threads, queue_limit)
        self.given = 0

    @override
    async def run(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        """Count, and do it."""
        self.given += 1
        return await super().run(work, *args, **kwargs)


@pytest.fixture
async def bare(mock_store: Store) -> AsyncIterator[tuple[httpx.AsyncClient, Watched]]:
    """An app of its own, with a pool that counts its work."""
    app = create_app(Settings(), store=mock_store)
    headers = {"Authorization": f"Bearer {await make_key(mock_store, 'admin')}"}
    asgi: Any = app
    transport = httpx.ASGITransport(asgi)
    async with running(app), httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        own = app.state[WORK]
        app.state[WORK] = pool = Watched()
        yield client, pool
        app.state[WORK] = own
        pool.close()


def body_of(size: int, name: str) -> bytes:
    """A new resource in so many bytes."""
    return json.dumps({"name": name, "services": []}).encode().ljust(size)


async def test_a_large_body_is_read_beside_the_loop(bare: tuple[httpx.AsyncClient, Watched]) -> None:
    """A large body goes from bytes to model in one piece of work, a small one does not; the answers are alike."""
    client, pool = bare
    for size in (100, LARGE_BODY_BYTES):
        assert (await client.post(RESOURCES, content=body_of(size, "a"))).status_code == 201
    assert pool.given == 0
    assert (await client.post(RESOURCES, content=body_of(LARGE_BODY_BYTES + 1, "a"))).status_code == 201
    problem(await client.post(RESOURCES, content=body_of(1024 * 1024, "")), "invalid", "/name")
    problem(await client.post(RESOURCES, content=b"[" * 100_000), "malformed")
    assert pool.given == 3


@pytest.mark.parametrize("body", [{"name": 1, "services": ["a"] * 9}, {"name": None}, {"name": "a", "x": ["a"] * 9}])
def test_a_refusal_keeps_nothing_of_its_body(body: dict[str, Any]) -> None:
    """The parsed values are freed where they were read, and not where the answer is made."""
    with pytest.raises(Problem) as raised:
        _read(json.dumps(body).encode(), NewResource, nulls=False)
    refusal = raised.value
    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(refusal.__traceback__)]

    assert refusal.__context__ is None
    assert refusal.__cause__ is None
    assert frames[-1] == "_read"


async def test_a_large_body_is_refused_where_too_many_wait(bare: tuple[httpx.AsyncClient, Watched]) -> None:
    """`overloaded`, and nothing is done; small ones are served meanwhile."""
    client, pool = bare
    gate = threading.Event()
    first = asyncio.create_task(pool.run(gate.wait))
    await asyncio.sleep(0)
    problem(await client.post(RESOURCES, content=body_of(100_000, "a")), "overloaded")
    assert (await client.post(RESOURCES, content=body_of(100, "b"))).status_code == 201
    gate.set()
    await first

    assert [item["name"] for item in (await client.get(RESOURCES)).json()["items"]] == ["b"]


async def test_a_long_page_is_built_beside_the_loop(bare: tuple[httpx.AsyncClient, Watched], mock_store: Store) -> None:
    """A long page goes from stored rows to bytes in one piece of work, a short one does not, and both are alike."""
    client, pool = bare
    await client.post(RESOURCES, json={"id": "room", "name": "a"})
    made = (await client.post("/v1/reservations", json=booking_body())).json()
    reservations = mock_store.database["reservations"]
    row: Any = await reservations.find_one({"_id": ObjectId(made["id"])})
    row |= {"history": row["history"] * 50}
    await reservations.insert_many([row | {"_id": ObjectId()} for _ in range(25)])
    short = await client.get("/v1/reservations", params={"limit": 5})
    assert pool.given == 0
    long = await client.get("/v1/reservations", params={"limit": 200})

    assert pool.given == 1
    assert long.headers["Content-Type"] == short.headers["Content-Type"]
    assert len(long.json()["items"]) == 26
    assert long.json()["items"][:5] == short.json()["items"]
