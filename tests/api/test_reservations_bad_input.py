"""Bad input: each a problem with a pointer where there is a field, and nothing is written by any of it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.errors import ProblemName
from app.migration.migrate import migrate
from app.storage.client import Store
from tests.support.api_client import RESERVATIONS, ApiClient, booking_body, path_of, problem
from tests.support.http_client import serving
from tests.support.mongomock import mock_client
from tests.support.times import NINE

FAR_PAST, FAR_FUTURE = "1969-12-31T23:59:59.999Z", "2201-01-01T00:00:00Z"
NAIVE, FINE = "2030-01-07T09:00:00", "2030-01-07T09:00:00.0001Z"
KEY = "a" * 41

METADATA: list[tuple[Any, str]] = [
    ({"a.b": 1}, "/metadata/a.b"),
    ({"$a": 1}, "/metadata/$a"),
    ({"a$": 1}, "/metadata/a$"),
    ({"a\0b": 1}, "/metadata/a\0b"),
    ({"": 1}, "/metadata/"),
    ({KEY: 1}, f"/metadata/{KEY}"),
    ({"a/b~c": [1]}, "/metadata/a~1b~0c"),
    ({"a": {"b": 1}}, "/metadata/a"),
    ({"a": "x" * 501}, "/metadata/a"),
    ({"a": "\0"}, "/metadata/a"),
    ({"a": 2**63}, "/metadata/a"),
    ({"a": -(2**63) - 1}, "/metadata/a"),
    ({"a": "\ud800"}, "/metadata/a"),
    ({"\udc00": 1}, "/metadata/\\udc00"),
    ({str(number): number for number in range(21)}, "/metadata"),
    ([], "/metadata"),
    ("x", "/metadata"),
    (1, "/metadata"),
]

FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"startTime": NAIVE}, "/startTime"),
    ({"startTime": FINE}, "/startTime"),
    ({"startTime": FAR_PAST}, "/startTime"),
    ({"startTime": FAR_FUTURE}, "/startTime"),
    ({"startTime": "2030-02-30T00:00:00Z"}, "/startTime"),
    ({"startTime": "2030-01-07T24:00:00Z"}, "/startTime"),
    ({"startTime": "2030-01-07 09:00:00Z"}, "/startTime"),
    ({"startTime": "2030-01-07"}, "/startTime"),
    ({"startTime": "2030-01-07T09:00:00+24:00"}, "/startTime"),
    ({"startTime": "1970-01-01T00:00:00+00:01"}, "/startTime"),
    ({"startTime": ""}, "/startTime"),
    ({"startTime": 1_893_456_000}, "/startTime"),
    ({"startTime": True}, "/startTime"),
    ({"startTime": {}}, "/startTime"),
    ({"endTime": NAIVE}, "/endTime"),
    ({"endTime": FAR_FUTURE}, "/endTime"),
    ({"endTime": []}, "/endTime"),
    ({"endTime": "2030-01-07T09:00:00Z"}, "/endTime"),
    ({"endTime": "2030-01-07T08:59:59.999Z"}, "/endTime"),
    ({"endTime": "2030-01-07T09:00:59.999Z"}, "/endTime"),
    ({"endTime": "2031-01-08T09:00:00.001Z"}, "/endTime"),
    ({"guests": 0}, "/guests"),
    ({"guests": -1}, "/guests"),
    ({"guests": 10_001}, "/guests"),
    ({"guests": 10**18}, "/guests"),
    ({"guests": 10**30}, "/guests"),
    ({"guests": 1.5}, "/guests"),
    ({"guests": "2"}, "/guests"),
    ({"guests": True}, "/guests"),
    ({"guests": [2]}, "/guests"),
    ({"notes": "x" * 2_001}, "/notes"),
    ({"notes": 5}, "/notes"),
    ({"notes": "a\0b"}, "/notes"),
    ({"notes": "\ud83d"}, "/notes"),
    ({"resource": "nobody"}, "/resource"),
    ({"resource": ""}, "/resource"),
    ({"resource": "a b"}, "/resource"),
    ({"resource": "room\n"}, "/resource"),
    ({"resource": "x" * 65}, "/resource"),
    ({"resource": 7}, "/resource"),
    ({"resource": {"$ne": ""}}, "/resource"),
    ({"resource": "service:cut"}, "/resource"),
    ({"service": "nobody"}, "/service"),
    ({"service": ""}, "/service"),
    ({"service": {"$gt": ""}}, "/service"),
    ({"customer": "nobody"}, "/customer"),
    ({"customer": "a/b"}, "/customer"),
    ({"customer": ["ann"]}, "/customer"),
    *(({"metadata": metadata}, pointer) for metadata, pointer in METADATA),
]
"""What is wrong both in a new reservation and in a patch, and where the blame goes."""

TEXTS: list[Any] = [None, 7, 10**400, 1.5, True, [], ["a"], {}, {"$ne": ""}, "\0", "\ud800", "a\udfffb"]
"""What is no text that can be stored."""

ONLY_NEW: list[tuple[dict[str, Any], str]] = [
    ({"startTime": ...}, "/startTime"),
    ({"resource": ...}, "/resource"),
    ({"endTime": ...}, "/endTime"),
    ({"startTime": None}, "/startTime"),
    ({"endTime": None}, "/endTime"),
    ({"notes": None}, "/notes"),
    ({"metadata": None}, "/metadata"),
    ({"metadata": {"a": None}}, "/metadata/a"),
    ({"expiresInSeconds": 9}, "/expiresInSeconds"),
    ({"expiresInSeconds": 86_401}, "/expiresInSeconds"),
    ({"expiresInSeconds": 60.0}, "/expiresInSeconds"),
    ({"expiresInSeconds": "60"}, "/expiresInSeconds"),
    *(({"reference": text}, "/reference") for text in TEXTS),
    *(({"reference": text}, "/reference") for text in ("", " a", "a\n", "\N{NO-BREAK SPACE}a", "x" * 201)),
    *(({"expiresInSeconds": 60, "holder": text}, "/holder") for text in TEXTS),
    *(({"expiresInSeconds": 60, "holder": text}, "/holder") for text in ("", "a b", "ä", "a\n", "x" * 65)),
    ({"holder": "v1"}, "/holder"),
    ({"status": "confirmed"}, "/status"),
    ({"id": "0" * 24}, "/id"),
    ({"start_time": "2030-01-07T09:00:00Z"}, "/start_time"),
    ({"blockStart": "2030-01-07T09:00:00Z"}, "/blockStart"),
    ({"units": 1}, "/units"),
    ({"group": "0" * 24}, "/group"),
    ({"~/\0": 1}, "/~0~1\0"),
]
"""What is wrong in a new reservation alone. An ellipsis leaves the field out."""

ONLY_PATCH: list[tuple[dict[str, Any], str]] = [
    ({"startTime": None}, "/startTime"),
    ({"endTime": None}, "/endTime"),
    ({"resource": None}, "/resource"),
    ({"metadata": {"a.b": None}}, "/metadata/a.b"),
    ({"expiresInSeconds": 60}, "/expiresInSeconds"),
    ({"reference": "1"}, "/reference"),
    ({"reference": None}, "/reference"),
    ({"holder": "v1"}, "/holder"),
    ({"status": "cancelled"}, "/status"),
    ({"version": 1}, "/version"),
    ({"history": []}, "/history"),
    ({"expiresAt": "2030-01-07T09:00:00Z"}, "/expiresAt"),
]
"""What is wrong in a patch alone."""

MALFORMED: list[bytes] = [
    b"",
    b" ",
    b"{",
    b"{}x",
    b"{'a': 1}",
    b'{"guests": 01}',
    b'{"guests": NaN}',
    b'{"guests": Infinity}',
    b'{"guests": 1, "guests": 1}',
    b'{"guests": 1, "\\u0067uests": 1}',
    b'{"metadata": {"a": 1, "a": 1}}',
    b'{"notes": "\n"}',
    b'{"notes": "\xff"}',
    b'{"notes": "\xed\xa0\x80"}',
    b"\xef\xbb\xbf{}",
    b'{"metadata": ' * 33 + b"1" + b"}" * 33,
    b'{"x": ' + b"[" * 32 + b"]" * 32 + b"}",
    b"[" * 100_000,
]


@pytest.fixture(scope="module")
async def module_api() -> AsyncIterator[ApiClient]:
    """A room, a service, a customer and a booking: one app for all tests, because none may change it."""
    store = await Store.over(mock_client(), "reserva_test_bad_input")
    await migrate(store)
    async with serving(store) as client:
        api = ApiClient(client, store)
        await api.service()
        await api.resource(services=["cut"])
        await api.add("customers", id="ann")
        await api.booked()
        yield api
    await store.close()


@pytest.fixture
async def api(module_api: ApiClient, request: pytest.FixtureRequest) -> AsyncIterator[ApiClient]:
    """The app, whose database must be afterwards as it was before."""
    request.node.user_properties.append(("server", "mock"))
    before = await module_api.contents()
    yield module_api
    assert await module_api.contents() == before


async def the_booking(api: ApiClient) -> str:
    """Where the only reservation is."""
    (identity,) = await api.ids()
    return path_of({"id": identity})


def sent(body: Any) -> bytes:
    """JSON as bytes, with lone surrogates as escapes."""
    return json.dumps(body).encode()


@pytest.mark.parametrize(("fields", "pointer"), [*FIELDS, *ONLY_NEW])
async def test_a_new_reservation_is_refused_at_the_field(api: ApiClient, fields: dict[str, Any], pointer: str) -> None:
    """One wrong field, one problem that points at it."""
    body = {name: value for name, value in (booking_body(NINE) | fields).items() if value is not ...}
    answer = await api.request("POST", RESERVATIONS, content=sent(body))

    problem(answer, "invalid", pointer)


@pytest.mark.parametrize(("fields", "pointer"), [*FIELDS, *ONLY_PATCH])
async def test_a_patch_is_refused_at_the_field(api: ApiClient, fields: dict[str, Any], pointer: str) -> None:
    """The same bounds hold for a change as for a booking."""
    path = await the_booking(api)
    answer = await api.request("PATCH", path, content=sent(fields), headers={"If-Match": "*"})

    problem(answer, "invalid", pointer)


@pytest.mark.parametrize("body", MALFORMED)
async def test_what_is_no_json_is_malformed(api: ApiClient, body: bytes) -> None:
    """Not JSON, not UTF-8, a key twice, nested deeper than 32: wherever a body is read."""
    path = await the_booking(api)

    problem(await api.request("POST", RESERVATIONS, content=body), "malformed")
    problem(await api.request("PATCH", path, content=body, headers={"If-Match": "*"}), "malformed")
    problem(await api.request("POST", f"{path}/extend", content=body), "malformed")
    if body:
        problem(await api.request("POST", f"{path}/cancel", content=body), "malformed")


@pytest.mark.parametrize("body", [b"null", b"[]", b'"x"', b"1", b"true", b"[{}]"])
async def test_a_body_is_an_object(api: ApiClient, body: bytes) -> None:
    """JSON of another kind is not valid."""
    path = await the_booking(api)

    problem(await api.request("POST", RESERVATIONS, content=body), "invalid", "")
    problem(await api.request("PATCH", path, content=body, headers={"If-Match": "*"}), "invalid", "")
    for verb in ("confirm", "cancel", "complete", "no-show", "extend", "reopen"):
        problem(await api.request("POST", f"{path}/{verb}", content=body), "invalid", "")


async def test_nesting_is_allowed_down_to_32(api: ApiClient) -> None:
    """One level less than too deep is read, and then refused for what it says."""
    body = b'{"x": ' + b"[" * 31 + b"]" * 31 + b"}"

    problem(await api.request("POST", RESERVATIONS, content=body), "invalid")


async def test_all_faults_are_listed_at_once(api: ApiClient) -> None:
    """With a pointer each, and how many there are in the sentence."""
    body = booking_body() | {"guests": 0, "startTime": NAIVE, "colour": "red", "metadata": {"a.b": 1, "c": []}}
    refusal = problem(await api.post(body), "invalid")

    assert {fault["pointer"] for fault in refusal["errors"]} == {
        "/guests",
        "/startTime",
        "/colour",
        "/metadata/a.b",
        "/metadata/c",
    }
    assert "5" in refusal["detail"]


@pytest.mark.parametrize("sending", ["whole", "in chunks"])
async def test_a_body_above_a_mebibyte_is_too_large(api: ApiClient, sending: str) -> None:
    """Whether its length is announced or not; one below is read."""
    path = await the_booking(api)

    async def chunks(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    sizes: dict[int, ProblemName] = {1_048_577: "too-large", 1_048_576: "invalid"}
    for size, name in sizes.items():
        body = sent({"notes": ""})
        body = body[:-2] + b"x" * (size - len(body)) + body[-2:]
        content = bytes if sending == "whole" else chunks
        answers = [
            await api.request("POST", RESERVATIONS, content=content(body)),
            await api.request("PATCH", path, content=content(body), headers={"If-Match": "*"}),
            await api.request("POST", f"{path}/cancel", content=content(body)),
        ]
        for answer in answers:
            problem(answer, name)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "text/json"])
async def test_another_media_type_is_unsupported(api: ApiClient, kind: str) -> None:
    """Only JSON is read, wherever a body comes."""
    path = await the_booking(api)
    headers = {"Content-Type": kind, "If-Match": "*"}

    for method, where in (
        ("POST", RESERVATIONS),
        ("PATCH", path),
        ("POST", f"{path}/cancel"),
        ("POST", f"{path}/extend"),
    ):
        problem(await api.request(method, where, content=b"{}", headers=headers), "unsupported-media-type")


@pytest.mark.parametrize(
    ("verb", "body", "pointer"),
    [
        ("cancel", {"reason": 5}, "/reason"),
        ("cancel", {"reason": None}, "/reason"),
        ("cancel", {"reason": "\0"}, "/reason"),
        ("confirm", {"why": "x"}, "/why"),
        ("confirm", {"holder": "v1"}, "/holder"),
        ("confirm", {"guests": 2}, "/guests"),
        ("cancel", {"notes": "x"}, "/notes"),
        ("complete", {"reference": "x"}, "/reference"),
        *(("confirm", {name: text}, f"/{name}") for name in ("reference", "notes", "customer") for text in TEXTS),
        ("confirm", {"customer": "nobody"}, "/customer"),
        ("confirm", {"reference": "a "}, "/reference"),
        ("confirm", {"notes": "x" * 2_001}, "/notes"),
        ("confirm", {"metadata": None}, "/metadata"),
        ("confirm", {"metadata": {"a": None}}, "/metadata/a"),
        ("confirm", {"metadata": {"a": 10**400}}, "/metadata/a"),
        *(("reopen", {"reason": text}, "/reason") for text in TEXTS),
        ("reopen", {"reason": "x" * 501}, "/reason"),
        ("reopen", {"reason": "x", "notes": "x"}, "/notes"),
        ("reopen", {}, "/reason"),
        ("complete", {"expiresInSeconds": 60}, "/expiresInSeconds"),
        ("no-show", {"version": 1}, "/version"),
        ("extend", {}, "/expiresInSeconds"),
        ("extend", {"expiresInSeconds": 9}, "/expiresInSeconds"),
        ("extend", {"expiresInSeconds": 86_401}, "/expiresInSeconds"),
        ("extend", {"expiresInSeconds": None}, "/expiresInSeconds"),
        ("extend", {"expiresInSeconds": 60, "reason": "x"}, "/reason"),
    ],
)
async def test_the_bodies_of_verbs_are_validated(api: ApiClient, verb: str, body: dict[str, Any], pointer: str) -> None:
    """Unknown fields and wrong values are refused, never ignored."""
    path = await the_booking(api)

    problem(await api.request("POST", f"{path}/{verb}", content=sent(body)), "invalid", pointer)


@pytest.mark.parametrize(
    ("method", "below"),
    [
        ("POST", ""),
        ("PATCH", "/1"),
        ("GET", "/1"),
        ("POST", "/1/confirm"),
        ("POST", "/1/cancel"),
        ("POST", "/1/complete"),
        ("POST", "/1/no-show"),
        ("POST", "/1/extend"),
        ("POST", "/1/reopen"),
    ],
)
async def test_unknown_parameters_are_refused_everywhere(api: ApiClient, method: str, below: str) -> None:
    """Also `force` where it means nothing: what is not built is refused, never ignored."""
    path = below.replace("/1", await the_booking(api)) or RESERVATIONS
    body: dict[str, Any] = {} if method == "GET" else {"json": {}}
    forceless = method == "GET" or below.count("/") > 1
    parameters = {"dryRun": "true"} | ({"force": "true"} if forceless else {})
    answer = await api.request(method, path, params=parameters, headers={"If-Match": "*"}, **body)

    problem(answer, "invalid", *[f"?{name}" for name in sorted(parameters)])


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ä", "\t"])
async def test_an_idempotency_key_has_a_form(api: ApiClient, key: str) -> None:
    """1 to 255 visible ASCII characters."""
    headers = httpx.Headers([(b"Idempotency-Key", key.encode())])
    answer = await api.request("POST", RESERVATIONS, json=booking_body(NINE), headers=dict(headers.raw))  # type: ignore[arg-type]  # raw bytes

    problem(answer, "invalid")


@pytest.mark.parametrize("tag", ["", "1", "'1'", '"1', "**", '"1" "2"'])
async def test_if_match_is_written_as_tags(api: ApiClient, tag: str) -> None:
    """What is no tag is not valid, which is not the same as stale."""
    answer = await api.request("PATCH", await the_booking(api), json={"notes": "x"}, headers={"If-Match": tag})

    problem(answer, "invalid")
