"""`expand`: in a list, the resource, service and customer of each reservation in place of their ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from app.caller import Caller
from app.catalogue.customer_schemas import CustomerAnswer
from app.catalogue.queries import read_those
from app.catalogue.schemas import CatalogueAnswer, ResourceAnswer, ServiceAnswer
from app.domain.ids import ResourceId, ServiceId
from app.errors import invalid_parameter
from app.reservations.rendering import ShownReservation
from app.reservations.schemas import ReservationAnswer
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.documents import CatalogueObject, Customer, Resource, Service
from app.storage.stored_catalogue import LONG_FIELDS
from app.storage.values import identity

Objects: TypeAlias = Mapping[str, Mapping[str, object]]
"""What takes the place of ids: by the field, and by the id in it."""
NOTHING: Objects = {}

_KINDS: Mapping[str, tuple[type[CatalogueObject], type[CatalogueAnswer]]] = {
    "resource": (Resource, ResourceAnswer),
    "service": (Service, ServiceAnswer),
    "customer": (Customer, CustomerAnswer),
}
_NAME = f"({'|'.join(_KINDS)})"
EXPAND_PATTERN = f"^{_NAME}(,{_NAME})*$"


class ListedReservationAnswer(ReservationAnswer):
    """A reservation in a list. What `expand` names is the object, without its history, as far as there is one."""

    resource: ResourceId | ResourceAnswer  # type: ignore[assignment]  # wider than the id of its base
    """The resource that it takes."""
    service: ServiceId | ServiceAnswer | None = None  # type: ignore[assignment]  # wider than the id of its base
    """The service that it is booked for."""
    customer: str | CustomerAnswer | None = None  # type: ignore[assignment]  # wider than the id of its base
    """Whose it is."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """The fields to expand, for a caller who may read them."""

    fields: Sequence[str]

    @classmethod
    def read(cls, text: str | None, caller: Caller) -> "Expansion":
        """The fields that a parameter names; customers are left out for a key that may not read them.

        Raises:
            Problem: `invalid` for any other name.
        """
        names = [] if text is None else text.split(",")
        if not set(names) <= _KINDS.keys():
            raise invalid_parameter("expand", f"Name some of {', '.join(_KINDS)}, with commas between them.")
        readable = caller.may("reservations:read")
        return cls([name for name in _KINDS if name in names and (readable or name != "customer")])

    async def objects(self, store: Store, rows: Sequence[BsonDocument]) -> Objects:
        """The objects that some rows name, by one read for each field; those that cannot be read are left out."""
        found: dict[str, Mapping[str, object]] = {}
        for field in self.fields:
            kind, answer = _KINDS[field]
            named = sorted({name for row in rows if (name := identity(row.get(field))) is not None})
            those = await read_those(store, kind, named, without=LONG_FIELDS)
            found[field] = {each.id: _json(answer.model_validate(each)) for each in those}
        return found


def expanded(reservation: ShownReservation, objects: Objects) -> ShownReservation:
    """A reservation with objects in place of their ids."""
    if not objects:
        return reservation
    fields = dict(reservation.fields)
    for field, known in objects.items():
        value = fields.get(field)
        if isinstance(value, str) and value in known:
            fields[field] = known[value]
    return replace(reservation, fields=fields)


def _json(answer: CatalogueAnswer) -> Mapping[str, Any]:
    return answer.model_dump(mode="json", exclude_none=True, warnings=False)
