"""From a verdict of the rules to the problem that a caller may read."""

from typing import Any

from app.booking import Refused, Stranded
from app.caller import Caller
from app.domain.instants import render
from app.domain.load import Occupancy
from app.domain.rules import Check, Verdict
from app.errors import Fault, Problem

CONFLICTS_MAX = 10
STRANDED_MAX = 100
FIELD_OF_RULE = {
    "resource-active": "resource",
    "service-active": "service",
    "service-offered": "service",
    "duration": "endTime",
    "notice": "startTime",
    "horizon": "startTime",
    "schedule": "startTime",
    "time-off": "startTime",
    "guests": "guests",
    "capacity": "startTime",
}
"""The field of the body that a failed rule points at."""


def refusal(refused: Refused, caller: Caller) -> Problem:
    """`conflict` where only the time is taken, else `rule`; both with every rule's verdict."""
    verdict = refused.verdict
    failed = verdict.failed
    faults = [Fault((FIELD_OF_RULE[check.rule],), check.detail) for check in failed]
    checks = [check_json(check, verdict, caller) for check in verdict.checks]
    if verdict.is_conflict:
        conflicts = [conflict_json(taken, caller) for taken in verdict.conflicts[:CONFLICTS_MAX]]
        return Problem("conflict", failed[0].detail, faults=faults, conflicts=conflicts, checks=checks)
    return Problem("rule", " ".join(check.detail for check in failed), faults=faults, checks=checks)


def stranding(stranded: Stranded, caller: Caller) -> Problem:
    """The bookings that an edit would leave without capacity, listed for callers that may read them."""
    total = len(stranded.stranded)
    remedy = "repeat with ?force=true to leave them as they are" if stranded.forcible else "cancel or move them first"
    extra: dict[str, Any] = {"total": total}
    if caller.may("reservations:read"):
        extra["reservations"] = [stranded_json(taken) for taken in stranded.stranded[:STRANDED_MAX]]
    bookings = "1 booking" if total == 1 else f"{total} bookings"
    return Problem("stranded-bookings", f"{bookings} would be stranded; {remedy}.", **extra)


def conflict_json(taken: Occupancy, caller: Caller) -> dict[str, object]:
    """A conflicting reservation: its times for every caller, its status and id for callers that may read it."""
    shown: dict[str, object] = {"startTime": render(taken.own_start), "endTime": render(taken.own_end)}
    if _may_read(taken, caller):
        shown |= {"status": taken.status, "reservation": str(taken.id)}
    return shown


def stranded_json(taken: Occupancy) -> dict[str, object]:
    """A stranded booking, with what is needed to move it."""
    optional = {"version": taken.version, "customer": taken.customer or None}
    return {
        "id": str(taken.id),
        **{name: value for name, value in optional.items() if value is not None},
        "startTime": render(taken.own_start),
        "endTime": render(taken.own_end),
        "status": taken.status,
    }


def check_json(check: Check, verdict: Verdict, caller: Caller) -> dict[str, object]:
    """One rule's verdict, less what the caller may not read."""
    optional = {
        "reservation": blamed_reservation(check, verdict, caller),
        "timeOff": check.time_off,
        "closure": check.closure,
        "override": check.override,
    }
    present = {name: value for name, value in optional.items() if value is not None}
    return {"rule": check.rule, "ok": check.ok, "detail": check.detail, **present}


def blamed_reservation(check: Check, verdict: Verdict, caller: Caller) -> str | None:
    """The id of the reservation for which a rule says no; None if there is none that the caller may read."""
    if check.reservation is None:
        return None
    readable = any(taken.id == check.reservation and _may_read(taken, caller) for taken in verdict.conflicts)
    return str(check.reservation) if readable else None


def _may_read(taken: Occupancy, caller: Caller) -> bool:
    return caller.may("reservations:read") and caller.sees(taken.customer)
