"""What a transaction shows an intent, built by hand: rules, reservations and occupants that a test names."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from bson import ObjectId
from typing_extensions import override

from app.booking import Refused
from app.booking.intents import AnyIntent, View
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import Millis, from_millis, to_millis
from app.domain.lifecycle import BLOCKING
from app.domain.load import Calendar, Occupancy
from app.domain.rules import ResourceRules, ServiceRules
from app.errors import Problem
from app.storage.documents import Reservation
from app.storage.occupancy import occupancy
from tests.support.reservation_rows import reservation_row
from tests.support.times import DAY, HOUR, NINE

NOW = NINE - DAY
"""The database's clock in a view, unless a test names another."""


class FixedView(View):
    """A view of the given resources, services and stored reservations; a blocking reservation occupies its resource.

    `documents` are further targets, by collection and id; `seq` is that of every guard.
    """

    def __init__(
        self,
        resources: Sequence[ResourceRules] = (),
        services: Sequence[ServiceRules] = (),
        rows: Sequence[dict[str, Any]] = (),
        *,
        now: datetime = NOW,
    ) -> None:
        self.clock = to_millis(now)
        self.resources = {rules.id: rules for rules in resources}
        self.services = {rules.id: rules for rules in services}
        self.calendars: dict[str, Calendar] = {}
        self.documents: dict[tuple[str, Hashable], dict[str, Any]] = {}
        self.guard_seq = 1
        for row in rows:
            self.documents["reservations", row["_id"]] = row
            if row["status"] in BLOCKING:
                self.calendar(row["resource"]).add(occupancy(Reservation.model_validate(row)))

    @override
    def resource_rules(self, resource: ResourceId) -> ResourceRules | None:
        """The rules that the test gave."""
        return self.resources.get(resource)

    @override
    def replace(self, rules: ResourceRules) -> None:
        """Give other rules to a resource."""
        self.resources[rules.id] = rules

    @contextmanager
    @override
    def undoing(self, *failures: type[Exception]) -> Iterator[None]:
        """Restore the calendars after one of the failures."""
        before = {name: dict(calendar.live) for name, calendar in self.calendars.items()}
        try:
            yield
        except failures:
            for name, calendar in self.calendars.items():
                calendar.live = before.get(name, {})
            raise

    @override
    def service_rules(self, service: ServiceId) -> ServiceRules | None:
        """The rules that the test gave."""
        return self.services.get(service)

    @override
    def stored_service_rules(self, service: ServiceId) -> ServiceRules | None:
        """The same."""
        return self.service_rules(service)

    @override
    def calendar(self, resource: ResourceId) -> Calendar:
        """The occupants, at first those of the stored reservations."""
        return self.calendars.setdefault(resource, Calendar(self.clock))

    @override
    def now(self, resource: ResourceId) -> Millis:
        """One clock for all guards."""
        return self.clock

    @override
    def seq(self, resource: ResourceId) -> int:
        """One count for all guards."""
        return self.guard_seq

    @override
    def target(self, collection: str, identity: Hashable) -> dict[str, Any] | None:
        """A stored reservation, or one of `documents`."""
        return self.documents.get((collection, identity))

    def occupy(self, resource: str, start: int, end: int) -> None:
        """Let a booking of another customer take a unit of a resource."""
        self.calendar(ResourceId(resource)).add(Occupancy((resource, start), Millis(start), Millis(end)))

    def live_starts(self, resource: str) -> list[datetime]:
        """When the live occupancies of a resource begin, in order."""
        return sorted(from_millis(each.start) for each in self.calendar(ResourceId(resource)).live.values())


def stored_row(start: datetime = NINE, **fields: Any) -> dict[str, Any]:
    """A stored reservation as Reserva writes it: an hour of the room, confirmed, without buffers.

    `fields` replace the defaults by their stored names; None leaves a field out.
    """
    end = fields.get("endTime", start + HOUR)
    made = NOW - HOUR
    history = [{"at": made, "by": "maker", "operation": ObjectId(), "to": "pending"}]
    stamps = {"createdAt": made, "updatedAt": made}
    row = reservation_row("room", start, end, timezone="UTC", version=3, key="maker", history=history, **stamps)
    return {name: value for name, value in (row | fields).items() if value is not None}


def problem_of(intent: AnyIntent, view: View) -> tuple[str, list[str]]:
    """The name of the problem by which an intent is refused, and the fields that it blames, as `member.field`."""
    with pytest.raises(Problem) as refused:
        intent.judge(view)
    return refused.value.name, [".".join(map(str, fault.path)) for fault in refused.value.faults]


def failed_rules_of(intent: AnyIntent, view: View) -> list[str]:
    """The rules by which an intent is refused."""
    with pytest.raises(Refused) as refused:
        intent.judge(view)
    return [check.rule for check in refused.value.verdict.failed]
