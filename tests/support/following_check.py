"""What a follower of changes must have got, by the stored reservations alone: no line of the app judges here."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from pymongo.database import Database

HISTORY_LINES = 50
"""A stored history has its last lines, so many at most."""


class Received(NamedTuple):
    """An event of a reservation as a follower got it.

    Args:
        id: The id of the event.
        reservation: The id of the reservation.
        version: The version that the change has made.
        shown: The version of the reservation that came with it.
        line: When, by whom and what was changed.
    """

    id: str
    reservation: str
    version: int
    shown: int
    line: "Line"


class Line(NamedTuple):
    """What an event and a line of the stored history both say of a change."""

    at: datetime
    by: str
    changed: Sequence[str] | None


def received_of(event: Mapping[str, Any]) -> Received:
    """An event as the API writes it."""
    reservation = event["reservation"]
    line = Line(datetime.fromisoformat(event["at"]), event["by"], event.get("changed"))
    return Received(event["id"], reservation["id"], event["version"], reservation["version"], line)


class Stored(NamedTuple):
    """A stored reservation: its version, and what its history says of the last ones."""

    version: int
    lines: Mapping[int, Line]


def stored_reservations(database: Database[dict[str, Any]]) -> dict[str, Stored]:
    """All reservations of a database, by id."""
    return stored_of(database["reservations"].find({}, {"version": 1, "history": 1}))


def stored_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Stored]:
    """Reservations as they are stored, by id.

    Raises:
        ValueError: if a history does not have a line for each version, so that it proves nothing.
    """
    stored = {}
    for row in rows:
        version, history = row["version"], row["history"]
        if len(history) != min(version, HISTORY_LINES):
            raise ValueError(f"{row['_id']} has version {version} and {len(history)} lines of history")
        numbered = enumerate(history, version - len(history) + 1)
        lines = {number: Line(line["at"], line["by"], line.get("changed")) for number, line in numbered}
        stored[str(row["_id"])] = Stored(version, lines)
    return stored


class Missed(NamedTuple):
    """A version of which no event came."""

    reservation: str
    version: int


def missed(received: Iterable[Received], stored: Mapping[str, Stored]) -> list[Missed]:
    """The stored versions of which a follower has got no event."""
    got = {(each.reservation, each.version) for each in received}
    return [
        Missed(reservation, version)
        for reservation, known in stored.items()
        for version in range(1, known.version + 1)
        if (reservation, version) not in got
    ]


def faults(received: Sequence[Received], stored: Mapping[str, Stored]) -> list[str]:
    """What is wrong with what a follower has got, whatever it may still get.

    Args:
        received: In the order in which it came.
        stored: What was stored at that time or later.
    """
    found = []
    versions: dict[str, int] = {}
    last = ""
    for each in received:
        what = f"event {each.id}, version {each.version} of {each.reservation}"
        if each.id <= last:
            found.append(f"{what} came after event {last}")
        last = max(last, each.id)
        expected = versions.get(each.reservation, 0) + 1
        if each.version != expected:
            found.append(f"{what} came where version {expected} was due")
        versions[each.reservation] = max(expected - 1, each.version)
        found += _contradictions(each, what, stored.get(each.reservation))
    return found


def disagreements(of_all: Iterable[Sequence[Received]]) -> list[str]:
    """The ids under which followers have got different events."""
    known: dict[str, Received] = {}
    received = chain.from_iterable(of_all)
    return [
        f"event {each.id} is {each} and {known[each.id]}"
        for each in received
        if known.setdefault(each.id, each) != each
    ]


def _contradictions(each: Received, what: str, stored: Stored | None) -> list[str]:
    """What an event says that the stored reservation does not."""
    if stored is None or each.version > stored.version:
        return [f"{what} is about what was never stored"]
    found = []
    if not each.version <= each.shown <= stored.version:
        found.append(f"{what} shows version {each.shown}")
    line = stored.lines.get(each.version)
    if line is not None and line != each.line:
        found.append(f"{what} says {each.line}, and the history {line}")
    return found
