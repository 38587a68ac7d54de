"""Every field and every parameter that the description names, with values that no client should send.

The values were written by hand. None may be answered by an error of ours, leave a line of level error in the log, or be
stored where it is refused. New routes are walked as soon as they are described.
"""

import copy
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any
from zlib import crc32

import httpx
import pytest
from structlog.testing import capture_logs

from app.http.openapi import document
from app.main import create_app
from app.migration.migrate import migrate
from app.settings import Settings
from app.storage.client import Store
from app.trial.demo import create_demo
from tests.support.described_api import DescribedOperation, Sample, operations_by_id
from tests.support.http_client import create_key, serving
from tests.support.mongomock import mock_client

VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 7, 1.5, 1e308, 2**31, 2**63, 10**400),
    *("", " ", "a\0b", "\ud800", "a\udfffb", "x" * 5_000, "\u202e", "any", "..", "null", "$ne"),
    *("2030-02-30T00:00:00Z", "2030-01-07T09:00:00", "9999-12-31T23:59:59Z", "2200-12-31T23:59", "2030-03-31T02:30"),
    *("24:00", "Mars/Olympus", "0" * 24, "http://[::1"),
    *([], [None], [[]], ["a"] * 300, [{}], {}, {"$ne": ""}, {"a.b": 1}, {"": {"": []}}),
)
"""What stands in place of a field."""

TEXTS = (
    *("", " ", "\0", "ä", "x" * 2_000, "-1", "0", "1e9", "9" * 400, "nan", "null", "true", "any", "..", "$ne", "[]"),
    *("{}", ",", "a,b", "2030-02-30", "2030-02-30T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31", "\u202e"),
    *("2030-01-01T00:00:00+99:99", "Mars/Olympus", "0" * 24, "service:cut"),
)
"""What stands in place of a parameter."""

SOME = int(os.environ.get("TEST_BAD_VALUES", "6"))
"""How many of them a field or parameter gets."""

DESCRIBED = document(create_app(Settings()))
OPERATIONS = operations_by_id(DESCRIBED)
ENDLESS = {"streamEvents"}


def some(values: Sequence[Any], *about: str | int) -> list[Any]:
    """Some of the values, others for each field or parameter, and the same in each run."""
    first = crc32(repr(about).encode())
    return [values[(first + index) % len(values)] for index in range(min(SOME, len(values)))]


def schema_of(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The component that a schema refers to, or itself; of one that may be null the other choice."""
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            return schema_of(choice)
    if "$ref" in schema:
        found: Mapping[str, Any] = DESCRIBED["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def places(schema: Mapping[str, Any], path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where the fields of a body are: its own, and those of the first object in each of its lists."""
    known = schema_of(schema)
    for name, field in known.get("properties", {}).items():
        yield (*path, name)
        inner = schema_of(field)
        if inner.get("type") == "array":
            yield from places(inner["items"], (*path, name, 0))
        elif inner.get("properties"):
            yield from places(inner, (*path, name))


def with_value(body: Any, path: Sequence[str | int], value: Any) -> Any:
    """A body with a value at a place; objects and lists on the way there are made if they are missing."""
    (step, *rest) = path
    if isinstance(step, int):
        items = copy.deepcopy(body) if isinstance(body, list) and body else [{}]
        return [with_value(items[0], rest, value) if rest else value, *items[1:]]
    fields = dict(body) if isinstance(body, dict) else {}
    return {**fields, step: with_value(fields.get(step), rest, value) if rest else value}


class Place:
    """An app with something in it, whose ids stand in the paths."""

    def __init__(self, client: httpx.AsyncClient, store: Store, ids: Mapping[str, str]) -> None:
        self.client = client
        self.store = store
        self.ids = ids

    async def send(self, sample: Sample, **more: Any) -> httpx.Response:
        """Send a sample with another body or other parameters; no log line of level error is left."""
        headers = sample.headers | {"If-Match": "*"}
        headers.pop("Idempotency-Key", None)
        with capture_logs() as lines:
            answer = await self.client.request(sample.method, sample.path, headers=headers, **more)
        about = (sample.method, sample.path, str(more)[:300], answer.text[:300])
        assert answer.status_code < 500, about
        assert not [line for line in lines if line["log_level"] in {"error", "critical"}], (about, lines)
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json", about
        return answer

    async def rows(self) -> int:
        """How many documents there are."""
        names = ("reservations", "groups", "resources", "services", "customers", "keys", "webhooks")
        return sum([await self.store.database[name].count_documents({}) for name in names])


@pytest.fixture(scope="module")
async def place() -> AsyncIterator[Place]:
    """The demo catalogue with a booking, a group, a time off, a webhook and a key."""
    store = await Store.over(mock_client(), "reserva_test_every_field")
    await migrate(store)
    async with serving(store, settings=Settings(rate_limit="0")) as client:
        await create_demo(client)
        booking = {"resource": "room-1", "service": "room-hire", "customer": "mia"}
        times = {"startTime": "2035-06-04T09:00:00Z", "endTime": "2035-06-04T10:00:00Z"}
        later = {"startTime": "2035-06-05T09:00:00Z", "endTime": "2035-06-05T10:00:00Z"}
        made = {
            "reservationId": ("/v1/reservations", booking | times, "id"),
            "groupId": ("/v1/groups", {"reservations": [booking | later]}, "id"),
            "timeOffId": ("/v1/resources/room-1/time-off", {"from": "2036-01-01", "to": "2036-01-02"}, "id"),
            "webhookId": ("/v1/webhooks", {"url": "https://example.com/hook"}, "id"),
            "reconciliationId": ("/v1/reconciliations", {}, "id"),
        }
        ids = {"keyPrefix": (await create_key(store, "other", ["reservations:read"])).token.split("_")[1]}
        for name, (path, body, field) in made.items():
            answer = await client.post(path, json=body)
            assert answer.is_success, answer.text
            ids[name] = answer.json()[field]
        yield Place(client, store, ids)
    await store.close()


@pytest.fixture(autouse=True)
def _on_a_mock(request: pytest.FixtureRequest) -> None:
    request.node.user_properties.append(("server", "mock"))


def sent(body: Any) -> bytes:
    """JSON as bytes, with lone surrogates as escapes."""
    return json.dumps(body).encode()


def sample_of(operation: DescribedOperation, ids: Mapping[str, str]) -> Sample:
    """The first request that the description shows."""
    return next(operation.samples(ids))


def schema_of_body(operation: DescribedOperation) -> Mapping[str, Any]:
    """The schema of a body."""
    (media, *_) = operation.about["requestBody"]["content"].values()
    schema: Mapping[str, Any] = media["schema"]
    return schema


@pytest.mark.parametrize("name", [name for name, each in OPERATIONS.items() if "requestBody" in each.about])
async def test_no_field_is_an_error_of_ours(place: Place, name: str) -> None:
    """Each field of each body, in a body that is right but for it; what is refused adds no document."""
    operation = OPERATIONS[name]
    sample = sample_of(operation, place.ids)
    for path in places(schema_of_body(operation)):
        for value in some(VALUES, name, *path):
            before = await place.rows()
            answer = await place.send(sample, content=sent(with_value(sample.body, path, value)))
            assert answer.is_success or await place.rows() == before, (name, path, value)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ENDLESS])
async def test_no_parameter_is_an_error_of_ours(place: Place, name: str) -> None:
    """Each parameter of each query, alone and twice, beside those that the description shows."""
    operation = OPERATIONS[name]
    sample = sample_of(operation, place.ids)
    body = {} if sample.body is None else {"content": sent(sample.body)}
    for parameter in operation.about.get("parameters", []):
        if parameter["in"] == "query" and parameter["name"] != "wait":
            for text in some(TEXTS, name, parameter["name"]):
                values = [*(sample.parameters | {parameter["name"]: text}).items()]
                await place.send(sample, params=values, **body)
            await place.send(sample, params=[*values, (parameter["name"], "0")], **body)
