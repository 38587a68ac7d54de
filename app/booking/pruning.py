"""Removing stored answers that are too old to be repeated, so that their Idempotency-Keys may be used anew.

The answer of a booking is stored on its reservation and makes that three times as large. Removing it is no change of
the reservation: its version, its history and `updatedAt` stay. A request that repeats a key at that moment finds the
answer or books anew: the key and the answer go in one write.
"""

from collections.abc import AsyncIterator
from datetime import timedelta

from bson import ObjectId

from app.storage.answers import AnswerStore
from app.storage.client import Store
from app.storage.keyed_reservations import KeyedReservations


async def prune_answers(store: Store, days: int) -> AsyncIterator[int]:
    """Remove the answers that were given so many days ago (0: none), some at a time; how many, after each time."""
    if not days:
        return
    answers, reservations = AnswerStore(store), KeyedReservations(store)
    now = store.clock.now()
    before = now - timedelta(days=days)
    while (keyed := await reservations.next_before(ObjectId.from_datetime(before))) is not None:
        yield await reservations.remove_answers(keyed)
    await answers.complete_records(now)
    while removed := await answers.remove_records(before):
        yield removed
