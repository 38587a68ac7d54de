"""Reservations of earlier imports or earlier rows: found by their rows' keys, and compared with a row."""

from collections.abc import Collection

from bson import ObjectId

from app.booking import ACTOR_IMPORT, import_key
from app.domain.instants import render
from app.domain.lifecycle import Status
from app.importing.rows import Row
from app.storage.client import Store
from app.storage.imported_reservations import ImportedReservation, ImportedReservations


async def any_keyless(store: Store) -> bool:
    """Whether there may be reservations of imports that were made before rows had keys."""
    return await _imported(store).any_keyless()


async def find_imported(store: Store, rows: Collection[Row], *, keyless: bool = True) -> dict[str, ImportedReservation]:
    """The reservations that imports made of these rows, by the rows' keys.

    Before rows had keys, an import stored the reference in the metadata. Such a reservation is
    identified by that reference and its present resource; equal metadata of other writers do not count. Without
    `keyless` these are not searched.
    """
    imported, keys = _imported(store), {row.key: row for row in rows}
    found = await imported.by_keys(keys)
    if not keyless:
        return found
    for stored in await imported.keyless_by_references(
        {row.reference for key, row in keys.items() if key not in found and row.reference and not row.is_known_by_id}
    ):
        key = import_key(stored.resource, str(stored.reference))
        if key in keys:
            found.setdefault(key, stored)
    return found


async def references_of(store: Store, ids: Collection[ObjectId]) -> list[str]:
    """The references by which callers know reservations, in the order of the ids; the id of one that has none."""
    if not ids:
        return []
    known = await _imported(store).references(ids)
    return [known.get(each) or str(each) for each in ids]


def _imported(store: Store) -> ImportedReservations:
    return ImportedReservations(store, actor=ACTOR_IMPORT)


def patch_to(stored: ImportedReservation, row: Row) -> dict[str, object]:
    """The changes that make a reservation equal to its row, by the names of the API's fields and `status`."""
    fields = {
        "resource": (stored.resource, row.wanted.resource),
        "startTime": (stored.start, row.wanted.start_time),
        "endTime": (stored.end, row.wanted.end_time or stored.end),
        "guests": (stored.guests, row.wanted.guests),
        "status": (_status_in_file(stored), row.wanted.status),
    }
    return {name: wanted for name, (present, wanted) in fields.items() if present != wanted}


def _status_in_file(stored: ImportedReservation) -> Status:
    """The status to compare with a row: a reservation that was completed here since counts as confirmed."""
    last: dict[str, object] = next((entry for entry in reversed(stored.history) if "to" in entry), {})
    completed_here = (
        last.get("to") == "completed" and last.get("from") == "confirmed" and last.get("by") != ACTOR_IMPORT
    )
    return "confirmed" if completed_here else stored.status


def changed_by(stored: ImportedReservation, operation: ObjectId) -> bool:
    """Whether the change of this operation is in the history of a reservation."""
    return any(entry.get("operation") == operation for entry in stored.history)


def described(stored: ImportedReservation, names: Collection[str]) -> str:
    """Some fields of a reservation in words, for people."""
    values = {"resource": stored.resource, "startTime": render(stored.start), "endTime": render(stored.end)}
    values |= {"guests": str(stored.guests), "status": stored.status}
    return ", ".join(f"{name} {values[name]}" for name in values if name in names)
