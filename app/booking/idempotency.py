"""Idempotency keys: the first answer again, byte for byte, whatever happened to the reservation since.

A key and what it made commit together, on the same document, so there is never a key without its booking. Keys are
kept as hashes of the API key's id, the route and the client's key: those of other callers are invisible. A refused
request stores nothing, so that its repetition is judged afresh.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from app.booking.intents import Token
from app.errors import Problem
from app.storage.documents import StoredAnswer
from app.storage.steps import Steps, find


@dataclass(frozen=True, slots=True)
class Replay:
    """What the first request of this key was answered."""

    answer: StoredAnswer


def key_hash(caller: str, route: str, key: str) -> str:
    """How a client's key is kept: nobody else's route or key can name it."""
    return hashlib.sha256(json.dumps([caller, route, key]).encode()).hexdigest()


def request_hash(body: Any, query: Sequence[tuple[str, str]]) -> str:
    """The same for equal JSON and equal parameters, however they were written.

    Args:
        body: The parsed body, an object.
        query: The parameters, sorted.
    """
    asked = [body, query] if query else body
    return hashlib.sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def answers_of(tokens: Sequence[Token]) -> Steps[dict[str, StoredAnswer]]:
    """What is stored under the keys of these tokens."""
    told: dict[str, StoredAnswer] = {}
    beside = [token.key for token in tokens if not token.apart]
    if beside:
        query = {"idempotencyKey": {"$in": beside}}
        for row in (yield find("replays.read", "reservations", query, "idempotencyKey", "idempotency")):
            if "idempotency" in row:
                told[row["idempotencyKey"]] = _answer(row["idempotency"])
    apart = [token.key for token in tokens if token.apart]
    if apart:
        for row in (yield find("replays.read", "answers", {"_id": {"$in": apart}})):
            told[row["_id"]] = _answer(row)
    return told


def _answer(stored: Any) -> StoredAnswer:
    """The answer as it is kept; one that somebody has spoilt is that of another request, and nothing is done twice."""
    try:
        answer: StoredAnswer = StoredAnswer.model_validate(stored)
    except ValidationError:
        return StoredAnswer(request_hash="", status=0, headers={}, body="")
    return answer


def replay(token: Token, stored: StoredAnswer) -> Replay | Problem:
    """The stored answer, or that the key was used for something else."""
    if stored.request_hash == token.request_hash:
        return Replay(stored)
    return Problem(
        "idempotency-mismatch",
        "This Idempotency-Key was used with another body or query; use a new key for a new request.",
    )
