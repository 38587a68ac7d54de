"""Strict JSON: no duplicate keys, no NaN, bounded depth, strings and integers that MongoDB can store.

A body is parsed once by the C scanner. Every fault leaves a trace that is cheap to find (an escape, a `null`, many
brackets, an outsized number); only a body with such a trace is walked. Both take time in proportion to the size of the
body, and a walk ends after the last fault that an answer lists.
"""

import json
import math
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, NoReturn

from app.errors import Fault, Problem
from app.http.pointers import escape

DEPTH = 32
"""The maximum nesting of arrays and objects."""

MAX_FAULTS = 20
"""The maximum number of faults in one answer."""

MAX_INT = 2**63 - 1
MIN_INT = -(2**63)
_SAFE_DIGITS = 18  # no integer of so many characters leaves 64 bits

_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_CONTROL = "Invalid control character"  # the message of the standard library's scanner
_TOO_DEEP = f"The body is nested deeper than {DEPTH} levels."


class _OutsizedError(Exception):
    """A number does not fit in 64 bits; a second parse finds its place."""


class _Outsized:
    """The value of such a number in the second parse."""


def read_json(body: bytes, *, nulls: bool) -> Any:
    """Parse a request's body.

    Args:
        body: The bytes of the request.
        nulls: Whether `null` may occur: it unsets a field in a merge patch; elsewhere a field is left out instead.

    Raises:
        Problem: `malformed` for what is not JSON, has duplicate keys or nests too deep; `invalid`, with paths,
            for strings and numbers that cannot be stored.
    """
    text = _decode(body)
    try:
        value = _parse(_FAST, text)
    except _OutsizedError:
        value = _parse(_LOCATING, text)
        suspicious = True
    else:
        brackets = text.count("[") + text.count("{")
        suspicious = brackets > DEPTH or "\\u" in text or (not nulls and "null" in text)
    if suspicious:
        _check_depth(value)
        if faults := list(islice(_faults(value, nulls=nulls), MAX_FAULTS)):
            raise Problem("invalid", faults[0].detail, faults=faults)
    return value


def _decode(body: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if body.startswith(mark):
            raise Problem(
                "malformed", f"The body begins with the byte order mark of {encoding}; send UTF-8 without one."
            )
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Problem("malformed", f"The body is not UTF-8 (at byte {error.start}).") from None


def _parse(decoder: json.JSONDecoder, text: str) -> Any:
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        raise Problem("malformed", _not_json(error, text[error.pos : error.pos + 1])) from None
    except RecursionError:
        raise Problem("malformed", _TOO_DEEP) from None


def _not_json(error: json.JSONDecodeError, character: str) -> str:
    where = f"line {error.lineno}, column {error.colno}"
    if error.msg.startswith(_CONTROL):
        escaped = json.dumps(character).strip('"')
        return f"The text at {where} contains a control character; write it as the escape {escaped}."
    what = error.msg.lower().rstrip(":")
    if character and not character.isprintable() and not character.isspace():
        return f"The body is not JSON: {what} at {where}, where the control character U+{ord(character):04X} stands."
    return f"The body is not JSON: {what} at {where}."


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # None
        raise Problem("malformed", f"The key `{escape(twice)[:80]}` stands twice in one object.")
    return members


def _integer(digits: str) -> int:
    if len(digits) > _SAFE_DIGITS and (len(digits) > len(str(MIN_INT)) or not MIN_INT <= int(digits) <= MAX_INT):
        raise _OutsizedError
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _OutsizedError
    return number


def _integer_or_outsized(digits: str) -> int | _Outsized:
    try:
        return _integer(digits)
    except _OutsizedError:
        return _Outsized()


def _float_or_outsized(digits: str) -> float | _Outsized:
    try:
        return _float(digits)
    except _OutsizedError:
        return _Outsized()


def _constant(name: str) -> NoReturn:
    raise Problem("malformed", f"The body is not JSON: {name} is not a number there.")


_FAST = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
_LOCATING = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer_or_outsized,
    parse_float=_float_or_outsized,
    parse_constant=_constant,
)


def _check_depth(value: object) -> None:
    containers = [value] if isinstance(value, dict | list) else []
    for _ in range(DEPTH):
        members = chain.from_iterable(each.values() if isinstance(each, dict) else each for each in containers)
        containers = [member for member in members if isinstance(member, dict | list)]
    if containers:
        raise Problem("malformed", _TOO_DEEP)


def _faults(value: object, *, nulls: bool) -> Iterator[Fault]:
    """The values of a parsed body that cannot be stored, in the order of the body."""
    tokens: list[str | int] = []  # the first stands for the body itself, and is no part of a path
    walks: list[Iterator[tuple[str | int, object]]] = [iter([("", value)])]
    while walks:
        for token, member in walks[-1]:
            if isinstance(token, str) and (detail := _flaw(token, nulls=nulls)):
                yield Fault((*tokens, token)[1:], detail)
            if isinstance(member, dict | list):
                tokens.append(token)
                walks.append(iter(member.items()) if isinstance(member, dict) else enumerate(member))
                break
            if detail := _flaw(member, nulls=nulls):
                yield Fault((*tokens, token)[1:], detail)
        else:
            walks.pop()
            if tokens:
                tokens.pop()


def _flaw(leaf: object, *, nulls: bool) -> str | None:
    """Why a scalar, or the key of an object, cannot be stored; None if it can."""
    if isinstance(leaf, str):
        if "\0" in leaf:
            return "The text contains a NUL character."
        if not leaf.isascii() and _has_lone_surrogate(leaf):
            return "The text contains half of a surrogate pair."
    elif leaf is None and not nulls:
        return "Leave the field out instead of sending null."
    elif isinstance(leaf, _Outsized):
        return "The number does not fit in 64 bits."
    return None


def _has_lone_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
