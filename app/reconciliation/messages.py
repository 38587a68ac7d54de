"""The text of a message about findings: a line for each of the first ones, safe to show in any chat system.

Ids and names are text that other programs may have written. In a message they mention no person, hide no link, and are
shortened to what a person reads; a chat system may still render `*bold*`, or link a bare domain.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence

from app.domain.instants import render
from app.outgoing.receiver import Message
from app.reconciliation.findings.context import FindingsContext
from app.storage.documents import Finding
from app.storage.values import identity, printable, row_key, shown_text

LINES_MAX = 20
"""Findings that one message names; the others are counted."""
CHARACTERS_MAX = 12_000
"""The length of a message, about: the lowest limit of a chat system is some 16,000."""
RESERVATIONS_MAX = 4
"""Reservations of one finding that its line names; the others are counted."""

_WORD_LENGTH_MAX = 80
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "'"})
"""What Slack and its like require to be escaped, and the backtick, which would make code of all that follows."""
_GAP = "\N{ZERO WIDTH SPACE}"
_MENTIONS_AND_LINKS = re.compile(r"@(?=\w)|\](?=\()|:(?=//)")
"""Where a mention (`@channel`), a link of Markdown or an address would begin."""


def escaped(value: object) -> str:
    """Text of other programs, escaped for a message."""
    text = printable(shown_text(value))
    text = text if len(text) <= _WORD_LENGTH_MAX else text[: _WORD_LENGTH_MAX - 1] + "…"
    return _MENTIONS_AND_LINKS.sub(lambda match: match[0] + _GAP, text.translate(_ENTITIES))


def finding_line(finding: Finding, context: FindingsContext, public_url: str | None) -> str:
    """One finding in a line: resource, time, load, reservations with customers, and its address."""
    name = context.resources.get(finding.resource)
    place = escaped(finding.resource) if name is None else f"{escaped(name)} ({escaped(finding.resource)})"
    time = f"{render(finding.from_)} to {render(finding.to)}"
    named = [_reservation_text(each, context) for each in finding.reservations[:RESERVATIONS_MAX]]
    line = (
        f"{place}, {time}: {finding.peak} of {finding.capacity} taken. {overlap_text(named, len(finding.reservations))}"
    )
    link = "" if public_url is None else f" {printable(public_url).translate(_ENTITIES)}/v1/findings/{finding.id}"
    return f"{line} (finding {finding.id}){link}"


def overlap_text(named: Sequence[str], total: int) -> str:
    """The sentence about so many reservations, of which the first are named."""
    first, *others = named or ["nothing"]
    more = f" and {total - len(named):,} more" if total > len(named) else ""
    what = f"overlaps {', '.join(others)}{more}" if others else "is more than the resource holds"
    return f"Conflict detected: {first} {what}"


def _reservation_text(reservation: object, context: FindingsContext) -> str:
    customer = identity(context.reservations.get(row_key(reservation), {}).get("customer"))
    name = None if customer is None else context.customers.get(customer)
    return escaped(reservation) if name is None else f"{escaped(reservation)} ({escaped(name)})"


def message_text(lines: Iterable[str], total: int) -> str:
    """The first lines that fit into a message, and how many others there are."""
    taken: list[str] = []
    size = 0
    for line in lines:
        size += len(line) + 1
        if len(taken) == LINES_MAX or (taken and size > CHARACTERS_MAX):
            break
        taken.append(line)
    more = total - len(taken)
    return "\n".join([*taken, f"… and {more:,} more"] if more > 0 else taken)


def alert_message(text: str, subject: str) -> Message:
    """A message as Slack and its like accept it; equal ones about the same subject have the same id."""
    digest = hashlib.sha256(f"{subject}\n{text}".encode()).hexdigest()
    return Message(f"msg_{digest[:32]}", json.dumps({"text": text}, ensure_ascii=False))
