"""The history of a finding is bounded, and entries of reviewers outlast entries of the sweep."""

from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from app.reconciliation.finding_history import ACTOR_WORKER, ENTRIES_MAX, IDS_MAX, bounded, run_entry
from app.storage.stored_findings import FindingWindow

AT = datetime(2030, 1, 7, tzinfo=UTC)
WINDOW = FindingWindow(AT, AT, peak=3, capacity=1)


def test_an_entry_names_some_and_counts_the_others() -> None:
    """However many join, the line stays short, whatever their ids look like."""
    joined = [ObjectId() for _ in range(IDS_MAX + 5)]
    entry = run_entry(AT, "open", WINDOW, ["others joined", None], joined, ["x" * 10_000])

    assert entry["joined"] == list(map(str, joined[:IDS_MAX]))
    assert entry["note"] == "others joined; 5 more joined"
    assert len(entry["left"][0]) < 1_000
    assert (entry["by"], entry["to"], entry["from"], entry["until"], entry["peak"]) == (ACTOR_WORKER, "open", AT, AT, 3)


def test_an_entry_has_no_empty_fields() -> None:
    """No note, none joined, none left: the entry has no such fields."""
    assert run_entry(AT, "open", WINDOW).keys() == {"at", "by", "to", "from", "until", "peak", "capacity"}


def test_words_outlast_what_the_sweep_saw() -> None:
    """Beyond its bound the oldest of the sweep's entries go first; the newest entry always stays."""
    words: list[dict[str, Any]] = [{"by": "ann", "at": number} for number in range(ENTRIES_MAX - 2)]
    seen: list[dict[str, Any]] = [{"by": ACTOR_WORKER, "at": number} for number in range(10)]
    few = bounded([seen[0], words[0], *seen[1:]])
    many = bounded([*seen, *words, seen[-1]])
    more = bounded([*words, *words, seen[0]])

    assert few == [seen[0], words[0], *seen[1:]]
    assert many == [seen[-1], *words, seen[-1]]
    assert (len(more), more[-1]) == (ENTRIES_MAX, seen[0])
