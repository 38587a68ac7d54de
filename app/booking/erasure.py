"""Clearing the texts of a customer from reservations, from the answers under Idempotency-Keys, and from events.

It adds no load, so like a release it needs no guard: each reservation is changed by a compare-and-set on its version,
with its event in the same transaction. A cleared reservation has a new version and a line in its history; its time,
status and ids stay. A stored answer is repeated, and an event shown, without the texts from then on.
"""

from collections.abc import AsyncIterator, Collection, Sequence

from bson import ObjectId

from app.booking.outcomes import overloaded
from app.storage.answers import AnswerStore
from app.storage.bson_types import Row
from app.storage.client import Store
from app.storage.erased_events import ErasedEvents
from app.storage.erased_reservations import ErasedReservations, TextErasure
from app.storage.erased_texts import ERASED, body_without_texts, erasure_filter, line_of_erasure, reservation_erasure
from app.storage.outbox import event_of_change
from app.storage.reservation_updates import HistoryLine
from app.storage.stored_reservations import customer_of

ATTEMPTS_MAX = 20
"""How often a batch is read and cleared while others change its reservations."""


async def erase_texts(store: Store, customer: str, by: str) -> AsyncIterator[list[object]]:
    """Clear the texts of a customer, a batch of its reservations at a time; the ids of each batch that is clear.

    The events lead to what another program has removed, or given to somebody else: that stays in answers and events.
    A batch may be empty, where they lead to what was cleared before. It may end after any batch: the next time reads
    what was cleared before, and changes nothing of it.

    Raises:
        Problem: `overloaded` where others change the same reservations all the time.
    """
    await AnswerStore(store).complete_records(store.clock.now())
    async for ids in ErasedReservations(store).ids_of(customer):
        await erase_texts_of(store, ids, customer, by)
        yield ids
    async for subjects in ErasedEvents(store).subjects_of(customer):
        if ids := await ErasedReservations(store).without_known(subjects, customer):
            await erase_texts_of(store, ids, customer, by)
        yield ids


async def erase_texts_of(store: Store, ids: Sequence[object], customer: str, by: str) -> None:
    """Clear the texts of a customer from these reservations, and from the answers and the events about them.

    Raises:
        Problem: `overloaded` where others change the same reservations all the time.
    """
    reservations = ErasedReservations(store)
    line: HistoryLine = {"at": store.clock.now(), "by": by, "operation": ObjectId(), "reason": ERASED}
    for _ in range(ATTEMPTS_MAX):
        rows = await reservations.read(ids)
        updates = [update for row in rows if (update := _erasure(row, customer, line)) is not None]
        theirs = {str(row["_id"]) for row in rows if customer_of(row) == customer}
        if updates and not await reservations.clear_texts(updates):
            continue
        if await _erase_answers(store, ids, customer, theirs):
            await ErasedEvents(store).clear_texts(ids, customer, theirs)
            return
    raise overloaded("Others are changing the reservations of this customer; the rest is erased later.")


def _erasure(row: Row, customer: str, line: HistoryLine) -> TextErasure | None:
    """The update that clears a reservation, with its event unless only the stored answer has texts."""
    change = reservation_erasure(row, customer, line)
    if change is None:
        return None
    last = line_of_erasure(change)
    return TextErasure(erasure_filter(row), change, None if last is None else event_of_change(row, last))


async def _erase_answers(store: Store, ids: Sequence[object], customer: str, theirs: Collection[str]) -> bool:
    """Clear the answers about several reservations; false where one was changed by another in between.

    `theirs` are the ids of the reservations that are the customer's now, whosoever they were when they were answered.
    """
    answers = AnswerStore(store)
    clear = True
    for row in await answers.records_about(ids):
        body = row.get("body")
        shorter = body_without_texts(
            body if isinstance(body, str) else "",
            lambda member: member.get("id") in theirs or member.get("customer") == customer,
        )
        if shorter is not None:
            clear = await answers.replace_body(row, shorter) and clear
    return clear
