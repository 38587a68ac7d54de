"""Names for ids: what pages show beside what the API knows."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from app.storage.catalogue import CatalogueStore
from app.storage.client import Store
from app.storage.documents import Customer, Resource, Service


class Names(NamedTuple):
    """The names of objects by their ids; what has no name is known by its id."""

    resources: Mapping[str, str]
    services: Mapping[str, str]
    customers: Mapping[str, str]


async def names_in(store: Store, reservations: Iterable[Mapping[str, object]]) -> Names:
    """The names of all that some reservations mention."""
    ids: dict[str, set[str]] = {"resource": set(), "service": set(), "customer": set()}
    for each in reservations:
        for field, found in ids.items():
            if isinstance(identity := each.get(field), str):
                found.add(identity)
    catalogue = CatalogueStore(store)
    return Names(
        await catalogue.find_names(Resource, ids["resource"]),
        await catalogue.find_names(Service, ids["service"]),
        await catalogue.find_names(Customer, ids["customer"]),
    )
