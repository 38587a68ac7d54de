"""Times as pages write them without scripts, by the wall clock of a resource; scripts write them as the locale does."""

from collections.abc import Collection, Mapping
from datetime import datetime

from app.domain.instants import parse, render, to_millis
from app.domain.zones import local, zone
from app.storage.client import Store
from app.storage.documents import Resource
from app.storage.rows_by_id import rows_by_id

UTC_NAME = "UTC"
_FORMS: Mapping[str, str] = {"time": "%H:%M", "date": "%Y-%m-%d", "dated": "%Y-%m-%d", "instant": "%Y-%m-%d %H:%M"}
"""By the names that scripts have for them."""


async def zones_of(store: Store, resources: Collection[str]) -> Mapping[str, str]:
    """The time zones of resources by their ids; UTC for one that has none that can be read."""
    rows = await rows_by_id(store, Resource, sorted(resources), {"timezone": 1})
    stored = {row["_id"]: row.get("timezone") for row in rows}
    return {each: known_zone(stored.get(each)) for each in resources}


def known_zone(name: object) -> str:
    """A stored time zone if there is one of that name, else UTC."""
    try:
        return zone(name).key if isinstance(name, str) else UTC_NAME
    except ValueError:
        return UTC_NAME


def stamp(instant: datetime | int | str) -> str:
    """An instant as the API writes it; text, which another program stored, as it is."""
    return instant if isinstance(instant, str) else render(instant)  # type: ignore[arg-type]  # whole milliseconds


def wall(instant: datetime | int | str, zone_name: str, kind: str) -> str:
    """An instant by the wall clock of a zone; as it is where it is text and no instant.

    Without a zone it is written in UTC, which scripts replace by the zone of the browser.
    """
    text = stamp(instant)
    try:
        written = format(local(to_millis(parse(text)), zone(zone_name or UTC_NAME)), _FORMS[kind])
    except (ValueError, OverflowError):
        return text
    return written if zone_name else f"{written} UTC"
