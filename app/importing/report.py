"""The results of rows, and how many rows had which."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from bson import ObjectId

from app.booking import Refused
from app.errors import Fault, Problem
from app.http.pointers import pointer_of

RowResult: TypeAlias = Literal["accepted", "updated", "unchanged", "differs", "refused", "invalid"]

RowProblem: TypeAlias = dict[str, Any]
"""A refused, invalid or differing row as JSON, what does not apply left out.

`line`, `reference`, `id`, `resource`, `problem`, `detail`, `rules` (the failed ones), `inTheWay` (references, or ids of
what was not imported), `errors` (pointers into the row), `choices` (what a local time can mean).
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a row; the reason, if the reservation is not as the row says; and the reservations in conflict."""

    result: RowResult
    problem: str = ""
    detail: str = ""
    more: dict[str, object] = field(default_factory=dict)
    conflicts: tuple[ObjectId, ...] = ()


def refused(refusal: Refused) -> Outcome:
    """The outcome of a row that the rules refuse: `conflict` where only the time is taken, else `rule`."""
    failed = refusal.verdict.failed
    return Outcome(
        "refused",
        "conflict" if refusal.verdict.is_conflict else "rule",
        " ".join(check.detail for check in failed),
        {"rules": [check.rule for check in failed]},
        tuple(taken.id for taken in refusal.verdict.conflicts if isinstance(taken.id, ObjectId)),
    )


def invalid(problem: Problem) -> Outcome:
    """The outcome of a row that is no valid reservation."""
    return Outcome("invalid", problem.name, problem.detail, _more(problem))


def differing(problem: str, detail: str, fields: Sequence[str]) -> Outcome:
    """The outcome of a row that differs from its reservation, which stays as it is."""
    return Outcome("differs", problem, detail, {"errors": _errors([Fault((name,), detail) for name in fields])})


def _more(problem: Problem) -> dict[str, Any]:
    return {"errors": _errors(problem.faults), "choices": problem.extra.get("choices")}


def _errors(faults: Iterable[Fault]) -> list[dict[str, str]]:
    return [{"pointer": pointer_of(fault), "detail": fault.detail} for fault in faults]


@dataclass(slots=True)
class Report:
    """Counts of rows: all, and by result."""

    rows: int = 0
    accepted: int = 0
    updated: int = 0
    unchanged: int = 0
    differs: int = 0
    refused: int = 0
    invalid: int = 0

    def count(self, result: RowResult) -> None:
        """Count one more row with a result."""
        self.rows += 1
        setattr(self, result, getattr(self, result) + 1)

    @property
    def problems(self) -> int:
        """How many rows are not booked as the file has them."""
        return self.differs + self.refused + self.invalid
