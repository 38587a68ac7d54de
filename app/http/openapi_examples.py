"""The examples of the description: one story on the demo catalogue, so that `/docs` can send each as it stands.

Of what the server names itself (reservations, groups, findings, runs, times off) the ids are made up: take those of
the answers that you got.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from app.errors import KINDS, ProblemName
from app.http.problem_schemas import problem_schema

Example: TypeAlias = tuple[str, dict[str, object]]
"""What it shows, and the body."""

_RESERVATION, _OTHER = "665f1f77bcf86cd799439011", "665f1f77bcf86cd799439012"
_GROUP, _TIME_OFF = "665f1f77bcf86cd799439021", "665f1f77bcf86cd799439031"
_SERIES = "665f1f77bcf86cd799439071"
_RUN, _FINDING = "665f1f77bcf86cd799439041", "665f1f77bcf86cd799439051"
_CLOSURE = "665f1f77bcf86cd799439071"
_WEBHOOK, _EVENT = "665f1f77bcf86cd799439061", "0000000000000042"
_SECRET = "x" * 43
_MADE = "2035-05-02T07:30:00.000Z"

PATH_PARAMETERS: Mapping[str, tuple[str, str]] = {
    "resourceId": ("The id of the resource.", "room-1"),
    "serviceId": ("The id of the service.", "consultation"),
    "customerId": ("The id of the customer.", "mia"),
    "timeOffId": ("The id of the time off.", _TIME_OFF),
    "closureId": ("The id of the closure.", _CLOSURE),
    "reservationId": ("The id of the reservation.", _RESERVATION),
    "groupId": ("The id of the group.", _GROUP),
    "seriesId": ("The id of the series.", _SERIES),
    "reconciliationId": ("The id of the reconciliation.", _RUN),
    "keyPrefix": ("The prefix of the key.", "k3yprefx"),
    "webhookId": ("The id of the webhook.", _WEBHOOK),
    "findingId": ("The id of the finding.", _FINDING),
    "secret": ("The secret of the address.", _SECRET),
}
"""Each with its description and an example."""

PARAMETERS: Mapping[str, Mapping[str, object]] = {
    "listAvailability": {"service": "consultation", "from": "2035-06-11", "to": "2035-06-12"},
    "getUtilisation": {"resource": "ada", "from": "2035-06-11", "to": "2035-06-18"},
    "explainAvailability": {
        "resource": "ada",
        "service": "consultation",
        "startTime": "2035-06-11T09:00:00Z",
    },
}
"""Of other parameters, by operation and name: those without which an answer would say little."""

_REASON: Mapping[str, Example] = {"reason": ("With a reason", {"reason": "Asked for by phone"})}

BODIES: Mapping[str, Mapping[str, Example]] = {
    "createResource": {
        "room": (
            "A room",
            {
                "name": "Room 3",
                "description": "First floor, with a view of the garden",
                "metadata": {"floor": 1, "stepFree": True},
                "timezone": "Europe/Berlin",
                "services": ["room-hire"],
            },
        ),
        "class": (
            "A room for a class, counted by guests",
            {
                "name": "Garden",
                "timezone": "Europe/Berlin",
                "capacity": 20,
                "capacityMode": "guests",
                "maxGuests": 4,
                "services": ["yoga"],
                "serviceOnly": True,
            },
        ),
    },
    "updateResource": {"name": ("Another name", {"name": "Room 1, ground floor"})},
    "replaceResourceSchedule": {
        "weekdays": (
            "Weekdays, closed on a holiday",
            {
                "weekly": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "20:00"}],
                "overrides": [{"date": "2035-12-24", "windows": []}],
            },
        ),
        "always": ("Always open", {}),
    },
    "createTimeOff": {
        "days": ("Whole days", {"from": "2035-08-01", "to": "2035-08-15", "reason": "Renovation"}),
        "hours": ("Some hours", {"from": "2035-09-03T12:00:00Z", "to": "2035-09-03T14:00:00Z"}),
    },
    "createClosure": {
        "everywhere": ("All resources", {"name": "Christmas", "from": "2035-12-24", "to": "2035-12-27"}),
        "some": (
            "Some resources, and those of a service",
            {
                "name": "Works on the first floor",
                "from": "2035-12-28T07:00:00Z",
                "to": "2035-12-28T16:00:00Z",
                "resources": ["room-1"],
                "services": ["consultation"],
            },
        ),
    },
    "updateClosure": {"longer": ("A later end", {"to": "2035-12-28T18:00:00Z"})},
    "createService": {
        "fixed": (
            "Of one length",
            {"name": "Massage", "durationType": "fixed", "durationMinutes": 60, "bufferAfterMinutes": 15},
        ),
        "flexible": (
            "Of the length that is asked for",
            {"name": "Rehearsal", "durationType": "flexible", "minMinutes": 60, "stepMinutes": 30, "maxMinutes": 240},
        ),
        "fullDay": ("By the day", {"name": "Boat hire", "durationType": "full-day", "maxDays": 7}),
    },
    "updateService": {"buffer": ("A longer buffer", {"bufferAfterMinutes": 15})},
    "createCustomer": {"customer": ("A customer", {"name": "Noah", "email": "noah@example.com"})},
    "updateCustomer": {"phone": ("A telephone number", {"phone": "+49 30 1234567"})},
    "createReservation": {
        "booking": (
            "A booking; the service says when it ends",
            {"resource": "ada", "service": "consultation", "customer": "mia", "startTime": "2035-06-04T09:00:00Z"},
        ),
        "anyone": (
            "A booking of any free resource of the service",
            {"service": "consultation", "customer": "mia", "startTime": "2035-06-05T15:00:00Z"},
        ),
        "hold": (
            "A hold for a quarter of an hour",
            {
                "resource": "room-1",
                "service": "room-hire",
                "startTime": "2035-06-04T10:00:00Z",
                "endTime": "2035-06-04T12:00:00Z",
                "expiresInSeconds": 900,
                "holder": "visitor-8f14e45f",
            },
        ),
        "localTime": (
            "A booking by local time, for several guests",
            {
                "resource": "studio",
                "service": "yoga",
                "localStart": "2035-06-04T18:00",
                "timezone": "Europe/Berlin",
                "guests": 3,
            },
        ),
        "walkIn": (
            "What has begun already, without a service",
            {
                "resource": "room-2",
                "startTime": "2026-01-05T09:00:00Z",
                "endTime": "2026-01-05T10:00:00Z",
                "notes": "Walk-in",
            },
        ),
    },
    "updateReservation": {
        "move": ("Another time of the same length", {"startTime": "2035-06-04T13:00:00Z"}),
        "anyResource": (
            "The afternoon by the clocks of the place, with whoever is free",
            {"resource": "any", "localStart": "2035-06-04T15:00", "timezone": "Europe/Berlin"},
        ),
        "notes": ("Notes and metadata", {"notes": "Window seat", "metadata": {"channel": "phone"}}),
    },
    "confirmReservation": {
        "details": (
            "With whose it is, and your number of it",
            {"customer": "mia", "notes": "First visit", "reference": "WEB-1042"},
        ),
    },
    "reopenReservation": {"reason": ("With a reason", {"reason": "Marked as a no-show by mistake"})},
    "cancelReservation": _REASON,
    "completeReservation": _REASON,
    "markReservationNoShow": _REASON,
    "extendReservation": {"hold": ("Another quarter of an hour", {"expiresInSeconds": 900})},
    "createGroup": {
        "rooms": (
            "Two rooms at the same time",
            {
                "reservations": [
                    {
                        "resource": room,
                        "service": "room-hire",
                        "startTime": "2035-06-06T09:00:00Z",
                        "endTime": "2035-06-06T12:00:00Z",
                    }
                    for room in ("room-1", "room-2")
                ]
            },
        ),
    },
    "confirmGroup": _REASON,
    "cancelGroup": _REASON,
    "createSeries": {
        "monthly": (
            "A room on the last Friday of each month",
            {
                "reservation": {
                    "resource": "room-1",
                    "service": "room-hire",
                    "localStart": "2035-06-01T09:00",
                    "localEnd": "2035-06-01T11:00",
                },
                "rule": "FREQ=MONTHLY;BYDAY=-1FR;UNTIL=20351231",
                "onConflict": "refuse",
            },
        ),
        "weekly": (
            "A class twice a week, for one guest",
            {
                "reservation": {
                    "resource": "studio",
                    "service": "yoga",
                    "customer": "mia",
                    "localStart": "2035-06-04T18:00",
                },
                "rule": "FREQ=WEEKLY;BYDAY=MO,TH;COUNT=20",
                "onConflict": "skip",
                "except": ["2035-07-02"],
            },
        ),
    },
    "moveSeries": {
        "later": (
            "An hour later, from the second on",
            {"from": "2035-06-07T00:00", "localStart": "2035-06-07T19:00", "reason": "The hall is taken"},
        ),
        "elsewhere": ("All of them to another resource", {"resource": "studio"}),
    },
    "confirmSeries": _REASON,
    "cancelSeries": {
        "rest": ("From a day on, with a reason", {"from": "2035-07-01T00:00", "reason": "Holidays"}),
    },
    "createMoves": {
        "later": (
            "A day later",
            {
                "moves": [{"reservation": _RESERVATION, "version": 1, "startTime": "2035-06-07T09:00:00Z"}],
                "reason": "Ada is away",
            },
        ),
    },
    "createKey": {
        "website": (
            "A key for a website",
            {"name": "Website", "scopes": ["reservations:read", "reservations:write"], "rateLimit": "100/minute"},
        ),
        "monitoring": (
            "A key for Prometheus, for some years",
            {"name": "Prometheus", "scopes": ["metrics:read"], "expiresAt": "2035-12-31T00:00:00Z"},
        ),
    },
    "updateKey": {"expiry": ("A later expiry", {"expiresAt": "2036-12-31T00:00:00Z"})},
    "rotateKey": {"overlap": ("With a day for the change", {"overlapMinutes": 1440})},
    "createResourceCalendarAddress": {
        "busy": ("For all who know it, when alone", {}),
        "names": ("With names and notes, for those at the desk", {"names": True}),
    },
    "createCustomerCalendarAddress": {"names": ("With what is booked", {"names": True})},
    "createWebhook": {
        "all": ("All events", {"url": "https://shop.example/reserva"}),
        "some": (
            "New bookings and cancellations of a room",
            {
                "url": "https://shop.example/reserva",
                "types": ["reservation.created", "reservation.cancelled"],
                "resources": ["room-1"],
            },
        ),
    },
    "updateWebhook": {
        "resume": ("Take it up again after a pause", {"active": True}),
        "resources": ("Of all resources", {"resources": None}),
    },
    "rotateWebhook": {"overlap": ("With a day for the change", {"overlapMinutes": 1440})},
    "replayWebhook": {"all": ("From the first event on", {"after": "0000000000000000"})},
    "createReconciliation": {
        "changes": ("What has changed since the last one", {}),
        "full": ("Every resource", {"full": True}),
        "resource": ("One resource", {"resource": "room-1"}),
    },
    "acknowledgeFinding": {"note": ("With a note", {"note": "Asked the front desk.", "actor": "Noah"})},
    "acceptFinding": {
        "until": ("For some time", {"note": "They share the room.", "until": "2035-12-31T00:00:00Z"}),
    },
    "resolveFinding": {"note": ("With a note", {"note": "One of them was cancelled."})},
    "reopenFinding": {"note": ("With a note", {"note": "They do not share it after all."})},
    "assignFinding": {"person": ("To a person", {"assignee": "Noah"})},
    "transitionFindings": {
        "acknowledge": ("Acknowledge", {"ids": [_FINDING], "to": "acknowledged", "note": "Seen in the morning."}),
    },
}
"""Of bodies, by operation and name."""

_ENTRY = {"at": _MADE, "by": "3kTqX9aB", "to": "confirmed"}
_BOOKED = {
    "id": _RESERVATION,
    "resource": "ada",
    "service": "consultation",
    "customer": "mia",
    "status": "confirmed",
    "startTime": "2035-06-04T09:00:00.000Z",
    "endTime": "2035-06-04T09:30:00.000Z",
    "blockStart": "2035-06-04T09:00:00.000Z",
    "blockEnd": "2035-06-04T09:40:00.000Z",
    "guests": 1,
    "units": 1,
    "timezone": "Europe/Berlin",
    "version": 1,
    "createdAt": _MADE,
    "updatedAt": _MADE,
    "history": [_ENTRY],
}
_SHARED = {"version": 1, "createdAt": _MADE, "updatedAt": _MADE}
_CHANGE = {"at": _MADE, "by": "h4kq8vzn", "changed": ["name"]}
_RESOURCE = {
    "id": "room-1",
    "name": "Room 1",
    "timezone": "Europe/Berlin",
    "capacity": 1,
    "capacityMode": "reservations",
    "services": ["room-hire"],
    "serviceOnly": False,
    "active": True,
    "history": [_CHANGE],
    **_SHARED,
}
_SHUT = {
    "id": _CLOSURE,
    "name": "Christmas",
    "from": "2035-12-24",
    "to": "2035-12-27",
    "history": [_CHANGE],
    **_SHARED,
}
_SERVICE = {
    "id": "consultation",
    "name": "Consultation",
    "durationType": "fixed",
    "durationMinutes": 30,
    "bufferBeforeMinutes": 0,
    "bufferAfterMinutes": 10,
    "minimumNoticeMinutes": 0,
    "cancellationNoticeMinutes": 0,
    "approval": False,
    "active": True,
    "assignment": "even",
    "hours": "throughout",
    "history": [_CHANGE],
    **_SHARED,
}
_CUSTOMER = {"id": "mia", "name": "Mia", "email": "mia@example.com", **_SHARED}
_LISTED = _BOOKED | {"customer": _CUSTOMER}
_KEY = {
    "prefix": "k3yprefx",
    "name": "Website",
    "state": "live",
    "scopes": ["reservations:read", "reservations:write"],
    "lastUsedAt": "2035-05-02T07:31:00.000Z",
    "history": [_CHANGE],
    **_SHARED,
}
_HOOK = {
    "id": _WEBHOOK,
    "url": "https://shop.example/reserva",
    "active": True,
    "history": [_CHANGE | {"changed": ["url"]}],
    "cursor": _EVENT,
    "failures": 0,
    **_SHARED,
}
_TESTED = {"delivered": True, "event": "test_8f14e45fceea167a5a36dedd", "status": 204, "milliseconds": 87}
_DELIVERED = {
    "delivered": False,
    "event": _EVENT,
    "status": 500,
    "error": "it answered 500",
    "milliseconds": 87,
    "type": "reservation.created",
    "at": _MADE,
    "attempt": 1,
}
_OPENING = {"from": "08:00", "to": "20:00"}
_WEEKLY = {"days": ["mon", "tue", "wed", "thu", "fri"], **_OPENING}
_CLOSED = {"date": "2035-12-24", "windows": []}
_AWAY = {"id": _TIME_OFF, "from": "2035-08-01", "to": "2035-08-15", "reason": "Renovation"}
_SLOT = {
    "resource": "ada",
    "startTime": "2035-06-11T07:00:00.000Z",
    "endTime": "2035-06-11T07:30:00.000Z",
    "localStart": "2035-06-11T09:00",
    "remaining": 1,
}
_SLOT_START = {name: _SLOT[name] for name in ("startTime", "endTime", "localStart")} | {
    "resources": ["ada", "grace"],
    "remaining": 2,
}
_SLOT_DAY = {"date": "2035-06-11", "first": "2035-06-11T07:00:00.000Z", "starts": 14}
_CHECK = {"rule": "capacity", "ok": False, "detail": "The time is taken.", "reservation": _OTHER}
_TAKEN = {
    "startTime": "2035-06-04T09:00:00.000Z",
    "endTime": "2035-06-04T09:40:00.000Z",
    "status": "confirmed",
    "reservation": _OTHER,
}
_RECONCILIATION = {
    "id": _RUN,
    "kind": "incremental",
    "state": "succeeded",
    "scanned": 1200,
    "leftOut": {},
    "resources": 4,
    "findings": 1,
    "conflicts": 1,
    "new": 1,
    "startedAt": "2035-06-04T10:00:00.000Z",
    "finishedAt": "2035-06-04T10:00:01.250Z",
}
_INVOLVED = {
    "id": _RESERVATION,
    "customer": "mia",
    "customerName": "Mia",
    "startTime": "2035-06-04T09:00:00.000Z",
    "endTime": "2035-06-04T09:30:00.000Z",
    "units": 1,
    "status": "confirmed",
    "createdAt": _MADE,
    "by": "import",
}
_CHECKS = {
    "database": "ok",
    "indexes": "ok",
    "redis": "ok",
    "relay": "ok",
    "lastReconciliation": "2026-03-08T09:00:04.210Z",
}
_PROPOSED = {
    "reservation": _OTHER,
    "resource": "grace",
    "startTime": "2035-06-04T09:00:00.000Z",
    "endTime": "2035-06-04T09:30:00.000Z",
}
_SEEN = {"at": "2035-06-04T10:00:01.000Z", "by": "worker", "to": "open", "peak": 2, "capacity": 1}
_FOUND = {
    "id": _FINDING,
    "version": 1,
    "resource": "ada",
    "resourceName": "Ada",
    "from": "2035-06-04T09:00:00.000Z",
    "to": "2035-06-04T09:40:00.000Z",
    "peak": 2,
    "capacity": 1,
    "state": "open",
    "reservations": [_INVOLVED, _INVOLVED | {"id": _OTHER}],
    "reservationCount": 2,
    "firstSeen": "2035-06-04T10:00:01.000Z",
    "lastSeen": "2035-06-04T10:00:01.000Z",
    "run": _RUN,
    "history": [_SEEN],
}
_NOTE = {"at": "2035-06-04T10:05:00.000Z", "by": "Lena", "note": "Mia was called; she comes an hour later."}
_NOTED: dict[str, object] = {"id": _FINDING, "notes": [_NOTE]}
_EVENT_FINDING = {
    name: _FOUND[name]
    for name in ("id", "version", "resource", "from", "to", "peak", "capacity", "state", "firstSeen", "lastSeen")
}
_PLACED = {
    "id": _EVENT,
    "type": "reservation.created",
    "at": _MADE,
    "by": "h4kq8vzn",
    "version": 1,
    "resource": "ada",
    "reservation": _BOOKED,
}
_SKIPPED = {"localStart": "2035-06-11T11:00", "conflicts": [_TAKEN], "checks": [_CHECK]}
_RECURRING = {
    "id": _SERIES,
    "rule": "FREQ=WEEKLY;COUNT=2",
    "timezone": "Europe/Berlin",
    "reservations": [_BOOKED | {"series": _SERIES}],
    "skipped": [_SKIPPED],
    "version": 1,
}
_GROUPED = {"id": _GROUP, "reservations": [_BOOKED | {"group": _GROUP}], "version": 1}

_PROBLEM_MEMBERS: Mapping[ProblemName, dict[str, Any]] = {
    "conflict": {"conflicts": [_TAKEN], "checks": [_CHECK], "nextFree": ["2035-06-04T09:40:00.000Z"]},
    "rule": {"checks": [_CHECK | {"rule": "schedule", "detail": "Ada is closed then."}]},
    "too-late": {"until": "2035-06-03T09:00:00.000Z"},
    "local-time": {"choices": ["2035-10-28T00:30:00.000Z", "2035-10-28T01:30:00.000Z"]},
    "stranded-bookings": {
        "total": 1,
        "reservations": [
            {
                "id": _RESERVATION,
                "version": 1,
                "customer": "mia",
                "startTime": "2035-06-04T09:00:00.000Z",
                "endTime": "2035-06-04T09:40:00.000Z",
                "status": "confirmed",
            }
        ],
    },
    "outcome-unknown": {"reservations": [_RESERVATION]},
}
_MEMBER = {"index": 0, "conflicts": [_TAKEN], "checks": [_CHECK], "nextFree": ["2035-06-04T09:40:00.000Z"]}
_EXPLAINED = {"resource": "ada", "bookable": False, "checks": [_CHECK]}


def _problem(name: ProblemName, **members: object) -> dict[str, object]:
    kind = KINDS[name]
    return {
        "type": f"/problems/{name}",
        "title": kind.title,
        "status": kind.status,
        "detail": f"{kind.title}.",
        "requestId": "9f86d081884c7d659a2feaa0",
        **members,
    }


_USED = {
    "resource": "ada",
    "from": "2035-06-11",
    "to": "2035-06-12",
    "startTime": "2035-06-10T22:00:00.000Z",
    "endTime": "2035-06-11T22:00:00.000Z",
    "capacity": 1,
    "openMinutes": 480,
    "bookedMinutes": 180,
    "outsideMinutes": 0,
    "share": 0.375,
    "bookings": 4,
    "noShows": 1,
    "cancelledLate": 0,
}

ANSWERS: Mapping[str, object] = {
    "ChangeHistoryEntry": _CHANGE,
    "Reservation": _BOOKED,
    "ReservationPage": {"items": [_BOOKED]},
    "ListedReservation": _LISTED,
    "ListedReservationPage": {"items": [_LISTED]},
    "ReservationHistoryEntry": _ENTRY,
    "Group": _GROUPED,
    "MovedReservations": {"reservations": [_BOOKED]},
    "Series": _RECURRING,
    "SkippedOccurrence": _SKIPPED,
    "Resource": _RESOURCE,
    "ResourcePage": {"items": [_RESOURCE]},
    "Service": _SERVICE,
    "ServicePage": {"items": [_SERVICE]},
    "Customer": _CUSTOMER,
    "CustomerPage": {"items": [_CUSTOMER]},
    "CustomerExport": {
        "customer": _CUSTOMER,
        "reservations": [_BOOKED | {"events": [_PLACED]}],
        "findings": [_NOTED],
    },
    "ExportedReservation": _BOOKED | {"events": [_PLACED]},
    "ExportedFinding": _NOTED,
    "ExportedNote": _NOTE,
    "Key": _KEY,
    "KeyPage": {"items": [_KEY]},
    "IssuedKey": _KEY | {"secret": "rsv_k3yprefx_" + "x" * 43},
    "CalendarAddress": {"path": f"/v1/calendars/{_SECRET}/calendar.ics", "names": True, "createdAt": _MADE},
    "Webhook": _HOOK,
    "WebhookPage": {"items": [_HOOK]},
    "IssuedWebhook": _HOOK | {"secret": "whsec_" + "x" * 43 + "="},
    "WebhookTest": _TESTED,
    "WebhookDelivery": _DELIVERED,
    "WebhookDeliveryPage": {"items": [_DELIVERED]},
    "Schedule": {"weekly": [_WEEKLY], "overrides": [_CLOSED]},
    "OpeningWindow": _OPENING,
    "WeeklyOpeningWindow": _WEEKLY,
    "ScheduleOverride": _CLOSED,
    "TimeOff": _AWAY,
    "TimeOffPage": {"items": [_AWAY]},
    "Closure": _SHUT,
    "ClosurePage": {"items": [_SHUT]},
    "Availability": {"timezone": "Europe/Berlin", "items": [_SLOT]},
    "Slot": _SLOT,
    "SlotStart": _SLOT_START,
    "SlotDay": _SLOT_DAY,
    "Utilisation": {"items": [_USED]},
    "UtilisationItem": _USED,
    "AvailabilityExplanation": {"bookable": False, "checks": [_CHECK]},
    "PoolExplanation": {"bookable": False, "resources": [_EXPLAINED]},
    "ResourceExplanation": _EXPLAINED,
    "RuleCheck": _CHECK,
    "Conflict": _TAKEN,
    "Reconciliation": _RECONCILIATION,
    "ReconciliationPage": {"items": [_RECONCILIATION]},
    "Finding": _FOUND | {"proposals": [_PROPOSED]},
    "FindingPage": {"items": [_FOUND], "total": 1},
    "FindingHistoryEntry": _SEEN,
    "FindingReservation": _INVOLVED,
    "MoveProposal": _PROPOSED,
    "FindingTransitionResult": {"id": _FINDING, "status": 200, "finding": _FOUND},
    "FindingTransitionResults": {"items": [{"id": _FINDING, "status": 200, "finding": _FOUND}]},
    "Event": _PLACED,
    "EventPage": {"items": [_PLACED], "next": _EVENT},
    "EventFinding": _EVENT_FINDING,
    "Health": {"status": "ok"},
    "Readiness": {"ready": True, "mode": "strict", "checks": _CHECKS},
    "ReadinessChecks": _CHECKS,
    "Fault": {"pointer": "/guests", "detail": "`guests` must be at least 1."},
    "MemberVerdict": _MEMBER,
    "MemberProblem": {"index": 0, "detail": "The hold has expired."},
    "StrandedReservation": _PROBLEM_MEMBERS["stranded-bookings"]["reservations"][0],
    "Problem": _problem("not-found"),
    **{problem_schema(name): _problem(name, **_PROBLEM_MEMBERS.get(name, {})) for name in KINDS},
    "GroupConflictProblem": _problem("conflict", members=[_MEMBER]),
    "GroupRuleProblem": _problem("rule", members=[_MEMBER]),
}
"""Of answers, by component."""
