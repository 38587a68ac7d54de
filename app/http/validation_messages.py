"""Validation errors of pydantic and msgspec, as sentences with paths that a person can act on."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from app.errors import Fault, Problem
from app.http.pointers import escape
from app.http.strict_json import MAX_FAULTS

_KEY = "[key]"  # pydantic's mark for the key of a mapping, as opposed to its value

ErrorDetails = dict[str, Any]
"""One of pydantic's error details: `type`, `loc`, `msg`, `ctx`, `input`."""


def invalid_body(error: ValidationError) -> Problem:
    """The `invalid` problem of a body that its model refuses."""
    return from_error_details([dict(error_detail) for error_detail in error.errors(include_url=False)])


def from_error_details(details: Sequence[ErrorDetails]) -> Problem:
    """One `invalid` problem for all errors of a body."""
    return from_faults([Fault(_path(each["loc"]), _sentence(each)) for each in details[:MAX_FAULTS]])


def from_faults(faults: Sequence[Fault]) -> Problem:
    """One `invalid` problem that lists faults; its detail is the first one's, with the number of faults."""
    detail = faults[0].detail
    if len(faults) >= MAX_FAULTS:
        detail = f"{detail} (The first {MAX_FAULTS} faults are in errors; there may be more.)"
    elif len(faults) > 1:
        detail = f"{detail} ({len(faults)} faults in all, see errors.)"
    return Problem("invalid", detail, faults=faults[:MAX_FAULTS])


def cut(text: str, length: int) -> str:
    """Cut a text to at most `length` characters; an ellipsis ends one that was longer."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _path(location: Sequence[int | str]) -> tuple[int | str, ...]:
    return tuple(place for place in location if place != _KEY)


def _sentence(error_detail: ErrorDetails) -> str:
    location = error_detail["loc"]
    name = f"`{_name(location)}`" if location else "The body"
    sentence = _SENTENCES.get(error_detail["type"])
    if sentence is not None:
        return sentence(name, error_detail.get("ctx", {}))
    return f"{name}: {error_detail['msg'].removeprefix('Value error, ').rstrip('.')}."


def _name(location: Sequence[int | str]) -> str:
    """The path of a member as a person would write it: `reservations[0].startTime`."""
    parts = [f"[{place}]" if isinstance(place, int) else f".{place}" for place in _path(location)]
    return escape("".join(parts).lstrip("."))[:200].replace("~1", "/").replace("~0", "~")


def _characters(count: int) -> str:
    return "1 character" if count == 1 else f"{count:,} characters"


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count:,} entries"


Sentence = Callable[[str, dict[str, Any]], str]

_SENTENCES: dict[str, Sentence] = {
    "missing": lambda name, _: f"{name} is required.",
    "extra_forbidden": lambda name, _: f"There is no field {name} here.",
    "string_type": lambda name, _: f"{name} must be a string.",
    "string_too_short": lambda name, context: f"{name} must have at least {_characters(context['min_length'])}.",
    "string_too_long": lambda name, context: f"{name} must have at most {_characters(context['max_length'])}.",
    "string_pattern_mismatch": lambda name, context: f"{name} must match {context['pattern']}.",
    "int_type": lambda name, _: f"{name} must be a whole number.",
    "bool_type": lambda name, _: f"{name} must be true or false.",
    "greater_than_equal": lambda name, context: f"{name} must be at least {context['ge']:,}.",
    "less_than_equal": lambda name, context: f"{name} must be at most {context['le']:,}.",
    "literal_error": lambda name, context: f"{name} must be {context['expected']}.",
    "list_type": lambda name, _: f"{name} must be a list.",
    "too_long": lambda name, context: f"{name} must have at most {_entries(context['max_length'])}.",
    "too_short": lambda name, context: f"{name} must have at least {_entries(context['min_length'])}.",
    "dict_type": lambda name, _: f"{name} must be a JSON object.",
    "model_type": lambda name, _: f"{name} must be a JSON object.",
}
