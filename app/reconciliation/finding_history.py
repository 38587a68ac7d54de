"""The entries that runs write into the history of a finding: its state and the window from then on."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from app.domain.finding_identity import State
from app.storage.bson_types import BsonDocument, Row
from app.storage.stored_findings import FindingWindow
from app.storage.values import shown_text

ACTOR_WORKER = "worker"
ENTRIES_MAX = 50
"""Entries of a history: beyond that many the oldest of runs are dropped first, then people's."""
IDS_MAX = 20
"""Ids that one entry names; the others are counted."""
NOTE_LENGTH_MAX = 500


def run_entry(
    at: datetime,
    to: State,
    window: FindingWindow,
    notes: Iterable[str | None] = (),
    joined: Sequence[object] = (),
    left: Sequence[object] = (),
) -> BsonDocument:
    """The entry of a change by a run.

    Args:
        at: When the run saw it.
        to: The state from then on.
        window: The window as it was then.
        notes: What else to note; None is nothing.
        joined: Ids of reservations that were not in the window before.
        left: Ids of those that are not any more.
    """
    more = [_count_of_others(joined, "joined"), _count_of_others(left, "left")]
    note = "; ".join(each for each in (*notes, *more) if each)[:NOTE_LENGTH_MAX]
    fields = {
        "note": note,
        "from": window.start,
        "until": window.end,
        "peak": window.peak,
        "capacity": window.capacity,
        "joined": [shown_text(each) for each in joined[:IDS_MAX]],
        "left": [shown_text(each) for each in left[:IDS_MAX]],
    }
    present = {name: value for name, value in fields.items() if value not in ("", [])}
    return {"at": at, "by": ACTOR_WORKER, "to": to, **present}


def first_ids(ids: Sequence[object]) -> str:
    """The first of these ids, and how many more there are."""
    more = f" and {len(ids) - IDS_MAX} more" if len(ids) > IDS_MAX else ""
    return ", ".join(shown_text(each) for each in ids[:IDS_MAX]) + more


def bounded(history: Sequence[Row]) -> list[Row]:
    """The entries that a history keeps: those of people outlast those of runs."""
    surplus = len(history) - ENTRIES_MAX
    droppable = [place for place, each in enumerate(history[:-1]) if each["by"] == ACTOR_WORKER]
    dropped = set(droppable[: max(surplus, 0)])
    return [each for place, each in enumerate(history) if place not in dropped][-ENTRIES_MAX:]


def _count_of_others(ids: Sequence[object], verb: str) -> str | None:
    return f"{len(ids) - IDS_MAX} more {verb}" if len(ids) > IDS_MAX else None
