"""What the sweep writes into the history of a finding: what became of it, and the window as it was then."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from app.domain.finding_identity import State
from app.storage.values import shown_text

BY = "worker"
MOST = 50
"""Entries that a finding keeps: beyond that many the oldest of the sweep's go first, then people's."""
NAMED = 20
"""Ids that one entry names; of more it says how many."""
NOTE_MOST = 500


def entry(
    at: datetime,
    to: State,
    window: Mapping[str, Any],
    notes: Iterable[str | None] = (),
    joined: Sequence[Any] = (),
    left: Sequence[Any] = (),
) -> dict[str, Any]:
    """One change of a finding.

    Args:
        at: When the sweep saw it.
        to: The state from then on.
        window: The stored window as it was then.
        notes: What else there is to say; None is nothing.
        joined: Ids of reservations that were not in the window before.
        left: Ids of those that are not any more.
    """
    more = [_more(joined, "joined"), _more(left, "left")]
    note = "; ".join(each for each in (*notes, *more) if each)[:NOTE_MOST]
    fields = {
        "note": note,
        "from": window["from"],
        "until": window["to"],
        "peak": window["peak"],
        "capacity": window["capacity"],
        "joined": [shown_text(each) for each in joined[:NAMED]],
        "left": [shown_text(each) for each in left[:NAMED]],
    }
    said = {name: value for name, value in fields.items() if value not in ("", [])}
    return {"at": at, "by": BY, "to": to, **said}


def some(ids: Sequence[Any]) -> str:
    """The first of these ids, and how many more there are."""
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(shown_text(each) for each in ids[:NAMED]) + more


def bounded(history: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The entries that are kept of these: what people said outlasts what the sweep saw."""
    surplus = len(history) - MOST
    mute = [place for place, each in enumerate(history[:-1]) if each["by"] == BY]
    dropped = set(mute[: max(surplus, 0)])
    return [each for place, each in enumerate(history) if place not in dropped][-MOST:]


def _more(ids: Sequence[Any], verb: str) -> str | None:
    return f"{len(ids) - NAMED} more {verb}" if len(ids) > NAMED else None
