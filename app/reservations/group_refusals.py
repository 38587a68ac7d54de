"""One problem from the refusals of the members of a group, the moves of a request, or the occurrences of a series."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from typing_extensions import override

from app.booking import MembersRefused, Refused
from app.caller import Caller
from app.errors import Fault, Problem, ProblemName
from app.http.strict_json import MAX_FAULTS
from app.http.validation_messages import from_faults
from app.refusals import refusal

MemberProblem = tuple[int, Problem]
"""The index of a member in its list, and its problem."""

_PATHS_OF_MOVES: Mapping[tuple[str | int, ...], tuple[str]] = {
    ("service",): ("resource",),
    ("guests",): ("resource",),
}
"""The fields that failed rules of a move point at: it has neither service nor guests, so its new resource is to
blame."""

NO_ADVICE: Mapping[int, list[str]] = {}


@dataclass(frozen=True, slots=True)
class Members:
    """The list of the members: its name in the JSON, and whether the request carried it."""

    name: Literal["reservations", "moves", "occurrences"]
    sent: bool = True

    def label(self, place: int) -> str:
        """A member's name for people."""
        return f"`{self.name}[{place}]`"

    def identity(self, place: int) -> dict[str, Any]:
        """What identifies a member in the list of those that are refused."""
        return {"index": place}

    def faults(self, place: int, problem: Problem) -> list[Fault]:
        """A member's faults, by their paths in the whole body."""
        if not self.sent:
            return []
        faults = problem.faults or [Fault(("version",) if problem.name == "stale" else (), problem.detail)]
        if self.name == "moves":
            faults = [replace(fault, path=_PATHS_OF_MOVES.get(fault.path, fault.path)) for fault in faults]
        return [fault.below(self.name, place) for fault in faults]


@dataclass(frozen=True, slots=True)
class Occurrences(Members):
    """The occurrences of a series, by the local times that its rule gives.

    Args:
        local_starts: The local times.
        paths: Where the fields of a reservation are in the body; of others the path stays.
        below: The field of the body that has what is left of a path.
    """

    name: Literal["reservations", "moves", "occurrences"] = "occurrences"
    local_starts: Sequence[str] = ()
    paths: Mapping[str, str] = field(default_factory=dict)
    below: tuple[str, ...] = ()

    @override
    def label(self, place: int) -> str:
        """An occurrence's name for people."""
        return f"The occurrence of {self.local_starts[place]}"

    @override
    def identity(self, place: int) -> dict[str, Any]:
        """Its place, and its local time."""
        return {"index": place, "localStart": self.local_starts[place]}

    @override
    def faults(self, place: int, problem: Problem) -> list[Fault]:
        """The faults, by their paths in the body, which says the same of all occurrences."""
        return [self.fault(each) for each in problem.faults] if self.sent else []

    def fault(self, fault: Fault) -> Fault:
        """A fault of a reservation, by its path in the body."""
        path = tuple(self.paths.get(part, part) if isinstance(part, str) else part for part in fault.path)
        return replace(fault, path=(*self.below, *path))


def members_refused(
    refused: MembersRefused,
    members: Members,
    caller: Caller,
    *,
    uncreated: Collection[str] = frozenset(),
    next_free: Mapping[int, list[str]] = NO_ADVICE,
) -> Problem:
    """The problem of a group. Problems of a member itself take precedence over conflicts.

    Args:
        refused: The refusals of the write path.
        members: The list of the members.
        caller: The caller, who sees only what it may read.
        uncreated: Ids of reservations of this request, which do not exist, though members may conflict with each other.
        next_free: The next free starts of members, by index.
    """
    wrong = [(place, reason) for place, reason in refused.members if isinstance(reason, Problem)]
    if wrong:
        return members_wrong(wrong, members)
    refusals = [(place, refusal(reason, caller)) for place, reason in refused.members if isinstance(reason, Refused)]
    name: ProblemName = "conflict" if all(problem.name == "conflict" for _, problem in refusals) else "rule"
    listed = [
        {
            **members.identity(place),
            **verdict_json(problem, uncreated),
            **({"nextFree": next_free[place]} if place in next_free else {}),
        }
        for place, problem in refusals
    ]
    return Problem(name, _detail(refusals, members), faults=_faults(refusals, members), members=listed)


def members_wrong(wrong: Sequence[MemberProblem], members: Members) -> Problem:
    """One problem for all members whose problem has the name of the first one; its extra fields are repeated."""
    _, first = wrong[0]
    same = [(place, problem) for place, problem in wrong if problem.name == first.name]
    listed = [{**members.identity(place), "detail": problem.detail, **problem.extra} for place, problem in same]
    if first.name == "invalid" and members.sent:
        problem = from_faults([fault for place, each in same for fault in members.faults(place, each)])
        return Problem("invalid", problem.detail, faults=problem.faults, members=listed)
    detail, faults = _detail(same, members), _faults(same, members)
    return Problem(first.name, detail, faults=faults, **{**first.extra, "members": listed})


def _faults(refusals: Sequence[MemberProblem], members: Members) -> list[Fault]:
    faults = (fault for place, problem in refusals for fault in members.faults(place, problem))
    return [*dict.fromkeys(faults)][:MAX_FAULTS]


def _detail(refusals: Sequence[MemberProblem], members: Members) -> str:
    place, problem = refusals[0]
    more = f" ({len(refusals)} members in all, see members.)" if len(refusals) > 1 else ""
    return f"{members.label(place)}: {problem.detail}{more}"


def verdict_json(problem: Problem, uncreated: Collection[str]) -> dict[str, Any]:
    """The conflicts and checks of a refusal, less the ids of what was never created."""
    shown = {name: problem.extra[name] for name in ("conflicts", "checks") if name in problem.extra}
    return {name: [_existing(entry, uncreated) for entry in entries] for name, entries in shown.items()}


def _existing(entry: dict[str, object], uncreated: Collection[str]) -> dict[str, Any]:
    if entry.get("reservation") not in uncreated:
        return entry
    return {name: value for name, value in entry.items() if name not in {"reservation", "status"}}
