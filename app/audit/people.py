"""Names of the customers whose reservations are in a finding, for the printed report."""

from collections.abc import AsyncIterator, Iterable, Mapping

from app.storage.errors import StorageError
from app.storage.readonly import ReadOnlyDatabase
from app.storage.values import forms, identity, printable

CUSTOMERS = "customers"
_NAME_FIELDS = ("name", "firstName", "lastName", "email")
_IDS_PER_QUERY = 1_000


async def customer_names(reading: ReadOnlyDatabase, collection: str, reservations: Iterable[str]) -> dict[str, str]:
    """By reservation the name of its customer or guest, else the customer's id; one with none of these has no entry."""
    names: dict[str, str] = {}
    customers: dict[str, str] = {}
    async for document in _documents_by_id(reading, collection, ("customer", "guest"), reservations):
        reservation = str(identity(document.get("_id")))
        customer = document.get("customer")
        if name := _name(customer) or _name(document.get("guest")):
            names[reservation] = name
        elif (known := identity(customer)) is not None:
            customers[reservation] = known
    names_by_id: dict[str, str] = {}
    async for document in _documents_by_id(reading, CUSTOMERS, _NAME_FIELDS, set(customers.values())):
        if name := _name(document):
            names_by_id[str(identity(document.get("_id")))] = name
    return names | {each: names_by_id.get(customer, customer) for each, customer in customers.items()}


def _name(person: object) -> str:
    """The name in a customer or guest object; empty for an id or a missing value."""
    if not isinstance(person, Mapping):
        return ""
    inside = _name(person.get("value"))  # a populated relation
    both = " ".join(part for part in (_text(person, "firstName"), _text(person, "lastName")) if part)
    return inside or _text(person, "name") or both or _text(person, "email")


def _text(person: Mapping[str, object], name: str) -> str:
    value = person.get(name)
    return printable(value).strip() if isinstance(value, str) else ""


async def _documents_by_id(
    reading: ReadOnlyDatabase, collection: str, fields: tuple[str, ...], ids: Iterable[str]
) -> AsyncIterator[dict[str, object]]:
    """The documents with these ids; none if they may not be read, because names are optional in a report."""
    wanted = list(dict.fromkeys(ids))
    try:
        for start in range(0, len(wanted), _IDS_PER_QUERY):
            stored = [form for each in wanted[start : start + _IDS_PER_QUERY] for form in forms(each)]
            async for batch in reading.documents(collection, fields, {"_id": {"$in": stored}}):
                for document in batch:
                    yield document
    except StorageError:
        return
