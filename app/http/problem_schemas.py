"""Schemas of problems for the OpenAPI description: one for each type, with its members beyond RFC 9457."""

from collections.abc import Callable, Mapping
from types import new_class
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.errors import KINDS, ProblemName
from app.http.models import Answer, Instant


class FaultAnswer(Answer):
    """A field or rule that is to blame."""

    pointer: str
    """RFC 6901 into the body, like `/guests`; `?name` for a parameter."""
    detail: str
    """What is wrong there, as a sentence."""


class ProblemAnswer(Answer):
    """What went wrong (RFC 9457). `type` never changes; further members depend on it."""

    model_config = ConfigDict(defer_build=True)  # the description alone needs these models

    type: str
    """`/problems/<name>`"""
    title: str
    """What all problems of this type have in common."""
    status: int
    """The status code of the answer."""
    detail: str
    """One sentence that a person can act on."""
    request_id: str
    """The `X-Request-Id` of the answer."""
    errors: list[FaultAnswer] | None = None
    """The fields or rules to blame, the first 20."""


class RuleCheckAnswer(Answer):
    """One rule's verdict, and what is in the way as far as the key may read it."""

    rule: str
    """The name of the rule, like `schedule` or `capacity`."""
    ok: bool
    """Whether the rule allows the booking."""
    detail: str
    """The verdict as a sentence."""
    reservation: str | None = None
    """The id of the reservation that is in the way."""
    time_off: str | None = None
    """The id of the time off that is in the way."""
    closure: str | None = None
    """The id of the closure that is in the way."""
    override: str | None = None
    """The date of the override of the schedule that is in the way."""


class ConflictAnswer(Answer):
    """A reservation that is in the way."""

    start_time: Instant
    """When what it occupies begins."""
    end_time: Instant
    """When what it occupies ends."""
    status: str | None = None
    """Its status; only for keys that may read the reservation."""
    reservation: str | None = None
    """Its id; only for keys that may read the reservation."""


NextFree = Annotated[
    list[Instant] | None,
    Field(
        max_length=3,
        description="Up to three starts that are free for the same request, from the one asked for to 7 days on; "
        "advice.",
    ),
]
"""The next free starts, where only the time is taken."""


class MemberVerdict(Answer):
    """What the rules say of one member of a group, of one move, or of one occurrence of a series."""

    index: Annotated[int, Field(ge=0)]
    """Its place in the request, or in the series, from 0."""
    local_start: str | None = None
    """Of an occurrence: the local time that its rule gives."""
    conflicts: list[ConflictAnswer] | None = None
    """Up to 10 reservations that are in its way."""
    checks: list[RuleCheckAnswer]
    """Every rule's verdict, always in the same order."""
    next_free: NextFree = None


class MemberProblem(Answer):
    """What is wrong with one member of a group, with one move, or with one occurrence of a series."""

    index: Annotated[int, Field(ge=0)]
    """Its place in the request, or in the series, from 0."""
    local_start: str | None = None
    """Of an occurrence: the local time that its rule gives."""
    detail: str
    """What is wrong with it, as a sentence."""


class StrandedReservation(Answer):
    """A reservation that an edit would leave without room, with what is needed to move it."""

    id: str
    """Its id."""
    version: int | None = None
    """Its version, for `If-Match` or a move."""
    customer: str | None = None
    """Whose it is."""
    start_time: Instant
    """When what it occupies begins."""
    end_time: Instant
    """When what it occupies ends."""
    status: str
    """Its status."""


class _Conflict(ProblemAnswer):
    conflicts: list[ConflictAnswer]
    """Up to 10 reservations that are in the way."""
    checks: list[RuleCheckAnswer]
    """Every rule's verdict, always in the same order."""
    next_free: NextFree = None


class _Rule(ProblemAnswer):
    checks: list[RuleCheckAnswer]
    """Every rule's verdict, always in the same order."""


class _MembersRefused(ProblemAnswer):
    members: list[MemberVerdict]
    """Each member that is in the way of all."""


class _WithMembers(ProblemAnswer):
    members: list[MemberProblem] | None = None
    """In groups, moves and series: each member that this is about."""


class _HoldExpired(_WithMembers):
    next_free: NextFree = None


class _TooLate(_WithMembers):
    until: Instant
    """The last instant at which it was allowed."""


class _LocalTime(_WithMembers):
    choices: list[Instant]
    """The two instants that the local time may mean, by the offset before and the one after."""


class _Stranded(ProblemAnswer):
    total: Annotated[int, Field(ge=1)]
    """How many bookings would be stranded."""
    reservations: list[StrandedReservation] | None = None
    """The first 100 of them; only for keys with `reservations:read`."""


class _OutcomeUnknown(ProblemAnswer):
    reservations: list[str]
    """The ids to look for."""


_BASES: Mapping[ProblemName, type[ProblemAnswer]] = {
    "conflict": _Conflict,
    "rule": _Rule,
    "hold-expired": _HoldExpired,
    "too-late": _TooLate,
    "local-time": _LocalTime,
    "stranded-bookings": _Stranded,
    "outcome-unknown": _OutcomeUnknown,
    **dict.fromkeys(("hold-limit", "forbidden-transition", "stale", "invalid"), _WithMembers),
}


def _schema(name: ProblemName, base: type[ProblemAnswer], prefix: str = "") -> type[ProblemAnswer]:
    """The model of one type: `ConflictProblem` for `conflict`."""
    members: dict[str, object] = {
        "__module__": __name__,
        "__doc__": f"{KINDS[name].title}.",
        "__annotations__": {
            "type": Annotated[Literal[f"/problems/{name}"], Field(description="Always this.")],
            "status": Annotated[Literal[KINDS[name].status], Field(description="Always this.")],
        },
    }
    schema: type[ProblemAnswer] = new_class(problem_schema(name, prefix), (base,), exec_body=_fill_namespace(members))
    return schema


def _fill_namespace(members: Mapping[str, object]) -> Callable[[dict[str, object]], None]:
    return lambda namespace: namespace.update(members)


def problem_schema(name: ProblemName, prefix: str = "") -> str:
    """The name of a problem's schema: `ConflictProblem` for `conflict`."""
    return prefix + "".join(part.capitalize() for part in name.removesuffix("-bookings").split("-")) + "Problem"


PROBLEMS: Mapping[ProblemName, type[ProblemAnswer]] = {
    name: _schema(name, _BASES.get(name, ProblemAnswer)) for name in KINDS
}
"""The schema of each problem."""

GROUP_PROBLEMS: Mapping[ProblemName, type[ProblemAnswer]] = {
    **PROBLEMS,
    "conflict": _schema("conflict", _MembersRefused, "Group"),
    "rule": _schema("rule", _MembersRefused, "Group"),
}
"""The schemas for routes that book or move several reservations at once: verdicts are those of each member."""
