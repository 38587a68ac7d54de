"""Observations: what a check has seen, how bad it is, and what to do about it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.operations.doctor.subject import Subject

State: TypeAlias = Literal["ok", "warning", "problem"]
"""`warning`: it works, but may not for long or not for everybody; `problem`: something does not work."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing that a check has seen; `remedy` says what to do where it is not ok."""

    state: State
    detail: str
    remedy: str | None = None


Check: TypeAlias = Callable[[Subject], AsyncIterator[Observation]]


def ok(detail: str) -> Observation:
    """Something is as it should be."""
    return Observation("ok", detail)


def warning(detail: str, remedy: str) -> Observation:
    """Something should be looked at."""
    return Observation("warning", detail, remedy)


def problem(detail: str, remedy: str) -> Observation:
    """Something does not work."""
    return Observation("problem", detail, remedy)
