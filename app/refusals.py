"""From a verdict of the rules to the problem that a caller may read."""

from typing import Any

from app.booking import Refused, Stranded
from app.caller import Caller
from app.domain.instants import render
from app.domain.load import Occupancy
from app.domain.rules import Check, Verdict
from app.errors import Fault, Problem

CONFLICTS = 10
STRANDED = 100
BLAMED = {
    "resource-active": "/resource",
    "service-active": "/service",
    "service-offered": "/service",
    "duration": "/endTime",
    "notice": "/startTime",
    "horizon": "/startTime",
    "schedule": "/startTime",
    "time-off": "/startTime",
    "guests": "/guests",
    "capacity": "/startTime",
}
"""The field of the body that a failed rule points at."""


def refusal(refused: Refused, caller: Caller) -> Problem:
    """`conflict` where only the time is taken, else `rule`; both with every rule's verdict."""
    verdict = refused.verdict
    failed = verdict.failed
    faults = [Fault(BLAMED[check.rule], check.detail) for check in failed]
    checks = [check_json(check, verdict, caller) for check in verdict.checks]
    if verdict.is_conflict:
        conflicts = [conflict_json(taken, caller) for taken in verdict.conflicts[:CONFLICTS]]
        return Problem("conflict", failed[0].detail, faults=faults, conflicts=conflicts, checks=checks)
    return Problem("rule", " ".join(check.detail for check in failed), faults=faults, checks=checks)


def stranding(stranded: Stranded, caller: Caller) -> Problem:
    """The bookings that an edit would leave without room, for those who may read them."""
    total = len(stranded.stranded)
    way_out = "repeat with ?force=true to leave them as they are" if stranded.forcible else "cancel or move them first"
    extra: dict[str, Any] = {"total": total}
    if caller.may("reservations:read"):
        extra["reservations"] = [stranded_json(taken) for taken in stranded.stranded[:STRANDED]]
    bookings = "1 booking" if total == 1 else f"{total} bookings"
    return Problem("stranded-bookings", f"{bookings} would be stranded; {way_out}.", **extra)


def conflict_json(taken: Occupancy, caller: Caller) -> dict[str, Any]:
    """Who is in the way: the times for everybody, the rest for those who may read it."""
    told: dict[str, Any] = {"startTime": render(taken.own_start), "endTime": render(taken.own_end)}
    if _may_read(taken, caller):
        told |= {"status": taken.status, "reservation": str(taken.id)}
    return told


def stranded_json(taken: Occupancy) -> dict[str, Any]:
    """A stranded booking, with what is needed to move it."""
    known = {"version": taken.version, "customer": taken.customer or None}
    return {
        "id": str(taken.id),
        **{name: value for name, value in known.items() if value is not None},
        "startTime": render(taken.own_start),
        "endTime": render(taken.own_end),
        "status": taken.status,
    }


def check_json(check: Check, verdict: Verdict, caller: Caller) -> dict[str, Any]:
    """One rule's verdict, less what the caller may not read."""
    told: dict[str, Any] = {"rule": check.rule, "ok": check.ok, "detail": check.detail}
    if any(taken.id == check.reservation and _may_read(taken, caller) for taken in verdict.conflicts):
        told["reservation"] = str(check.reservation)
    if check.time_off is not None:
        told["timeOff"] = check.time_off
    if check.override is not None:
        told["override"] = check.override
    return told


def _may_read(taken: Occupancy, caller: Caller) -> bool:
    return caller.may("reservations:read") and caller.sees(taken.customer)
