"""What the calendar draws: days of resources, with what is booked, closed and off in each.

A column is one local day of one resource, or of a pool. It has the real hours of that day, so that a booking stands
where its instants are, also when the clocks change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from app.caller import Caller
from app.console.calendar_dates import Dates, View, hours_of
from app.console.names import Names, names_in
from app.domain.ids import ResourceId
from app.domain.instants import Millis, from_millis, render, to_millis
from app.domain.lifecycle import Status, status_at
from app.domain.rules import ResourceRules
from app.domain.schedule import windows
from app.domain.zones import ONE_DAY, local, start_of_day, zone
from app.reservations.queries import Filters
from app.storage.bson_types import Row
from app.storage.client import Store
from app.storage.documents import Reservation
from app.storage.reservations import ReservationStore
from app.storage.stored_reservations import lenient_reservation
from app.work import WorkPool

BOOKINGS_MAX = 5_000
"""Reservations that one view shows."""

_SHOWN: Sequence[Status] = ("pending", "confirmed", "completed", "no-show")
_UNREAD: Mapping[str, object] = {"history": [], "idempotency": None}
"""The long parts of a stored reservation that no calendar shows."""

Span = tuple[Millis, Millis]


@dataclass(frozen=True, slots=True)
class Booking:
    """A reservation as it is drawn; its instants are milliseconds since the epoch."""

    id: str
    version: object
    resource: str
    service: str | None
    service_name: str | None
    customer: str | None
    status: str
    start: Millis
    end: Millis
    block_start: Millis
    block_end: Millis
    units: object
    guests: object
    expires: Millis | None
    notes: str | None
    series: str | None

    @property
    def kind(self) -> str:
        """What it looks like: its status; of a pending one, whether it is a hold or a request."""
        if self.status != "pending":
            return self.status
        return "request" if self.expires is None else "hold"

    @property
    def expires_at(self) -> str:
        """When a hold is over, as the API writes it."""
        return "" if self.expires is None else render(self.expires)


@dataclass(frozen=True, slots=True)
class Column:
    """A local day of a resource, or of the resources of a pool.

    Args:
        resources: The resources, by id.
        day: The date.
        zone: The name of the time zone whose day it is.
        span: Its first instant, and that of the next day.
        capacity: How much can be booked at a time.
        closed: When it is closed by its hours.
        off: When there is time off.
        bookings: What is booked, by start.
    """

    resources: Sequence[ResourceId]
    day: date
    zone: str
    span: Span
    capacity: int
    closed: Sequence[Span]
    off: Sequence[Span]
    bookings: list[Booking] = field(default_factory=list)

    @property
    def hours(self) -> str:
        """Its full hours, as `<minutes elapsed>=<hour of the clocks>`."""
        return " ".join(f"{elapsed}={hour}" for elapsed, hour in hours_of(self.day, zone(self.zone)))

    def wall(self, instant: Millis) -> str:
        """What the clocks show at an instant, with the date where it is another day's."""
        try:
            wall = local(instant, zone(self.zone))
        except OverflowError:  # other programs' rows may lie at the end of Python's calendar
            return from_millis(instant).date().isoformat()
        if instant == self.span[1]:
            return "24:00"
        return f"{wall:%H:%M}" if self.span[0] <= instant < self.span[1] else f"{wall:%Y-%m-%d %H:%M}"

    def instant(self, instant: Millis) -> str:
        """An instant as the API writes it."""
        return render(instant)


@dataclass(frozen=True, slots=True)
class Drawing:
    """The columns of a view, in their order; `is_cut` where there is more than it shows."""

    columns: Sequence[Column]
    names: Names
    is_cut: bool


async def read_drawing(
    store: Store, work: WorkPool, caller: Caller, view: View, dates: Dates, resources: Sequence[ResourceRules]
) -> Drawing:
    """What a view shows of some resources: each of them on one day, else all of them together on each day.

    Raises:
        Problem: `overloaded` where too much work waits for a thread.
    """
    columns = await work.run(_columns, view, dates, resources)
    if not columns:
        return Drawing([], Names({}, {}, {}), is_cut=False)
    first, end = min(each.span[0] for each in columns), max(each.span[1] for each in columns)
    filters = Filters([each.id for each in resources], statuses=_SHOWN, from_=from_millis(first), to=from_millis(end))
    stored = ReservationStore(store)
    rows = await stored.list_by_start(filters.seen_by(caller), None, rows_max=BOOKINGS_MAX + 1, without=[*_UNREAD])
    is_cut = len(rows) > BOOKINGS_MAX
    del rows[BOOKINGS_MAX:]
    names = await names_in(store, rows)
    await work.run(_fill, columns, rows, names, store.clock.millis())
    return Drawing(columns, names, is_cut)


def _columns(view: View, dates: Dates, resources: Sequence[ResourceRules]) -> list[Column]:
    """The columns of a view, without bookings."""
    if view == "day":
        beside = _by_zone(resources)
        return [_column([each], day, each.timezone) for each in beside for day in dates.within(_zone_of([each]))]
    return [_column(resources, day, _zone_of(resources).key) for day in dates.within(_zone_of(resources))]


def _fill(columns: Sequence[Column], rows: Sequence[Row], names: Names, now: Millis) -> None:
    """Put stored reservations into the columns that they are in."""
    for row in rows:
        if (booking := _booking(lenient_reservation({**row, **_UNREAD}), names, now)) is not None:
            for column in _columns_of(booking, columns):
                column.bookings.append(booking)


def _by_zone(resources: Sequence[ResourceRules]) -> list[ResourceRules]:
    """Resources with those of a zone side by side, so that they share an axis."""
    zones = [*dict.fromkeys(each.timezone for each in resources)]
    return sorted(resources, key=lambda each: zones.index(each.timezone))


def zone_of(resources: Sequence[ResourceRules]) -> str:
    """The zone of resources that are drawn together: theirs where all agree, else UTC."""
    zones = {each.timezone for each in resources}
    return zones.pop() if len(zones) == 1 else "UTC"


def _zone_of(resources: Sequence[ResourceRules]) -> ZoneInfo:
    return zone(zone_of(resources))


def _booking(stored: Reservation, names: Names, now: Millis) -> Booking | None:
    """A stored reservation as it is drawn; None for a hold whose time is over."""
    expires = _millis(stored.expires_at)
    status = status_at(stored.status, expires, now)
    start, end = _millis(stored.start_time), _millis(stored.end_time)
    if status not in _SHOWN or start is None or end is None:
        return None
    before, after = _millis(stored.block_start), _millis(stored.block_end)
    return Booking(
        id=str(stored.id),
        version=stored.version,
        resource=stored.resource,
        service=stored.service,
        service_name=None if stored.service is None else names.services.get(stored.service, stored.service),
        customer=None if stored.customer is None else names.customers.get(stored.customer, stored.customer),
        status=status,
        start=start,
        end=end,
        block_start=start if before is None else before,
        block_end=end if after is None else after,
        units=stored.units,
        guests=stored.guests,
        expires=expires,
        notes=stored.notes,
        series=None if stored.series is None else str(stored.series),
    )


def _millis(value: object) -> Millis | None:
    return to_millis(value) if isinstance(value, datetime) else None


def _columns_of(booking: Booking, columns: Iterable[Column]) -> Iterable[Column]:
    for column in columns:
        if booking.start < column.span[1] and column.span[0] < booking.end and booking.resource in column.resources:
            yield column


def _column(resources: Sequence[ResourceRules], day: date, name: str) -> Column:
    tz = zone(name)
    span = (start_of_day(day, tz), start_of_day(day + ONE_DAY, tz))
    closed = [_outside(((w.start, w.end) for w in windows(each.schedule, tz, *span)), span) for each in resources]
    off = [
        _merged(
            (time.start, time.end)
            for time in (*each.time_off, *each.closed_index)
            if time.start < span[1] and span[0] < time.end
        )
        for each in resources
    ]
    return Column(
        resources=[each.id for each in resources],
        day=day,
        zone=name,
        span=span,
        capacity=sum(each.capacity for each in resources),
        closed=_common(closed, span),
        off=_common(off, span),
    )


def _outside(spans: Iterable[Span], within: Span) -> list[Span]:
    """What is left of a span without others, which are sorted and apart."""
    at, end = within
    found: list[Span] = []
    for start, until in spans:
        if start > at:
            found.append((at, min(start, end)))
        at = max(at, until)
    return [*found, (at, end)] if at < end else found


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Spans as the fewest that cover the same, sorted and apart."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def _common(lists: Iterable[Sequence[Span]], within: Span) -> list[Span]:
    """What all lists cover of a span: a pool is closed where each of its resources is."""
    return _outside(_merged(span for spans in lists for span in _outside(spans, within)), within)
