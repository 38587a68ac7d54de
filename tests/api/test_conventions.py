"""What holds for every route: problems, ids, parameters, bodies, keys, pages for people."""

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from litestar import get
from litestar.params import FromPath
from pymongo.errors import ExecutionTimeout, NetworkTimeout, OperationFailure, ServerSelectionTimeoutError
from structlog.testing import capture_logs

from app.access.routes import open_to_all
from app.errors import Problem
from app.main import create_app
from app.settings import Settings
from app.storage.client import Store
from app.storage.errors import StorageError
from tests.support.api_client import pointers, problem
from tests.support.http_client import make_key, running, serving

RESOURCES = "/v1/resources"
MIB = 1024 * 1024


@pytest.fixture
async def client(mock_store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key that may do everything."""
    async with serving(mock_store) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/nope", "/v1", "/v1/nope", "/v1/resources/a/b", "/v2/resources"])
async def test_unknown_paths_are_not_found(client: httpx.AsyncClient, path: str) -> None:
    """With a problem, whatever the path."""
    problem(await client.get(path), "not-found")


async def test_other_methods_are_refused_with_the_allowed_ones(client: httpx.AsyncClient) -> None:
    """405 has an Allow header."""
    answer = await client.delete(RESOURCES)

    problem(answer, "method-not-allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize("given", ["a", "req-1/2:3", "x" * 64])
async def test_a_request_id_is_taken_over(client: httpx.AsyncClient, given: str) -> None:
    """On answers and on problems."""
    for path in ("/healthz", "/nope", f"{RESOURCES}/nope"):
        answer = await client.get(path, headers={"X-Request-Id": given})
        assert answer.headers.get_list("x-request-id") == [given]


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", "caf\xe9"])
async def test_a_request_id_is_made_where_none_can_be_taken(client: httpx.AsyncClient, given: str | None) -> None:
    """Too long, or with characters that cannot be seen: another one each time."""
    headers = {} if given is None else {b"X-Request-Id": given.encode("latin-1")}
    made = {(await client.get("/healthz", headers=headers)).headers["x-request-id"] for _ in range(2)}

    assert len(made) == 2
    assert given not in made


async def test_unknown_parameters_are_refused(client: httpx.AsyncClient) -> None:
    """All of them are named, on lists, objects and changes alike."""
    assert pointers(await client.get(RESOURCES, params={"x": 1, "limit": 5, "y": 2})) == ["?x", "?y"]
    assert pointers(await client.get(f"{RESOURCES}/a", params={"limit": 1})) == ["?limit"]
    assert pointers(await client.post(RESOURCES, params={"dryRun": True}, json={"name": "a"})) == ["?dryRun"]
    assert pointers(await client.get("/healthz", params={"x": ""})) == ["?x"]


async def test_a_parameter_is_given_once(client: httpx.AsyncClient) -> None:
    """The second one would have to be ignored; what is a list may be repeated."""
    assert pointers(await client.get(f"{RESOURCES}?limit=1&limit=2")) == ["?limit"]
    assert (await client.get("/v1/reservations?status=pending&status=confirmed")).status_code == 200


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "", "1.5", "9" * 30])
async def test_the_limit_has_bounds(client: httpx.AsyncClient, limit: str) -> None:
    """1 to 200, whole."""
    answer = await client.get(RESOURCES, params={"limit": limit})

    assert pointers(answer) == ["?limit"]
    assert "from 1 to 200" in answer.json()["detail"]


async def test_literals_name_their_choices(client: httpx.AsyncClient) -> None:
    """The refusal of an unknown status lists the possible ones."""
    answer = await client.get("/v1/reservations", params={"status": "lost"})

    assert pointers(answer) == ["?status"]
    assert "no-show" in answer.json()["detail"]


async def test_a_body_has_its_type(client: httpx.AsyncClient) -> None:
    """JSON in UTF-8 with or without saying so; a merge patch only where something is patched."""
    body = b'{"name": "a"}'
    for kind in ("application/json", "application/json; charset=UTF-8", 'Application/JSON;charset="utf-8"', ""):
        headers = {"Content-Type": kind} if kind else {}
        assert (await client.post(RESOURCES, content=body, headers=headers)).status_code == 201, kind
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml", "application/merge-patch+json"):
        problem(await client.post(RESOURCES, content=body, headers={"Content-Type": kind}), "unsupported-media-type")
    latin = {"Content-Type": "application/json; charset=latin-1"}
    problem(await client.post(RESOURCES, content=body, headers=latin), "unsupported-media-type")


async def test_a_patch_comes_as_json_or_merge_patch(client: httpx.AsyncClient) -> None:
    """Both types, the same effect; any other is refused by both names."""
    made = (await client.post(RESOURCES, json={"name": "a"})).headers["location"]
    for kind in ("application/json", "application/merge-patch+json"):
        answer = await client.patch(made, content=b"{}", headers={"Content-Type": kind, "If-Match": "*"})
        assert answer.status_code == 200
    answer = await client.patch(made, content=b"[]", headers={"Content-Type": "application/json-patch+json"})
    assert "merge-patch" in problem(answer, "unsupported-media-type")["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b'{"name": "a", "name": "b"}', b"[" * 100, b'{"name": NaN}', b"\xff"])
async def test_what_is_no_json_is_malformed(client: httpx.AsyncClient, body: bytes) -> None:
    """Nothing written, no pointer, a sentence."""
    answer = await client.post(RESOURCES, content=body, headers={"Content-Type": "application/json"})

    assert "errors" not in problem(answer, "malformed")
    assert (await client.get(RESOURCES)).json() == {"items": []}


@pytest.mark.parametrize("body", [b"5", b"[]", b'"a"', b"true", b"null"])
async def test_a_body_is_an_object(client: httpx.AsyncClient, body: bytes) -> None:
    """Other JSON is valid JSON, but not what was asked for: the whole body is to blame."""
    assert pointers(await client.post(RESOURCES, content=body)) == [""]
    assert pointers(await client.patch(f"{RESOURCES}/a", content=body, headers={"If-Match": "*"})) == [""]


async def test_the_body_has_a_size(client: httpx.AsyncClient) -> None:
    """Up to 1 MiB is read, also if it comes in pieces without a length; a byte more is not."""

    async def pieces(size: int) -> AsyncIterator[bytes]:
        sent = b'{"name": "a", "x": "'
        yield sent
        for _ in range(0, size - len(sent) - 2, MIB // 4):
            yield b"x" * min(MIB // 4, size - len(sent) - 2)
            sent += b"x" * min(MIB // 4, size - len(sent) - 2)
        yield b'"}'

    at_most = b'{"name": "a", "x": "%s"}'
    whole = at_most % (b"x" * (MIB - len(at_most) + 2))
    assert pointers(await client.post(RESOURCES, content=whole)) == ["/x"]
    assert pointers(await client.post(RESOURCES, content=pieces(MIB))) == ["/x"]
    problem(await client.post(RESOURCES, content=whole + b" "), "too-large")
    problem(await client.post(RESOURCES, content=pieces(MIB + 1)), "too-large")


async def test_a_client_that_leaves_is_no_error_of_ours(mock_store: Store) -> None:
    """A body that breaks off is the client's affair: nothing is logged, nothing is written."""
    app = create_app(Settings(), store=mock_store)
    messages: list[Any] = []
    events = iter([{"type": "http.request", "body": b'{"na', "more_body": True}, {"type": "http.disconnect"}])
    key = await make_key(mock_store, "admin")
    scope = {
        "type": "http",
        "method": "POST",
        "path": RESOURCES,
        "query_string": b"",
        "headers": [(b"host", b"test"), (b"authorization", f"Bearer {key}".encode())],
    }

    async def receive() -> Any:
        return next(events)

    async def send(message: Any) -> None:
        messages.append(message)

    async with running(app):
        with capture_logs() as logged:
            await app(cast("Any", scope), receive, send)
    assert messages[0]["status"] == 400
    assert logged == []
    assert await mock_store.database["resources"].count_documents({}) == 0


async def test_an_unprepared_database_is_refused(mock_store: Store) -> None:
    """The app does not start on missing indexes, and says which command helps."""
    await mock_store.database["reservations"].drop_index("reservation_idempotency")

    with pytest.RaisesGroup(pytest.RaisesExc(StorageError, match="reserva migrate"), flatten_subgroups=True):
        async with running(create_app(Settings(), store=mock_store)):
            pass


async def test_every_fault_of_a_body_is_listed_at_once(client: httpx.AsyncClient) -> None:
    """With pointers into lists, by the names of the wire, and sentences that name the field."""
    body = {"name": 1, "capacity": 1.0, "capacityMode": "seats", "active": "yes", "services": ["a", 2], "Zone": ""}
    answer = await client.post(RESOURCES, json=body)

    assert sorted(pointers(answer)) == sorted(
        ["/name", "/capacity", "/capacityMode", "/active", "/services/1", "/Zone"]
    )
    assert all("`" in fault["detail"] for fault in answer.json()["errors"])
    assert "6 faults" in answer.json()["detail"]


async def test_numbers_and_texts_that_cannot_be_stored_are_invalid(client: httpx.AsyncClient) -> None:
    """Integers beyond 64 bits, halves of surrogate pairs, NUL, null: with pointers, nothing written."""
    body = b'{"name": "\\ud800", "capacity": 99999999999999999999, "timezone": null, "services": ["\\u0000"]}'
    answer = await client.post(RESOURCES, content=body)

    assert pointers(answer) == ["/name", "/capacity", "/timezone", "/services/0"]
    assert (await client.get(RESOURCES)).json() == {"items": []}


async def test_an_idempotency_key_is_refused_where_it_would_be_ignored(client: httpx.AsyncClient) -> None:
    """On POSTs that make things of the catalogue; verbs accept it, because repeating them is harmless."""
    headers = {"Idempotency-Key": "k"}
    for path in (RESOURCES, "/v1/services", "/v1/customers", "/v1/reconciliations"):
        problem(await client.post(path, json={"name": "a"}, headers=headers), "invalid")
    problem(await client.post(f"/v1/reservations/{'0' * 24}/cancel", headers=headers), "not-found")
    assert (await client.get(RESOURCES)).json() == {"items": []}


async def test_the_description_and_its_page_are_open_and_stand_alone(client: httpx.AsyncClient) -> None:
    """Without a key, and without a file from elsewhere."""
    del client.headers["Authorization"]
    page = await client.get("/docs")

    assert (await client.get("/openapi.json")).json()["openapi"].startswith("3.1")
    assert page.headers["content-type"].startswith("text/html")
    head = page.text.partition("<body>")[0]
    assert "http://" not in head
    assert "https://" not in head
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "swagger-ui-standalone-preset.js", "favicon-32x32.png"):
        assert f"/docs/assets/{name}" in head
        assert (await client.get(f"/docs/assets/{name}")).status_code == 200


async def test_health_and_readiness_are_open(client: httpx.AsyncClient) -> None:
    """The process runs; the database answers, in the mode that it is used in."""
    del client.headers["Authorization"]

    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/readyz")).json() == {
        "ready": True,
        "mode": "optimistic",
        "checks": {"database": "ok", "indexes": "ok", "redis": "unset", "relay": "ok"},
    }


async def test_missing_indexes_are_not_ready(client: httpx.AsyncClient, mock_store: Store) -> None:
    """503 with the same body and why, so that nothing is sent here; what is missing is named in the log."""
    await mock_store.database["reservations"].drop_index("reservation_conflict_lookup")
    with capture_logs() as lines:
        answers = [await client.get("/readyz") for _ in "12"]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert answers[0].json() == {
        "ready": False,
        "mode": "optimistic",
        "reason": "The database is not prepared for this process; its log says what is missing.",
        "checks": {"database": "ok", "indexes": "failed", "redis": "unset", "relay": "ok"},
    }
    (line,) = lines
    assert "reservation_conflict_lookup" in line["reason"]
    assert (await client.get("/healthz")).status_code == 200


FAILURES: dict[str, Exception] = {
    "unexpected": RuntimeError("a secret"),
    "selection": ServerSelectionTimeoutError("a secret"),
    "network": NetworkTimeout("a secret"),
    "too-slow": ExecutionTimeout("a secret", 50),
    "operation": OperationFailure("a secret", 2),
    "overloaded": Problem("overloaded", "Too much.", someMember=1),
}


@get("/fails/{how:str}", guards=[open_to_all()])
async def fails(how: FromPath[str]) -> None:
    """Fail, as something below a route may."""
    raise FAILURES[how]


@pytest.fixture
async def failing(mock_store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """The app with a route that fails."""
    app = create_app(Settings(), store=mock_store)
    app.register(fails)
    asgi: Any = app
    async with running(app), httpx.AsyncClient(transport=httpx.ASGITransport(asgi), base_url="http://test") as client:
        yield client


async def test_an_unexpected_error_is_internal_and_logged(failing: httpx.AsyncClient) -> None:
    """The answer says nothing of it; the log has it under the id of the request, with its route and not its path."""
    for how in ("unexpected", "operation"):
        with capture_logs() as logged:
            answer = await failing.get(f"/fails/{how}", headers={"X-Request-Id": f"id-{how}"})
        problem(answer, "internal")
        assert "secret" not in answer.text
        assert [(line["log_level"], line["request_id"]) for line in logged] == [("error", f"id-{how}")]
        assert logged[0]["exc_info"] is FAILURES[how]
        assert logged[0]["route"] == "/fails/{how}"
        assert f"/fails/{how}" not in {*logged[0].values()}


@pytest.mark.parametrize("how", ["selection", "network", "too-slow"])
async def test_a_database_out_of_reach_is_unavailable(failing: httpx.AsyncClient, how: str) -> None:
    """503 says when to come again; it is a warning, not a fault of ours."""
    with capture_logs() as logged:
        answer = await failing.get(f"/fails/{how}")

    problem(answer, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert "secret" not in answer.text
    assert [line["log_level"] for line in logged] == ["warning"]


async def test_a_problem_keeps_its_members(failing: httpx.AsyncClient) -> None:
    """What a kind tells besides goes out as it is, and so does Retry-After."""
    answer = await failing.get("/fails/overloaded")

    assert problem(answer, "overloaded")["someMember"] == 1
    assert answer.headers["retry-after"] == "1"
