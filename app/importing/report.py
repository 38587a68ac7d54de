"""What becomes of rows: the fate of each, and how many had which."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from bson import ObjectId

from app.booking import Refused
from app.errors import Problem

Fate: TypeAlias = Literal["accepted", "updated", "unchanged", "differs", "refused", "invalid"]

Complaint: TypeAlias = dict[str, Any]
"""A refused, invalid or differing row as JSON, what does not apply left out.

`line`, `reference`, `resource`, `problem`, `detail`, `rules` (those that say no), `inTheWay` (references, or ids of
what was not imported), `errors` (pointers into the row), `choices` (what a local time can mean).
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row; why, if it is not as the row says; and the reservations in its way."""

    fate: Fate
    problem: str = ""
    detail: str = ""
    more: dict[str, Any] = field(default_factory=dict)
    in_the_way: tuple[ObjectId, ...] = ()


def refused(no: Refused) -> Outcome:
    """A row that the rules refuse: `conflict` where the time is taken and nothing else is wrong, else `rule`."""
    failed = no.verdict.failed
    return Outcome(
        "refused",
        "conflict" if no.verdict.is_conflict else "rule",
        " ".join(check.detail for check in failed),
        {"rules": [check.rule for check in failed]},
        tuple(taken.id for taken in no.verdict.conflicts if isinstance(taken.id, ObjectId)),
    )


def invalid(problem: Problem) -> Outcome:
    """A row that makes no reservation."""
    return Outcome("invalid", problem.name, problem.detail, _more(problem))


def differing(problem: str, detail: str, fields: Sequence[str]) -> Outcome:
    """A row that says otherwise than its reservation, which stays as it is."""
    return Outcome(
        "differs", problem, detail, {"errors": [{"pointer": f"/{name}", "detail": detail} for name in fields]}
    )


def _more(problem: Problem) -> dict[str, Any]:
    errors = [{"pointer": fault.pointer, "detail": fault.detail} for fault in problem.faults]
    return {"errors": errors, "choices": problem.extra.get("choices")}


@dataclass(slots=True)
class Report:
    """How many rows there were, and what became of them."""

    rows: int = 0
    accepted: int = 0
    updated: int = 0
    unchanged: int = 0
    differs: int = 0
    refused: int = 0
    invalid: int = 0

    def count(self, fate: Fate) -> None:
        """One more row with that fate."""
        self.rows += 1
        setattr(self, fate, getattr(self, fate) + 1)

    @property
    def complaints(self) -> int:
        """How many rows are not as the file has them."""
        return self.differs + self.refused + self.invalid
