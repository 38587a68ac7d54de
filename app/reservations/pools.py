"""The pools that one request books from: the active resources that offer a service."""

from dataclasses import dataclass, field

from app.availability.service import Availability
from app.booking import missing_guard
from app.domain.ids import ResourceId, ServiceId
from app.errors import invalid_field
from app.storage.catalogue import CatalogueStore
from app.storage.client import Store
from app.storage.documents import Service, service_row


@dataclass(frozen=True, slots=True)
class Pools:
    """The pools of one request, each read once."""

    store: Store
    availability: Availability
    _known: dict[ServiceId, tuple[ResourceId, ...]] = field(default_factory=dict)

    async def of(self, service: ServiceId | None) -> tuple[ResourceId, ...]:
        """The ids of the active resources that offer a service, sorted.

        Raises:
            Problem: `invalid` where no service is named, or nothing offers it; what `_read` raises.
        """
        if service is None:
            raise invalid_field("resource", "Name a resource, or a service whose pool is meant.")
        if service not in self._known:
            self._known[service] = await self._read(service)
        return self._known[service]

    async def of_booked(self, service: ServiceId | None) -> tuple[ResourceId, ...]:
        """The pool of the service that a reservation has.

        Raises:
            Problem: `invalid` where it has none; what `of` raises.
        """
        if service is None:
            raise invalid_field(
                "resource", "It is booked without a service, whose pool `any` would mean; name a resource."
            )
        return await self.of(service)

    async def _read(self, service: ServiceId) -> tuple[ResourceId, ...]:
        """The pool as it is now.

        Raises:
            Problem: `invalid` where there is no such service, or no active resource offers it; `unavailable` where the
                service, or a resource that offers it, lacks its guard.
        """
        rules, pool = await self.availability.pool(service)
        catalogue = CatalogueStore(self.store)
        if rules is None:
            if await catalogue.exists(Service, service):
                raise missing_guard(service_row(service))
            raise invalid_field("service", f"There is no service {service!r}.")
        if not pool:
            if (resource := await catalogue.find_offering(service)) is not None:
                raise missing_guard(resource)
            raise invalid_field("service", f"No active resource offers the service {service!r}.")
        return tuple(pool)
