"""What pydantic and msgspec found, as sentences with paths that a person can act on."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from app.errors import Fault, Problem
from app.http.pointers import escape
from app.http.strict_json import MAX_FAULTS

_KEY = "[key]"  # pydantic's mark for the key of a mapping, as opposed to its value

Finding = dict[str, Any]
"""One of pydantic's error details: `type`, `loc`, `msg`, `ctx`, `input`."""


def invalid_body(error: ValidationError) -> Problem:
    """The problem that a model's refusal means."""
    return from_findings([dict(finding) for finding in error.errors(include_url=False)])


def from_findings(findings: Sequence[Finding]) -> Problem:
    """One `invalid` problem for everything that is wrong with a body."""
    return from_faults([Fault(_path(found["loc"]), _sentence(found)) for found in findings[:MAX_FAULTS]])


def from_faults(faults: Sequence[Fault]) -> Problem:
    """One `invalid` problem that lists faults; its detail is the first one's, and says how many follow."""
    detail = faults[0].detail
    if len(faults) >= MAX_FAULTS:
        detail = f"{detail} (The first {MAX_FAULTS} faults are in errors; there may be more.)"
    elif len(faults) > 1:
        detail = f"{detail} ({len(faults)} faults in all, see errors.)"
    return Problem("invalid", detail, faults=faults[:MAX_FAULTS])


def cut(text: str, length: int) -> str:
    """A text of at most so many characters, with a mark if it was longer."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _path(location: Sequence[int | str]) -> tuple[int | str, ...]:
    return tuple(place for place in location if place != _KEY)


def _sentence(finding: Finding) -> str:
    location = finding["loc"]
    name = f"`{_name(location)}`" if location else "The body"
    say = _SENTENCES.get(finding["type"])
    if say is not None:
        return say(name, finding.get("ctx", {}))
    return f"{name}: {finding['msg'].removeprefix('Value error, ').rstrip('.')}."


def _name(location: Sequence[int | str]) -> str:
    """How a person would write the place: `reservations[0].startTime`."""
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
    "string_too_short": lambda name, about: f"{name} must have at least {_characters(about['min_length'])}.",
    "string_too_long": lambda name, about: f"{name} must have at most {_characters(about['max_length'])}.",
    "string_pattern_mismatch": lambda name, about: f"{name} must match {about['pattern']}.",
    "int_type": lambda name, _: f"{name} must be a whole number.",
    "bool_type": lambda name, _: f"{name} must be true or false.",
    "greater_than_equal": lambda name, about: f"{name} must be at least {about['ge']:,}.",
    "less_than_equal": lambda name, about: f"{name} must be at most {about['le']:,}.",
    "literal_error": lambda name, about: f"{name} must be {about['expected']}.",
    "list_type": lambda name, _: f"{name} must be a list.",
    "too_long": lambda name, about: f"{name} must have at most {_entries(about['max_length'])}.",
    "too_short": lambda name, about: f"{name} must have at least {_entries(about['min_length'])}.",
    "dict_type": lambda name, _: f"{name} must be a JSON object.",
    "model_type": lambda name, _: f"{name} must be a JSON object.",
}
