"""The texts about people in stored reservations, answers, events and findings, and the same documents without them.

Ids, times, states and numbers stay. What a new field of a reservation says about people is added to `TEXT_FIELDS`.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from app.storage.bson_types import BsonDocument, Row, UpdateDocument
from app.storage.reservation_updates import HISTORY_LINES_MAX, STAMP, HistoryLine
from app.storage.stored_reservations import customer_of

TEXT_FIELDS = ("notes", "metadata", "reference", "holder", "cancellationReason")
"""The fields of a reservation that callers write freely; the last one is payload-reserve's."""
ERASED = "erased"
"""The reason in the line of a history that says that texts were cleared."""

IsTheirs: TypeAlias = Callable[[Row], bool]
"""Whether a reservation in an answer is the customer's whose texts are cleared."""


def reservation_erasure(row: Row, customer: str, line: HistoryLine) -> UpdateDocument | None:
    """The update that clears the texts of a customer from a reservation; None where there are none.

    A reservation that was handed over to another customer loses the reasons from before that and the texts in its
    stored answer; what it says now is the other's. Clearing only the answer is no change of the reservation.

    Args:
        row: The reservation, with its texts, history, version and stored answer.
        customer: The id of the customer.
        line: The line for the history, with its reason, without the names of the fields.
    """
    is_theirs = customer_of(row) == customer
    fields = [name for name in TEXT_FIELDS if name in row] if is_theirs else []
    history = _without_reasons(row.get("history", []), until_handed_over=not is_theirs)
    update: UpdateDocument = {}
    if fields or history is not None:
        changed = sorted(fields if history is None else [*fields, "history"])
        update = _change(row, history, {**line, "changed": changed}, fields)
    body = _stored_body(row)
    shorter = body and body_without_texts(body, lambda made: is_theirs or made.get("customer") == customer)
    if shorter is not None and shorter != body:
        update["$set"] = update.get("$set", {}) | {"idempotency.body": shorter}
    return update or None


def _change(row: Row, history: Sequence[object] | None, line: HistoryLine, unset: Sequence[str]) -> UpdateDocument:
    """The update of a reservation without some fields, with one more line in its history or in another one."""
    stored = row.get("history")
    before = history if history is not None else stored if isinstance(stored, list) else []
    change: UpdateDocument = {"$set": {"history": [*before, line][-HISTORY_LINES_MAX:]}, "$currentDate": STAMP}
    if unset:
        change["$unset"] = dict.fromkeys(unset, "")
    version = row.get("version", 0)
    if isinstance(version, int | float) and not isinstance(version, bool):  # else another program wrote no number
        change["$inc"] = {"version": 1}
    return change


def line_of_erasure(update: UpdateDocument) -> HistoryLine | None:
    """The line that the update of an erasure adds to the history; None where it makes no version of the reservation."""
    if "$inc" not in update:
        return None
    line: HistoryLine = update["$set"]["history"][-1]
    return line


def state_erasure(state: Row, customer: str, *, is_theirs: bool) -> UpdateDocument | None:
    """The update that clears the texts of a customer from the `state` of an event; None where there are none.

    It removes single fields, so that it may follow any other of its kind.

    Args:
        state: The reservation as it was, with its texts, customer and history.
        customer: The id of the customer.
        is_theirs: Whether the reservation is the customer's now; else only those states are that name the customer, and
            others lose the reasons from before it was handed over.
    """
    is_theirs = is_theirs or customer_of(state) == customer
    unset = [name for name in TEXT_FIELDS if is_theirs and name in state]
    stored = state.get("history", [])
    if not isinstance(stored, list):
        return {"$set": {"state.history": []}} | _unset_of_state(unset)
    history = _without_reasons(stored, until_handed_over=not is_theirs) or stored
    cleared = enumerate(zip(stored, history, strict=True))
    unset += [f"history.{place}.reason" for place, (before, after) in cleared if before != after]
    return _unset_of_state(unset) or None


def _unset_of_state(names: Sequence[str]) -> UpdateDocument:
    return {"$unset": {f"state.{name}": "" for name in names}} if names else {}


def erasure_filter(row: Row) -> BsonDocument:
    """The filter of a reservation that is as it was read, as far as clearing its texts depends on it."""
    body = _stored_body(row)
    known = {"_id": row["_id"], "version": row.get("version")}
    return known if body is None else known | {"idempotency.body": body}


def body_without_texts(body: str, is_theirs: IsTheirs) -> str | None:
    """The body of an answer without the texts of some of its reservations; None where it has none of them.

    A body that cannot be read was damaged by another program, and none of it stays.
    """
    try:
        answer = json.loads(body)
        members = [answer, *answer.get("reservations", [])]
        cleared = [_clear_member(each) for each in members if isinstance(each, dict) and is_theirs(each)]
    except (ValueError, TypeError, AttributeError):
        return None if body == "" else ""
    return msgspec.json.encode(answer).decode() if any(cleared) else None


def history_without_notes(history: Sequence[Row], runs: str) -> list[Row] | None:
    """The history of a finding without people's notes; None where there are none. `runs` is who wrote the others."""
    if not any(is_note_of_person(each, runs) for each in history):
        return None
    return [_without(each, "note") if is_note_of_person(each, runs) else each for each in history]


def is_note_of_person(line: Row, runs: str) -> bool:
    """Whether a line in the history of a finding has a note that is neither of a run nor of an erasure."""
    return line.get("note", ERASED) != ERASED and line.get("by") != runs


def _stored_body(row: Row) -> str | None:
    stored = row.get("idempotency")
    body = stored.get("body") if isinstance(stored, dict) else None
    return body if isinstance(body, str) else None


def _clear_member(member: BsonDocument) -> bool:
    """Remove the texts of a reservation in an answer; whether there were any."""
    found = [member.pop(name) for name in TEXT_FIELDS if name in member]
    history = _without_reasons(member.get("history", []), until_handed_over=False)
    if history is not None:
        member["history"] = history
    return bool(found) or history is not None


def _without_reasons(history: Any, *, until_handed_over: bool) -> list[Any] | None:
    """The lines of a history without reasons; None where there are none. One that is no list is none of Reserva's."""
    if not isinstance(history, list):
        return []
    handed_over = [place for place, line in enumerate(history) if _is_handing_over(line)]
    last = max(handed_over, default=-1) if until_handed_over else len(history)
    cleared = [
        _without(line, "reason") if place <= last and _has_reason(line) else line for place, line in enumerate(history)
    ]
    return cleared if cleared != history else None


def _is_handing_over(line: object) -> bool:
    changed = line.get("changed") if isinstance(line, dict) else None
    return isinstance(changed, list) and "customer" in changed


def _has_reason(line: object) -> bool:
    return isinstance(line, dict) and line.get("reason", ERASED) != ERASED


def _without(line: Row, name: str) -> BsonDocument:
    return {each: value for each, value in line.items() if each != name}
