"""Which resources and customers there are, looked up in bulk, and made on the way where that is wanted."""

from collections.abc import Awaitable, Callable, Iterable

from app.catalogue.schemas import NewCustomer, NewResource
from app.errors import Problem
from app.http.models import read_body
from app.storage.catalogue import CatalogueStore
from app.storage.client import Store
from app.storage.documents import CatalogueObject, Customer, Resource
from app.storage.guards import insert_new, make_fresh_guards, make_guard
from app.storage.reservations import ReservationStore

REMEMBERED = 50_000
"""Ids of a kind that are remembered at most; a file may name millions of customers."""


class Known:
    """The resources and customers that rows may name. None is ever deleted, so who was seen stays known.

    Args:
        store: Where they are.
        create: Make those that are unknown: resources of capacity 1 in UTC; all are named by their id.
    """

    def __init__(self, store: Store, *, create: bool) -> None:
        self._store = store
        self._create = create
        self._seen: dict[type[CatalogueObject], set[str]] = {Resource: set(), Customer: set()}
        self._booked: set[str] | None = None

    def has(self, kind: type[CatalogueObject], identity: str) -> bool:
        """Whether it exists, of those that were looked for last."""
        return identity in self._seen[kind]

    async def look(self, resources: Iterable[str], customers: Iterable[str]) -> None:
        """Learn which of these exist, or make them exist."""
        await self._look(Resource, set(resources), self._make_resources)
        await self._look(Customer, set(customers), self._make_customers)

    async def _look(
        self, kind: type[CatalogueObject], wanted: set[str], make: Callable[[list[str]], Awaitable[list[str]]]
    ) -> None:
        if len(self._seen[kind]) > REMEMBERED:
            self._seen[kind].clear()
        new = wanted - self._seen[kind]
        unknown = await CatalogueStore(self._store).find_missing(kind, new)
        self._seen[kind] |= new - unknown
        if self._create and unknown:
            self._seen[kind].update(await make(sorted(unknown)))

    async def _make_resources(self, identities: list[str]) -> list[str]:
        """Make them, guards first; those whose id may not be one are left out."""
        allowed = [identity for identity in identities if _allowed(NewResource, identity)]
        if self._booked is None:
            # These may be older than their resource, and its guard must reach as far as they do.
            self._booked = await ReservationStore(self._store).named_resources()
        for each in self._booked.intersection(allowed):
            await make_guard(self._store, each)
        await make_fresh_guards(self._store, [each for each in allowed if each not in self._booked])
        now = self._store.clock.now()
        made = [Resource(id=each, name=each, created_at=now, updated_at=now).to_mongo() for each in allowed]
        await insert_new(self._store, "resources", made)
        return allowed

    async def _make_customers(self, identities: list[str]) -> list[str]:
        allowed = [identity for identity in identities if _allowed(NewCustomer, identity)]
        now = self._store.clock.now()
        made = [Customer(id=each, name=each, created_at=now, updated_at=now).to_mongo() for each in allowed]
        await insert_new(self._store, "customers", made)
        return allowed


def _allowed(kind: type[NewResource] | type[NewCustomer], identity: str) -> bool:
    """Whether one could be made by this id over the API: words that mean something else there cannot be ids here."""
    try:
        read_body(kind, {"id": identity, "name": identity})
    except Problem:
        return False
    return True
