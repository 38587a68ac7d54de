"""Findings as tables for a terminal, or for a pipe in whole lines."""

from rich.table import Table
from rich.text import Text

from app.cli.common import render_text
from app.cli.tables import short, table, when
from app.reconciliation.findings.schemas import FindingAnswer, FindingHistoryEntry, FindingReservation
from app.storage.documents import Acceptance, Finding
from app.storage.values import printable

NAMES_MAX = 3
"""Customers of a finding that the list names; the others are counted."""


def parts_of(answer: FindingAnswer, finding: Finding) -> list[str]:
    """The page of a finding: its fields, reservations, proposals and history."""
    lines = [("id", answer.id), ("resource", _name_with_id(answer.resource_name, answer.resource))]
    lines += [("window", f"{when(answer.from_)} to {when(answer.to)}"), ("load", load(answer))]
    lines += [("state", answer.state), ("assignee", answer.assignee), ("accepted", _accepted(finding.acceptance))]
    lines += [("merged into", answer.merged_into), ("split from", answer.split_from)]
    lines += [("seen", f"{when(answer.first_seen)} to {when(answer.last_seen)}")]
    plain = Table(box=None, pad_edge=False, show_header=False)
    for name, value in lines:
        if value is not None:
            plain.add_row(Text(name), Text(printable(value)))
    parts = [render_text(plain), render_text(table(_RESERVATION, [_row(each) for each in answer.reservations]))]
    if answer.reservation_count > len(answer.reservations):
        parts.append(f"{len(answer.reservations):,} of {answer.reservation_count:,} reservations")
    if answer.proposals:
        moves = [
            (each.reservation, each.resource, when(each.start_time), when(each.end_time)) for each in answer.proposals
        ]
        parts.append(render_text(table(("would fit", "resource", "start", "end"), moves)))
    history = [(when(each.at), each.by, each.to, _history_note(each)) for each in answer.history]
    parts.append(render_text(table(("at", "by", "state", "note"), history)))
    return parts


_RESERVATION = ("reservation", "customer", "start", "end", "units", "status", "made", "by")


def _row(each: FindingReservation) -> tuple[object, ...]:
    who = _name_with_id(each.customer_name, each.customer)
    created = short(each.created_at)
    return (each.id, who, short(each.start_time), short(each.end_time), each.units, each.status, created, each.by)


def _history_note(line: FindingHistoryEntry) -> str:
    """The note of a history entry, and the reservations that joined or left."""
    ids = (("joined", line.joined), ("left", line.left))
    return "; ".join([*([line.note] if line.note else []), *(f"{verb}: {', '.join(who)}" for verb, who in ids if who)])


def _accepted(acceptance: Acceptance | None) -> str | None:
    if acceptance is None:
        return None
    until = "" if acceptance.until is None else f" until {when(acceptance.until)}"
    return f"by {acceptance.by}{until}: a peak of {acceptance.peak:,}, {acceptance.excess:,} above the capacity"


def about(answer: FindingAnswer) -> str:
    """The resource, window and assignee of a finding."""
    whose = "" if answer.assignee is None else f", assigned to {answer.assignee}"
    return f"{answer.resource} {when(answer.from_)} to {when(answer.to)}{whose}"


def load(answer: FindingAnswer) -> str:
    """The peak and the capacity."""
    return f"{answer.peak:,} of {answer.capacity:,}"


def who(answer: FindingAnswer) -> str:
    """The first customers of a finding, and the number of the others."""
    names = [*dict.fromkeys(each.customer_name or each.customer or each.id for each in answer.reservations)]
    more = max(len(names) - NAMES_MAX, 0) + answer.reservation_count - len(answer.reservations)
    return ", ".join(names[:NAMES_MAX]) + (f" and {more:,} more" if more else "")


def _name_with_id(name: str | None, identity: str | None) -> str | None:
    return identity if name is None else f"{name} ({identity})"
