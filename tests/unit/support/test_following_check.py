"""The check of what followers have got: each way in which a follower can be wrong is seen."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.following_check import Missed, Received, disagreements, faults, missed, received_of, stored_of
from tests.support.times import NINE

LINES: list[dict[str, Any]] = [{"at": NINE + timedelta(minutes=number), "by": "key"} for number in range(3)]
STORED = stored_of([{"_id": "a", "version": 3, "history": LINES}, {"_id": "b", "version": 1, "history": LINES[:1]}])


def received(number: int, version: int, reservation: str = "a", shown: int | None = None, **fields: Any) -> Received:
    """An event as the API writes it, right but for the given fields; `shown`: the version of its reservation."""
    event = {"id": f"{number:04}", "version": version, "at": LINES[version % 3 - 1]["at"].isoformat(), "by": "key"}
    return received_of({**event, "reservation": {"id": reservation, "version": shown or version}, **fields})


ALL = [received(1, 1), received(2, 1, "b"), received(3, 2), received(4, 3)]


def test_all_is_well() -> None:
    """Each version once and in order, whatever lies between, has no fault, and none is missed."""
    assert (missed(ALL, STORED), faults(ALL, STORED)) == ([], [])
    assert faults(ALL[:3], STORED) == []


def test_what_is_missed() -> None:
    """A version of which no event came is named, at the end and before it."""
    assert missed([ALL[0], ALL[3]], STORED) == [Missed("a", 2), Missed("b", 1)]


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([*ALL, ALL[3]], ["came after event 0004", "where version 4 was due"]),
        ([*ALL, received(5, 3)], ["where version 4 was due"]),
        ([received(1, 1), received(2, 3), received(3, 2)], ["where version 2 was due", "where version 4 was due"]),
        ([received(2, 1), received(1, 1, "b")], ["came after event 0002"]),
        ([received(1, 1, "c")], ["never stored"]),
        ([received(1, 1, "b"), received(2, 2, "b")], ["never stored"]),
        ([received(1, 1), received(2, 2, shown=1)], ["shows version 1"]),
        ([received(1, 1, shown=4)], ["shows version 4"]),
        ([received(1, 1, by="other")], ["and the history"]),
        ([received(1, 1, changed=["notes"])], ["and the history"]),
        ([received(1, 1, at="2030-01-01T00:00:00.000Z")], ["and the history"]),
    ],
    ids=[
        "again",
        "again under another id",
        "out of order",
        "ids go back",
        "of nothing",
        "not yet",
        "state before",
        "state after",
        "by",
        "changed",
        "at",
    ],
)
def test_what_is_wrong(events: list[Received], words: list[str]) -> None:
    """Each fault is told, and no other."""
    found = faults(events, STORED)

    assert len(found) == len(words)
    assert [each for each, word in zip(found, words, strict=True) if word not in each] == []


def test_followers_that_disagree() -> None:
    """An id under which two followers have got different events is told."""
    assert disagreements([ALL, ALL[1:], []]) == []
    assert len(disagreements([ALL, [received(2, 1, "b", shown=2)]])) == 1


def test_a_history_that_proves_nothing() -> None:
    """Versions without their line in the history stop the check, except those of which a history keeps none."""
    with pytest.raises(ValueError, match="version 3 and 2 lines"):
        stored_of([{"_id": "a", "version": 3, "history": LINES[:2]}])
    long = stored_of([{"_id": "a", "version": 60, "history": LINES[:1] * 50}])["a"]
    assert (long.version, min(long.lines), max(long.lines)) == (60, 11, 60)
