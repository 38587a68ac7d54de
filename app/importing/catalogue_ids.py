"""The ids of resources and customers that exist, looked up in bulk; missing ones are created on request."""

from collections.abc import Awaitable, Callable, Iterable

from app.booking import ACTOR_IMPORT
from app.catalogue.customer_schemas import NewCustomer
from app.catalogue.schemas import NewResource
from app.domain.ids import ResourceId
from app.errors import Problem
from app.http.models import read_body
from app.storage.catalogue import CatalogueStore
from app.storage.client import Store
from app.storage.documents import CatalogueObject, Customer, Resource, with_change
from app.storage.erased_customers import ErasedCustomers
from app.storage.guards import make_fresh_guards, make_guard
from app.storage.reservations import ReservationStore

CACHED_IDS_MAX = 50_000
"""The largest number of cached ids of a kind; a file may name millions of customers."""


class CatalogueIds:
    """The resources and customers that rows may name. None is ever deleted, so an id that was found stays valid.

    A customer can be erased at any time, after which nothing is booked for it: that is looked up each time.

    Args:
        store: The database.
        create: Create those that are missing: resources of capacity 1 in UTC; all are named by their id.
    """

    def __init__(self, store: Store, *, create: bool) -> None:
        self._store = store
        self._create = create
        self._seen: dict[type[CatalogueObject], set[str]] = {Resource: set(), Customer: set()}
        self._booked: set[ResourceId] | None = None

    def has(self, kind: type[CatalogueObject], identity: str) -> bool:
        """Whether an object exists, of those that were resolved last."""
        return identity in self._seen[kind]

    async def resolve(self, resources: Iterable[ResourceId], customers: Iterable[str]) -> None:
        """Look up which of these exist, and create the missing ones if `create` is set."""
        booked_for = set(customers)
        await self._resolve(Resource, set(resources), self._create_resources)
        await self._resolve(Customer, booked_for, self._create_customers)
        self._seen[Customer] -= await ErasedCustomers(self._store).among(booked_for)

    async def _resolve(
        self, kind: type[CatalogueObject], wanted: set[str], create: Callable[[list[str]], Awaitable[list[str]]]
    ) -> None:
        if len(self._seen[kind]) > CACHED_IDS_MAX:
            self._seen[kind].clear()
        unseen = wanted - self._seen[kind]
        missing = await CatalogueStore(self._store).find_missing(kind, unseen)
        self._seen[kind] |= unseen - missing
        if self._create and missing:
            self._seen[kind].update(await create(sorted(missing)))

    async def _create_resources(self, identities: list[str]) -> list[str]:
        """Create resources, guards first, and return their ids; those whose id is not allowed are left out."""
        allowed = [ResourceId(each) for each in identities if _allowed(NewResource, each)]
        if self._booked is None:
            # Reservations may be older than their resource, whose guard must reach as far as they do.
            self._booked = await ReservationStore(self._store).named_resources()
        for each in self._booked.intersection(allowed):
            await make_guard(self._store, each)
        await make_fresh_guards(self._store, [each for each in allowed if each not in self._booked])
        now = self._store.clock.now()
        history = with_change([], now, ACTOR_IMPORT, ["name"])
        made = [Resource(id=each, name=each, created_at=now, updated_at=now, history=history) for each in allowed]
        await CatalogueStore(self._store).insert_absent(made)
        return [*allowed]

    async def _create_customers(self, identities: list[str]) -> list[str]:
        allowed = [identity for identity in identities if _allowed(NewCustomer, identity)]
        now = self._store.clock.now()
        made = [Customer(id=each, name=each, created_at=now, updated_at=now) for each in allowed]
        await CatalogueStore(self._store).insert_absent(made)
        return allowed


def _allowed(kind: type[NewResource] | type[NewCustomer], identity: str) -> bool:
    """Whether the API accepts this id: reserved words are refused here as well."""
    try:
        read_body(kind, {"id": identity, "name": identity})
    except Problem:
        return False
    return True
