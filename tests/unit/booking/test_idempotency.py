"""Idempotency keys: what a key's hash tells apart, where an answer stands, and what a repetition is answered."""

from collections.abc import Sequence
from typing import Any

import pytest
from bson import ObjectId

from app.booking.idempotency import AnyToken, Replay, Token, key_hash, read_answers, replay, request_hash
from app.booking.outcomes import Accepted
from app.errors import Problem
from app.storage.documents import Reservation, StoredAnswer
from app.storage.steps import Step
from tests.support.booking_view import stored_row
from tests.support.times import NINE

ANSWER = StoredAnswer(request_hash="h", status=201, headers={"ETag": '"1"'}, body="{}")


def token(key: str = "k", *, own_document: bool = False, request: str = "h") -> Token[Any]:
    """A key whose answer is always the same."""
    return Token(key, request, lambda _: ANSWER, own_document=own_document)


def answers(tokens: Sequence[AnyToken], *results: list[dict[str, Any]]) -> tuple[dict[str, StoredAnswer], list[Step]]:
    """The answers that are read, where the database answers the finds with these results; and the finds."""
    body, finds, left = read_answers(tokens), list[Step](), [*results]
    try:
        step = next(body)
        while True:
            finds.append(step)
            step = body.send(left.pop(0))
    except StopIteration as end:
        return end.value, finds


def test_a_key_belongs_to_its_caller_and_route() -> None:
    """Equal keys of others have other hashes, and no three texts run into one another."""
    same = key_hash("caller", "/v1/reservations", "k")

    assert key_hash("caller", "/v1/reservations", "k") == same
    others = [("other", "/v1/reservations", "k"), ("caller", "/v1/groups", "k"), ("caller", "/v1/reservations", "l")]
    assert same not in {key_hash(*each) for each in others}
    assert key_hash("a", "bc", "d") != key_hash("ab", "c", "d")


def test_equal_json_is_the_same_request() -> None:
    """In whatever order its members come; another value, type or parameter makes another request."""
    same = request_hash({"a": 1, "b": [1, 2]}, [])

    assert request_hash({"b": [1, 2], "a": 1}, []) == same
    for body in ({"a": 1, "b": [2, 1]}, {"a": True, "b": [1, 2]}, {"a": "1", "b": [1, 2]}):
        assert request_hash(body, []) != same
    assert request_hash({"a": 1, "b": [1, 2]}, [("force", "true")]) != same


class TestStored:
    """Where the answer is put, so that it commits with what it answers."""

    def test_on_the_reservation_that_was_made(self) -> None:
        """Under the key's hash, which a unique index guards."""
        made = Reservation.model_validate(stored_row())
        accepted = Accepted(made, proof=("reservations", {"_id": made.id}), inserts=[made])

        assert token().store_answer(accepted, NINE) == ANSWER
        assert (made.idempotency_key, made.idempotency) == ("k", ANSWER)
        assert accepted.documents == []

    def test_in_a_document_of_its_own(self) -> None:
        """About several reservations; what was made carries nothing, and keeps its proof."""
        made = Reservation.model_validate(stored_row())
        accepted = Accepted([made], proof=("reservations", {"_id": made.id}), inserts=[made])
        token(own_document=True).store_answer(accepted, NINE)

        ((collection, document),) = accepted.documents
        assert (collection, document["_id"], document["requestHash"], document["body"]) == ("answers", "k", "h", "{}")
        assert (document["at"], document["reservations"]) == (NINE, [made.id])
        assert made.idempotency_key is None
        assert accepted.proof == ("reservations", {"_id": made.id})

    def test_alone_where_nothing_had_to_change(self) -> None:
        """Then the answer is what proves that the commit was applied."""
        accepted = Accepted(list[Reservation](), proof=("reservations", {"_id": ObjectId()}))
        token(own_document=True).store_answer(accepted, NINE)

        assert accepted.proof == ("answers", {"_id": "k"})

    def test_never_beside_what_cannot_carry_it(self) -> None:
        """That would be a key without its answer."""
        with pytest.raises(TypeError):
            token().store_answer(Accepted([1], proof=("", {})), NINE)


class TestRead:
    """The stored answers of a batch."""

    def test_of_both_places(self) -> None:
        """One find each, and only where a token asks for it; a key without an answer is left out."""
        stored = ANSWER.model_dump(by_alias=True)
        on_reservation = [{"idempotencyKey": "a", "idempotency": stored}]
        found, finds = answers(
            [token("a"), token("b"), token("c", own_document=True)], on_reservation, [{"_id": "c", **stored}]
        )

        assert found == {"a": ANSWER, "c": ANSWER}
        assert [(each.collection, each.arguments[0]) for each in finds] == [
            ("reservations", {"idempotencyKey": {"$in": ["a", "b"]}}),
            ("answers", {"_id": {"$in": ["c"]}}),
        ]
        assert answers([]) == ({}, [])

    def test_one_that_others_damaged_matches_no_request(self) -> None:
        """So a repetition is refused and nothing is done twice."""
        found, _ = answers([token("a")], [{"idempotencyKey": "a", "idempotency": {"status": "fine"}}])

        assert isinstance(replay(token("a"), found["a"]), Problem)

    def test_a_reservation_that_lost_its_answer_has_none(self) -> None:
        """The unique index still refuses a second one."""
        assert answers([token("a")], [{"idempotencyKey": "a"}])[0] == {}


def test_a_repetition_gets_the_first_answer_and_another_request_none() -> None:
    """Byte for byte, or `idempotency-mismatch`."""
    assert replay(token(), ANSWER) == Replay(ANSWER)
    other = replay(token(request="other"), ANSWER)

    assert isinstance(other, Problem)
    assert other.name == "idempotency-mismatch"
