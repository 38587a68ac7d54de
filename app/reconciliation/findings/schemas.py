"""The bodies and answers of `/v1/findings`."""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, WithJsonSchema

from app.domain.finding_identity import State
from app.domain.ids import ResourceId
from app.http.bounds import Bounded
from app.http.models import Answer, Body, Instant, ObjectIdText
from app.http.problem_schemas import ProblemAnswer
from app.reconciliation.finding_history import ACTOR_WORKER
from app.reconciliation.findings.listing import MAX_VALUES
from app.storage.finding_pages import SHOWN_RESERVATIONS

NOTE_LENGTH, NAME_LENGTH = 500, 100

TransitionTarget: TypeAlias = Literal["acknowledged", "accepted", "resolved", "open", "assigned"]
"""The aim of a decision: a state, or an assignee."""


def _person(name: str) -> str:
    if name == ACTOR_WORKER:
        raise ValueError(f"{ACTOR_WORKER!r} is what runs are called; say the name of a person")
    return name


def _without_repetition(ids: list[str]) -> list[str]:
    if len(set(ids)) < len(ids):
        raise ValueError("an id stands there twice; say it once of each finding")
    return ids


ShownInstant = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "description": "UTC with milliseconds; as it is stored where it cannot be read as an instant.",
            "examples": ["2026-03-08T09:00:00.000Z"],
        }
    ),
]
"""An instant, or the text of a value that another program wrote."""


class FindingNote(Body):
    """A note, and the person's name if several people share the key."""

    note: Annotated[str | None, Field(min_length=1, max_length=NOTE_LENGTH)] = None
    """A note for the history."""
    actor: Annotated[
        str | None,
        AfterValidator(_person),
        Field(min_length=1, max_length=NAME_LENGTH, description="The person behind the key: `by` in the history."),
    ] = None


class FindingAcceptance(FindingNote):
    """Until when the overlap may stay; left out: without an end."""

    until: Annotated[Instant | None, Field(description="In the future; from then on it is open again.")] = None


class FindingAssignment(FindingNote):
    """The person who deals with it; left out: the assignment is removed."""

    assignee: Annotated[str | None, Field(min_length=1, max_length=NAME_LENGTH)] = None
    """The name of the person; if left out, the assignment is removed."""


class FindingsTransition(FindingAcceptance, FindingAssignment):
    """One decision on many findings. Only `accepted` takes `until`, only `assigned` takes `assignee`."""

    ids: Annotated[
        list[ObjectIdText],
        Bounded(MAX_VALUES, 1),
        AfterValidator(_without_repetition),
        Field(json_schema_extra={"uniqueItems": True}),
    ]
    """The findings, each once."""
    to: Annotated[
        TransitionTarget, Field(description="The new state of all of them, or `assigned`; `open` reopens them.")
    ]


class FindingReservation(Answer):
    """A reservation of a finding as it is now; `by` is the prefix of the key that made it.

    Of a reservation that another program wrote, only what can be read is shown; of one that no longer exists, the id.
    """

    id: str
    """Its id."""
    customer: str | None = None
    """Whose it is."""
    customer_name: str | None = None
    """The name of the customer."""
    start_time: ShownInstant | None = None
    """When it begins."""
    end_time: ShownInstant | None = None
    """When it ends."""
    units: Annotated[int | None, Field(description="What it takes of the resource, if that can be read.")] = None
    status: str | None = None
    """Its status."""
    created_at: ShownInstant | None = None
    """When it was made."""
    by: str | None = None
    """The prefix of the key that made it."""


class MoveProposal(Answer):
    """A move that `/v1/moves` would accept at this moment."""

    reservation: str
    """The reservation that would move."""
    resource: ResourceId
    """Where it would be."""
    start_time: Instant
    """When it would begin."""
    end_time: Instant
    """When it would end."""


class FindingHistoryEntry(Answer):
    """A decision about a finding or a change of it: by whom, when, and the state from then on.

    `by` is the name of the person where it was given, else the prefix of the key; `worker` is a run. `from` to
    `capacity` are the window as it was then, `joined` and `left` the ids of reservations.
    """

    at: Instant
    """When."""
    by: str
    """Who: a person, the prefix of a key, or `worker`."""
    to: State
    """The state that it had then."""
    note: str | None = None
    """The note."""
    from_: Annotated[Instant | None, Field(alias="from")] = None
    """Where the window began."""
    until: Instant | None = None
    """Where the window ended, or until when it was accepted."""
    peak: int | None = None
    """The highest load in the window."""
    capacity: int | None = None
    """The capacity that was exceeded."""
    joined: list[str] | None = None
    """The ids of reservations that came into the window."""
    left: list[str] | None = None
    """The ids of reservations that left it."""


class FindingAnswer(Answer):
    """A stretch of one resource with load above its capacity; `peak` is the highest, in units.

    Only a single finding has `proposals`, not one of a list.
    """

    id: str
    """Its id; it stays while the window grows, shrinks or merges."""
    version: int
    """From 1, one more with each change; its `ETag`."""
    resource: ResourceId
    """The resource that is booked above its capacity."""
    resource_name: str | None = None
    """The name of the resource."""
    from_: Annotated[Instant, Field(alias="from")]
    """Where the window begins."""
    to: Instant
    """Where the window ends."""
    peak: int
    """The highest load in the window, in units."""
    capacity: int
    """The capacity that is exceeded."""
    state: State
    """What has been decided about it."""
    assignee: str | None = None
    """The person who deals with it."""
    reservations: Annotated[list[FindingReservation], Field(description=f"The first {SHOWN_RESERVATIONS}.")]
    reservation_count: int
    """How many reservations are in the window."""
    proposals: list[MoveProposal] | None = None
    """Moves that would be possible at this moment; of single findings only."""
    merged_into: Annotated[str | None, Field(description="The finding that it is part of by now.")] = None
    split_from: Annotated[str | None, Field(description="The finding that it was part of.")] = None
    first_seen: Instant
    """When it was opened."""
    last_seen: Instant
    """When a reconciliation last saw it."""
    run: str
    """The reconciliation that last saw it."""
    history: list[FindingHistoryEntry]
    """Its changes and decisions, with their notes."""


class FindingPage(Answer):
    """A page of findings; the last one has no `next`. `total` is how many match the filters, on all pages."""

    items: list[FindingAnswer]
    """The findings, in the order that was asked for."""
    next: str | None = None
    """The `cursor` of the next page."""
    total: int
    """How many match the filters, on all pages."""


class FindingTransitionResult(Answer):
    """The result of a decision on one of many findings: the finding as it is now, or the problem."""

    id: str
    """The finding."""
    status: Annotated[
        int, Field(description="The status that the answer to the same decision on this finding alone would have had.")
    ]
    finding: FindingAnswer | None = None
    """The finding as it is now."""
    problem: ProblemAnswer | None = None
    """Why it was refused."""


class FindingTransitionResults(Answer):
    """An answer for each finding, in the order in which they were named."""

    items: list[FindingTransitionResult]
    """One for each finding, in the order of the request."""
