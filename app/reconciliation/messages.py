"""What a message about findings says: a line for each of the first ones, safe to show in any chat system.

Ids and names are what somebody wrote into a database. In a message nobody is called by them, no link hides where it
goes, and none is longer than a person reads; a system may still show `*bold*` as such, or link a bare domain.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from app.domain.instants import render
from app.reconciliation.findings.context import Surroundings
from app.storage.documents import Finding
from app.storage.values import identity, printable, row_key, shown_text

LINES = 20
"""Findings that one message names; of more it says how many."""
CHARACTERS = 12_000
"""Of a message, about: the least that a chat system takes is some 16,000."""
RESERVATIONS = 4
"""Of one finding, that its line names."""

_WORD = 80
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "'"})
"""What Slack and its like want escaped, and the mark of code, which would take in all that follows."""
_GAP = "\N{ZERO WIDTH SPACE}"
_CALLS = re.compile(r"@(?=\w)|\](?=\()|:(?=//)")
"""Where a call (`@channel`), a link of Markdown or an address would begin."""


def plain(value: Any) -> str:
    """Text of others as a word in a message."""
    text = printable(shown_text(value))
    text = text if len(text) <= _WORD else text[: _WORD - 1] + "…"
    return _CALLS.sub(lambda match: match[0] + _GAP, text.translate(_ENTITIES))


def described(finding: Finding, around: Surroundings, public_url: str | None) -> str:
    """One finding in a line: where, when, how much, who, and where to read on."""
    name = around.resources.get(finding.resource)
    place = plain(finding.resource) if name is None else f"{plain(name)} ({plain(finding.resource)})"
    time = f"{render(finding.from_)} to {render(finding.to)}"
    shown = [_reservation(each, around) for each in finding.reservations[:RESERVATIONS]]
    line = f"{place}, {time}: {finding.peak} of {finding.capacity} taken. {overlap(shown, len(finding.reservations))}"
    link = "" if public_url is None else f" {printable(public_url).translate(_ENTITIES)}/v1/findings/{finding.id}"
    return f"{line} (finding {finding.id}){link}"


def overlap(shown: Sequence[str], total: int) -> str:
    """The seed's words about this many reservations, of which the first are shown."""
    first, *others = shown or ["nothing"]
    more = f" and {total - len(shown):,} more" if total > len(shown) else ""
    what = f"overlaps {', '.join(others)}{more}" if others else "is more than the resource holds"
    return f"Conflict detected: {first} {what}"


def _reservation(reservation: Any, around: Surroundings) -> str:
    customer = identity(around.reservations.get(row_key(reservation), {}).get("customer"))
    name = None if customer is None else around.customers.get(customer)
    return plain(reservation) if name is None else f"{plain(reservation)} ({plain(name)})"


def listed(lines: Iterable[str], total: int) -> str:
    """The first lines that fit into a message, and how many there are besides."""
    taken: list[str] = []
    size = 0
    for line in lines:
        size += len(line) + 1
        if len(taken) == LINES or (taken and size > CHARACTERS):
            break
        taken.append(line)
    more = total - len(taken)
    return "\n".join([*taken, f"… and {more:,} more"] if more > 0 else taken)
