"""A batch judges equal questions once; the verdicts are those of judging each intent by itself."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import PropertyMock, patch

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from app.booking import Book, BookGroup, MembersRefused, Refused
from app.booking.batch import Outcome
from app.booking.idempotency import Replay, Token
from app.booking.import_rows import IMPORT_KEY_TARGET, BookRow
from app.booking.intents import AnyIntent
from app.booking.outcomes import Accepted
from app.booking.release import Close
from app.booking.transaction import judge_all
from app.domain.ids import ResourceId
from app.domain.instants import HOUR as HOUR_MILLIS
from app.domain.instants import to_millis
from app.domain.rules import ResourceRules, ServiceRules
from app.errors import Problem
from app.storage.documents import StoredAnswer
from app.storage.steps import Execution
from tests.support.booking_view import NOW, FixedView, stored_row
from tests.support.ids import CUT_ID, ROOM_ID
from tests.support.times import HOUR, MINUTE, NINE

A, B = ResourceId("a"), ResourceId("b")
STORED = [ObjectId() for _ in range(3)]
DECISIVE: list[dict[str, Any]] = [
    {"resource": ResourceId("missing")},
    {"resource": None, "pool": (A, B), "service": CUT_ID},
    {"resource": None, "pool": (ROOM_ID, A), "service": CUT_ID},
    {"service": CUT_ID},
    {"service": CUT_ID, "lifted_rules": frozenset({"notice"})},
    {"start": NINE - 30 * MINUTE},
    {"end": NINE + 90 * MINUTE},
    {"guests": 2},
]
"""What makes another question of a booking."""
INDIFFERENT: list[dict[str, Any]] = [{"hold_seconds": 60}, {"customer": "ada"}, {"notes": "at the window"}]
"""What does not."""
IMPORTED = "row"
"""The key of a row that an import has made."""


def outcomes_of(intents: Sequence[AnyIntent], view: FixedView) -> list[Outcome]:
    """The outcomes of a batch, in order; no key has been used before."""
    execution = Execution(judge_all(intents, view))
    while execution.step is not None:
        execution.succeed([])
    return [execution.value[intent.operation] for intent in intents]


def one_by_one(intents: Sequence[AnyIntent], view: FixedView) -> list[Outcome]:
    """The same where no two intents have a question in common."""
    with patch.object(Book, "question", PropertyMock(return_value=None)):
        return outcomes_of(intents, view)


def told(outcome: Outcome) -> Hashable:
    """What an outcome tells its caller and the database, in a form that can be compared."""
    match outcome:
        case Accepted():
            values = outcome.value if isinstance(outcome.value, list) else [outcome.value]
            return ("accepted", *(value.model_dump_json() for value in values))
        case Replay():
            return ("replay", outcome.answer.body)
        case Problem():
            return ("problem", outcome.name, outcome.detail)
        case Refused():
            return ("refused", repr(outcome.verdict))
        case MembersRefused():
            return ("members", *((index, told(reason)) for index, reason in outcome.members))
        case _:
            return repr(outcome)


def token(key: str) -> "Token[Any]":
    """A token whose answer is the id of what was made."""

    def render(made: Any) -> StoredAnswer:
        return StoredAnswer(request_hash="same", status=201, headers={}, body=str(made.id))

    return Token(key, "same", render)


def wanted(kind: type[Book] = Book, **fields: Any) -> Book:
    """A booking of the room from nine to ten."""
    usual: dict[str, Any] = {"by": "test", "resource": ROOM_ID, "start": NINE, "end": NINE + HOUR}
    return kind(**usual | fields)


def bookings(kind: type[Book] = Book, **fields: Any) -> st.SearchStrategy[Book]:
    """Bookings of the room from nine to ten, or such that differ in one thing."""
    return st.sampled_from([{}, *DECISIVE, *INDIFFERENT]).map(lambda other: wanted(kind, **other | fields))


@st.composite
def intents(draw: st.DrawFn) -> AnyIntent:
    """Mostly bookings, some with a key; groups and rows of an import; cancellations, which free a time again."""
    kind = draw(st.sampled_from(["book"] * 8 + ["key", "group", "row", "cancel"]))
    if kind == "group":
        return BookGroup(by="test", members=draw(st.lists(bookings(), min_size=1, max_size=3)))
    if kind == "row":
        key, status = draw(st.sampled_from([IMPORTED, "new"])), draw(st.sampled_from(["confirmed", "cancelled"]))
        return draw(bookings(BookRow, import_key=key, status=status))
    if kind == "cancel":
        return Close(by="test", reservation=draw(st.sampled_from(STORED)), to="cancelled")
    return draw(bookings(token=token(draw(st.sampled_from("xy"))) if kind == "key" else None))


@st.composite
def batches(draw: st.DrawFn) -> list[AnyIntent]:
    """A few intents, each several times in any order; what is repeated is an intent of its own."""
    kinds = draw(st.lists(intents(), min_size=1, max_size=5))
    batch = draw(st.lists(st.sampled_from(kinds), min_size=3, max_size=12))
    return [
        replace(intent, operation=ObjectId(), reservation=ObjectId())
        if isinstance(intent, Book)
        else replace(intent, operation=ObjectId())
        for intent in batch
    ]


@st.composite
def views(draw: st.DrawFn) -> "list[FixedView]":
    """Two equal views: resources of a small capacity, with bookings, live holds and expired ones."""
    guests, capacity = draw(st.booleans()), draw(st.sampled_from([1, 1, 2, 3]))
    rooms = [
        ResourceRules(name, capacity=capacity, by_guests=guests, services=frozenset({CUT_ID}))
        for name in (ROOM_ID, A, B)
    ]
    cut = ServiceRules(
        CUT_ID,
        "flexible",
        duration_min=HOUR_MILLIS,
        duration_step=HOUR_MILLIS // 2,
        duration_max=2 * HOUR_MILLIS,
        notice=draw(st.sampled_from([0, 48])) * HOUR_MILLIS,
        assignment=draw(st.sampled_from(["even", "first"])),
    )
    expires = st.sampled_from([None, NOW - MINUTE, NOW + MINUTE])
    rows = [
        stored_row(_id=identity, status="pending" if at else "confirmed", expiresAt=at)
        for identity in draw(st.lists(st.sampled_from(STORED), unique=True))
        for at in [draw(expires)]
    ]
    seen, imported = [FixedView(rooms, [cut], rows) for _ in range(2)], stored_row(importKey=IMPORTED)
    taken = draw(st.lists(st.sampled_from([A, B]), unique=True))
    for view in seen:
        view.documents[IMPORT_KEY_TARGET, IMPORTED] = imported
        for name in taken:
            view.occupy(name, to_millis(NINE), to_millis(NINE + HOUR))
    return seen


@pytest.mark.promise("capacity")
@settings(max_examples=120)
@given(batches(), views())
def test_the_verdicts_are_those_of_judging_each_intent_by_itself(batch: list[AnyIntent], seen: list[FixedView]) -> None:
    """Whatever is accepted in between, and whatever the bookings ask for; and both leave the same in the view."""
    together, alone = seen

    assert [*map(told, outcomes_of(batch, together))] == [*map(told, one_by_one(batch, alone))]
    assert {name: calendar.live for name, calendar in together.calendars.items()} == {
        name: calendar.live for name, calendar in alone.calendars.items()
    }


def test_whatever_the_rules_read_makes_another_question() -> None:
    """Resource, pool, service, times, guests and lifted rules do; who books, and how long a hold lasts, do not."""
    questions = [wanted(**fields).question for fields in ({}, *DECISIVE)]

    assert len({*questions}) == len(questions)
    assert {wanted(**fields).question for fields in INDIFFERENT} == {wanted().question}


def test_a_crowd_for_one_slot_is_judged_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first booking is accepted, and one judgement refuses the others; all of them get the same refusal."""
    judged: list[ObjectId] = []
    judge = Book.judge

    def counted(self: Book, view: Any) -> Any:
        judged.append(self.operation)
        return judge(self, view)

    monkeypatch.setattr(Book, "judge", counted)
    crowd = [wanted(customer=f"c{number}", notes=str(number)) for number in range(64)]
    first, *others = outcomes_of(crowd, FixedView([ResourceRules(ROOM_ID)]))

    assert isinstance(first, Accepted)
    assert judged == [crowd[0].operation, crowd[1].operation]
    assert isinstance(others[0], Refused)
    assert all(each is others[0] for each in others)


def test_a_cancellation_lets_the_next_one_in() -> None:
    """What is accepted between two equal questions can change the answer."""
    view = FixedView([ResourceRules(ROOM_ID)], rows=[stored_row(_id=STORED[0])])
    cancelled = Close(by="test", reservation=STORED[0], to="cancelled")
    kinds = [type(each) for each in outcomes_of([wanted(), wanted(), cancelled, wanted(), wanted()], view)]

    assert kinds == [Refused, Refused, Accepted, Accepted, Refused]
