"""Erasing a customer: its own fields at once, then its texts wherever they are stored, a batch at a time.

What a request does not finish within its deadline, the worker does. It also looks once more a minute later, for what
other processes had begun to write before they knew.
"""

import time
from collections.abc import Callable

import structlog
from pymongo.errors import PyMongoError

from app.booking import erase_texts
from app.catalogue.queries import read, read_row
from app.deadline import within
from app.errors import Problem
from app.outages import is_outage
from app.reconciliation.findings.erasure import erase_notes
from app.retries import retry
from app.storage.calendar_addresses import CalendarAddresses
from app.storage.client import Store
from app.storage.documents import Customer
from app.storage.erased_customers import ErasedCustomers, Sweep
from app.storage.errors import VersionConflict

MARK_TRIES_MAX = 20
REQUEST_SECONDS = 2.0
"""How long a request clears texts before it leaves the rest to the worker."""

log = structlog.get_logger(__name__)


async def mark(store: Store, customer: str, by: str) -> Sweep:
    """Clear the customer's own fields; from then on nothing is booked for it. What is left is to be swept.

    Raises:
        Problem: `not-found`.
        VersionConflict: others change the customer all the time.
    """

    async def try_mark() -> Sweep:
        sweep = await ErasedCustomers(store).mark(await read_row(store, Customer, customer), by)
        if sweep is None:
            raise VersionConflict
        return sweep

    return await retry(try_mark, MARK_TRIES_MAX, on=VersionConflict)


async def carry_out(
    store: Store, sweep: Sweep, *, seconds: float | None = None, on_batch: Callable[[int], None] | None = None
) -> bool:
    """Clear the texts of an erased customer; whether that came to its end in so many seconds (None: any number).

    The address of its calendar ends. Whatever else will store texts of customers is to be cleared here, beside the
    findings. The records of deliveries to webhooks have none: they hold ids, statuses and reasons, and no body.

    Raises:
        Problem: `overloaded` where others change the same reservations all the time.
        VersionConflict: others change the same findings all the time.
    """
    await CalendarAddresses(store).remove_address("customer", sweep.customer)
    began, until = store.clock.now(), None if seconds is None else time.monotonic() + seconds
    async for reservations in erase_texts(store, sweep.customer, sweep.by):
        await erase_notes(store, reservations, sweep.by)
        if on_batch is not None:
            on_batch(len(reservations))
        if until is not None and time.monotonic() >= until:
            return False
    await ErasedCustomers(store).note_swept(sweep, began)
    return True


async def carry_out_pending(store: Store) -> int:
    """Clear the texts of all customers that are due; how many were.

    Raises:
        pymongo.errors.PyMongoError: the database cannot be reached or cannot write.
    """
    done = 0
    for sweep in await ErasedCustomers(store).pending():
        try:
            await ErasedCustomers(store).announce(sweep)
            await carry_out(store, sweep)
        except (Problem, VersionConflict) as busy:
            log.warning("the erasure of a customer goes on later", customer=sweep.customer, reason=str(busy))
        except PyMongoError as error:
            if is_outage(error):
                raise
            log.exception("the erasure of a customer fails, and is tried again", customer=sweep.customer)
        else:
            done += 1
            log.info("the texts of an erased customer are cleared", customer=sweep.customer)
    return done


class Erasure:
    """What callers do with the data of a customer.

    Args:
        store: The database.
        on_mark: Called with the id of each customer that was marked, before its texts are cleared.
    """

    def __init__(self, store: Store, on_mark: Callable[[str], None]) -> None:
        self.store = store
        self._on_mark = on_mark

    async def erase(self, customer: str, by: str) -> Customer:
        """Erase a customer as far as a request has time for; it is `erasing` if the worker has to go on.

        Raises:
            Problem: `not-found`, `overloaded`.
        """
        try:
            sweep = await mark(self.store, customer, by)
        except VersionConflict:
            raise Problem("overloaded", "Others are changing this customer; nothing was done.") from None
        self._on_mark(customer)
        try:
            await carry_out(self.store, sweep, seconds=within(REQUEST_SECONDS))
        except (PyMongoError, Problem, VersionConflict) as error:
            log.warning("the erasure of a customer goes on later", customer=customer, reason=str(error))
        return await read(self.store, Customer, customer)
