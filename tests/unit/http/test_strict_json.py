"""JSON as the contract reads it."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from app.errors import Problem
from app.http.pointers import pointer_of
from app.http.strict_json import DEPTH, MAX_FAULTS, MAX_INT, MIN_INT, _object, read_json

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
SCALARS = (
    st.booleans() | st.integers(MIN_INT, MAX_INT) | st.floats(allow_nan=False, allow_infinity=False) | TEXT | st.none()
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=30)


def nested(levels: int) -> bytes:
    """An array in an array, so many deep."""
    return b"[" * levels + b"]" * levels


def refusal(body: bytes, *, nulls: bool = False) -> Problem:
    """The problem that a body is answered with."""
    with pytest.raises(Problem) as raised:
        read_json(body, nulls=nulls)
    return raised.value


def pointers(problem: Problem) -> list[str]:
    """The places to blame."""
    return [pointer_of(fault) for fault in problem.faults]


@given(VALUES, st.booleans())
def test_values_that_can_be_stored_are_read_as_they_are(value: Any, escaped: bool) -> None:  # noqa: FBT001  # from a strategy
    """Any value in bounds comes back equal, in escapes or in plain UTF-8."""
    assert read_json(json.dumps(value, ensure_ascii=escaped).encode(), nulls=True) == value


@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_be_refused(body: bytes) -> None:
    """Whatever comes is read or refused with a problem of the client's making."""
    try:
        read_json(body, nulls=False)
    except Problem as problem:
        assert problem.name in {"malformed", "invalid"}  # noqa: PT017  # either way of ending is right


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'a': 1}",
        b"[1,]",
        b"01",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'"\x01"',
        b'{"a": 1} x',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
    ],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    """Broken syntax, NaN, control characters, other encodings, and what follows the end."""
    assert refusal(body).name == "malformed"


@pytest.mark.parametrize("body", [b'{"a": 1, "a": 1}', b'[{"b": {"a": 1, "c": 2, "a": 3}}]', b'{"a": 1, "\\u0061": 2}'])
def test_a_key_that_stands_twice_is_malformed_and_named(body: bytes) -> None:
    """At any depth, also if the two are written differently."""
    problem = refusal(body)

    assert problem.name == "malformed"
    assert "`a`" in problem.detail


class Name(str):
    """A key that counts how often keys are compared."""

    __slots__ = ()
    compared = 0

    @override
    def __eq__(self, other: object) -> bool:
        """Compare it."""
        Name.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_key_that_stands_twice_is_found_in_linear_time() -> None:
    """A repeated last one of many keys does not make the reader compare each with each."""
    Name.compared = 0
    count = 2_000
    with pytest.raises(Problem, match="stands twice"):
        _object([(Name(f"k{number}"), number) for number in [*range(count), count - 1]])

    assert Name.compared <= 2 * count


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\xef\xbb\xbf{}", "byte order mark of UTF-8"),
        ("{}".encode("utf-16"), "byte order mark of UTF-16"),
        (b'{"a": "x\ny"}', "control character; write it as the escape \\\\n"),
        (b'{"a": "\x01"}', "line 1, column 8 contains a control character; write it as the escape \\\\u0001"),
        (b'{"a":\x01 1}', "control character U\\+0001"),
    ],
)
def test_invisible_characters_are_named_in_words(body: bytes, words: str) -> None:
    """Byte order marks and control characters are invisible in an editor, so the answer names them."""
    with pytest.raises(Problem, match=words):
        read_json(body, nulls=False)


def test_depth_is_bounded_exactly() -> None:
    """32 levels are read, 33 are malformed, and so are more than the scanner could stand."""
    read_json(nested(DEPTH), nulls=False)
    assert [refusal(nested(levels)).name for levels in (DEPTH + 1, 1_000, 300_000)] == ["malformed"] * 3


def test_width_is_not_depth() -> None:
    """Many brackets beside one another are fine, and so are brackets in strings."""
    assert len(read_json(b"[" + b"[]," * 500 + b"[]]", nulls=False)) == 501
    assert read_json(json.dumps("[" * 100).encode(), nulls=False) == "[" * 100


@pytest.mark.parametrize("number", [MAX_INT, MIN_INT, 10**18 - 1, -(10**18), 0])
def test_integers_of_64_bits_are_read(number: int) -> None:
    """Both bounds are included."""
    assert read_json(str(number).encode(), nulls=False) == number


@pytest.mark.parametrize("number", [str(MAX_INT + 1), str(MIN_INT - 1), "9" * 5_000, "1e400", "-1e400"])
def test_numbers_beyond_64_bits_are_invalid_where_they_stand(number: str) -> None:
    """Also numbers with more digits than Python converts, and floats that would become infinite."""
    problem = refusal(f'{{"a": [1, {{"b": {number}}}]}}'.encode())

    assert problem.name == "invalid"
    assert pointers(problem) == ["/a/1/b"]


def test_a_small_float_is_not_an_outsized_one() -> None:
    """What underflows is zero, as everywhere."""
    assert math.isclose(read_json(b"1e-400", nulls=False), 0)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"a": "\\ud800"}', "/a"),
        (b'{"a": "x\\udfff"}', "/a"),
        (b'{"a": "\\udc00\\ud800"}', "/a"),
        (b'{"a": ["x", "\\u0000"]}', "/a/1"),
        (b'{"a": {"\\u0000": 1}}', "/a/\0"),
        (b'{"\\ud800": 1}', "/\\ud800"),
        (b'{"a/b": {"c~d": "\\ud800"}}', "/a~1b/c~0d"),
    ],
)
def test_strings_that_cannot_be_stored_are_invalid_where_they_stand(body: bytes, pointer: str) -> None:
    """Halves of surrogate pairs and NUL, in values and in keys; pointers are RFC 6901 and can be sent as UTF-8."""
    problem = refusal(body)

    assert problem.name == "invalid"
    assert pointers(problem) == [pointer]
    pointers(problem)[0].encode()


def test_a_whole_pair_is_a_character() -> None:
    """Escapes of both halves are one character beyond the basic plane."""
    assert read_json(b'"\\ud83d\\ude00"', nulls=False) == "\U0001f600"


def test_null_is_for_patches_only() -> None:
    """Elsewhere it is invalid where it stands; a text that says null is no null."""
    assert read_json(b'{"a": null}', nulls=True) == {"a": None}
    assert pointers(refusal(b'{"a": null, "b": [null]}')) == ["/a", "/b/0"]
    assert read_json(b'{"null": "null"}', nulls=False) == {"null": "null"}


def test_all_faults_are_listed_up_to_a_bound() -> None:
    """Everything at once, in the order of the body, and never a list as long as the body."""
    assert pointers(refusal(b'{"a": null, "b": "\\u0000", "c": 1e999}')) == ["/a", "/b", "/c"]
    assert len(refusal(json.dumps([None] * 1_000).encode()).faults) == MAX_FAULTS
