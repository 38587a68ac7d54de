"""What the description of the API says of a field: the docstring below it in the source."""

from typing import Annotated

from pydantic import Field

from app.http.field_descriptions import field_descriptions
from app.http.models import Answer
from app.http.paging import Page


class _Base(Answer):
    first_name: str
    """How they are called,
    by their friends."""


class _Derived(_Base):
    age: Annotated[int, Field(description="In years.")]
    """Said otherwise here."""
    height: int

    def shown(self) -> str:
        """No field."""
        return self.first_name


def test_the_docstring_below_a_field_describes_it() -> None:
    """Inherited fields are described too, by their names on the wire; a description in the annotation comes first."""
    assert field_descriptions(_Derived) == {"firstName": "How they are called,\nby their friends."}


def test_a_page_of_something_is_described_as_every_page() -> None:
    """A generic model with its argument has no source of its own."""
    assert field_descriptions(Page[_Base]) == field_descriptions(Page)
    assert field_descriptions(Page)["items"] == "What is on the page."
