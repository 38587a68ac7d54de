"""What the desk sees of a day: who comes, who is here, who is late to leave, and what waits for a word.

A reservation belongs to the day that it is at its resource: each is judged by its resource's own zone.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.caller import Caller
from app.console.names import Names, names_in
from app.domain.instants import Millis, parse, to_millis
from app.domain.zones import local, zone
from app.http.paging import MAX_LIMIT
from app.reservations.queries import Filters, list_reservations
from app.reservations.rendering import shown
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.stored_reservations import lenient_reservation
from app.work import WorkPool

AHEAD = timedelta(hours=38)
"""No zone's day ends later than this after its beginning anywhere."""
LATE_DAYS = 7
"""A reservation that ended longer ago and was never closed is no longer the desk's: it is in the list of the API."""

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Row:
    """A reservation as the desk sees it.

    Args:
        fields: Those of the API.
        names: Of its resource, its service and its customer.
        is_today: Whether it begins on the present day at its resource.
        date: Its local date.
        start: Its local wall time, `09:30`; what it says of itself where that cannot be read.
        end: The same of its end.
        verbs: What may be done with it here, the likeliest first.
    """

    fields: Fields
    names: Names
    is_today: bool
    date: str
    start: str
    end: str
    verbs: Sequence[str]

    @property
    def who(self) -> str | None:
        """Whose it is, as far as it says so."""
        customer = self.fields.get("customer")
        known = self.names.customers.get(str(customer), customer)
        return None if known is None else str(known)

    @property
    def resource(self) -> str:
        """What was booked."""
        resource = self.fields.get("resource")
        return "" if resource is None else self.names.resources.get(str(resource), str(resource))

    @property
    def place(self) -> str:
        """Where its time is: the city of its zone."""
        return str(self.fields["timezone"]).rpartition("/")[2].replace("_", " ")

    @property
    def service(self) -> str | None:
        """What for."""
        service = self.fields.get("service")
        return None if service is None else self.names.services.get(str(service), str(service))


@dataclass(frozen=True, slots=True)
class Today:
    """The lists of the page, each by time; `is_cut` if there is more than it shows."""

    waiting: Sequence[Row]
    late: Sequence[Row]
    running: Sequence[Row]
    arrivals: Sequence[Row]
    is_cut: bool

    @property
    def zone(self) -> str | None:
        """The time zone of most rows, which none of them names."""
        zones = Counter(str(row.fields["timezone"]) for _, rows in self.lists() for row in rows)
        return max(zones, key=zones.__getitem__, default=None)

    def lists(self) -> Iterator[tuple[str, Sequence[Row]]]:
        """The lists in their order, by their names."""
        yield "waiting", self.waiting
        yield "late", self.late
        yield "running", self.running
        yield "arrivals", self.arrivals


async def read_today(store: Store, work: WorkPool, caller: Caller) -> Today:
    """The lists for a caller, with what it may do.

    Raises:
        Problem: `overloaded` where too much work waits for a thread.
    """
    now = store.clock.now()
    wanted = (
        Filters(statuses=("pending",), from_=now),
        Filters(statuses=("confirmed",), from_=now - timedelta(days=LATE_DAYS), to=now),
        Filters(statuses=("confirmed",), from_=now, to=now + AHEAD),
    )
    pages = await asyncio.gather(*(list_reservations(store, each, caller, MAX_LIMIT, None) for each in wanted))
    names = await names_in(store, [row for rows, _ in pages for row in rows])
    is_cut = any(following is not None for _, following in pages)
    return await work.run(_lists, [rows for rows, _ in pages], names, caller, now, is_cut=is_cut)


def _lists(
    found: Sequence[Sequence[BsonDocument]], names: Names, caller: Caller, now: datetime, *, is_cut: bool
) -> Today:
    pending, begun, current = ([shown(lenient_reservation(row), now).fields for row in rows] for rows in found)
    at = to_millis(now)

    def rows(found: Sequence[Fields], *verbs: str) -> list[Row]:
        return [_row(fields, names, caller, verbs, at) for fields in found]

    return Today(
        waiting=rows([each for each in pending if each["status"] == "pending"], "confirm", "cancel"),
        late=rows([each for each in begun if _at(each, "endTime", at) <= at], "complete", "no-show"),
        running=rows([each for each in current if _at(each, "startTime", at) <= at], "complete", "no-show"),
        arrivals=rows([each for each in current if _at(each, "startTime", at) > at and _is_today(each, at)], "cancel"),
        is_cut=is_cut,
    )


def _row(fields: Fields, names: Names, caller: Caller, verbs: Sequence[str], now: Millis) -> Row:
    start, end = _local(fields, "startTime"), _local(fields, "endTime")
    is_request = fields["status"] == "pending" and "expiresAt" not in fields
    may = [verb for verb in verbs if verb != "confirm" or not is_request or caller.may("reservations:admin")]
    return Row(
        fields,
        names,
        _is_today(fields, now),
        "" if start is None else start.date().isoformat(),
        str(fields.get("startTime", "")) if start is None else f"{start:%H:%M}",
        str(fields.get("endTime", "")) if end is None else f"{end:%H:%M}",
        may if caller.may("reservations:write") else (),
    )


def _local(fields: Fields, name: str) -> datetime | None:
    """A time of a reservation in its zone; None where another program stored what is none."""
    try:
        return local(to_millis(parse(str(fields[name]))), zone(str(fields["timezone"])))
    except (KeyError, ValueError, OverflowError):
        return None


def _at(fields: Fields, name: str, otherwise: Millis) -> Millis:
    try:
        return to_millis(parse(str(fields[name])))
    except (KeyError, ValueError, OverflowError):
        return otherwise


def _is_today(fields: Fields, now: Millis) -> bool:
    start = _local(fields, "startTime")
    return start is None or start.date() == local(now, zone(str(fields["timezone"]))).date()
