"""The cache of customers that were found to exist."""

from cachetools import FIFOCache

from app.errors import invalid_field
from app.storage.catalogue import CatalogueStore
from app.storage.client import Store
from app.storage.documents import Customer

CACHED_CUSTOMERS_MAX = 50_000


class CustomerCache:
    """Customers that were found to exist: none is ever deleted, so a customer is looked up once."""

    def __init__(self, store: Store) -> None:
        self._catalogue = CatalogueStore(store)
        # The oldest entry is evicted: an entry never becomes wrong, so none is worth more than another.
        self._found: FIFOCache[str, None] = FIFOCache(CACHED_CUSTOMERS_MAX)

    async def require(self, customer: str) -> None:
        """Refuse an id that no customer has; only existing customers are cached.

        Raises:
            Problem: `invalid`.
        """
        if customer in self._found:
            return
        if not await self._catalogue.exists(Customer, customer):
            raise invalid_field("customer", f"There is no customer {customer!r}.")
        self._found[customer] = None
