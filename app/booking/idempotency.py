"""Idempotency keys: a repeated request gets its first answer again, byte for byte, whatever was changed since.

A key commits together with the reservation of its request, so there is never a key without its booking. The answer is
stored on the reservation that was made; an answer about several reservations has a document of its own. Keys are stored
as hashes of the API key's id, the route and the client's key, so that one caller's keys are invisible to another. A
refused request stores nothing, so that its repetition is judged afresh. Keys and answers are removed after some weeks
(`app.booking.pruning`), and texts in an answer with the customer whose they are (`app.booking.erasure`).
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Never, TypeVar

from pydantic import ValidationError

from app.booking.outcomes import Accepted, BookedSeries
from app.errors import Problem
from app.storage.documents import Reservation, StoredAnswer
from app.storage.reservation_steps import (
    ANSWERS,
    answer_record,
    answers_in,
    read_answer_records,
    read_answers_of_reservations,
)
from app.storage.steps import Steps

T_contra = TypeVar("T_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Replay:
    """The answer that the first request with the key was given."""

    answer: StoredAnswer


@dataclass(frozen=True, slots=True)
class Token(Generic[T_contra]):
    """What the write path knows of a request with an Idempotency-Key.

    Args:
        key: The hash of the key; see `key_hash`.
        request_hash: The hash of body and query; see `request_hash`.
        render: Renders the answer from the accepted value.
        own_document: The answer is about several reservations, so that it is stored in a document of its own.
    """

    key: str
    request_hash: str
    render: Callable[[T_contra], StoredAnswer]
    own_document: bool = False

    def store_answer(self, accepted: Accepted[T_contra], at: datetime) -> StoredAnswer:
        """Add the answer to the writes of the accepted intent, so that both commit together.

        Args:
            accepted: What is written and answered.
            at: The time of the request.

        Raises:
            TypeError: the answer is to be stored on the reservation that was made, and none was made.
        """
        answer = self.render(accepted.value)
        if self.own_document:
            if not accepted.writes:  # nothing had to change: the answer alone is new
                accepted.proof = (ANSWERS, {"_id": self.key})
            accepted.documents.append(answer_record(self.key, answer, at, _all_of(accepted.value)))
        elif isinstance(accepted.value, Reservation):
            accepted.value.idempotency_key, accepted.value.idempotency = self.key, answer
        else:
            raise TypeError("only a reservation can carry its answer")
        return answer


def _all_of(value: object) -> list[Reservation]:
    """The reservations that an answer about several is about."""
    if isinstance(value, BookedSeries):
        return [*value.reservations]
    return [each for each in value if isinstance(each, Reservation)] if isinstance(value, list) else []


AnyToken = Token[Never]
"""A token whose answer is not rendered here."""


def key_hash(caller: str, route: str, key: str) -> str:
    """The hash under which a client's key is stored; no other caller's or route's key has the same.

    Args:
        caller: The id of the API key.
        route: The path of the request.
        key: The client's Idempotency-Key.
    """
    return hashlib.sha256(json.dumps([caller, route, key]).encode()).hexdigest()


def request_hash(body: object, query: Sequence[tuple[str, str]]) -> str:
    """The hash of a request, the same for equal JSON and equal parameters in whatever order.

    Args:
        body: The parsed body, an object.
        query: The parameters, sorted.
    """
    request = [body, query] if query else body
    return hashlib.sha256(json.dumps(request, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def is_use_of_a_key(error: Exception) -> bool:
    """Whether the server refused a write because another document has its Idempotency-Key."""
    details = getattr(error, "details", None) or {}
    for refusal in details.get("writeErrors", [details]):
        if "idempotencyKey" in refusal.get("keyPattern", ()) or f".{ANSWERS} " in refusal.get("errmsg", ""):
            return True
    return False


def read_answers(tokens: Sequence[AnyToken]) -> Steps[dict[str, StoredAnswer]]:
    """The stored answers of these tokens, by key; a key without an answer is left out."""
    answers: dict[str, StoredAnswer] = {}
    on_reservations = [token.key for token in tokens if not token.own_document]
    if on_reservations:
        found = answers_in((yield read_answers_of_reservations(on_reservations)))
        answers |= {key: _parse_answer(stored) for key, stored in found.items()}
    in_documents = [token.key for token in tokens if token.own_document]
    if in_documents:
        for row in (yield read_answer_records(in_documents)):
            answers[row["_id"]] = _parse_answer(row)
    return answers


def _parse_answer(stored: object) -> StoredAnswer:
    """The stored answer; one that another program has damaged matches no request, so that nothing is done twice."""
    try:
        answer: StoredAnswer = StoredAnswer.model_validate(stored)
    except ValidationError:
        return StoredAnswer(request_hash="", status=0, headers={}, body="")
    return answer


def replay(token: AnyToken, stored: StoredAnswer) -> Replay | Problem:
    """The stored answer, or `idempotency-mismatch` where the key was used for another request."""
    if stored.request_hash == token.request_hash:
        return Replay(stored)
    return Problem(
        "idempotency-mismatch",
        "This Idempotency-Key was used with another body or query; use a new key for a new request.",
    )
