"""Findings as tables for a terminal, or for a pipe in whole lines."""

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from app.cli.common import shown
from app.domain.instants import render
from app.reconciliation.findings.schemas import FindingAnswer, FindingHistoryEntry, FindingReservation
from app.storage.documents import Acceptance, Finding
from app.storage.values import printable

NAMED = 3
"""Of the people of a finding in the list; of more it says how many."""

_WHOLE_MINUTE = ":00.000Z"


def parts_of(answer: FindingAnswer, finding: Finding) -> list[str]:
    """A finding as a page: what it is, who is in it, what could be done, what was said."""
    lines = [("id", answer.id), ("resource", _named(answer.resource_name, answer.resource))]
    lines += [("window", f"{when(answer.from_)} to {when(answer.to)}"), ("load", load(answer))]
    lines += [("state", answer.state), ("assignee", answer.assignee), ("accepted", _accepted(finding.acceptance))]
    lines += [("merged into", answer.merged_into), ("split from", answer.split_from)]
    lines += [("seen", f"{when(answer.first_seen)} to {when(answer.last_seen)}")]
    plain = Table(box=None, pad_edge=False, show_header=False)
    for name, value in lines:
        if value is not None:
            plain.add_row(Text(name), Text(printable(value)))
    parts = [shown(plain), shown(table(_RESERVATION, [_row(each) for each in answer.reservations]))]
    if answer.reservation_count > len(answer.reservations):
        parts.append(f"{len(answer.reservations):,} of {answer.reservation_count:,} reservations")
    if answer.proposals:
        moves = [
            (each.reservation, each.resource, when(each.start_time), when(each.end_time)) for each in answer.proposals
        ]
        parts.append(shown(table(("would fit", "resource", "start", "end"), moves)))
    history = [(when(each.at), each.by, each.to, _noted(each)) for each in answer.history]
    parts.append(shown(table(("at", "by", "state", "note"), history)))
    return parts


_RESERVATION = ("reservation", "customer", "start", "end", "units", "status", "made", "by")


def _row(each: FindingReservation) -> tuple[object, ...]:
    who = _named(each.customer_name, each.customer)
    made = _short(each.created_at)
    return (each.id, who, _short(each.start_time), _short(each.end_time), each.units, each.status, made, each.by)


def _noted(line: FindingHistoryEntry) -> str:
    """What stands beside a change: the note, and who joined and left."""
    ids = (("joined", line.joined), ("left", line.left))
    return "; ".join([*([line.note] if line.note else []), *(f"{verb}: {', '.join(who)}" for verb, who in ids if who)])


def _accepted(acceptance: Acceptance | None) -> str | None:
    if acceptance is None:
        return None
    until = "" if acceptance.until is None else f" until {when(acceptance.until)}"
    return f"by {acceptance.by}{until}: a peak of {acceptance.peak:,}, {acceptance.excess:,} above the capacity"


def about(answer: FindingAnswer) -> str:
    """Where and when, and whose it is."""
    whose = "" if answer.assignee is None else f", assigned to {answer.assignee}"
    return f"{answer.resource} {when(answer.from_)} to {when(answer.to)}{whose}"


def load(answer: FindingAnswer) -> str:
    """How many units on how many."""
    return f"{answer.peak:,} of {answer.capacity:,}"


def who(answer: FindingAnswer) -> str:
    """The first people of a finding, and how many more there are."""
    names = [*dict.fromkeys(each.customer_name or each.customer or each.id for each in answer.reservations)]
    more = max(len(names) - NAMED, 0) + answer.reservation_count - len(answer.reservations)
    return ", ".join(names[:NAMED]) + (f" and {more:,} more" if more else "")


def _named(name: str | None, identity: str | None) -> str | None:
    return identity if name is None else f"{name} ({identity})"


def when(instant: datetime) -> str:
    """An instant, to the minute where it is a whole one."""
    return _short(render(instant)) or ""


def _short(text: str | None) -> str | None:
    """An instant without the seconds that it does not have."""
    if text is None or not text.endswith(_WHOLE_MINUTE):
        return text
    return text.removesuffix(_WHOLE_MINUTE) + "Z"


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table of texts of others; what is not there is an empty cell."""
    made = Table(box=None, pad_edge=False)
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for row in rows:
        made.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in row))
    return made
