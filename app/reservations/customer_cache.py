"""The cache of customers that were found to exist."""

from cachetools import TTLCache

from app.errors import invalid_field
from app.storage.catalogue import CatalogueStore
from app.storage.client import Store
from app.storage.documents import Customer

CACHED_CUSTOMERS_MAX = 50_000
CACHED_SECONDS = 10
"""How long a customer counts as not erased without another look; less than the minute after which an erasure looks for
what was booked meanwhile."""
REMEMBERED_SECONDS = 60
"""How long a process remembers that it erased a customer: longer than a booking can be under way."""


class CustomerCache:
    """Customers that were found to exist, and those that this process has erased. None is ever deleted."""

    def __init__(self, store: Store) -> None:
        self._catalogue = CatalogueStore(store)
        self._found: TTLCache[str, None, float] = TTLCache[str, None, float](CACHED_CUSTOMERS_MAX, CACHED_SECONDS)
        self._erased: TTLCache[str, None, float] = TTLCache[str, None, float](CACHED_CUSTOMERS_MAX, REMEMBERED_SECONDS)

    async def require(self, customer: str) -> None:
        """Refuse an id that no customer has, or one that was erased; only customers that can book are cached.

        Raises:
            Problem: `invalid`.
        """
        if customer in self._found:
            return
        row = await self._catalogue.find_row(Customer, customer, fields=("erasedAt",))
        if row is None:
            raise invalid_field("customer", f"There is no customer {customer!r}.")
        if "erasedAt" in row:
            raise invalid_field("customer", f"The customer {customer!r} was erased; nothing is booked for it any more.")
        self._found[customer] = None

    def note_erased(self, customer: str) -> None:
        """Remember that a customer was marked as erased: what is being booked for it must lose its texts."""
        self._erased[customer] = None
        self._found.pop(customer, None)

    def was_erased(self, customer: str | None) -> bool:
        """Whether this process marked a customer as erased a moment ago."""
        return customer in self._erased
