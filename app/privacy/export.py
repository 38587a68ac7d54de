"""All that is stored about a customer, as one JSON document, written page by page so that it may be of any length."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from app.caller import Caller
from app.catalogue.customer_schemas import CustomerAnswer
from app.deadline import current
from app.domain.instants import render
from app.events.rendering import shown_event
from app.reconciliation.finding_history import ACTOR_WORKER
from app.reconciliation.findings.erasure import findings_about
from app.reservations.queries import list_reservations_of_customer
from app.reservations.rendering import shown
from app.storage.bson_types import BsonDocument, Row
from app.storage.client import Store
from app.storage.documents import Customer, Event
from app.storage.erased_texts import is_note_of_person
from app.storage.event_log import EventLog
from app.storage.finding_rows import FindingRow
from app.storage.findings import FindingStore
from app.storage.stored_reservations import customer_of, lenient_reservation

PAGE = 100
"""Reservations, or findings, that are read at once."""
PART_BYTES = 2**16
"""Of a reservation with many events so much is sent at once."""
LAST_PAGE_SECONDS = 3.0
"""With less than that left of the request, the document ends and names its `next`."""


async def export(store: Store, customer: Customer, caller: Caller, cursor: str | None) -> AsyncIterator[bytes]:
    """The parts of the document: the customer, its reservations by falling start, and people's notes about them.

    Each reservation has its events from the log, as those who follow it saw them.
    """
    rows, following = await list_reservations_of_customer(store, customer.id, caller, PAGE, cursor)
    yield b'{"customer":' + CustomerAnswer.model_validate(customer).to_json() + b',"reservations":['
    noted: dict[object, None] = {}
    separator = b""
    while True:
        last = (await EventLog(store).bounds()).last
        for row in rows:
            yield separator
            async for part in _reservation(store, customer, row, last):
                yield part
            separator = b","
        noted |= dict.fromkeys(row["_id"] for row in await _noted_findings(store, rows))
        deadline = current()
        if following is None or (deadline is not None and deadline.left() < LAST_PAGE_SECONDS):
            break
        rows, following = await list_reservations_of_customer(store, customer.id, caller, PAGE, following)
    yield b'],"findings":['
    async for part in _findings(store, [*noted]):
        yield part
    yield b"]" + (b"" if following is None else b',"next":' + msgspec.json.encode(following)) + b"}"


async def _reservation(store: Store, customer: Customer, row: BsonDocument, last: int) -> AsyncIterator[bytes]:
    """A reservation with its events up to the last place of the log."""
    part = shown(lenient_reservation(row), store.clock.now()).to_json()[:-1] + b',"events":['
    separator = b""
    async with aclosing(EventLog(store).about(row["_id"], last)) as events:
        async for event in events:
            part += separator + shown_event(_as_theirs(event, customer)).json
            separator = b","
            if len(part) >= PART_BYTES:
                yield part
                part = b""
    yield part + b"]}"


def _as_theirs(event: Event, customer: Customer) -> Event:
    """An event; without the state where that is of another customer, who had the reservation at that time."""
    if event.state is None or customer_of(event.state) in {None, customer.id}:
        return event
    hidden: Event = event.model_copy(update={"state": None})
    return hidden


async def _findings(store: Store, ids: list[object]) -> AsyncIterator[bytes]:
    """People's notes about these findings."""
    separator = b""
    for place in range(0, len(ids), PAGE):
        rows = await FindingStore(store).histories(ids[place : place + PAGE])
        if rows:
            found = [msgspec.json.encode({"id": str(row["_id"]), "notes": _notes(row)}) for row in rows]
            yield separator + b",".join(found)
            separator = b","


async def _noted_findings(store: Store, rows: Sequence[Row]) -> list[FindingRow]:
    """The findings of these reservations on which people noted something."""
    found = await findings_about(store, [row["_id"] for row in rows]) if rows else []
    return [row for row in found if _notes(row)]


def _notes(row: FindingRow) -> list[dict[str, Any]]:
    noted: Iterable[dict[str, Any]] = (each for each in row["history"] if is_note_of_person(each, ACTOR_WORKER))
    return [{"at": render(each["at"]), "by": each["by"], "note": each["note"]} for each in noted]
