"""ETags and If-Match."""

import pytest

from app.errors import Problem
from app.http.etags import IfMatch, etag


def test_a_tag_names_its_version() -> None:
    """What is sent as ETag is understood as If-Match."""
    assert etag(3) == '"3"'
    assert IfMatch.read(etag(3)).expected(3) == 3


def test_a_star_takes_whatever_there_is() -> None:
    """No version is expected."""
    assert IfMatch.read("*").expected(7) is None


@pytest.mark.parametrize("header", ['W/"3"', '"2", "3"', '"3","2"', 'W/"1", "3"', '"abc", "3"', ' "3" '])
def test_a_list_takes_any_of_its_versions(header: str) -> None:
    """Whichever of them is there is the one that the update must find."""
    assert IfMatch.read(header).expected(3) == 3


@pytest.mark.parametrize("header", ['"2"', 'W/"2"', '"abc"', '""', '"03"', '"2", "4"', '"99999999999999999999"'])
def test_another_tag_is_stale(header: str) -> None:
    """Other versions, weak or not, and tags that were never ours."""
    with pytest.raises(Problem) as raised:
        IfMatch.read(header).expected(3)

    assert raised.value.name == "stale"


@pytest.mark.parametrize("header", ["3", "", '"3', "3, 4", '"3" "4"', "*, *", '"a"b"'])
def test_what_is_no_tag_is_invalid(header: str) -> None:
    """A forgotten quote is reported as such, not as a conflict."""
    with pytest.raises(Problem) as raised:
        IfMatch.read(header)

    assert raised.value.name == "invalid"


def test_without_the_header_nothing_is_changed() -> None:
    """428 asks for it."""
    with pytest.raises(Problem) as raised:
        IfMatch.read(None)

    assert raised.value.name == "precondition-required"
