"""What a message about findings says: a line for each of the first ones, safe to show in any chat system.

Ids and names are what somebody wrote into a database. In a message they are text alone: no markup, no link, nobody
is called, and none is longer than a person reads.
"""

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.storage.client import Store
from app.storage.documents import Finding
from app.storage.values import forms, identity, printable, row_key, shown_text
from app.timeline.instants import render

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


@dataclass(frozen=True, slots=True)
class Names:
    """The names of resources by their ids, and of customers by the keys of their reservations, where there are any."""

    resources: dict[str, str] = field(default_factory=dict)
    customers: dict[Hashable, str] = field(default_factory=dict)


def plain(value: Any) -> str:
    """Text of others as a word in a message."""
    text = printable(shown_text(value))
    text = text if len(text) <= _WORD else text[: _WORD - 1] + "…"
    return _CALLS.sub(lambda match: match[0] + _GAP, text.translate(_ENTITIES))


def described(finding: Finding, names: Names, public_url: str | None) -> str:
    """One finding in a line: where, when, how much, who, and where to read on."""
    name = names.resources.get(finding.resource)
    place = plain(finding.resource) if name is None else f"{plain(name)} ({plain(finding.resource)})"
    time = f"{render(finding.from_)} to {render(finding.to)}"
    shown = [_reservation(each, names) for each in finding.reservations[:RESERVATIONS]]
    line = f"{place}, {time}: {finding.peak} of {finding.capacity} taken. {overlap(shown, len(finding.reservations))}"
    link = "" if public_url is None else f" {printable(public_url).translate(_ENTITIES)}/v1/findings/{finding.id}"
    return f"{line} (finding {finding.id}){link}"


def overlap(shown: Sequence[str], total: int) -> str:
    """The seed's words about this many reservations, of which the first are shown."""
    first, *others = shown or ["nothing"]
    more = f" and {total - len(shown):,} more" if total > len(shown) else ""
    what = f"overlaps {', '.join(others)}{more}" if others else "is more than the resource holds"
    return f"Conflict detected: {first} {what}"


def _reservation(reservation: Any, names: Names) -> str:
    customer = names.customers.get(row_key(reservation))
    return plain(reservation) if customer is None else f"{plain(reservation)} ({plain(customer)})"


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


async def names_of(store: Store, findings: Sequence[Finding]) -> Names:
    """The names of what these findings name."""
    resources = await _named(store, "resources", {finding.resource for finding in findings})
    ids = [each for finding in findings for each in finding.reservations[:RESERVATIONS]]
    customer_of: dict[Hashable, str] = {}
    async for row in store.lenient("reservations").find({"_id": {"$in": ids}}, {"customer": 1}):
        customer = identity(row.get("customer"))
        if customer is not None:
            customer_of[row_key(row["_id"])] = customer
    customers = await _named(store, "customers", set(customer_of.values()))
    return Names(resources, {each: customers[who] for each, who in customer_of.items() if who in customers})


async def _named(store: Store, collection: str, ids: set[str]) -> dict[str, str]:
    """The names that these have, by their ids as text."""
    wanted = [form for each in sorted(ids) for form in forms(each)]
    rows = store.lenient(collection).find({"_id": {"$in": wanted}}, {"name": 1})
    return {
        str(identity(row["_id"])): row["name"] async for row in rows if isinstance(row.get("name"), str) and row["name"]
    }
