"""JSON as the contract reads it: no duplicate keys, no NaN, bounded depth, strings and integers that can be kept.

A body is parsed once by the C scanner. Whatever could be wrong with it leaves a trace that costs next to nothing to
look for (an escape, a `null`, many brackets, an outsized number); only a body with such a trace is walked.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from app.errors import Fault, Problem

DEPTH = 32
"""How deep arrays and objects may nest."""

MAX_FAULTS = 20
"""How many faults one answer lists."""

MAX_INT = 2**63 - 1
MIN_INT = -(2**63)
_SAFE_DIGITS = 18  # no integer of so many characters leaves 64 bits

_TOO_DEEP = f"The body is nested deeper than {DEPTH} levels."


class _OutsizedError(Exception):
    """A number that 64 bits cannot hold; where it stands is found by a second reading."""


class _Outsized:
    """Stands for such a number in the second reading."""


def read_json(body: bytes, *, nulls: bool) -> Any:
    """Parse a request's body.

    Args:
        body: The bytes as they came.
        nulls: Whether `null` may occur: in a merge patch it unsets, anywhere else a field is left out instead.

    Raises:
        Problem: `malformed` for what is not JSON, has duplicate keys or nests too deep; `invalid`, with a pointer,
            for strings and numbers that cannot be kept.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Problem("malformed", f"The body is not UTF-8 (at byte {error.start}).") from None
    try:
        value = _parse(_FAST, text)
    except _OutsizedError:
        value = _parse(_LOCATING, text)
        suspicious = True
    else:
        brackets = text.count("[") + text.count("{")
        suspicious = brackets > DEPTH or "\\u" in text or (not nulls and "null" in text)
    faults = _faults(value, nulls=nulls) if suspicious else []
    if faults:
        raise Problem("invalid", faults[0].detail, faults=faults[:MAX_FAULTS])
    return value


def escape(token: str) -> str:
    """One token of an RFC 6901 pointer; what UTF-8 cannot carry is written as its escape."""
    return token.replace("~", "~0").replace("/", "~1").encode("utf-8", "backslashreplace").decode()


def _parse(decoder: json.JSONDecoder, text: str) -> Any:
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Problem("malformed", f"The body is not JSON: {error.msg.lower().rstrip(':')} at {where}.") from None
    except RecursionError:
        raise Problem("malformed", _TOO_DEEP) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
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


def _faults(value: Any, *, nulls: bool) -> list[Fault]:
    """What in a parsed body cannot be kept, in the order of the body."""
    faults = []
    for pointer, leaf in _leaves(value, "", DEPTH):
        if isinstance(leaf, _Outsized):
            faults.append(Fault(pointer, "The number does not fit in 64 bits."))
        elif leaf is None and not nulls:
            faults.append(Fault(pointer, "Leave the field out instead of sending null."))
        elif isinstance(leaf, str) and "\0" in leaf:
            faults.append(Fault(pointer, "The text contains a NUL character."))
        elif isinstance(leaf, str) and not leaf.isascii() and _has_lone_surrogate(leaf):
            faults.append(Fault(pointer, "The text contains half of a surrogate pair."))
    return faults


def _leaves(value: Any, pointer: str, levels: int) -> Iterator[tuple[str, Any]]:
    """Each scalar with its pointer, and each key as a scalar at the pointer of its value."""
    if not isinstance(value, dict | list):
        yield pointer, value
        return
    if levels == 0:
        raise Problem("malformed", _TOO_DEEP)
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for key, member in members:
        below = f"{pointer}/{escape(str(key))}"
        if isinstance(key, str):
            yield below, key
        yield from _leaves(member, below, levels - 1)


def _has_lone_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
