"""Bodies are judged in bounded work, however much is wrong with them."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BeforeValidator, ValidationError

from app.catalogue.schemas import NewResource
from app.http.bounds import PORTION, Bounded
from app.http.models import Body, read_body
from app.http.openapi import document
from app.http.pointers import pointer_of
from app.http.strict_json import MAX_FAULTS
from app.http.validation_messages import invalid_body
from app.main import create_app
from app.reservations.group_schemas import NewGroup
from app.reservations.move_schemas import NewMoves
from app.reservations.schemas import NewReservation, ReservationPatch
from app.settings import Settings

WANTED = {"resource": "a", "startTime": "2026-03-02T09:00:00Z"}
MANY_FIELDS = {f"x{number}": 1 for number in range(95_000)}
PER_MEMBER = 40
"""More faults than one member has before its own list or object stops."""

READ: list[object] = []


def noted(value: object) -> object:
    """Remember that a member was read."""
    READ.append(value)
    return value


class Member(Body):
    """A member of a list."""

    size: Annotated[int, BeforeValidator(noted)]


class Whole(Body):
    """A body with a list in a list."""

    members: Annotated[list[Member], Bounded(1_000, least=1)]


def faults_of(model: type[Body], body: Any) -> ValidationError:
    """What pydantic builds of a faulty body."""
    with pytest.raises(ValidationError) as raised:
        model.model_validate(body)
    return raised.value


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (NewReservation, WANTED | MANY_FIELDS),
        (NewReservation, WANTED | {"metadata": {f"k{number}": {} for number in range(75_000)}}),
        (ReservationPatch, {"metadata": {f"k{number}": {} for number in range(75_000)}}),
        (NewGroup, {"reservations": [{}] * 100_000}),
        (NewGroup, {"reservations": [MANY_FIELDS] * 20}),
        (NewMoves, {"moves": [{}] * 100_000}),
        (NewMoves, {"moves": [{"x": 1, "y": 2}] * 50}),
        (NewResource, {"name": "a", "services": ["/"] * 100_000}),
        (NewResource, {"name": "a", "services": ["/"] * 1_000}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else next(iter(value)),
)
def test_no_more_faults_are_built_than_are_reported(model: type[Body], body: Any) -> None:
    """A body of 1 MiB that is wrong all over costs its first twenty faults, and no more of what lies behind them."""
    assert faults_of(model, body).error_count() <= MAX_FAULTS + PER_MEMBER


def test_a_list_beyond_its_bound_is_refused_before_its_members_are_read() -> None:
    """The length alone is reported."""
    READ.clear()
    error = faults_of(Whole, {"members": [{"size": 1}] * 1_001})

    assert [fault["type"] for fault in error.errors()] == ["too_long"]
    assert READ == []


def test_a_list_is_read_to_its_twentieth_fault() -> None:
    """The text behind it is not read; the text before it is read once, but for the portion it lies in."""
    good, bad = [{"size": 1}] * 250, [{"size": "x"}] * 700
    READ.clear()
    error = faults_of(Whole, {"members": good + bad})

    assert [fault["loc"] for fault in error.errors()] == [("members", 250 + n, "size") for n in range(MAX_FAULTS)]
    assert len(READ) <= len(good) + PORTION + MAX_FAULTS + 1


def test_faults_of_members_are_reported_as_pydantic_reports_them() -> None:
    """With the same sentences and pointers as if the whole list had been judged at once."""
    body = {
        "moves": [{"reservation": "0" * 24, "version": 1}, {"reservation": "x", "version": 0, "resource": "/", "y": 1}]
    }
    problem = invalid_body(faults_of(NewMoves, body))

    assert [(pointer_of(fault), fault.detail) for fault in problem.faults] == [
        ("/moves/1/reservation", "`moves[1].reservation` must match ^[0-9a-f]{24}$."),
        ("/moves/1/version", "`moves[1].version` must be at least 1."),
        ("/moves/1/resource", "`moves[1].resource` must match ^[A-Za-z0-9._-]{1,64}$."),
        ("/moves/1/y", "There is no field `moves[1].y` here."),
    ]


def test_a_good_list_is_read_as_it_is() -> None:
    """In order and whole, though it is read in portions."""
    sizes = list(range(2 * PORTION + 1))
    whole = read_body(Whole, {"members": [{"size": size} for size in sizes]})

    assert [member.size for member in whole.members] == sizes


def _schemas(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for below in schema.values():
            yield from _schemas(below)
    elif isinstance(schema, list):
        for below in schema:
            yield from _schemas(below)


def test_every_list_and_mapping_of_a_body_has_a_bound() -> None:
    """And says it in the description."""
    described = document(create_app(Settings()))["components"]["schemas"]
    bodies = {name: schema for name, schema in described.items() if schema.get("additionalProperties") is False}

    assert {"NewGroup", "NewSchedule", "ReservationPatch"} <= set(bodies)
    for name, schema in bodies.items():
        for below in _schemas(schema):
            assert below.get("type") != "array" or below.get("maxItems"), (name, below)
            open_ended = below.get("type") == "object" and isinstance(below.get("additionalProperties"), dict)
            assert not open_ended or below.get("maxProperties"), (name, below)
