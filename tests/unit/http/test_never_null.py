"""What every object has cannot be unset by a merge patch."""

from collections.abc import Iterator

import pytest

import app.main  # noqa: F401  # imports every room, and so every body
from app.errors import Problem
from app.http.models import Body, NeverNull


def patches(of: type[Body] = Body) -> Iterator[type[Body]]:
    """All bodies that require nothing."""
    for body in of.__subclasses__():
        if not any(field.is_required() for field in body.model_fields.values()):
            yield body
        yield from patches(body)


FIELDS = [
    (body, field.alias or name)
    for body in patches()
    for name, field in body.model_fields.items()
    if any(isinstance(each, NeverNull) for each in field.metadata)
]


def test_there_are_such_fields() -> None:
    """Else the test below promises nothing."""
    assert {"url", "name", "resource"} <= {name for _, name in FIELDS}


@pytest.mark.parametrize(("body", "name"), FIELDS)
def test_null_is_refused(body: type[Body], name: str) -> None:
    """With the name of the field; left out it stays as it is."""
    with pytest.raises(Problem) as problem:
        body.model_validate({name: None}).sent_fields()

    assert (problem.value.name, problem.value.faults[0].path) == ("invalid", (name,))
    assert body.model_validate({}).sent_fields() == {}
