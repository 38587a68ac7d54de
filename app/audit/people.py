"""Who the reservations of a finding belong to, for people who read the report."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from app.storage.errors import StorageError
from app.storage.readonly import ReadOnlyDatabase
from app.storage.values import forms, identity, printable

CUSTOMERS = "customers"
_AT_ONCE = 1_000


async def people(reading: ReadOnlyDatabase, collection: str, reservations: Iterable[str]) -> dict[str, str]:
    """A name for each of these reservations that has one: its customer's, a guest's, else the customer's id."""
    names: dict[str, str] = {}
    customers: dict[str, str] = {}
    async for found in _these(reading, collection, ("customer", "guest"), reservations):
        whose = str(identity(found.get("_id")))
        customer = found.get("customer")
        if name := _name(customer) or _name(found.get("guest")):
            names[whose] = name
        elif (known := identity(customer)) is not None:
            customers[whose] = known
    called: dict[str, str] = {}
    async for found in _these(reading, CUSTOMERS, ("name", "firstName", "lastName", "email"), set(customers.values())):
        if name := _name(found):
            called[str(identity(found.get("_id")))] = name
    return names | {whose: called.get(customer, customer) for whose, customer in customers.items()}


def _name(person: object) -> str:
    """What somebody is called; nothing for an id or nobody."""
    if not isinstance(person, Mapping):
        return ""
    inside = _name(person.get("value"))  # a populated relation
    both = " ".join(part for part in (_text(person, "firstName"), _text(person, "lastName")) if part)
    return inside or _text(person, "name") or both or _text(person, "email")


def _text(person: Mapping[str, object], name: str) -> str:
    value = person.get(name)
    return printable(value).strip() if isinstance(value, str) else ""


async def _these(
    reading: ReadOnlyDatabase, collection: str, fields: tuple[str, ...], ids: Iterable[str]
) -> AsyncIterator[dict[str, Any]]:
    """The documents with these ids; none if they may not be read, because a report without names is one as well."""
    wanted = list(dict.fromkeys(ids))
    try:
        for begin in range(0, len(wanted), _AT_ONCE):
            stored = [form for each in wanted[begin : begin + _AT_ONCE] for form in forms(each)]
            async for batch in reading.documents(collection, fields, {"_id": {"$in": stored}}):
                for found in batch:
                    yield found
    except StorageError:
        return
