"""Stored findings as answers, with as much of their reservations as can be read, whichever program wrote them."""

from datetime import UTC, datetime

from bson import ObjectId

from app.domain.instants import from_millis, render, to_millis
from app.reconciliation.findings.context import FindingsContext
from app.reconciliation.findings.schemas import FindingAnswer, FindingReservation
from app.reconciliation.findings.service import ShownFindings
from app.storage.bson_types import Row
from app.storage.documents import Finding
from app.storage.finding_pages import SHOWN_RESERVATIONS
from app.storage.row_reader import OccupiedTime, Reader, occupancies
from app.storage.values import count, identity, instant, row_key, shown_text


def finding_answers(shown: ShownFindings) -> list[FindingAnswer]:
    """Findings with their first reservations side by side, whatever is stored in them."""
    return [_finding_answer(each, shown) for each in shown.findings]


def _finding_answer(finding: Finding, shown: ShownFindings) -> FindingAnswer:
    first = finding.reservations[:SHOWN_RESERVATIONS]
    reader = Reader(to_millis(shown.now), shown.context.by_guest)
    composed: dict[str, object] = {
        "id": str(finding.id),
        "resource_name": shown.context.resources.get(finding.resource),
        "reservations": [_reservation_answer(each, finding, shown.context, reader) for each in first],
        "reservation_count": finding.reservation_count or len(finding.reservations),
        "proposals": shown.proposals,
        "merged_into": None if finding.merged_into is None else str(finding.merged_into),
        "split_from": None if finding.split_from is None else str(finding.split_from),
        "run": str(finding.run),
    }
    copied = {name: getattr(finding, name) for name in FindingAnswer.model_fields.keys() - composed.keys()}
    return FindingAnswer.model_validate({**copied, **composed})


def _reservation_answer(
    reservation: object, finding: Finding, context: FindingsContext, reader: Reader
) -> FindingReservation:
    """A reservation as far as it can be read: its own times or, where it has items, those of the conflicting one."""
    row = context.reservations.get(row_key(reservation))
    if row is None:
        return FindingReservation(id=shown_text(reservation))
    customer = row.get("customer")
    taken = None if _is_plain(row) else _taken(row, finding, context)
    start, end = row.get("startTime"), row.get("endTime")
    if taken is not None and row.get("items"):
        start, end = from_millis(taken.start), from_millis(taken.end)
    return FindingReservation.model_construct(
        id=shown_text(reservation),
        customer=_text(customer),
        customer_name=context.customers.get(identity(customer) or ""),
        start_time=_moment(start),
        end_time=_moment(end),
        units=_units(row) if taken is None else taken.units,
        status="expired" if reader.standing(row) == "lapsed" else _text(row.get("status")),
        created_at=_made(reservation, row),
        by=_text(row.get("key")),
    )


def _is_plain(row: Row) -> bool:
    """Whether the fields of a row are the whole answer, as in every row that Reserva wrote."""
    return not row.get("items") and type(row.get("units")) is int


def _taken(row: Row, finding: Finding, context: FindingsContext) -> OccupiedTime | None:
    """The occupancy of the resource by a row; of several items, the first that meets the window."""
    start, end = to_millis(finding.from_), to_millis(finding.to)
    found = (each for each in occupancies(row, context.by_guest) if isinstance(each, OccupiedTime))
    there = [each for each in found if each.resource == finding.resource]
    return min(there, key=lambda each: not (each.start < end and start < each.end), default=None)


def _units(row: Row) -> int | None:
    stored = row.get("units")
    return 1 if stored is None else count(stored)


def _made(reservation: object, row: Row) -> str | None:
    stored = row.get("createdAt")
    if stored is None and isinstance(reservation, ObjectId):
        stored = reservation.generation_time
    return _moment(stored)


def _moment(value: object) -> str | None:
    """A stored value of any type as an instant of an answer if it can be read as one; else as text."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return render(value if value.tzinfo else value.replace(tzinfo=UTC))
    known = instant(value)
    return shown_text(value) if known is None else render(known)


def _text(value: object) -> str | None:
    return None if value is None else shown_text(value)
