"""Calendars of resources and customers for a caller, and the secret addresses at which others read them.

A secret has 256 random bits and is stored as a hash, like the secret of a key. An address reads what the key reads that
made it, for as long as that key is accepted: who revokes a key ends all that was opened with it.
"""

import asyncio
import re
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from app.access.keyring import Keyring
from app.access.tokens import hash_of
from app.calendars.entries import BUSY, Names, calendar_event
from app.calendars.rendering import rendered
from app.caller import Caller
from app.catalogue.queries import read
from app.domain.ids import ResourceId
from app.errors import Problem, invalid_parameter, not_found
from app.http.answers import made
from app.reservations.queries import Filters
from app.storage.calendar_addresses import CalendarAddresses, address_id
from app.storage.client import Store
from app.storage.documents import CalendarAddress, CalendarKind, Customer, Resource
from app.storage.reservations import ReservationStore
from app.storage.stored_catalogue import LONG_FIELDS
from app.storage.stored_reservations import BRIEF_WITHOUT
from app.work import WorkPool

DAYS_BACK, DAYS_AHEAD = 30, 366
"""The span of a calendar for which none is asked, around the beginning of the present day in UTC."""
SPAN_DAYS = 400
EVENTS_MAX = 5_000
"""Events of a calendar; so many take one to two seconds to write."""
PARTS_PER_EVENT = 10
"""An event takes about as long to write as so many models of an answer."""
STRANGERS_MAX = 8
"""Lookups of secrets at the same time."""

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


class CalendarQuestion(NamedTuple):
    """Whose calendar is to be read, and what of it.

    Args:
        kind: Of a resource or a customer.
        owner: Its id.
        names: Whether it says who comes and what for.
        from_: What ends after this instant; None: as far back as is usual.
        to: What begins before this instant; None: as far ahead as is usual.
    """

    kind: CalendarKind
    owner: str
    names: bool
    from_: datetime | None = None
    to: datetime | None = None


class OpenedAddress(NamedTuple):
    """An address that somebody knows, and the caller that it stands for."""

    address: CalendarAddress
    caller: Caller


class Calendars:
    """The calendars of one database.

    Args:
        store: The database.
        keyring: Tells whether a key is still accepted.
        work: Threads in which long calendars are written.
        public_url: Where people reach the app, without a slash at its end; None if nobody has said.
    """

    def __init__(self, store: Store, keyring: Keyring, work: WorkPool, *, public_url: str | None) -> None:
        self.store = store
        self.public_url = public_url
        self._keyring = keyring
        self._work = work
        self._addresses = CalendarAddresses(store)
        self._strangers = asyncio.Semaphore(STRANGERS_MAX)

    async def calendar(self, question: CalendarQuestion, caller: Caller) -> bytes:
        """A calendar, as far as the caller sees its reservations.

        Raises:
            Problem: `not-found`; `invalid` for a span that is too long, or has too many reservations.
        """
        owner = await self._owner(question.kind, question.owner, caller)
        after, before = self._span(question)
        is_of_resource = question.kind == "resource"
        filters = Filters(
            resources=[ResourceId(question.owner)] if is_of_resource else None,
            customers=None if is_of_resource else [question.owner],
            from_=after,
            to=before,
        ).seen_by(caller)
        reservations = ReservationStore(self.store)
        rows = await reservations.list_by_start(filters, None, rows_max=EVENTS_MAX + 1, without=BRIEF_WITHOUT)
        if len(rows) > EVENTS_MAX:
            raise invalid_parameter("to", f"It has more than {EVENTS_MAX:,} reservations then; ask for a shorter span.")
        names = await Names.read(self.store, rows) if question.names and caller.may("reservations:read") else None
        now = self.store.clock.now()

        def write() -> bytes:
            events = (calendar_event(row, now, names) for row in rows)
            title = owner.name if is_of_resource or names is not None else BUSY
            return rendered(title or question.owner, (event for event in events if event is not None))

        return await made(self._work, write, parts=len(rows) * PARTS_PER_EVENT)

    async def open(self, kind: CalendarKind, owner: str, caller: Caller, *, names: bool) -> tuple[CalendarAddress, str]:
        """A new address of a calendar, and its secret; the one before ends.

        Raises:
            Problem: `not-found`; `forbidden` for a calendar of which the caller sees a part; `forbidden-transition`
                where the customer was erased.
        """
        found = await self._owner_to_open(kind, owner, caller)
        if isinstance(found, Customer) and found.erased_at is not None:
            raise Problem("forbidden-transition", f"The customer {owner!r} was erased; it has no calendar any more.")
        secret = secrets.token_urlsafe(32)
        address = CalendarAddress(
            id=address_id(kind, owner),
            kind=kind,
            owner=owner,
            secret_hash=hash_of(secret),
            names=names,
            key=caller.key_id,
            created_at=self.store.clock.now(),
        )
        await self._addresses.put_address(address)
        return address, secret

    async def close(self, kind: CalendarKind, owner: str, caller: Caller) -> None:
        """End the address of a calendar, if it has one.

        Raises:
            Problem: `not-found`; `forbidden` for a calendar of which the caller sees a part.
        """
        await self._owner_to_open(kind, owner, caller)
        await self._addresses.remove_address(kind, owner)

    @property
    def is_crowded(self) -> bool:
        """Whether a secret would wait until others are looked up."""
        return self._strangers.locked()

    async def find(self, secret: str) -> OpenedAddress | None:
        """The address with a secret; None if there is none, or if its key is over or its customer was erased."""
        if _SECRET.fullmatch(secret) is None:
            return None
        async with self._strangers:
            address = await self._addresses.find(hash_of(secret))
        caller = None if address is None else await self._keyring.caller_of_live(address.key)
        if address is None or caller is None:
            return None
        if address.kind == "customer" and await self._was_erased(address.owner):
            return None
        return OpenedAddress(address, caller)

    def _span(self, question: CalendarQuestion) -> tuple[datetime, datetime]:
        """The span of a calendar.

        Raises:
            Problem: `invalid`.
        """
        today = self.store.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        after = question.from_ or today - timedelta(days=DAYS_BACK)
        before = question.to or today + timedelta(days=DAYS_AHEAD)
        if before <= after:
            raise invalid_parameter("to", "`to` must lie after `from`.")
        if before - after > timedelta(days=SPAN_DAYS):
            raise invalid_parameter("to", f"A calendar has at most {SPAN_DAYS} days; ask for a shorter span.")
        return after, before

    async def _owner(self, kind: CalendarKind, owner: str, caller: Caller) -> Resource | Customer:
        """Whose calendar it is.

        Raises:
            Problem: `not-found`, also where the caller may not see the customer.
        """
        if kind == "resource":
            return await read(self.store, Resource, owner, without=LONG_FIELDS)
        if not caller.sees(owner):
            raise not_found(kind, owner)
        return await read(self.store, Customer, owner, without=LONG_FIELDS)

    async def _owner_to_open(self, kind: CalendarKind, owner: str, caller: Caller) -> Resource | Customer:
        if kind == "resource" and caller.customer is not None:
            raise Problem("forbidden", "A key that is bound to a customer opens no calendar of a resource.")
        return await self._owner(kind, owner, caller)

    async def _was_erased(self, customer: str) -> bool:
        return (await read(self.store, Customer, customer, without=LONG_FIELDS)).erased_at is not None
