"""Problems: everything that Reserva can answer instead of what was asked (RFC 9457).

One exception carries them all. Its name is stable and becomes the `type`; a test holds this table against the
documentation, and `app.http.problems` turns it into `application/problem+json`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

ProblemName: TypeAlias = Literal[
    "malformed",
    "unauthenticated",
    "forbidden",
    "not-found",
    "method-not-allowed",
    "too-large",
    "unsupported-media-type",
    "conflict",
    "too-late",
    "forbidden-transition",
    "hold-expired",
    "hold-limit",
    "stranded-bookings",
    "exists",
    "gone",
    "stale",
    "precondition-required",
    "invalid",
    "rule",
    "idempotency-mismatch",
    "local-time",
    "strict-only",
    "rate-limited",
    "internal",
    "overloaded",
    "outcome-unknown",
    "unavailable",
]
"""The last segment of a problem's `type`; it never changes."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is the same for every occurrence of a problem."""

    status: int
    title: str
    retry_after_seconds: int | None = None


KINDS: Mapping[ProblemName, Kind] = {
    "malformed": Kind(400, "The body is not the JSON that it should be"),
    "unauthenticated": Kind(401, "No valid API key"),
    "forbidden": Kind(403, "The API key may not do this"),
    "not-found": Kind(404, "There is nothing here"),
    "method-not-allowed": Kind(405, "This method is not allowed here"),
    "too-large": Kind(413, "The body is too large"),
    "unsupported-media-type": Kind(415, "The body must be JSON"),
    "conflict": Kind(409, "The time is taken"),
    "too-late": Kind(409, "The time for that is over"),
    "forbidden-transition": Kind(409, "The status does not allow this"),
    "hold-expired": Kind(409, "The hold has expired"),
    "hold-limit": Kind(409, "Too many live holds"),
    "stranded-bookings": Kind(409, "Bookings would be stranded"),
    "exists": Kind(409, "The id is taken"),
    "gone": Kind(410, "What was asked for is not kept any more"),
    "stale": Kind(412, "The object has changed since it was read"),
    "precondition-required": Kind(428, "If-Match is missing"),
    "invalid": Kind(422, "The request is not valid"),
    "rule": Kind(422, "A rule does not allow this booking"),
    "idempotency-mismatch": Kind(422, "The Idempotency-Key was used with another request"),
    "local-time": Kind(422, "The local time does not exist or exists twice"),
    "strict-only": Kind(422, "This needs a database server with transactions"),
    "rate-limited": Kind(429, "Too many requests", 1),
    "internal": Kind(500, "Something went wrong on our side"),
    "overloaded": Kind(503, "Too busy; nothing was done", 1),
    "outcome-unknown": Kind(503, "The outcome is not known", 1),
    "unavailable": Kind(503, "The database cannot be reached", 2),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One field that is to blame; `app.http.pointers` writes its path as a pointer.

    Args:
        path: Names of members and indexes of items, from the top of the body; of a query parameter its name.
        detail: One sentence that a person can act on.
        in_query: Whether the path names a query parameter.
    """

    path: tuple[str | int, ...]
    detail: str
    in_query: bool = False

    def below(self, *path: str | int) -> "Fault":
        """The same fault in a body that has at a path what is at fault here."""
        return replace(self, path=(*path, *self.path))


class Problem(Exception):  # noqa: N818  # named as RFC 9457 names it, it is what the client sees
    """A refusal with its reason.

    Args:
        name: The last segment of the `type`.
        detail: One sentence that a person can act on.
        faults: The fields or rules to blame, where there are any.
        extra: Further members, already in their JSON form and camelCase.

    `encoded` is its JSON before and after the id of the request, where several requests have the same problem.
    """

    encoded: tuple[bytes, bytes] | None = None

    def __init__(self, name: ProblemName, detail: str, *, faults: Sequence[Fault] = (), **extra: Any) -> None:
        super().__init__(detail)
        self.name: ProblemName = name
        self.kind = KINDS[name]
        self.detail = detail
        self.faults = tuple(faults)
        self.extra = extra


def invalid_field(name: str, detail: str) -> Problem:
    """The commonest refusal: one field of the body is to blame."""
    return Problem("invalid", detail, faults=[Fault((name,), detail)])


def invalid_parameter(name: str, detail: str) -> Problem:
    """One query parameter is to blame."""
    return Problem("invalid", detail, faults=[Fault((name,), detail, in_query=True)])


def not_found(what: str, identity: str) -> Problem:
    """Nothing of that id, or nothing that this key may know of: the two must read the same."""
    return Problem("not-found", f"There is no {what} {identity!r}.")


class RateLimited(Problem):
    """More requests came than a rate allows.

    Args:
        detail: One sentence that a person can act on.
        seconds: The time after which there is room for the next request.
    """

    def __init__(self, detail: str, seconds: int) -> None:
        super().__init__("rate-limited", detail)
        self.kind = replace(self.kind, retry_after_seconds=seconds)


class OutcomeUnknown(Problem):
    """Something was sent and never answered: it may have been done.

    Args:
        reservations: The ids to look for.
        keyed: Whether the request had an Idempotency-Key, so that repeating it answers the outcome.
    """

    def __init__(self, reservations: Sequence[str] = (), *, keyed: bool = False) -> None:
        again = "repeat it with the same Idempotency-Key, or " if keyed else ""
        target = "the ids" if reservations else "what it is about"
        before = "" if keyed else " before you repeat it"
        detail = f"The database did not say whether this was done; {again}read {target}{before}."
        super().__init__("outcome-unknown", detail, reservations=[*reservations])
