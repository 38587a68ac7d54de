"""Which resources and customers there are, looked up in bulk, and made on the way where that is wanted."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from app.catalogue.queries import missing
from app.catalogue.schemas import NewCustomer, NewResource
from app.catalogue.service import Catalogue
from app.errors import Problem
from app.storage.documents import CatalogueObject, Customer, Resource
from app.wire.models import read_body

AT_ONCE = 32
"""How many are made at the same time."""


class Known:
    """The resources and customers that rows may name. None is ever deleted, so who was seen stays known.

    Args:
        catalogue: Where they are.
        create: Make those that are unknown: resources of capacity 1 in UTC, both named by their id.
    """

    def __init__(self, catalogue: Catalogue, *, create: bool) -> None:
        self._catalogue = catalogue
        self._create = create
        self._seen: dict[type[CatalogueObject], set[str]] = {Resource: set(), Customer: set()}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def look(self, resources: Iterable[str], customers: Iterable[str]) -> None:
        """Learn which of these exist, or make them exist."""
        await self._look(Resource, set(resources), self._make_resource)
        await self._look(Customer, set(customers), self._make_customer)

    def has(self, kind: type[CatalogueObject], identity: str) -> bool:
        """Whether it exists, of those that were looked for."""
        return identity in self._seen[kind]

    async def _look(
        self, kind: type[CatalogueObject], wanted: set[str], make: Callable[[str], Awaitable[object]]
    ) -> None:
        new = wanted - self._seen[kind]
        unknown = await missing(self._catalogue.store, kind, new)
        self._seen[kind] |= new - unknown
        if self._create:
            made = await asyncio.gather(*(self._exists(make, identity) for identity in sorted(unknown)))
            self._seen[kind] |= {identity for identity, exists in zip(sorted(unknown), made, strict=True) if exists}

    async def _exists(self, make: Callable[[str], Awaitable[object]], identity: str) -> bool:
        """Make one; whether it is there afterwards, by us or by somebody else."""
        async with self._slots:
            try:
                await make(identity)
            except Problem as problem:
                return problem.name == "exists"
        return True

    async def _make_resource(self, identity: str) -> None:
        # Validated as from the wire: a word that means something else there cannot become an id here.
        await self._catalogue.add_resource(read_body(NewResource, {"id": identity, "name": identity}))

    async def _make_customer(self, identity: str) -> None:
        await self._catalogue.add_customer(read_body(NewCustomer, {"id": identity, "name": identity}))
