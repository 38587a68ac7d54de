"""The description of the API: every route stated what it needs, takes and answers."""

import re
from typing import Any

import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from app.access.routes import access_of
from app.caller import SCOPES
from app.errors import KINDS
from app.http.openapi import document
from app.http.problems import MEDIA_TYPE
from app.main import create_app
from app.settings import Settings

ACTIONS = {
    *("create", "list", "get", "update", "delete", "replace"),
    *("confirm", "extend", "cancel", "complete", "mark", "move", "explain"),
    *("acknowledge", "accept", "assign", "resolve", "reopen", "transition", "erase", "export"),
    *("rotate", "revoke", "replay", "test", "stream"),
}
OPEN = {"/healthz", "/readyz", "/openapi.json", "/docs", "/console/sign-in", "/console/preferences"}
OPEN_BELOW = ("/docs/", "/console/static/", "/v1/calendars/")
"""What lies below the last is open to those who know its secret."""


@pytest.fixture(scope="module")
def app() -> Litestar:
    """The application, not started: nothing here needs a database."""
    return create_app(Settings())


@pytest.fixture(scope="module")
def described(app: Litestar) -> dict[str, Any]:
    """Its description."""
    return document(app)


def is_open(path: str) -> bool:
    """Whether a route needs no key."""
    return path in OPEN or path.startswith(OPEN_BELOW)


def handlers(app: Litestar) -> list[tuple[str, str, HTTPRouteHandler]]:
    """Every route but Litestar's own answers to OPTIONS."""
    return [
        (route.path, method, handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, _) in route.route_handler_map.items()
        if method != "OPTIONS"
    ]


def operations(described: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Every operation that is described."""
    return [
        (path, method, operation) for path, item in described["paths"].items() for method, operation in item.items()
    ]


def test_every_route_states_who_may_use_it(app: Litestar) -> None:
    """Once, by `needs`, `any_key` or `open_to_all`; what is open is exactly what the contract opens."""
    stated = [(path, method, access_of(handler)) for path, method, handler in handlers(app)]

    assert len(stated) > 20
    assert [path for path, _, access in stated if access is None] == []
    for path, _, access in stated:
        assert access is not None
        assert access.requires_key is not is_open(path), path


def test_what_is_described_is_what_is_there(app: Litestar, described: dict[str, Any]) -> None:
    """All of `/v1` and the three routes of monitoring, under ids of their own."""
    there = {
        (path, method.lower())
        for path, method, _ in handlers(app)
        if path.startswith(("/v1", "/healthz", "/readyz", "/metrics"))
    }
    described_operations = operations(described)

    assert len(described_operations) == len(there)
    ids = [operation["operationId"] for _, _, operation in described_operations]
    assert len(set(ids)) == len(ids)
    assert all(identity[0].islower() and identity.isalnum() for identity in ids)


def test_names_are_those_of_the_field(described: dict[str, Any]) -> None:
    """A generated client has `Reservation`, `ReservationPage`, `reservationId`, and a verb for each call."""
    schemas = described["components"]["schemas"]

    assert {"Reservation", "ReservationPage", "Group", "Finding", "FindingNote", "Resource"} <= set(schemas)
    assert not [name for name in schemas if not name.isalnum() or name.endswith(("Answer", "Body"))]
    assert not [name for name, schema in schemas.items() if "title" in schema]
    for path, _, operation in operations(described):
        parts = re.findall(r"{(.*?)}", path)
        assert all(part.isalnum() and part.endswith(("Id", "Prefix", "secret")) for part in parts), path
        (action,) = re.findall(r"^[a-z]+", operation["operationId"])
        assert action in ACTIONS, operation["operationId"]


def test_tags_are_declared(described: dict[str, Any]) -> None:
    """Each tag that operations have has a description, and no other is declared."""
    declared = {tag["name"]: tag["description"] for tag in described["tags"]}

    assert all(declared.values())
    assert set(declared) == {tag for _, _, operation in operations(described) for tag in operation["tags"]}


def test_every_operation_says_what_it_is(described: dict[str, Any]) -> None:
    """A summary in words, a tag, and the scope that it needs."""
    for path, method, operation in operations(described):
        assert " " in operation["summary"], (path, method)
        assert operation["tags"], (path, method)
        (needed,) = operation["security"]
        assert needed == {} if is_open(path) else set(needed["key"]) <= set(SCOPES), (path, method)


def test_every_error_is_a_problem(described: dict[str, Any]) -> None:
    """By media type, name and a schema for each name; nothing else is ever described for an error."""
    schemas = described["components"]["schemas"]
    for path, method, operation in operations(described):
        for status, response in operation["responses"].items():
            if status < "400" or (path, status) == ("/readyz", "503"):
                continue
            assert list(response["content"]) == [MEDIA_TYPE], (path, method, status)
            schema = response["content"][MEDIA_TYPE]["schema"]
            types = [
                schemas[each["$ref"].removeprefix("#/components/schemas/")]["properties"]["type"]["const"]
                for each in schema.get("oneOf", [schema])
            ]
            assert types == re.findall(r"`(/problems/[a-z-]+)`", response["description"])
            assert {kind.status for name, kind in KINDS.items() if f"/problems/{name}" in types} == {int(status)}


def test_problems_have_their_members(described: dict[str, Any]) -> None:
    """A client reads who is in the way, which rule says no and what may be chosen without a cast."""
    schemas = described["components"]["schemas"]
    shared = set(schemas["Problem"]["required"])
    members = {name: set(schema.get("required", [])) - shared for name, schema in schemas.items()}
    problems = {name for name in schemas if name.endswith("Problem") and name not in {"Problem", "MemberProblem"}}

    assert {name: members[name] for name in problems if members[name]} == {
        "ConflictProblem": {"conflicts", "checks"},
        "RuleProblem": {"checks"},
        "GroupConflictProblem": {"members"},
        "GroupRuleProblem": {"members"},
        "TooLateProblem": {"until"},
        "LocalTimeProblem": {"choices"},
        "StrandedProblem": {"total"},
        "OutcomeUnknownProblem": {"reservations"},
    }


def test_what_is_made_is_typed(described: dict[str, Any]) -> None:
    """Bookings, groups and moves say what they answer, and by which headers a stored first answer is known."""
    by_id = {operation["operationId"]: operation for _, _, operation in operations(described)}
    for name, status, component, headers in (
        ("createReservation", "201", "Reservation", {"ETag", "Location", "Idempotent-Replayed"}),
        ("createGroup", "201", "Group", {"ETag", "Location", "Idempotent-Replayed"}),
        ("createSeries", "201", "Series", {"ETag", "Location", "Idempotent-Replayed"}),
        ("createMoves", "200", "MovedReservations", {"Idempotent-Replayed"}),
    ):
        answer = by_id[name]["responses"][status]
        assert answer["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{component}"}
        assert headers | {"X-Request-Id", "RateLimit", "RateLimit-Policy"} == set(answer["headers"])
    assert "content" not in by_id["deleteTimeOff"]["responses"]["204"]


def test_every_operation_declares_its_problems(described: dict[str, Any]) -> None:
    """The problems of every route, of every key, body, id and precondition."""
    for path, method, operation in operations(described):
        statuses = set(operation["responses"])
        parameters = {parameter["name"]: parameter["in"] for parameter in operation.get("parameters", [])}
        expected = {"422", "500", "503"}
        expected |= set() if is_open(path) else {"401", "403"}
        expected |= {"400", "413", "415"} if "requestBody" in operation else set()
        expected |= {"404"} if "path" in parameters.values() else set()
        expected |= {"412"} if "If-Match" in parameters else set()
        expected |= {"428"} if method in {"patch", "put"} else set()
        assert expected <= statuses, (path, method, expected - statuses)


def test_changes_need_a_version(described: dict[str, Any]) -> None:
    """PATCH and PUT take If-Match, and they alone say that it is required; PATCH takes a merge patch by name."""
    for path, method, operation in operations(described):
        by_name = {parameter["name"]: parameter for parameter in operation.get("parameters", [])}
        required = "If-Match" in by_name and by_name["If-Match"]["required"]
        assert required is (method in {"patch", "put"}), (path, method)
        if method == "patch":
            content = operation["requestBody"]["content"]
            assert list(content) == ["application/merge-patch+json"], path


def test_versions_are_described_as_tags(described: dict[str, Any]) -> None:
    """Whatever answers one object with a version has an ETag, and what makes one a Location."""
    tagged = 0
    for path, method, operation in operations(described):
        for status, response in operation["responses"].items():
            headers = response["headers"]
            assert "X-Request-Id" in headers
            assert ("Retry-After" in headers) is (status in {"429", "503"}), (path, method, status)
            tagged += "ETag" in headers
            assert ("Location" in headers) is (status in {"201", "202"}), (path, method, status)

    assert tagged >= 9


def test_limits_are_described(described: dict[str, Any]) -> None:
    """Every route that needs a key, or a secret address, may answer 429, and all its answers tell of the limit."""
    for path, method, operation in operations(described):
        limited = bool(operation["security"][0]) or operation["operationId"] == "getCalendarByAddress"
        assert ("429" in operation["responses"]) is limited, (path, method)
        for status, response in operation["responses"].items():
            headers = {"RateLimit", "RateLimit-Policy"} & response["headers"].keys()
            assert len(headers) == (2 if limited else 0), (path, method, status)


def test_answers_that_are_known_are_described(described: dict[str, Any]) -> None:
    """Every GET of JSON takes `If-None-Match`, has a tag, and may be 304; nothing else says so.

    An export is sent while it is made, before a tag of it could be known.
    """
    for path, method, operation in operations(described):
        json = method == "get" and "application/json" in operation["responses"]["200"]["content"]
        json = json and operation["operationId"] != "exportCustomer"
        names = {parameter["name"] for parameter in operation.get("parameters", [])}
        assert ("If-None-Match" in names) is ("304" in operation["responses"]) is json, (path, method)
        assert not json or "ETag" in operation["responses"]["200"]["headers"], path


def test_bodies_are_described_as_they_are_read(described: dict[str, Any]) -> None:
    """Bounds and patterns also of optional fields, nothing unknown, and null in patches alone."""
    schemas = described["components"]["schemas"]
    resource, patch = schemas["NewResource"], schemas["ResourcePatch"]

    assert resource["required"] == ["name"]
    assert resource["additionalProperties"] is patch["additionalProperties"] is False
    capacity = resource["properties"]["capacity"]
    assert (capacity["type"], capacity["minimum"], capacity["maximum"]) == ("integer", 1, 10_000)
    assert {"type": "null"} in patch["properties"]["capacity"]["anyOf"]
    for name in schemas:
        if not name.endswith("Patch"):
            assert '"null"' not in str(schemas[name]).replace("'", '"'), name


def test_null_stands_where_it_unsets(described: dict[str, Any]) -> None:
    """Not for what every object has, and nothing is filled in by a client that was left out."""
    schemas = described["components"]["schemas"]
    times = {"startTime", "endTime", "localStart", "localEnd", "timezone"}
    never = {"ReservationPatch": {"resource", *times}, "ResourcePatch": {"name"}}
    never |= {"ServicePatch": {"name", "durationType"}, "CustomerPatch": {"name"}, "KeyPatch": {"name"}}

    for name, fields in never.items():
        described_fields = schemas[name]["properties"]
        assert {field for field, about in described_fields.items() if "anyOf" not in about} == fields, name
    for name, schema in schemas.items():
        assert not [field for field, about in schema.get("properties", {}).items() if "default" in about], name


def test_everything_is_described(described: dict[str, Any]) -> None:
    """Each component, each of its fields, each parameter and each header."""
    for name, schema in described["components"]["schemas"].items():
        assert schema["description"], name
        assert not [field for field, about in schema["properties"].items() if not about.get("description")], name
    for path, method, operation in operations(described):
        assert all(parameter["description"] for parameter in operation.get("parameters", [])), (path, method)
        for response in operation["responses"].values():
            assert response["description"]
            assert all(header["description"] for header in response["headers"].values()), (path, method)


def test_nothing_is_referred_to_that_is_not_there(described: dict[str, Any]) -> None:
    """Every reference leads to a component, and every component is referred to."""
    text = str(described)
    for name in described["components"]["schemas"]:
        assert f"'#/components/schemas/{name}'" in text, name
    referred = {part.split("'")[0] for part in text.split("#/components/schemas/")[1:]}
    assert referred == set(described["components"]["schemas"])


def test_optional_bodies_are_described(described: dict[str, Any]) -> None:
    """Verbs need none; what makes or changes something does."""
    for path, method, operation in operations(described):
        if "requestBody" in operation:
            verb = path.count("/") == 4 and method == "post" and not path.endswith("/time-off")
            needed = path.endswith(("/extend", "/move", "/replay", "/{reservationId}/reopen"))
            optional = verb and not needed
            assert operation["requestBody"]["required"] is not (optional or path == "/v1/reconciliations"), path


def test_lists_are_paged_alike(described: dict[str, Any]) -> None:
    """Every list takes `limit` and `cursor` and answers a page."""
    pages = 0
    for _, _, operation in operations(described):
        schema = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
        if schema.get("$ref", "").endswith("Page"):
            pages += 1
            cursor = "after" if operation["operationId"] == "listEvents" else "cursor"  # which no page needs to make
            assert {"limit", cursor} <= {parameter["name"] for parameter in operation["parameters"]}

    assert pages >= 8
