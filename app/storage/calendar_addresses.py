"""The store of the secret addresses of calendars."""

from dataclasses import dataclass

from app.deadline import sending
from app.storage.client import Store
from app.storage.documents import CalendarAddress, CalendarKind

_ADDRESSES: str = CalendarAddress.Settings.name


@dataclass(frozen=True, slots=True)
class CalendarAddresses:
    """The addresses of one database."""

    store: Store

    async def find(self, secret_hash: str) -> CalendarAddress | None:
        """The address with the secret of this hash."""
        found: CalendarAddress | None = await self.store.of(CalendarAddress).find_one({"secretHash": secret_hash})
        return found

    async def put_address(self, address: CalendarAddress) -> None:
        """Store an address in place of the one that its calendar had."""
        sending()
        stored = address.to_mongo()
        await self.store.database[_ADDRESSES].replace_one({"_id": address.id}, stored, upsert=True)

    async def remove_address(self, kind: CalendarKind, owner: str) -> None:
        """Remove the address of a calendar, if it has one."""
        sending()
        await self.store.database[_ADDRESSES].delete_one({"_id": address_id(kind, owner)})


def address_id(kind: CalendarKind, owner: str) -> str:
    """The id of the address of a calendar."""
    return f"{kind}:{owner}"
