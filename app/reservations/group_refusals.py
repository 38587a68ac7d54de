"""From what the write path says of each member to one problem, in which every member in the way is named."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.booking import MembersRefused, Refused
from app.caller import Caller
from app.errors import Fault, Problem, ProblemName
from app.http.strict_json import MAX_FAULTS
from app.http.validation_messages import from_faults
from app.refusals import refusal

Placed = tuple[int, Problem]
"""A member's place in the list, and what is wrong with it."""

_OF_A_MOVE = {"/service": "/resource", "/guests": "/resource"}
"""What a move cannot say, it brings about by going to another resource."""


@dataclass(frozen=True, slots=True)
class Members:
    """The list that members are told apart by: its name in the JSON, and whether the request carried it."""

    name: Literal["reservations", "moves"]
    sent: bool = True

    def label(self, place: int) -> str:
        """How a person would write it."""
        return f"`{self.name}[{place}]`"

    def faults(self, place: int, problem: Problem) -> list[Fault]:
        """A member's faults, with pointers into the whole body."""
        if not self.sent:
            return []
        at = f"/{self.name}/{place}"
        if not problem.faults:
            return [Fault(f"{at}/version" if problem.name == "stale" else at, problem.detail)]
        moved = _OF_A_MOVE if self.name == "moves" else {}
        return [Fault(at + moved.get(fault.pointer, fault.pointer), fault.detail) for fault in problem.faults]


def members_refused(
    refused: MembersRefused, members: Members, caller: Caller, *, unborn: Collection[str] = frozenset()
) -> Problem:
    """What all the reasons come to. What is wrong with a member itself comes before whether its time is free.

    Args:
        refused: By the write path.
        members: Which list.
        caller: Who is told no more than it may read.
        unborn: Ids of reservations of this very request: members may be in each other's way, but they do not exist.
    """
    wrong = [(place, reason) for place, reason in refused.members if isinstance(reason, Problem)]
    if wrong:
        return members_wrong(wrong, members)
    told = [(place, refusal(reason, caller)) for place, reason in refused.members if isinstance(reason, Refused)]
    name: ProblemName = "conflict" if all(problem.name == "conflict" for _, problem in told) else "rule"
    listed = [{"index": place, **_verdict(problem, unborn)} for place, problem in told]
    return Problem(name, _detail(told, members), faults=_faults(told, members), members=listed)


def members_wrong(wrong: Sequence[Placed], members: Members) -> Problem:
    """One problem for all members that have the same as the first one; what that one tells stands outside as well."""
    _, first = wrong[0]
    same = [(place, problem) for place, problem in wrong if problem.name == first.name]
    listed = [{"index": place, "detail": problem.detail, **problem.extra} for place, problem in same]
    if first.name == "invalid" and members.sent:
        problem = from_faults([fault for place, each in same for fault in members.faults(place, each)])
        return Problem("invalid", problem.detail, faults=problem.faults, members=listed)
    detail, faults = _detail(same, members), _faults(same, members)
    return Problem(first.name, detail, faults=faults, **{**first.extra, "members": listed})


def _faults(told: Sequence[Placed], members: Members) -> list[Fault]:
    return [fault for place, problem in told for fault in members.faults(place, problem)][:MAX_FAULTS]


def _detail(told: Sequence[Placed], members: Members) -> str:
    place, problem = told[0]
    more = f" ({len(told)} members in all, see members.)" if len(told) > 1 else ""
    return f"{members.label(place)}: {problem.detail}{more}"


def _verdict(problem: Problem, unborn: Collection[str]) -> dict[str, Any]:
    """What a single refusal says, less the ids of what was never made."""
    told = {name: problem.extra[name] for name in ("conflicts", "checks") if name in problem.extra}
    return {name: [_existing(entry, unborn) for entry in entries] for name, entries in told.items()}


def _existing(entry: dict[str, Any], unborn: Collection[str]) -> dict[str, Any]:
    if entry.get("reservation") not in unborn:
        return entry
    return {name: value for name, value in entry.items() if name not in {"reservation", "status"}}
