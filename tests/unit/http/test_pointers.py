"""RFC 6901 pointers from the paths of faults."""

import pytest

from app.errors import Fault
from app.http.pointers import pointer_of


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ((), ""),
        (("endTime",), "/endTime"),
        (("weekly", 0, "from"), "/weekly/0/from"),
        (("metadata", ""), "/metadata/"),
        (("metadata", "a/b~c"), "/metadata/a~1b~0c"),
        (("metadata", "\ud800"), "/metadata/\\ud800"),
    ],
)
def test_a_path_is_a_pointer(path: tuple[str | int, ...], pointer: str) -> None:
    """Each part is one token, escaped by RFC 6901, section 3; what UTF-8 cannot carry is shown as its escape."""
    assert pointer_of(Fault(path, "Wrong.")) == pointer


def test_a_parameter_has_a_question_mark() -> None:
    """RFC 6901 has no pointer into a query, so the name of a parameter stands there after its mark."""
    assert pointer_of(Fault(("to",), "Wrong.", in_query=True)) == "?to"


def test_a_fault_of_a_member_is_found_in_the_whole_body() -> None:
    """The fault of a member keeps its path below the place of the member."""
    fault = Fault(("endTime",), "Wrong.").below("reservations", 2)

    assert pointer_of(fault) == "/reservations/2/endTime"
